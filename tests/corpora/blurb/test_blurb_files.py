"""BLURB's own files, LinkBERT's JSON lines, and the IOB files of others, on invented rows in the exact formats."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from biomtl.corpora.blurb.reader import BlurbFiles
from biomtl.corpora.reader import ReadOptions
from biomtl.corpora.source import Source
from biomtl.errors import InputError
from biomtl.prepare.prepare import choose
from biomtl.tasks import SUITES, get_task
from biomtl.tasks.types.base import check_record
from blurb_data import columns, lay, linkbert, redistributed


def read(folder: Path, task: str) -> list[dict[str, Any]]:
    """The records of dev, each of which must be a record of the task."""
    source = Source(folder)
    (job,) = choose(source, [task])
    rows = [record for _, split, record in job.reader.read(source, [task], ReadOptions()) if split == "dev"]
    assert [check_record(get_task(task), record) for record in rows] == [None] * len(rows)
    return rows


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as BLURB's scripts leave it."""
    folder = tmp_path_factory.mktemp("data_generation") / "data"
    for files in redistributed().values():
        lay(files, folder)
    return folder


EXPECTED: dict[str, dict[str, Any]] = {
    "bc5-chem": {"id": "dev-0.0", "tags": ["B-Chemical", "I-Chemical", "I-Chemical", "O"]},
    "bc5-disease": {"tags": ["O", "B-Disease"]},
    "ncbi-disease": {"tags": ["O", "B-Disease"], "offsets": [[0, 1], [2, 8]]},
    "bc2gm": {"tags": ["O", "B-Gene", "I-Gene"]},
    "jnlpba": {"id": "95369245.0", "doc_id": "95369245", "tags": ["O", "B-Entity"]},
    "ebm-pico": {"doc_id": "10036953", "tags": ["I-PAR", "I-PAR", "O"]},
    "blurb-chemprot": {"id": "100.T1.T2", "doc_id": "100", "label": "CPR:4"},
    "blurb-ddi": {"doc_id": "DDI-DrugBank.d1", "label": "DDI-effect", "text": '@DRUG$ raises "@DRUG$" .'},
    "gad": {"label": "association"},
    "blurb-biosses": {"id": "78", "text_a": "One .", "text_b": "Two .", "score": 2.4},
    "blurb-hoc": {
        "id": "10047461",
        "text": "First . Second .",
        "labels": ["avoiding immune destruction", "enabling replicative immortality"],
    },
    "pubmedqa": {"id": "pqal_fold0/dev_set", "text_a": "Is it?", "text_b": "One.", "label": "yes"},
    "bioasq": {"id": "52bf1b0a03868f1b06000009", "text_a": "Is it so?", "text_b": "It is. Indeed.", "label": "yes"},
}


@pytest.mark.parametrize("task", SUITES["blurb"])
def test_blurbs_own_files(task: str, whole: Path) -> None:
    first = read(whole, task)[0]
    assert {key: first[key] for key in EXPECTED[task]} == EXPECTED[task]


def test_a_folder_of_blurbs_files_is_read_as_blurb_alone(whole: Path) -> None:
    """BLUE has folders of the same names; if they contain only tokens, BLUE's task is the same and takes precedence."""
    jobs = choose(Source(whole))
    assert {job.task.name for job in jobs} == {
        *SUITES["blurb"], "bc5cdr-chem", "bc5cdr-disease"
    } - {"bc5-chem", "bc5-disease"}  # fmt: skip
    assert [job.task.name for job in choose(Source(whole), ["blurb"])] == list(SUITES["blurb"])


@pytest.mark.parametrize("task", linkbert())
def test_linkberts_json_lines(task: str, tmp_path: Path) -> None:
    (row,) = read(lay(linkbert()[task], tmp_path), task)
    assert row["id"] == ("dev-0.0" if "tokens" in row else "7")
    expected = {key: EXPECTED[task][key] for key in ("score", "labels") if key in EXPECTED[task]}
    assert {key: row[key] for key in expected} == expected
    if task == "blurb-chemprot":
        assert row["label"] == "false"
    if task == "ebm-pico":
        assert row["tags"] == ["I-PAR", "I-PAR", "O"]


def test_iob_files_of_others(tmp_path: Path) -> None:
    """The files of Crichton et al. 2017 have types, BioBERT's have none and another dev name; both may have marks."""
    typed = columns("#-DOCSTART-\tO", "The/O abc/B-DNA xyz/B-protein", "Off/O", "#-DOCSTART-\tO", "T/B-cell_type")
    mtl = {f"JNLPBA/{split}.tsv": typed for split in ("train", "devel", "test")}
    rows = read(lay(mtl, tmp_path / "mtl"), "jnlpba")
    assert [row["id"] for row in rows] == ["dev-1.0", "dev-1.12", "dev-2.0"]
    assert rows[0]["tags"] == ["O", "B-Entity", "B-Entity"]
    plain = columns("The/O abc/B gene/I", "Off/O")
    biobert = {f"NERdata/BC2GM/{name}.tsv": plain for name in ("train", "devel", "test", "train_dev")}
    assert [row["doc_id"] for row in read(lay(biobert, tmp_path / "biobert"), "bc2gm")] == ["dev-0", "dev-1"]
    iob = {"NCBI-disease-IOB/devel.tsv": columns("A/O tremor/B-Disease"), "NCBI-disease-IOB/train.tsv": columns("A/O")}
    assert read(lay(iob, tmp_path / "iob"), "ncbi-disease")[0]["tags"] == ["O", "B-Disease"]


def mistakes() -> Iterator[tuple[str, str, str]]:
    """Task, its dev file, and the expected error."""
    yield (
        "blurb-ddi",
        "DDI-DrugBank.d1.s2.p0\t@DRUG$ raises @DRUG$ .\tDDI-effect\n1\tx\n",
        "dev.tsv:2: 2 tab-separated columns, expected 3: id, sentence, label",
    )
    yield (
        "gad",
        "index\tsentence\tlabel\n0\tThe @GENE$ .\t2\n",
        "dev.tsv:2: unknown label '2', expected one of association, false",
    )
    yield (
        "blurb-biosses",
        "pair_id\tsent1\tsent2\tscore\n78\tOne .\tTwo .\thigh\n",
        "dev.tsv:2: score 'high', expected a number",
    )
    yield "blurb-hoc", "labels\tsentence\tindex\n0_0,11_1\tX .\t2_s0\n", "dev.tsv:2: unknown label '11_1'"
    yield "bioasq", "1\tIs it?\t \tyes\n", "dev.tsv:1: no sentence2, expected a text"
    yield "ncbi-disease", "A\tO\ntremor\tB-Gene\n", "dev.tsv:2: unknown label 'B-Gene'"
    yield "bc2gm", "A\tO\ngene\n", "dev.tsv:2: "


@pytest.mark.parametrize(("task", "content", "said"), mistakes(), ids=[task for task, *_ in mistakes()])
def test_mistakes_are_named_with_file_and_line(task: str, content: str, said: str, tmp_path: Path) -> None:
    files = redistributed()[task]
    name = next(name for name in files if name.endswith("dev.tsv"))
    with pytest.raises(InputError) as error:
        read(lay({**files, name: content}, tmp_path), task)
    assert said in str(error.value)


def test_json_mistakes(tmp_path: Path) -> None:
    rows = {"bc2gm": '{"tokens": ["a", "b"], "ner_tags": ["O"]}', "gad": '{"id": 1, "sentence": "A @GENE$ ."}'}
    said = {"bc2gm": "BC2GM_hf/dev.json:1: a row without tokens and their tags", "gad": "GAD_hf/dev.json:1: no 'label'"}
    folders = {"bc2gm": "BC2GM_hf", "gad": "GAD_hf"}
    for task, row in rows.items():
        with pytest.raises(InputError) as error:
            read(lay({f"{folders[task]}/dev.json": row}, tmp_path / task), task)
        assert said[task] in str(error.value)


def test_blues_own_tables_are_not_blurbs(tmp_path: Path) -> None:
    blue = {
        "ChemProt/dev.tsv": "index\tsentence\tlabel\n1.T1.T2\tThe @CHEMICAL$ of @GENE$ .\tCPR:4\n",
        "hoc/dev.tsv": "index\tsentence1\tsentence2\tlabel\n1_s0\tX .\t\n",
        "BIOSSES/dev.tsv": "index\tsentence1\tsentence2\tscore\n1\tA\tB\t2.0\n",
        "BC5CDR-chem/dev.tsv": "A\t1\t0\tO\n",
    }
    source = Source(lay(blue, tmp_path))
    assert list(BlurbFiles().detect(source)) == []
    assert [job.task.name for job in choose(source)] == ["biosses", "bc5cdr-chem", "chemprot", "hoc"]
    with pytest.raises(InputError, match="no data of suite blurb, the tasks found are bc5cdr-chem, biosses"):
        choose(source, ["blurb"])
