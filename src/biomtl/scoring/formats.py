"""Gold and prediction files: our JSONL, BLUE's gold and prediction tables, its NER files, BlueBERT's probabilities.

Also what ``biomtl predict`` prints; MT-DNN's score files, canonical rows and JSON lines; SQuAD's data and predicted
answers.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from biomtl.corpora.blue import table as tsv
from biomtl.corpora.blue.hoc import decode_labels
from biomtl.corpora.blue.ner import read_ner
from biomtl.corpora.blue.relations import SEVERAL_LABELS, document_of
from biomtl.corpora.source import MAX_MEMBER, Source
from biomtl.errors import InputError
from biomtl.formats.squad import is_squad, read_answers, read_squad
from biomtl.mtdnn import scores as mtdnn
from biomtl.scoring.table import Record, Table
from biomtl.storage.files import MAX_LINE, decode_line, open_binary
from biomtl.storage.json_rows import parse_jsonl
from biomtl.tasks.task import Task
from biomtl.tasks.types.base import type_of

Shape = Literal["records", "mentions", "rows", "relations", "tokens", "pieces", "probabilities"]
_RELATION = ("index", "docid", "arg1", "arg2", "label")


@dataclass(frozen=True)
class Loaded:
    """A file's records and its kind.

    ``records``: our JSONL. ``mentions``: JSON lines with ``docid``, ``type``, ``locations``. ``rows``: a table with
    ``index`` and ``label`` (or ``labels``, ``score``) among its columns. ``relations``: BLUE's gold-standard table with
    ``id docid arg1 arg2 label``. ``tokens``: NER lines. ``probabilities``: BlueBERT's ``test_results.tsv``, which has
    neither header nor ids. ``pieces``: tags of MT-DNN's word pieces, marked where a piece continues a word.
    """

    table: Table
    shape: Shape


def load(path: str | Path, task: Task, *, may_be_empty: bool = False) -> Loaded:
    """Read a gold or prediction file, detecting its format from its content.

    Args:
        path: the file; ``-`` is standard input, and a pipe is read once.
        task: the file's task.
        may_be_empty: whether an empty file is valid and means no mentions.

    Raises:
        InputError: missing, empty or unreadable file; a row that doesn't match the format.
    """
    path = Path(path)
    if path.is_dir():
        raise InputError("a folder", path=path, expected="a gold or a prediction file")
    if type_of(task).gold_key == "start" and path.is_file() and (given := _of_squad(path)) is not None:
        return given
    source = Piped(path) if is_pipe(path) else Source(path)
    names = list(source.names)
    if len(names) != 1:
        raise InputError(f"an archive of {len(names)} files", path=path, expected="one file")
    name = names[0]
    path = Path(source.where(name)) if isinstance(source, Piped) else path
    answer = type_of(task).answer
    first = next((text for _, text in source.lines(name) if text.strip()), None)
    if first is None and may_be_empty:
        return Loaded(Table([], str(path), []), "mentions")
    if first is None:
        raise InputError("an empty file", path=path, expected="one record per row")
    if first.lstrip().startswith("[{") or (first.strip() == "[" and answer != "tags"):
        raise InputError("a JSON list", path=path, line=1, expected="JSON lines: one object per line")
    if first.lstrip().startswith("{"):
        lines, records = zip(*parse_jsonl(source.lines(name), path), strict=True)
        if mtdnn.is_scores(records[0]) or mtdnn.is_row(records[0]):
            return _of_mtdnn(records, lines, str(path), task)
        if isinstance(records[0].get("tasks"), dict):
            return _of_predict(records, lines, str(path), task)
        return Loaded(Table(records, str(path), lines), "mentions" if "locations" in records[0] else "records")
    if answer == "tags":
        sentences = list(read_ner(source, name, task, "test"))
        rows = [row for sentence in sentences if (row := sentence.where[1])]
        return Loaded(Table(sentences, str(path), rows), "tokens")
    if answer == "other":
        raise InputError("not JSON lines", path=path, expected=f"JSON lines for a task of type {task.type}")
    return _load_table(source, name, task)


def _of_squad(path: Path) -> Loaded | None:
    """SQuAD's questions, or its file of predicted answers; ``None`` for any other file."""
    if is_squad(path):
        numbers, records = zip(*read_squad(path), strict=True)
        return Loaded(Table(records, str(path), numbers), "records")
    if (answers := read_answers(path)) is None:
        return None
    return Loaded(Table([{"id": name, "answer": text} for name, text in answers.items()], str(path)), "records")


def _of_mtdnn(records: Sequence[Record], lines: Sequence[int], where: str, task: Task) -> Loaded:
    """MT-DNN's score file, which is one object, or its JSON lines."""
    shape: Shape = "pieces" if type_of(task).answer == "tags" else "records"
    if mtdnn.is_scores(records[0]):
        return Loaded(Table(mtdnn.read_scores(records[0], task, where), where), shape)
    rows = []
    for record, line in zip(records, lines, strict=True):
        if not mtdnn.is_row(record):
            raise InputError("a row of another kind", path=where, line=line, expected="uid, and label or prediction")
        rows.append(mtdnn.read_row(record, task, where))
    return Loaded(Table(rows, where, lines), shape)


def _of_predict(records: Sequence[Record], lines: Sequence[int], where: str, task: Task) -> Loaded:
    """The lines of ``biomtl predict``, each with the results of the tasks that read it."""
    results = [record["tasks"] if isinstance(record.get("tasks"), dict) else {} for record in records]
    rows = [row for row, result in enumerate(results) if isinstance(result.get(task.name), dict)]
    if not rows:
        known = ", ".join(dict.fromkeys(name for result in results for name in result)) or "none"
        raise InputError(f"no result of {task.name}", path=where, line=lines[0], expected=f"results of it, not {known}")
    found = [{"id": records[row].get("id"), **results[row][task.name]} for row in rows]
    table = Table(found, where, [lines[row] for row in rows])
    if type_of(task).answer == "tags":
        for row, record in enumerate(found):
            if "tags" not in record:
                fix = 'predict on records with "tokens", or use biomtl evaluate'
                raise table.error(row, "mentions in a text", expected="a tag for each token", fix=fix)
    return Loaded(table, "records")


def is_pipe(path: Path) -> bool:
    """Whether a path is standard input (``-`` or ``/dev/stdin``) or another stream that can be read only once."""
    return str(path) == "-" or (path.exists() and not path.is_file())


class Piped(Source):
    """The content of a pipe, read once and kept, used like a file.

    Raises:
        InputError: unreadable, not UTF-8, or over 1 GiB.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.name = "standard input" if str(path) == "-" else str(path)
        self._lines: list[tuple[int, str]] = []
        size = 0
        try:
            with sys.stdin.buffer if str(path) == "-" else open_binary(path) as stream:
                while raw := stream.readline(MAX_LINE + 1):
                    self._lines.append((len(self._lines) + 1, decode_line(raw, self.name, len(self._lines) + 1)))
                    if (size := size + len(raw)) > MAX_MEMBER:
                        raise InputError(f"over {MAX_MEMBER:,} bytes", path=self.name, fix="write them to a file")
        except OSError as error:
            raise InputError(f"can't be read ({error.strerror})", path=self.name) from error

    @property
    def names(self) -> Iterator[str]:
        """The one name."""
        return iter([self.name])

    def where(self, name: str) -> str:
        """The name to show in error messages."""
        return self.name

    def lines(self, name: str) -> Iterator[tuple[int, str]]:
        """(1-based number, text without line end) of every line."""
        return iter(self._lines)


def _load_table(source: Source, name: str, task: Task) -> Loaded:
    table = tsv.read_table(source, name)
    rows = list(table.rows)
    key: str = type_of(task).answer
    if table.header is None and rows and (canonical := _canonical(rows, task, key)):
        return Loaded(Table(canonical, table.where, [number for number, _ in rows]), "records")
    if table.header is None:
        return Loaded(_probabilities(table.where, rows, task), "probabilities")
    if not rows:
        raise InputError("a header without rows", path=table.where, line=1, expected="one record per row")
    lines = [number for number, _ in rows]
    if set(_RELATION) <= set(table.header) and key == "label":
        at = [table.header.index(column) for column in _RELATION]
        records = [
            dict(zip(("id", "doc_id", "arg1", "arg2", "label"), cells, strict=True))
            for cells in _pick(table.where, rows, at, len(table.header))
        ]
        return Loaded(Table(records, table.where, lines), "relations")
    at, width = _columns(table, len(rows[0][1]), key)
    records = []
    for (number, _), (index, cell) in zip(rows, _pick(table.where, rows, at, width), strict=True):
        document = index.partition("_")[0] if key == "labels" else document_of(task.name, index)
        records.append({"id": index, "doc_id": document, key: _value(cell, task, table.where, number)})
    if task.name in SEVERAL_LABELS:
        for record, unique in zip(records, numbered([record["id"] for record in records]), strict=True):
            record["id"] = unique
    return Loaded(Table(records, table.where, lines), "rows")


def _canonical(rows: Sequence[tsv.Row], task: Task, key: str) -> list[Record]:
    """MT-DNN's canonical rows (uid, label, one or two texts), if that is what all of them are."""
    if key not in ("label", "score") or not all(len(cells) in (3, 4) for _, cells in rows):
        return []
    if key == "label":
        if not all(cells[1] in task.labels for _, cells in rows):
            return []
        return [{"id": cells[0], "label": cells[1]} for _, cells in rows]
    try:
        return [{"id": cells[0], "score": float(cells[1])} for _, cells in rows]
    except ValueError:
        return []


def _columns(table: tsv.Table, width: int, key: str) -> tuple[list[int], int]:
    """The columns of id and value, and the number of columns in a row."""
    header = table.header or ()
    if header == ("index", "label") and width == 4:
        return [0, 3], 4  # BLUE's MedNLI gold file: two names over pairID, sentence1, sentence2, label
    if header == ("index", "sentence1", "sentence2", "label") and width == 3:
        return [0, 2], 3  # BLUE's HoC converter: four names over index, sentence, labels
    for column in ("index", "label"):
        if column not in header:
            shown = "index" if column == "index" else key
            raise InputError(
                f"no column {shown!r}", path=table.where, line=1, expected=f"a header with index and {key}"
            )
    return [header.index("index"), header.index("label")], len(header)


def _pick(where: str, rows: Sequence[tsv.Row], at: Sequence[int], width: int) -> list[list[str]]:
    picked = []
    for number, cells in rows:
        if len(cells) != width:
            raise InputError(
                f"{len(cells)} columns", path=where, line=number, expected=f"{width} columns, separated by tabs"
            )
        picked.append([cells[position].strip() for position in at])
    return picked


def _value(cell: str, task: Task, where: str, line: int) -> Any:
    answer = type_of(task).answer
    if answer == "label":
        return cell
    try:
        return float(cell) if answer == "score" else decode_labels(cell, task.labels)
    except ValueError as error:
        problem = f"score {cell!r}" if answer == "score" else str(error)
        expected = "a number" if answer == "score" else None
        raise InputError(problem, path=where, line=line, expected=expected) from error


def _probabilities(where: str, rows: Sequence[tsv.Row], task: Task) -> Table:
    """Rows of class probabilities in label order, without ids, as in BlueBERT; the most probable class counts."""
    answer = type_of(task).answer
    records: list[Record] = []
    for number, cells in rows:
        try:
            values = [float(cell) for cell in cells] if answer == "label" else []
        except ValueError:
            values = []
        if not values:
            raise InputError("no header", path=where, line=number, expected=f"a header with index and {answer}")
        if len(values) != len(task.labels) or not all(0 <= value <= 1.000001 for value in values):
            expected = f"{len(task.labels)} probabilities, one per label"
            raise InputError(f"{len(values)} numbers {cells[0]:.20} …", path=where, line=number, expected=expected)
        records.append({"label": task.labels[values.index(max(values))], "probabilities": values})
    return Table(records, where, [number for number, _ in rows])


def numbered(names: Sequence[str]) -> list[str]:
    """Unique ids: the second row with a name gets ``#2``, the third ``#3``, as in ``biomtl prepare``.

    In BLUE a pair with two gold labels has two rows with the same index.
    """
    seen: dict[str, int] = {}
    unique = []
    for name in names:
        seen[name] = count = seen.get(name, 0) + 1
        unique.append(name if count == 1 else f"{name}#{count}")
    return unique


def refuse_repeated(loaded: Loaded) -> None:
    """Two gold rows of a pair are two labels; the same label twice is a mistake that numbering would hide."""
    seen: set[tuple[str, ...]] = set()
    name: tuple[str, ...]
    for row, record in enumerate(loaded.table.records):
        if loaded.shape == "relations":
            name = (record["doc_id"], record["arg1"], record["arg2"])
        else:
            name = (record["id"].partition("#")[0],)
        if (*name, record["label"]) in seen:
            raise loaded.table.error(row, f"{'.'.join(name)!r} with label {record['label']!r} a second time")
        seen.add((*name, record["label"]))
