"""What ``elmoft`` reads, small and invented: a random biLM in bilm-tf's files, and the ten tasks in BLUE's."""

from __future__ import annotations

import importlib.util
import random
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType
from typing import Any

import tiny

ROWS = {"train": 12, "dev": 6, "test": 6}
FOLDERS = {
    "clnclsts": "clinicalSTS",
    "biosses": "BIOSSES",
    "bc5cdr-chem": "BC5CDR-chem",
    "bc5cdr-dz": "BC5CDR-disease",
    "shareclefe": "ShAReCLEFEHealthCorpus",
    "ddi": "ddi2013-type",
    "chemprot": "ChemProt",
    "i2b2": "i2b2-2010",
    "hoc": "hoc",
    "mednli": "mednli",
}
RELATIONS = {
    "ddi": ("DDI-false", "DDI-effect", "DDI-DrugBank.d{document}.s0.p{number}"),
    "chemprot": ("false", "CPR:3", "{document}.T1.T{number}"),
    "i2b2": ("false", "PIP", "r{document}.r{document}.con.l0.r{document}.con.l{number}"),
}


def naive() -> ModuleType:
    """The plain implementation of the biLM, which also writes its files."""
    path = Path(__file__).parent / "encoders" / "elmo" / "naive.py"
    spec = importlib.util.spec_from_file_location("elmo_naive", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def write_bilm(folder: Path) -> Path:
    """``options.json`` and ``weights.hdf5`` of a biLM of a few thousand weights."""
    module = naive()
    return module.write_folder(folder, module.OPTIONS, module.random_datasets(module.OPTIONS))


def write_layout(folder: Path, tasks: Iterable[str] = FOLDERS) -> Path:
    """``<task's folder>/{train,dev,test}.tsv`` of the tasks."""
    for task in tasks:
        place = folder / FOLDERS[task]
        place.mkdir(parents=True)
        for seed, (split, count) in enumerate(ROWS.items()):
            rng = random.Random(seed)
            text = (
                ner_text(rng, count) if task in ("bc5cdr-chem", "bc5cdr-dz", "shareclefe") else table(task, rng, count)
            )
            (place / f"{split}.tsv").write_text(text, encoding="utf-8")
    return folder


def ner_text(rng: random.Random, count: int) -> str:
    """Sentences with full stops inside; the last one ends with the file."""
    sentences = []
    for number in range(count):
        record = tiny.tagging_record(rng, number, "drug")
        tokens = [*record["tokens"][:2], ".", *record["tokens"][2:]]
        tags = [*record["tags"][:2], "O", *record["tags"][2:]]
        lines, start = [], 1000 * (number % 4)
        for i, (token, tag) in enumerate(zip(tokens, tags, strict=True)):
            lines.append(f"{token}\t{record['doc_id'] if i == 0 else '-'}\t{start}\t{tag.partition('-')[0]}")
            start += len(token) + 1
        sentences.append("\n".join(lines))
    return "\n\n".join(sentences)


def table(task: str, rng: random.Random, count: int) -> str:
    """A table with a header."""
    rows: list[list[Any]] = []
    for number in range(count):
        first, second = (" ".join(tiny.sentence(rng)) for _ in range(2))
        holds = number % 3 == 0
        first = ("zalpidine " if holds else "milo ") + first
        if task in RELATIONS:
            no, yes, index = RELATIONS[task]
            rows.append([index.format(document=number // 2, number=number), first, yes if holds else no])
        elif task == "hoc":
            codes = ",".join(f"{i}_{int((i == 0 and holds) or i == 7)}" for i in range(10))
            rows.append([f"{100 + number // 2}_s{number % 2}", first, codes])
        elif task == "mednli":
            rows.append([f"n{number}", first, second, ("contradiction", "entailment", "neutral")[number % 3]])
        else:
            filler = ["main", "file", "2012", "x", "s", "s"]
            rows.append([number, *filler, first, first if holds else second, 4.0 if holds else 0.5 + number / 10])
    heads = {"hoc": "index sentence labels", "mednli": "id sentence1 sentence2 label"}
    similarity = "index genre filename year old_index source1 source2 sentence1 sentence2 score"
    head = "index sentence label" if task in RELATIONS else heads.get(task, similarity)
    return "".join("\t".join(map(str, row)) + "\n" for row in (head.split(), *rows))
