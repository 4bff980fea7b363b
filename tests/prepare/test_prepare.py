"""`prepare` from Python: what is chosen, what is written, and that it is the same every time."""

from __future__ import annotations

import hashlib
import io
import json
import tracemalloc
import zipfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from biomtl.corpora import ReadOptions, registry
from biomtl.corpora import Source as AnySource
from biomtl.errors import InputError
from biomtl.prepare import prepare
from biomtl.prepare.prepare import choose
from biomtl.storage.files import read_jsonl
from biomtl.tasks import Task, get_task

CPR = "index\tsentence\tlabel\n7.T1.T2\t@CHEMICAL$ blocks @GENE$.\tCPR:4\n8.T1.T2\t@GENE$ is @CHEMICAL$.\tfalse\n"
NLI = "index\tsentence1\tsentence2\tlabel\np1\tHe coughs.\tHe smokes – a lot.\tneutral\n"


def corpus(folder: Path) -> Path:
    for name, text in {"chemprot/dev.tsv": CPR, "mednli/train.tsv": NLI, "mednli/dev.tsv": NLI}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    return folder


def tree(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


class Original:
    """A stand-in for the reader of an original distribution."""

    name = "an original"
    preference = 0

    def detect(self, source: AnySource) -> Sequence[str]:
        return ["mednli"] if source.find("original.txt") else []

    def read(self, source: AnySource, tasks: Sequence[str], options: ReadOptions) -> Iterator[tuple[str, Any, Any]]:
        for _, line in source.lines("original.txt"):
            yield "mednli", "dev", json.loads(line)


@pytest.fixture
def original(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A source with BLUE files, and an original corpus whose reader comes first in the registry."""
    blue = registry.readers()
    monkeypatch.setattr(registry, "readers", lambda: (Original(), *blue))
    return corpus(tmp_path / "in") / "original.txt"


GOOD = {"id": "o", "doc_id": "o", "text_a": "A.", "text_b": "B.", "label": "neutral"}


def test_records_and_task(tmp_path: Path) -> None:
    report = prepare(corpus(tmp_path / "in"), tmp_path / "out")
    assert [task.task for task in report.tasks] == ["chemprot", "mednli"]
    (record,) = [record for _, record in read_jsonl(tmp_path / "out/mednli/train.jsonl")]
    assert record == {
        "id": "p1",
        "doc_id": "p1",
        "text_a": "He coughs.",
        "text_b": "He smokes – a lot.",
        "label": "neutral",
    }
    task = Task.read(tmp_path / "out/mednli/task.yaml")
    assert task.files == {"train": "train.jsonl", "dev": "dev.jsonl"}
    assert task.model_copy(update={"files": {}}) == get_task("mednli")


def test_provenance(tmp_path: Path) -> None:
    spans = tmp_path / "spans.tsv"
    spans.write_text("docid\tstart\tend\n")
    prepare(corpus(tmp_path / "in"), tmp_path / "out", options=ReadOptions(sentence_spans=spans, seed=3))
    provenance = json.loads((tmp_path / "out/mednli/provenance.json").read_text())
    data = (tmp_path / "out/mednli/dev.jsonl").read_bytes()
    assert provenance["files"]["dev"] == {
        "file": "dev.jsonl",
        "sha256": hashlib.sha256(data).hexdigest(),
        "rows": 1,
        "documents": 1,
    }
    assert provenance["sources"] == [
        {"file": f"mednli/{name}.tsv", "sha256": hashlib.sha256(NLI.encode()).hexdigest()} for name in ("dev", "train")
    ]
    assert provenance["options"]["seed"] == 3
    assert provenance["options"]["sentence_spans"]["sha256"] == hashlib.sha256(spans.read_bytes()).hexdigest()
    assert str(tmp_path) not in json.dumps(provenance)


def test_a_folder_of_many_files_is_one_source(tmp_path: Path, original: Path) -> None:
    original.write_text(json.dumps(GOOD))

    class Many(Original):
        def read(self, source: AnySource, tasks: Sequence[str], options: ReadOptions) -> Iterator[Any]:
            for name in source.find("notes/*.txt"):
                source.read_bytes(name)
            yield from super().read(source, tasks, options)

    (tmp_path / "in/notes").mkdir()
    for i in range(30):
        (tmp_path / f"in/notes/{i}.txt").write_text(str(i))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(registry, "readers", lambda: (Many(),))
        report = prepare(tmp_path / "in", tmp_path / "out")
    assert [source.get("file") or (source["folder"], source["files"]) for source in report.tasks[0].sources] == [
        "original.txt",
        ("notes", 30),
    ]


def test_the_same_to_the_byte(tmp_path: Path) -> None:
    prepare(corpus(tmp_path / "in"), tmp_path / "first")
    prepare(corpus(tmp_path / "elsewhere/deeper"), tmp_path / "second", workers=2)
    assert tree(tmp_path / "first") == tree(tmp_path / "second")


def test_a_zip_gives_the_records_of_its_folder(tmp_path: Path) -> None:
    folder = corpus(tmp_path / "in")
    with zipfile.ZipFile(tmp_path / "blue.zip", "w") as archive:
        for name, content in tree(folder).items():
            archive.writestr(name, content)
    prepare(folder, tmp_path / "first")
    prepare(tmp_path / "blue.zip", tmp_path / "second")
    first, second = tree(tmp_path / "first"), tree(tmp_path / "second")
    differ = {name for name in first if first[name] != second[name]}
    assert first.keys() == second.keys()
    assert {Path(name).name for name in differ} == {"provenance.json"}  # the zip's checksum instead of its files'


def test_zips_inside_a_zip_give_the_records_of_their_folders(tmp_path: Path) -> None:
    prepare(corpus(tmp_path / "in"), tmp_path / "plain")
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as outer:
        for folder in sorted((tmp_path / "in").iterdir()):
            inner = io.BytesIO()
            with zipfile.ZipFile(inner, "w") as archive:
                for path in sorted(folder.iterdir()):
                    archive.write(path, f"{folder.name}/{path.name}")
            outer.writestr(f"data/{folder.name}.zip", inner.getvalue())
    prepare(tmp_path / "all.zip", tmp_path / "zipped")
    plain, zipped = tree(tmp_path / "plain"), tree(tmp_path / "zipped")
    assert {name: zipped[name] for name in plain if name.endswith(".jsonl")} == {
        name: content for name, content in plain.items() if name.endswith(".jsonl")
    }
    provenance = json.loads(zipped["mednli/provenance.json"])
    assert [source["file"] for source in provenance["sources"]] == ["all.zip"]


def test_tasks_in_the_order_asked_for_and_by_alias(tmp_path: Path) -> None:
    report = prepare(corpus(tmp_path / "in"), tmp_path / "out", ["mednli", "chemprot", "MedNLI"])
    assert [task.task for task in report.tasks] == ["mednli", "chemprot"]


def test_originals_take_precedence_over_blue_files(tmp_path: Path, original: Path) -> None:
    original.write_text(json.dumps(GOOD))
    report = prepare(tmp_path / "in", tmp_path / "out")
    mednli = report.tasks[1]
    assert (mednli.reader, len(mednli.not_used)) == ("an original", 1)
    assert list(mednli.files) == ["dev"]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([GOOD, GOOD], "mednli dev, record 2 (id 'o'): id 'o' occurs twice"),
        ([GOOD | {"label": "none"}], "mednli dev, record 1 (id 'o'): unknown label 'none'"),
        ([GOOD | {"text_a": "\ud800"}], "a record that can't be written"),
        ([GOOD | {"id": ["o"]}], "id is a list, expected text"),
        ([{}], "a record without 'id'"),
        ([], "no record of mednli"),
    ],
)
def test_any_readers_records_are_checked(tmp_path: Path, original: Path, rows: list[Any], message: str) -> None:
    original.write_text("\n".join(map(json.dumps, rows)))
    with pytest.raises(InputError) as caught:
        prepare(tmp_path / "in", tmp_path / "out", ["mednli"])
    assert message in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


def test_the_source_is_never_replaced(tmp_path: Path) -> None:
    prepare(corpus(tmp_path / "in"), tmp_path / "out")
    corpus(tmp_path / "out/raw")
    with pytest.raises(InputError, match="holds the input"):
        prepare(tmp_path / "out/raw", tmp_path / "out", overwrite=True)
    assert (tmp_path / "out/raw/chemprot/dev.tsv").exists()


def test_a_full_disk_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*arguments: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("biomtl.prepare.write.SplitWriter.write", full)
    with pytest.raises(OSError, match="No space"):
        prepare(corpus(tmp_path / "in"), tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


def test_progress_is_reported(tmp_path: Path) -> None:
    told: list[tuple[int, int, int]] = []
    prepare(corpus(tmp_path / "in"), tmp_path / "out", progress=lambda *numbers: told.append(numbers))
    assert told[-1] == (2, 2, 4)


def test_nothing_recognised_says_what_is_looked_for(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        choose(AnySource(tmp_path))
    assert all(reader.name in str(caught.value) for reader in registry.readers())


@pytest.mark.slow
def test_memory_does_not_grow_with_long_texts(tmp_path: Path) -> None:
    (tmp_path / "in/mednli").mkdir(parents=True)
    sentence = "The patient has a history of a cough that will not end. " * 40
    with (tmp_path / "in/mednli/train.tsv").open("w") as stream:
        stream.write(NLI.partition("\n")[0] + "\n")
        for i in range(5_000):
            stream.write(f"p{i}\t{sentence}\t{sentence}\tneutral\n")
    tracemalloc.start()
    try:
        prepare(tmp_path / "in", tmp_path / "out")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    size = (tmp_path / "out/mednli/train.jsonl").stat().st_size
    assert size > 20 * 2**20
    assert peak < size / 4


def many_ddi(folder: Path, documents: int) -> None:
    for i in range(documents):
        target = folder / ("Test" if i % 5 == 0 else "Train") / "DrugBank" / f"{i}.xml"
        target.parent.mkdir(parents=True, exist_ok=True)
        entities = "".join(
            f'<entity id="d{i}.s0.e{n}" charOffset="{4 * n}-{4 * n + 2}" type="drug" text="abc"/>' for n in range(2)
        )
        pair = f'<pair id="d{i}.s0.p0" e1="d{i}.s0.e0" e2="d{i}.s0.e1" ddi="false"/>'
        sentence = f'<sentence id="d{i}.s0" text="abc abc">{entities}{pair}</sentence>'
        target.write_text(f'<document id="d{i}">{sentence}</document>')


def many_chemprot(folder: Path, documents: int) -> None:
    for part in ("training", "development", "test"):
        tables = {
            "abstracts": "{0}\tAspirin blocks COX1.\tIt does.\n",
            "entities": "{0}\tT1\tCHEMICAL\t0\t7\tAspirin\n{0}\tT2\tGENE-Y\t15\t19\tCOX1\n",
            "gold_standard": "{0}\tCPR:4\tArg1:T1\tArg2:T2\n",
        }
        for table, rows in tables.items():
            path = folder / f"chemprot_{part}_{table}.tsv"
            path.write_text("".join(rows.format(i) for i in range(documents // 3)))


def peak(source: Path, out: Path) -> int:
    tracemalloc.start()
    try:
        prepare(source, out, overwrite=True)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.slow
@pytest.mark.parametrize("invent", [many_ddi, many_chemprot])
def test_only_names_and_ids_stay_in_memory(invent: Callable[[Path, int], None], tmp_path: Path) -> None:
    peaks = []
    for documents in (300, 3_000):
        (source := tmp_path / f"{documents}").mkdir()
        invent(source, documents)
        # The least of three: modules and caches come first, and the interpreter's own tables grow now and then.
        peaks.append(min(peak(source, tmp_path / "out") for _ in range(3)))
    assert (peaks[1] - peaks[0]) / 2_700 < 1_000  # bytes per document of one pair
