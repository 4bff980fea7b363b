"""What the teachers of a run say of its training texts: computed once, and kept on disk for other runs.

A teacher is a trained model, a run folder or its ``model/``. Its outputs are kept as distributions in one memory-mapped
file per teacher, task and list of texts, whose name is the SHA-256 of all three: a teacher's outputs for the same texts
are never computed twice, and those of anything else are never taken for them.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from biomtl.batch import EncodedExample, encode_examples
from biomtl.errors import InputError, nearest
from biomtl.heads.soft import Candidates, Classes, Labels, Scores, soft_of
from biomtl.inference.engines import as_engine
from biomtl.inference.predict import example_outputs
from biomtl.inference.predictor import as_record, takes, word_rule
from biomtl.model import MultiTaskModel, model_folder, read_head, read_manifest
from biomtl.storage import checksums
from biomtl.storage.files import atomic_file, dump_json
from biomtl.storage.structured import read_json
from biomtl.suite import Suite
from biomtl.tasks.head import HeadChoice
from biomtl.tasks.task import Task
from biomtl.tasks.types.base import Record, type_of
from biomtl.training.options import EVERY, DistillOptions
from biomtl.training.recipe import Recipe
from biomtl.training.splits import training_records
from biomtl.training.words import with_word_rules

Say = Callable[[str], None]
Outputs = Sequence[NDArray[Any]]
FORMAT = 1  # of the kept files; part of their names


@dataclass(frozen=True)
class Teaching:
    """What teachers say of a run's texts.

    Attributes:
        outputs: of each task that has teachers, ``[outputs, labels]`` for every labelled record, then every other.
        unlabelled: of each such task, further records, which only teachers label.
        teachers: each task's teachers, for the provenance.
    """

    outputs: Mapping[str, Outputs]
    unlabelled: Mapping[str, Sequence[Record]] = field(default_factory=dict)
    teachers: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def give(self, examples: Sequence[EncodedExample]) -> None:
        """Give each example what the teachers say of it."""
        for encoded in examples:
            for example in encoded.task_examples:
                if example.task in self.outputs:
                    example.taught = self.outputs[example.task][example.index]


def teachers_of(options: DistillOptions, tasks: Mapping[str, Task]) -> dict[str, list[Path]]:
    """The model folders that teach each task; looks at manifests and heads only.

    Raises:
        InputError: no model, a task that a teacher doesn't have or that the run doesn't have, or other labels.
    """
    found: dict[str, list[Path]] = {}
    for wanted, runs in options.teachers.items():
        if wanted not in (EVERY, *tasks):
            raise InputError(f"distill.teachers: the run has no task {wanted!r}", fix=nearest(wanted, tasks))
        for run in runs:
            folder = model_folder(run)
            known = read_manifest(folder)["tasks"]
            own = [name for name in tasks if name in known] if wanted == EVERY else [wanted]
            if not own or own[0] not in known:
                lacking = f"task {wanted!r}" if wanted != EVERY else "task of the run"
                raise InputError(f"the teacher has no {lacking}", path=run, expected=f"one of: {', '.join(known)}")
            for name in own:
                _refuse_unlike(run, folder, tasks[name])
                found.setdefault(name, []).append(folder)
    for name in options.unlabelled:
        if name not in (EVERY, *tasks):
            raise InputError(f"distill.unlabelled: the run has no task {name!r}", fix=nearest(name, tasks))
    return found


def _refuse_unlike(run: str, folder: Path, task: Task) -> None:
    path = folder / "heads" / task.name / "head.json"
    taught, _ = read_head(read_json(path, "the task of a head"), path)
    for key in ("type", "inputs", "labels", "score_range", "unanswerable"):
        theirs, ours = getattr(taught, key), getattr(task, key)
        if theirs != ours:
            shown = [", ".join(map(str, v)) if isinstance(v, tuple) else v for v in (theirs, ours)]
            raise InputError(f"the teacher's {key} of {task.name}: {shown[0]}", path=run, expected=f"{shown[1]}")


def teach(
    suite: Suite, recipe: Recipe, device: torch.device, say: Say, *, tasks: Mapping[str, Task] | None = None
) -> Teaching | None:
    """Let the recipe's teachers label the training texts; ``None`` for a recipe without any.

    Args:
        suite: the data.
        recipe: names the teachers.
        device: where they are asked.
        say: takes a line when a teacher is asked.
        tasks: the suite's tasks, if taggers have learned already how their corpora cut words.

    Raises:
        InputError: as `teachers_of`; outputs that are not numbers.
    """
    if recipe.distill is None:
        return None
    teachers = teachers_of(recipe.distill, suite.tasks)
    records = {name: training_records(suite, name, recipe) for name in suite.tasks}
    if tasks is None:
        tasks = with_word_rules(suite) if recipe.distill.unlabelled else suite.tasks
    more = further_records(tasks, suite.heads, records, teachers, recipe.distill.unlabelled, recipe.distill.pairs)
    wanted = {name: [*records[name], *more.get(name, ())] for name in teachers}
    place = Path(recipe.distill.folder) if recipe.distill.folder else default_folder()
    files: dict[str, list[Path]] = {name: [] for name in teachers}
    for folder in dict.fromkeys(path for paths in teachers.values() for path in paths):
        own = {name: wanted[name] for name, paths in teachers.items() if folder in paths}
        for name, path in _kept(folder, suite.tasks, own, place, recipe.bf16, device, say).items():
            files[name].append(path)
    outputs = {name: _read(_mean_of(paths, place)) for name, paths in files.items()}
    return Teaching(outputs, more, {name: [str(path) for path in paths] for name, paths in teachers.items()})


def further_records(
    tasks: Mapping[str, Task],
    heads: Mapping[str, HeadChoice],
    records: Mapping[str, Sequence[Record]],
    teachers: Mapping[str, Any],
    chosen: Sequence[str],
    pairs: int = 0,
) -> dict[str, list[Record]]:
    """Records without gold for the texts of other tasks, each text once, for tasks that have teachers.

    Args:
        tasks: all tasks, taggers with the rule by which their corpus cuts words.
        heads: the student's choice of head for each.
        records: their training records.
        teachers: the tasks that have teachers.
        chosen: the tasks that exchange texts; ``*`` for all that can.
        pairs: how many pairs to make of single texts for each task that compares two.
    """
    names = [name for name in tasks if name in chosen or EVERY in chosen]
    found: dict[str, list[Record]] = {}
    for name in names:
        if name not in teachers or not _can_be_filled(tasks[name]):
            continue
        if tasks[name].inputs == "pair" and pairs:
            texts = [_text(tasks[other], record, heads[other]) for other in names for record in records[other]]
            single = list(dict.fromkeys(text for text in texts if isinstance(text, str)))
            found[name] = [as_record(tasks[name], pair) for pair in _neighbours(single, pairs)]
        seen = {_text(tasks[name], record, heads[name]) for record in records[name]}
        for other in names:
            for record in records[other] if other != name else ():
                text = _text(tasks[other], record, heads[other])
                if text in seen or not takes(tasks[name], text):
                    continue
                seen.add(text)
                filled = _like(tasks[name], tasks[other], record, text)
                if (
                    _text(tasks[name], filled, heads[name]) == text
                ):  # not where words lose an unusual blank: that is another text
                    found.setdefault(name, []).append(filled)
    return found


def _neighbours(texts: Sequence[str], count: int) -> list[tuple[str, str]]:
    """Pairs of successive texts, which are often alike as they are of one document; no text twice, evenly spread."""
    pairs = list(zip(texts[::2], texts[1::2], strict=False))
    return [pairs[number * len(pairs) // count] for number in range(count)] if len(pairs) > count else pairs


def _can_be_filled(task: Task) -> bool:
    """Whether a text alone makes a record: no candidates, questions or pairs of mentions."""
    soft = soft_of(task)
    simple = isinstance(soft, Classes | Labels | Scores) and not isinstance(soft, Candidates)
    return simple and "relation" not in type_of(task).family


def _text(task: Task, record: Record, head: HeadChoice) -> str | tuple[str, ...]:
    """What the encoder reads of a record: with a relation's mentions masked, if that is the student's view of them."""
    texts = type_of(task).text(record, task, head).texts
    return texts[0] if len(texts) == 1 else tuple(texts)


def _like(task: Task, other: Task, record: Record, text: str | tuple[str, ...]) -> Record:
    """A record of ``task`` for the text of another task's record, whose words are kept if both tasks cut alike."""
    one, two = (word_rule(each).model_dump(exclude={"agreement"}) for each in (task, other))
    if task.inputs == "tokens" and "tokens" in record and one == two:
        return {"tokens": record["tokens"], "offsets": record["offsets"]}
    return as_record(task, text, word_rule(task))


def _kept(
    folder: Path,
    tasks: Mapping[str, Task],
    records: Mapping[str, Sequence[Record]],
    place: Path,
    bf16: bool,
    device: torch.device,
    say: Say,
) -> dict[str, Path]:
    """The files with a teacher's outputs for these records, computed if they aren't there."""
    # A manifest has the checksums of all weights, except in older models.
    weights = read_manifest(folder)["files"] or checksums.take(folder)
    identity = f"{FORMAT} {bf16} {sorted(weights.items())}"
    paths = {}
    for name, rows in records.items():
        digest = hashlib.sha256(f"{identity} {name}\n".encode())
        for record in rows:
            digest.update(dump_json({key: record[key] for key in record if key not in _GOLD}).encode() + b"\n")
        paths[name] = place / f"{digest.hexdigest()[:40]}.npy"
    lacking = {name: rows for name, rows in records.items() if not _whole(paths[name], len(rows))}
    if not lacking:
        return paths
    count = sum(len(rows) for rows in lacking.values())
    say(f"teacher {folder}: outputs for {count:,} records of {', '.join(lacking)}, kept in {place}")
    model = MultiTaskModel.from_pretrained(folder, tasks=lacking).to(device)
    engine = as_engine(model, bf16=bf16)
    examples = encode_examples(engine.processor, engine.tasks, lacking, targets=False, choices=engine.choices)
    outputs: dict[str, list[Any]] = {name: [None] * len(rows) for name, rows in lacking.items()}
    for name, index, values in example_outputs(engine, examples):
        soft = soft_of(tasks[name])
        assert soft is not None
        outputs[name][index] = soft.probabilities(torch.from_numpy(values)).numpy()
    for name, rows in outputs.items():
        _write(paths[name], rows)
    return paths


_GOLD = frozenset({"id", "doc_id", "label", "labels", "score", "tags", "start", "end", "weight"})


def _write(path: Path, rows: Sequence[NDArray[Any]]) -> None:
    """All outputs end to end; how many each record has, and how many labels, stands beside them."""
    flat = np.concatenate([row.ravel() for row in rows])
    precise = any(row.shape[1] == 1 for row in rows)  # scores; probabilities have three digits that matter
    shapes = np.array([row.shape for row in rows], dtype=np.int32)
    for target, values in ((path, flat.astype(np.float32 if precise else np.float16)), (_shapes(path), shapes)):
        with atomic_file(target, "wb") as stream:
            np.save(stream, values, allow_pickle=False)


def _shapes(path: Path) -> Path:
    return path.with_suffix(".shapes.npy")


def _whole(path: Path, count: int) -> bool:
    """Whether a file and its shapes are there and fit each other."""
    try:
        shapes = np.load(_shapes(path), allow_pickle=False)
        flat = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return False
    return shapes.shape == (count, 2) and flat.shape == (int(shapes.astype(np.int64).prod(1).sum()),)


def _read(path: Path) -> Outputs:
    shapes = np.load(_shapes(path), allow_pickle=False)
    flat = np.asarray(np.load(path, mmap_mode="r", allow_pickle=False))  # whose slices are smaller objects
    ends = np.cumsum(shapes.astype(np.int64).prod(1)).tolist()
    return _Slices(flat, [0, *ends], shapes.tolist())


@dataclass(frozen=True)
class _Slices(Sequence[NDArray[Any]]):
    """Arrays that lie end to end in a file."""

    flat: NDArray[Any]
    starts: list[int]
    shapes: list[list[int]]

    def __len__(self) -> int:
        return len(self.shapes)

    def __getitem__(self, index: Any) -> Any:
        return self.flat[self.starts[index] : self.starts[index + 1]].reshape(self.shapes[index])


def _mean_of(paths: Sequence[Path], place: Path) -> Path:
    """The file with the mean of several teachers' outputs."""
    if len(paths) == 1:
        return paths[0]
    name = hashlib.sha256("".join(path.name for path in paths).encode()).hexdigest()[:40]
    target = place / f"{name}.npy"
    parts = [_read(path) for path in paths]
    if not _whole(target, len(parts[0])):
        _write(
            target,
            [np.mean([np.asarray(row, np.float32) for row in rows], axis=0) for rows in zip(*parts, strict=True)],
        )
    return target


def default_folder() -> Path:
    """Where teachers' outputs are kept unless the user says otherwise."""
    return Path(os.environ.get("BIOMTL_CACHE") or Path.home() / ".cache" / "biomtl") / "teachers"
