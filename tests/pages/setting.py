"""What the pages' commands find in their folder: invented corpora and texts, tiny encoders and checkpoints, a run.

Names are those that the pages use, so a page says `runs/joint` or `abstracts.pubtator` and finds it.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

import torch
import transformers
import yaml

import elmo_data
import old_checkpoints
import tiny
from biomtl.sample import make_sample
from pages.blocks import run_shell

DATA = Path(__file__).parents[1] / "data" / "custom"
ROWS = {"train": 24, "dev": 12, "test": 12}
SENTENCES = (
    "Naloxone reverses the effect of clonidine.",
    "Severe nausea was seen after tolvaprine was given together with rifoxetine.",
    "The rash did not come back.",
)
ABSTRACT = "{id}|t|Tolvaprine and the liver\n{id}|a|{text}\n{id}\t0\t10\tTolvaprine\tChemical\tX1\n\n"


def write_setting(folder: Path) -> None:
    """Fill an empty folder with all that needs no command."""
    for name in ("all-MiniLM-L6-v2", "path-or-hub-name"):  # a folder of that name goes before the packaged encoder
        write_encoder(folder / name)
    write_prepared(folder / "prepared")
    elmo_data.write_layout(folder / "blue-files")
    write_corpora(folder / "corpora")
    elmo_data.write_bilm(folder / "elmo_pubmed")
    bluebert = folder / "NCBI_BERT_pubmed_mimic_uncased_L-12_H-768_A-12"
    old_checkpoints.write_tf(bluebert, old_checkpoints.bert_variables())
    write_mtdnn(folder / "model_5.pt")
    write_own(folder)
    write_texts(folder)
    recipe = {"suite": "prepared", "tasks": ["bc5cdr-chem", "hoc"], "output": "runs/elmo", "max_length": 32}
    (folder / "recipe.yaml").write_text(yaml.safe_dump(recipe), encoding="utf-8")


def write_corpora(folder: Path) -> None:
    """The corpora of BLUE's ten tasks, DDI and ChemProt in their original form, which has the mentions."""
    elmo_data.write_layout(folder, [task for task in elmo_data.FOLDERS if task not in ("ddi", "chemprot")])
    text, drug = "Zalpidine raises milo.", '<entity id="{0}.s0.e{1}" charOffset="{2}" type="drug" text="{3}"/>'
    # One of BLUE's dev sentences is in the document d64, the others are in train.
    for document, number, place in (
        ("d64", 3, "Train"),
        ("d9998", 0, "Train"),
        ("d9999", 0, "Train"),
        ("d1", 0, "Test"),
    ):
        name = f"DDI-DrugBank.{document}"
        drugs = drug.format(name, 0, "0-8", "Zalpidine") + drug.format(name, 1, "17-20", "milo")
        pair = f'<pair id="{name}.s0.p0" e1="{name}.s0.e0" e2="{name}.s0.e1" ddi="true" type="effect"/>'
        sentence = f'<sentence id="{name}.s0" text="{text}">{drugs}{pair}</sentence>'.replace(".s0", f".s{number}")
        path = folder / "DDI" / place / "DrugBank" / f"{document}.xml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f'<document id="{name}">{sentence}</document>', encoding="utf-8")
    tables = {
        "abstracts": "7\tZalpidine blocks MILO1.\tIt does.\n",
        "entities": "7\tT1\tCHEMICAL\t0\t9\tZalpidine\n7\tT2\tGENE-Y\t17\t22\tMILO1\n",
        "gold_standard": "7\tCPR:4\tArg1:T1\tArg2:T2\n",
    }
    for part in ("training", "development", "test"):
        for table, rows in tables.items():
            (folder / f"chemprot_{part}_{table}.tsv").write_text(rows, encoding="utf-8")


def write_encoder(folder: Path) -> None:
    """A tiny BERT of as many positions as the recipes ask for."""
    transformers.logging.disable_progress_bar()
    words = tiny.tokenizer("bert")
    config = tiny.config("bert", len(words))
    config.max_position_embeddings = 512
    transformers.AutoModel.from_config(config).save_pretrained(folder)
    words.save_pretrained(folder)


def write_own(folder: Path) -> None:
    """The user's own data: the samples of own-tasks.md, a table, and predictions of the task `effect`."""
    shutil.copytree(DATA, folder, dirs_exist_ok=True)
    recipe = yaml.safe_load((DATA / "own.yaml").read_text(encoding="utf-8"))
    recipe["tasks"][0]["files"]["test"] = recipe["tasks"][0]["files"]["dev"]
    (folder / "own.yaml").write_text(yaml.safe_dump(recipe), encoding="utf-8")
    answers = [{"id": f"classification.tsv:{line}", "label": "none"} for line in range(2, 6)]
    tiny.write_rows(folder / "predictions.jsonl", answers)
    rows = "A rash was seen.\tharm\tsuspected\nNo rash was seen.\tnone\tnone\n"
    for split in ("train", "dev", "test"):
        (folder / f"{split}.tsv").write_text(f"sentence\tgold\tfinding\n{rows}", encoding="utf-8")


def write_prepared(folder: Path) -> None:
    """The sample suite with a few rows of each split."""
    make_sample(folder)
    for path in folder.glob("*/*.jsonl"):
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
        path.write_text("".join(lines[: ROWS[path.stem]]), encoding="utf-8")


def write_mtdnn(path: Path) -> None:
    """A checkpoint of two heads: an answer network of 3 outputs and a tagger of 6."""
    state = {
        name.replace("scoring_list.3", "scoring_list.0"): value
        for name, value in old_checkpoints.mtdnn_state().items()
        if not name.startswith("scoring_list") or name.startswith("scoring_list.3")
    }
    state |= {"scoring_list.1.weight": torch.randn(6, 8), "scoring_list.1.bias": torch.randn(6)}
    old_checkpoints.write_pt(path, state=state)


def write_texts(folder: Path) -> None:
    """Sentences, abstracts and notes."""
    (folder / "sentences.txt").write_text("".join(f"{text}\n" for text in SENTENCES), encoding="utf-8")
    abstracts = "".join(ABSTRACT.format(id=i, text=text) for i, text in enumerate(SENTENCES, 1))
    for name in ("abstracts.pubtator", "corpus.txt"):
        (folder / name).write_text(abstracts, encoding="utf-8")
    tiny.write_rows(folder / "abstracts.jsonl", [{"id": str(i), "text": text} for i, text in enumerate(SENTENCES)])
    (folder / "notes").mkdir()
    for number, text in enumerate(SENTENCES):
        (folder / "notes" / f"{number}.txt").write_text(f"{text}\n", encoding="utf-8")


def train_run(folder: Path, environment: Mapping[str, str]) -> None:
    """The run that many pages begin with, of the sample's ten tasks."""
    run_shell("biomtl train sample suite=prepared output=runs/quickstart", folder, environment)
    for name in ("runs/joint", "runs/alone"):
        shutil.copytree(folder / "runs/quickstart", folder / name)
    run_shell("biomtl evaluate runs/joint --data prepared --out results/joint-test", folder, environment)
