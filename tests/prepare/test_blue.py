"""``prepare --blue``: files in BLUE's formats, from which the same records are prepared."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from biomtl.corpora.blue.reader import FAMILIES, BlueFiles
from biomtl.corpora.blue.write import BlueWriter
from biomtl.corpora.reader import ReadOptions
from biomtl.corpora.source import Source
from biomtl.errors import InputError
from biomtl.prepare import prepare
from biomtl.tasks import get_task
from biomtl.tasks.task import Task
from biomtl.tasks.types.base import check_record, type_of

Record = dict[str, Any]


def there_and_back(task: Task, records: list[Record], folder: Path) -> list[Record]:
    """The records that BLUE's reader reads from the written files."""
    place = folder / task.name
    place.mkdir(parents=True)
    with BlueWriter(place / "train.tsv", task) as writer:
        for record in records:
            assert check_record(task, record) is None
            writer.write(record)
        writer.finish()
    assert [path.name for path in place.iterdir()] == ["train.tsv"]
    return [dict(record) for _, _, record in BlueFiles().read(Source(folder), [task.name], ReadOptions())]


def seen(task: Task, record: Record) -> Record:
    """What a model sees of a record, and its gold value."""
    if task.relation is not None:
        return {"id": record["id"], "text": type_of(task).text(record, task).texts, "label": record["label"]}
    return {key: value for key, value in record.items() if key != "doc_id" or task.inputs != "pair"}


TEXTS = ['He said "Kava" twice.', '"Kava" lowers it.', 'Kava "lowers" tavrixan', 'a "" b', '"', "Kava, tavrixan; x"]


def invented(task: Task) -> list[Record]:
    """Records of every text, with every label."""
    made = []
    for i, text in enumerate(TEXTS):
        record: Record = {"id": f"d{i}", "doc_id": f"d{i}"}
        label = task.labels[i % len(task.labels)] if task.labels else ""
        if task.relation is not None:
            text = f"{text} Kava and tavrixan."
            spans = [(text.rindex(name), name) for name in ("Kava", "tavrixan")]
            types = task.relation.first[0], task.relation.second[0]
            entities = [
                {"id": f"T{j}", "type": types[j], "start": at, "end": at + len(name), "text": name}
                for j, (at, name) in enumerate(spans)
            ]
            record |= {"text": text, "label": label, "entities": entities}
        elif task.inputs == "tokens":
            tokens = text.split()
            starts = [sum(len(token) + 1 for token in tokens[:j]) for j in range(len(tokens))]
            offsets = [[start, start + len(token)] for start, token in zip(starts, tokens, strict=True)]
            tags = [next(tag for tag in task.labels if tag[0] == "B"), *["O"] * (len(tokens) - 1)]
            record |= {"id": f"d{i}.0", "tokens": tokens, "offsets": offsets, "tags": tags}
        elif task.inputs == "pair":
            record |= {"text_a": text, "text_b": TEXTS[-1 - i]}
            record |= {"label": label} if task.labels else {"score": i / 2}
        else:
            record |= {"text": text, "labels": list(task.labels[:i])}
        made.append(record)
    return made


@pytest.mark.parametrize("name", FAMILIES)
def test_every_format_is_read_back(name: str, tmp_path: Path) -> None:
    task = get_task(name)
    records = invented(task)
    found = there_and_back(task, records, tmp_path)
    assert [seen(task, record) for record in found] == [seen(task, record) for record in records]


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("name", ["ddi2013", "chemprot"])
def test_one_row_is_read_back_whatever_its_quotes(name: str, text: str, tmp_path: Path) -> None:
    task = get_task(name)
    (record,) = [record for record in invented(task) if record["text"].startswith(text)][:1]
    (found,) = there_and_back(task, [record], tmp_path)
    assert seen(task, found) == seen(task, record)


def test_a_pair_with_two_labels_has_one_index(tmp_path: Path) -> None:
    task = get_task("chemprot")
    one = invented(task)[0] | {"id": "1.T1.T2", "doc_id": "1"}
    rows = [one, one | {"id": "1.T1.T2#2", "label": "CPR:9"}]
    found = there_and_back(task, rows, tmp_path)
    assert [(row["id"], row["label"]) for row in found] == [(row["id"], row["label"]) for row in rows]
    lines = (tmp_path / "chemprot/train.tsv").read_text().splitlines()
    assert [line.partition("\t")[0] for line in lines] == ["index", "1.T1.T2", "1.T1.T2"]


def test_a_task_that_blue_does_not_have(tmp_path: Path) -> None:
    task = Task(name="mine", labels=("a", "b"), metric="accuracy")
    with pytest.raises(InputError, match="task mine in BLUE's format, expected one of: "):
        BlueWriter(tmp_path / "train.tsv", task)


@pytest.mark.parametrize("name", ["ddi2013", "chemprot", "biosses", "hoc", "bc5cdr-chem"])
def test_real_corpora_prepare_to_the_same(shared: Path, tmp_path: Path, name: str) -> None:
    source = shared / "data" / {"bc5cdr-chem": "bc5cdr"}.get(name, name)
    first = prepare(source, tmp_path / "first", [name], blue=True)
    only = tmp_path / "only" / name
    only.mkdir(parents=True)
    for split in first.tasks[0].files:
        (tmp_path / "first" / name / f"{split}.tsv").rename(only / f"{split}.tsv")
    second = prepare(tmp_path / "only", tmp_path / "second", [name])
    assert [(line.split, line.label, line.found) for line in second.lines] == [
        (line.split, line.label, line.found) for line in first.lines
    ]
    task = get_task(name)
    for split in first.tasks[0].files:
        both = [
            [json.loads(line) for line in (tmp_path / run / name / f"{split}.jsonl").open(encoding="utf-8")]
            for run in ("first", "second")
        ]
        assert len(both[0]) == len(both[1])
        for one, other in zip(*both, strict=True):
            assert seen(task, one) == seen(task, other)


def test_ddi_is_written_as_blue_released_it_except_for_a_space(shared: Path, tmp_path: Path) -> None:
    prepare(shared / "data/ddi2013", tmp_path / "out", ["ddi2013"], blue=True)
    released = (shared / "data/ddi2013/blue_format/dev.tsv").read_text(encoding="utf-8").splitlines()
    written = (tmp_path / "out/ddi2013/dev.tsv").read_text(encoding="utf-8").splitlines()
    differ = [(one, other) for one, other in zip(released, written, strict=True) if one != other]
    assert len(differ) == 51
    assert all(one.replace("]  ", "] ") == other for one, other in differ)
