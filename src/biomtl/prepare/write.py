"""Converts one task's files to a folder of checked JSONL with its provenance."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from io import BufferedIOBase
from itertools import groupby
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import Any

import yaml

import biomtl
from biomtl.corpora.blue.write import BlueWriter
from biomtl.corpora.reader import Reader, ReadOptions, Record
from biomtl.corpora.source import Source
from biomtl.errors import InputError
from biomtl.prepare.counts import Kind, Line, Tally, compare
from biomtl.storage.checksums import sha256
from biomtl.storage.files import dump_json, write_json
from biomtl.tasks.task import SPLITS, Split, Task
from biomtl.tasks.types.base import check_record

MOST_FILES = 20  # a folder with more is summarised in the provenance


@dataclass(frozen=True)
class TaskReport:
    """What was done for one task.

    Attributes:
        task: its name.
        reader: the reader used, as shown to the user.
        not_used: other readers that found data of the task.
        files: split -> file name, sha256, rows, documents.
        sources: the files that were read, with their sha256.
        lines: expected and found counts.
        blue: split -> file name and sha256 of the files in BLUE's format, if they were asked for.
    """

    task: str
    reader: str
    not_used: tuple[str, ...]
    files: dict[str, dict[str, Any]]
    sources: list[dict[str, Any]]
    lines: tuple[Line, ...]
    blue: dict[str, dict[str, Any]] = field(default_factory=dict)


class TracedSource(Source):
    """A source that records which files were read."""

    def __init__(self, path: str | Path) -> None:
        super().__init__(path)
        self._used: set[tuple[str, str]] = set()  # (folder, file)

    def open(self, name: str) -> BufferedIOBase:
        """A binary stream of one file."""
        file = self.place(name).file
        self._used.add((str(PurePosixPath(file).parent), file))
        return super().open(name)

    def checksums(self) -> list[dict[str, Any]]:
        """Name below the source and sha256 of every file read; an archive counts as one file.

        A folder with many files has one checksum: the sha256 of their ``sha256sum`` listing.
        """
        listed: list[dict[str, Any]] = []
        for folder, used in groupby(sorted(self._used), key=lambda place: place[0]):
            few: list[dict[str, Any]] = []
            listing, count = hashlib.sha256(), 0
            for count, (_, file) in enumerate(used, start=1):
                checksum = sha256(self._base / file)
                listing.update(f"{checksum}  {file}\n".encode())
                few += [{"file": file, "sha256": checksum}] if count <= MOST_FILES else []
            many = [{"folder": folder, "files": count, "sha256": listing.hexdigest()}]
            listed += few if count <= MOST_FILES else many
        return listed


class SplitWriter:
    """Writes one split's records, checking each, on demand in BLUE's format too."""

    def __init__(self, path: Path, task: Task, split: Split, source: Source, *, blue: bool = False) -> None:
        self._path, self._task, self._split, self._source = path, task, split, source
        self._ids: dict[str, None] = {}  # a set of a million strings would take twice the memory of their table
        self._digest = hashlib.sha256()
        self._stream = path.open("wb")
        self._blue = BlueWriter(path.with_suffix(".tsv"), task) if blue else None
        self.tally = Tally(task)

    def __enter__(self) -> SplitWriter:
        return self

    def __exit__(
        self, error_type: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stream.close()
        if self._blue:
            self._blue.finish()

    def write(self, record: Record) -> None:
        """Check and append a record.

        Raises:
            InputError: `check_record` refuses the record, or its id occurs twice.
        """
        problem = check_record(self._task, record)
        if problem is None and record["id"] in self._ids:
            problem = f"id {record['id']!r} occurs twice in {self._split}, expected once"
        try:
            line = b"" if problem else (dump_json(record) + "\n").encode()
        except (UnicodeEncodeError, ValueError, TypeError) as error:
            problem = f"a record that can't be written ({error})"
        if problem:
            raise self._error(problem, record)
        self._ids[record["id"]] = None
        self.tally.add(record)
        self._digest.update(line)
        self._stream.write(line)
        if self._blue:
            self._blue.write(record)

    def _error(self, problem: str, record: Record) -> InputError:
        if where := getattr(record, "where", None):
            path, line = where
            return InputError(problem, path=path, line=line)
        row = f"{self._task.name} {self._split}, record {self.tally.rows + 1} (id {record.get('id')!r})"
        return InputError(f"{row}: {problem}", path=self._source.path)

    def summary(self) -> dict[str, Any]:
        """File name, checksum and counts."""
        return {
            "file": self._path.name,
            "sha256": self._digest.hexdigest(),
            "rows": self.tally.rows,
            "documents": self.tally.documents,
        }

    def blue_summary(self) -> dict[str, Any] | None:
        """File name and checksum of the file in BLUE's format."""
        return {"file": self._blue.path.name, "sha256": sha256(self._blue.path)} if self._blue else None


def write_task(
    task: Task,
    reader: Reader,
    not_used: tuple[str, ...],
    source_path: Path,
    folder: Path,
    options: ReadOptions,
    tick: Callable[[], None],
    *,
    blue: bool = False,
) -> TaskReport:
    """Read one task and write ``{train,dev,test}.jsonl``, ``task.yaml`` and ``provenance.json`` into ``folder``.

    Args:
        task: what to read.
        reader: what reads it.
        not_used: other readers that found the task, for the report.
        source_path: folder, archive or file of the distribution.
        folder: the output folder, which is created.
        options: the reader's options.
        tick: called after every record.
        blue: whether to write ``{train,dev,test}.tsv`` in BLUE's format beside the JSON lines.

    Raises:
        InputError: an invalid file or record, or no record at all.
    """
    source = TracedSource(source_path)
    folder.mkdir()
    writers: dict[Split, SplitWriter] = {}
    try:
        for name, split, record in reader.read(source, [task.name], options):
            if name != task.name:
                continue
            if split not in writers:
                writers[split] = SplitWriter(folder / f"{split}.jsonl", task, split, source, blue=blue)
            writers[split].write(record)
            tick()
    finally:
        for writer in writers.values():
            writer.__exit__(None, None, None)
    if not writers:
        raise InputError(f"no record of {task.name}", path=source_path, expected=f"the data of {reader.name}")
    distribution: Kind = "blue" if reader.preference else "original"
    tallies = {split: writer.tally for split, writer in writers.items()}
    report = TaskReport(
        task=task.name,
        reader=reader.name,
        not_used=not_used,
        files={split: writers[split].summary() for split in SPLITS if split in writers},
        sources=source.checksums(),
        lines=tuple(compare(task, tallies, distribution, options)),
        blue={split: summary for split in SPLITS if split in writers and (summary := writers[split].blue_summary())},
    )
    _describe(task, report, options, folder)
    return report


def _describe(task: Task, report: TaskReport, options: ReadOptions, folder: Path) -> None:
    """Write the task's record and its provenance beside the data."""
    files = {split: entry["file"] for split, entry in report.files.items()}
    record = task.model_copy(update={"files": files}).dump()
    text = yaml.safe_dump(record, sort_keys=False, allow_unicode=True, width=120)
    (folder / "task.yaml").write_text(text, encoding="utf-8", newline="\n")
    chosen: dict[str, Any] = asdict(options)
    if options.sentence_spans is not None:
        chosen["sentence_spans"] = {"file": options.sentence_spans.name, "sha256": sha256(options.sentence_spans)}
    provenance = {
        "task": task.name,
        "biomtl": biomtl.__version__,
        "reader": report.reader,
        "options": chosen,
        "sources": report.sources,
        "files": report.files,
        **({"blue": report.blue} if report.blue else {}),
        "counts": [line.as_dict() for line in report.lines],
    }
    write_json(folder / "provenance.json", provenance)
