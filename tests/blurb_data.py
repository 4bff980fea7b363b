"""Invented corpora in the exact layouts of BLURB's, as originally distributed and as BLURB's scripts write them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from biomtl.corpora.splits import ids

Files = dict[str, str]


def lay(files: Mapping[str, str], folder: Path) -> Path:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content, encoding="utf-8", newline="")
    return folder


def columns(*sentences: str) -> str:
    """``token/TAG token …`` as two columns; a sentence that begins with ``#`` is copied unchanged."""
    parts = []
    for sentence in sentences:
        rows = [sentence[1:]] if sentence.startswith("#") else [w.replace("/", "\t") for w in sentence.split()]
        parts.append("\n".join(rows) + "\n\n")
    return "".join(parts)


def ncbi(pmid: str, kind: str = "SpecificDisease") -> str:
    title, abstract = "A zorubic tremor", "It is rare ."
    return (
        f"{pmid}|t|{title}\n{pmid}|a|{abstract}\n"
        f"{pmid}\t2\t16\tzorubic tremor  \t{kind}\tD1|D2\n{pmid}\t10\t16\ttremor\tModifier\tD2\n\n"
    )


def originals() -> dict[str, Files]:
    """Reader's class -> files."""
    dev = ids("bc2gm_dev")[0]
    labels = {"participants": "1 1 0 0 0", "interventions": "0,1,0,1,0", "outcomes": "0\n0\n0\n0\n0\n"}
    ebm: Files = {}
    for pmid, part in (("1", "train"), (ids("ebm_pico_dev")[0], "train"), ("3", "test/gold")):
        ebm[f"ebm_nlp_2_00/documents/{pmid}.tokens"] = "Old men . Got zorubicin"
        for element, marks in labels.items():
            folder = f"ebm_nlp_2_00/annotations/aggregated/starting_spans/{element}/{part}"
            ebm[f"{folder}/{pmid}.AGGREGATED.ann"] = marks
    pqa = {
        pmid: {"QUESTION": "Is it?", "CONTEXTS": ["One. ", "", "Two."], "LABELS": [], "final_decision": answer}
        for pmid, answer in (("1", "yes"), (ids("pubmedqa_dev")[0], "no"), (ids("pubmedqa_test")[0], "maybe"))
    }
    return {
        "NCBIDisease": {
            "NCBItrainset_corpus.txt": "\n" + ncbi("11") + ncbi("12") + ncbi("11"),
            "NCBIdevelopset_corpus.txt": ncbi("21", "CompositeMention"),
            "NCBItestset_corpus.txt": ncbi("31", "DiseaseClass"),
        },
        "BC2GM": {
            "bc2GMtrain_1.1/train/train.in": f"P1T0 The abc-2 gene .\n{dev} No gene here.\n",
            "bc2GMtrain_1.1/train/GENE.eval": "P1T0|3 7|abc-2\n",
            "bc2GMtrain_1.1/train/ALTGENE.eval": "P1T0|3 11|abc-2 gene\n",
            "bc2GMtest_1.0/test/test.in": "P2A1 Xyz and xyz 1.\n",
            "bc2GMtest_1.0/test/GENE.eval": "P2A1|0 2|Xyz\nP2A1|6 9|xyz 1\n",
        },
        "JNLPBA": {
            "Genia4ERtask2.iob2": "".join(
                columns(f"####MEDLINE:{95000000 + i}", "The/O abc/B-DNA xyz/B-protein gene/I-protein", "Off/O")
                for i in range(203)
            ),
            "Genia4EReval2.iob2": columns("####MEDLINE:96000000", "T/B-cell_type cells/I-cell_type"),
        },
        "EBMNLP": ebm,
        "GAD": {
            "REdata/GAD/1/train.tsv": "The @GENE$ in @DISEASE$ .\t1\n" * 4261 + "No @DISEASE$ of @GENE$ .\t0\n" * 2,
            "REdata/GAD/1/test.tsv": "index\tsentence\tlabel\n0\tA @GENE$ and @DISEASE$ .\t0\n",
            "REdata/GAD/2/train.tsv": "Another fold\t1\n",
        },
        "PubMedQA": {"data/ori_pqal.json": json.dumps(pqa)},
        "BioASQ": {
            "BioASQ-training7b/trainining7b.json": bioasq(*(f"a{i}" for i in range(10))),
            "Task7BGoldenEnriched/7B1_golden.json": bioasq("b1"),
            "Task7BGoldenEnriched/7B2_golden.json": bioasq("b2", answer=["No"]),
        },
    }


def bioasq(*names: str, answer: Any = "yes") -> str:
    snippets = [{"text": "It\nis."}, {"text": "Indeed."}]
    asked = [
        {"id": name, "body": "Is it\nso?", "type": "yesno", "exact_answer": answer, "snippets": snippets}
        for name in names
    ]
    other = {"id": f"{names[0]}-list", "body": "Which?", "type": "list", "exact_answer": [["x"]], "snippets": []}
    return json.dumps({"questions": [*asked, other]})


def redistributed() -> dict[str, Files]:
    """Task -> its files as BLURB's scripts write them, in folders of BLURB's names; one sentence or row each."""
    codes = ",".join(f"{i}_{int(i in (1, 3))}" for i in range(10))
    none = ",".join(f"{i}_0" for i in range(10))
    hoc = f"labels\tsentence\tindex\n{codes}\tFirst .\t10047461_s0\n{none}\tSecond .\t10047461_s1\n{none}\tX .\t2_s0\n"
    one: dict[str, tuple[str, str]] = {
        "bc5-chem": ("BC5CDR-chem", columns("Zorubicin/B -/I 2/I works/O")),
        "bc5-disease": ("BC5CDR-disease", columns("A/O tremor/B")),
        "ncbi-disease": ("NCBI-disease", columns("A/O tremor/B")),
        "bc2gm": ("BC2GM", columns("The/O abc/B gene/I")),
        "jnlpba": ("JNLPBA", columns("#-DOCSTART- 95369245", "The/O abc/B", "It/O", "#-DOCSTART- 95369246", "xyz/B")),
        "ebm-pico": ("ebmnlp", columns("#-DOCSTART- (10036953)", "Old/I-PAR men/I-PAR ./O", "Abc/I-INT pain/I-OUT")),
        "blurb-chemprot": ("chemprot", "100.T1.T2\tThe @CHEMICAL$ of @GENE$ .\tCPR:4\n1.T3.T1\t@CHEM-GENE$ .\tfalse\n"),
        "blurb-ddi": ("DDI", "DDI-DrugBank.d1.s2.p0\t@DRUG$ raises \"@DRUG$\" .\tDDI-effect\n"),
        "gad": ("GAD", "index\tsentence\tlabel\n0\tThe @GENE$ in @DISEASE$ .\t1\n"),
        "blurb-biosses": ("BIOSSES", "pair_id\tsent1\tsent2\tscore\n78\tOne .\tTwo .\t2.4\n"),
        "blurb-hoc": ("HoC", hoc),
        "bioasq": ("BioASQ", "52bf1b0a03868f1b06000009\tIs it so?\tIt is. Indeed.\tyes\n"),
    }  # fmt: skip
    files = {
        task: {f"{folder}/{split}.tsv": content for split in ("train", "dev", "test")}
        for task, (folder, content) in one.items()
    }
    question = {"QUESTION": "Is it?", "CONTEXTS": ["One."], "final_decision": "yes"}
    folds = ("pqal_fold0/train_set", "pqal_fold0/dev_set", "test_set", "pqal_fold1/dev_set")
    files["pubmedqa"] = {f"pubmedqa/{name}.json": json.dumps({name: question}) for name in folds}
    return files


def linkbert() -> dict[str, Files]:
    """Task -> its JSON lines as LinkBERT's script writes them."""
    label = [int(i in (1, 3)) for i in range(10)]
    rows: dict[str, tuple[str, dict[str, Any]]] = {
        "bc5-chem": ("BC5CDR-chem", {"tokens": ["Zorubicin", "works"], "ner_tags": ["B", "O"]}),
        "ncbi-disease": ("NCBI-disease", {"tokens": ["A", "tremor"], "ner_tags": ["O", "B"]}),
        "jnlpba": ("JNLPBA", {"tokens": ["abc"], "ner_tags": ["B"]}),
        "ebm-pico": ("ebmnlp", {"tokens": ["Old", "men", "."], "ner_tags": ["B-PAR", "B-PAR", "O"]}),
        "blurb-chemprot": ("chemprot", {"sentence": "The @CHEMICAL$ of @GENE$ .", "label": "0"}),
        "blurb-ddi": ("DDI", {"sentence": "@DRUG$ raises @DRUG$ .", "label": "DDI-effect"}),
        "gad": ("GAD", {"sentence": "The @GENE$ in @DISEASE$ .", "label": "1"}),
        "blurb-biosses": ("BIOSSES", {"sentence1": "One .", "sentence2": "Two .", "label": 2.4}),
        "blurb-hoc": ("HoC", {"sentence": "First . Second .", "label": label}),
        "pubmedqa": ("pubmedqa", {"sentence1": "Is it?", "sentence2": "One.", "label": "maybe"}),
        "bioasq": ("bioasq", {"sentence1": "Is it?", "sentence2": "One.", "label": "no"}),
    }  # fmt: skip
    return {
        task: {f"{folder}_hf/{split}.json": json.dumps({"id": "7", **row}) + "\n" for split in ("train", "dev", "test")}
        for task, (folder, row) in rows.items()
    }
