"""Predict a split and score it, with the same predictions as ``predict`` and the same scores as ``biomtl score``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from biomtl.errors import InputError, nearest
from biomtl.inference.engines import Model
from biomtl.inference.predict import BATCH_TOKENS, Advance, predict_records
from biomtl.mtdnn.scores import write_scores
from biomtl.scoring import METRICS, Score, score_records
from biomtl.storage.files import write_json, write_jsonl
from biomtl.suite import Suite
from biomtl.tasks.task import Split, Task
from biomtl.tasks.types.base import Record, type_of
from biomtl.tasks.types.checks import INPUT_KEYS
from biomtl.tasks.types.relation import view_of


@dataclass(frozen=True)
class Evaluation:
    """Scores and predictions of one split."""

    split: Split
    scores: Mapping[str, Score]
    predictions: Mapping[str, list[Record]]
    divided: Mapping[str, int] = field(default_factory=dict)
    """Tasks to pairs of mentions that were read from two windows, if predictions were made here."""

    @property
    def mean(self) -> float:
        """The mean of the tasks' main metrics; errors count as negative, so that higher is better."""
        return sum(self.gain(name) for name in self.scores) / len(self.scores)

    def gain(self, task: str) -> float:
        """A task's main metric with the sign that makes higher better."""
        main = self.scores[task].main
        return main.value if METRICS[main.id].higher_is_better else -main.value

    def write_predictions(self, folder: Path, gold: Suite | None = None) -> None:
        """Write ``folder/<task>/<split>.jsonl``; with ``gold``, each prediction with its input and gold values."""
        for name, rows in self.predictions.items():
            if gold is not None:
                task, records = gold.tasks[name], gold[name].records(self.split)
                rows = [_with_gold(task, record, row) for record, row in zip(records, rows, strict=True)]
            write_jsonl(folder / name / f"{self.split}.jsonl", rows)

    def write_squad(self, folder: Path) -> None:
        """Write ``folder/<task>_<split>.json``, the answers of span tasks by question, as SQuAD's script takes them."""
        for name, rows in self.predictions.items():
            write_json(folder / f"{name}_{self.split}.json", {row["id"]: row["answer"] for row in rows})

    def write_mtdnn(self, folder: Path, tasks: Mapping[str, Task]) -> None:
        """Write ``folder/<task>_<split>_scores.json`` as MT-DNN does; labels are numbered as in these tasks.

        Raises:
            InputError: a task of a type that MT-DNN has no score file for.
        """
        for name, rows in self.predictions.items():
            metrics = {metric: result.value for metric, result in self.scores[name].metrics.items()}
            write_scores(folder / f"{name}_{self.split}_scores.json", tasks[name], rows, metrics)


def _with_gold(task: Task, record: Record, prediction: Record) -> Record:
    """A prediction with its input (``text``, ``tokens`` …) and, under ``gold``, the record's gold values."""
    read = {key: record[key] for key in ("id", "doc_id", *INPUT_KEYS[task.inputs], "entities") if key in record}
    return {**read, "gold": {key: record[key] for key in type_of(task).gold_cells if key in record}, **prediction}


def evaluate(
    model: Model,
    suite: Suite,
    split: Split,
    *,
    tasks: Iterable[str] | None = None,
    resamples: int = 1000,
    seed: int = 0,
    batch_tokens: int = BATCH_TOKENS,
    bf16: bool = False,
    advance: Advance | None = None,
    predictions: Mapping[str, list[Record]] | None = None,
) -> Evaluation:
    """Score a split of every task that has it; no gold item is left out.

    Args:
        model: a model or an engine; its tasks' labels decide, the suite's records are gold.
        suite: the gold records.
        split: train, dev or test.
        tasks: only these.
        resamples: bootstrap resamples of the intervals, 0 for none.
        seed: seed of the bootstrap.
        batch_tokens: positions of a batch.
        bf16: compute in bfloat16.
        advance: called with the number of texts done.
        predictions: this model's predictions of the split, if they already exist.
    """
    names = [name for name in (tasks or suite.tasks) if split in suite[name]]
    gold = {name: suite[name].records(split) for name in names}
    divided: dict[str, int] = {}
    asked = {name: _named_as(model.tasks[name], suite.tasks[name], rows) for name, rows in gold.items()}
    predicted = predictions or predict_records(
        model, asked, batch_tokens=batch_tokens, bf16=bf16, advance=advance, divided=divided
    )
    scores = {
        name: score_records(suite.tasks[name], gold[name], predicted[name], resamples=resamples, seed=seed)
        for name in names
    }
    return Evaluation(split, scores, predicted, divided)


def _named_as(own: Task, task: Task, rows: list[Record]) -> list[Record]:
    """A relation task's records with the data's other names of types translated, as the model may not know them."""
    data = task.relation
    if data is None or own.relation is None or data.types.items() <= own.relation.types.items():
        return rows
    return [
        {**row, "entities": [{**entity, "type": data.type_of(entity["type"])} for entity in row["entities"]]}
        if "entities" in row
        else row
        for row in rows
    ]


def _refuse_other_arguments(model: Model, task: Task) -> None:
    """Refuse relations of mentions of types that the model's head has no vectors for."""
    own = model.tasks[task.name].relation
    if task.relation is None or own is None or not view_of(model.choices[task.name]).typed:
        return
    if other := [name for name in task.relation.names() if own.type_of(name) not in own.names()]:
        problem = f"task {task.name}: the model's head was not trained on mentions of type {other[0]}"
        fix = f"translate it: `types: {{{other[0]}: {own.first[0]}}}` under the data's `relation`"
        raise InputError(problem, expected=", ".join(own.names()), fix=fix)


def shared_tasks(model: Model, suite: Suite, *, asked: bool, split: Split) -> Suite:
    """The suite's tasks that the model has, with the model's way to read pairs.

    Args:
        model: the model.
        suite: the data.
        asked: whether the user named the tasks; a task missing from the model or without the split is then an error.
        split: the required split.

    Raises:
        InputError: no task in common, other labels than the model's, mentions of types that a head doesn't know, or no
            such split.
    """
    names = []
    for name, task in suite.tasks.items():
        if name not in model.tasks:
            if asked:
                raise InputError(f"the model has no task {name!r}", fix=nearest(name, model.tasks))
            continue
        own = model.tasks[name]
        known = type_of(own).answers(own)  # in whatever order: predictions bear names
        if (frozenset(task.labels), task.type) != (known, own.type):
            expected = f"{own.type} over {', '.join(sorted(known)) or 'scores'}"
            raise InputError(f"task {name}: the data's labels are not the model's", expected=expected)
        _refuse_other_arguments(model, task)
        if asked or split in suite[name]:
            suite[name].records(split)  # report a broken row before doing any work
            names.append(name)
    if not names:
        have = ", ".join(model.tasks)
        raise InputError(f"no task of the model has a {split} split in the data", expected=f"one of: {have}")
    return suite.only(names)


def left_out(model: Model, suite: Suite, split: Split) -> list[str]:
    """A line for every task of the data or the model that `shared_tasks` passes over, with the reason."""
    reasons = {name: f"the data have no {split} split of it" for name in suite.tasks if split not in suite[name]}
    reasons |= {name: "the model has no head for it" for name in suite.tasks if name not in model.tasks}
    reasons |= {name: "the data have no such task" for name in model.tasks if name not in suite.tasks}
    return [f"not scored: {name}: {why}" for name, why in reasons.items()]
