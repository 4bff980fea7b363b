"""Training on rare classes more often than the data have them, or on frequent ones less often.

Every training row has one class: its label; for several labels at once the rarest of them; for tags whether there is a
mention. Rows of a class are drawn at a rate per epoch. An undersampled class gives each epoch another part of its rows,
until all were drawn; the rows of dev and test stay as they are.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from biomtl.batch import EncodedExample, TaskExample
from biomtl.errors import InputError
from biomtl.suite import Suite
from biomtl.tasks.task import Task
from biomtl.tasks.types.base import Record, type_of
from biomtl.training.recipe import Recipe
from biomtl.training.recipe_tasks import TaskOptions

Class = str | None
"""A label, or ``None`` for rows without one; rows with mentions have the class ``mentions``."""
MENTIONS = "mentions"
SHOWN = 12  # classes in the note of the plan


@dataclass(frozen=True)
class Rates:
    """How often a task's rows are drawn in an epoch.

    Attributes:
        classes: the class of every row.
        counts: the rows of every class, the most frequent one first.
        rates: how often each row of a class is drawn.
    """

    classes: Sequence[Class]
    counts: Mapping[Class, int]
    rates: Mapping[Class, float]

    @property
    def of_rows(self) -> list[float]:
        """The rate of every row."""
        return [self.rates[name] for name in self.classes]

    def note(self, task: str, rule: str) -> str:
        """The counts before and after, for the plan."""
        shown = []
        for name, before in list(self.counts.items())[:SHOWN]:
            after = round(before * self.rates[name])
            shown.append(f"{name or 'none'} {before:,}" + (f" -> {after:,}" if after != before else ""))
        more = f", and {len(self.counts) - SHOWN} more" if len(self.counts) > SHOWN else ""
        return f"{task}: {rule}, rows per epoch: {', '.join(shown)}{more}"


def check_rebalance(suite: Suite, recipe: Recipe) -> None:
    """Refuse to rebalance a task that has no classes.

    Raises:
        InputError: such a task.
    """
    for name, task in suite.tasks.items():
        rule = recipe.tasks.get(name, TaskOptions()).rebalance
        if rule is not None and type_of(task).answer not in ("label", "labels", "tags"):
            problem = f"task {name}: rebalance {rule} for type {task.type}, which has no classes"
            raise InputError(problem, expected="classification, relation, multilabel or tagging", fix="leave it out")


def sampling_rates(task: Task, records: Sequence[Record], rule: str | None) -> Rates | None:
    """The rates of a task's training rows, or ``None`` if all rows are drawn alike.

    ``undersample`` reduces the most frequent class to the mean size of the others (for several labels and for tags: the
    rows without any, and no other ones). ``oversample`` repeats all classes until they are as large as the largest.

    Args:
        task: a task with classes, see ``check_rebalance``.
        records: its training rows.
        rule: its ``rebalance`` in the recipe.
    """
    if rule not in ("undersample", "oversample"):
        return None
    classes = _classes(task, records)
    counts = dict(Counter(classes).most_common())
    if rule == "oversample":
        most = max(counts.values())
        return Rates(classes, counts, {name: most / count for name, count in counts.items()})
    rates = dict.fromkeys(counts, 1.0)
    largest = next(iter(counts)) if type_of(task).answer == "label" else None
    if largest in counts and len(counts) > 1:
        mean = (len(classes) - counts[largest]) / (len(counts) - 1)
        rates[largest] = min(1.0, mean / counts[largest])
    return Rates(classes, counts, rates)


def _classes(task: Task, records: Sequence[Record]) -> list[Class]:
    answer = type_of(task).answer
    if answer == "tags":
        return [MENTIONS if any(tag != "O" for tag in record["tags"]) else None for record in records]
    if answer == "label":
        return [record["label"] for record in records]
    frequency = Counter(label for record in records for label in record["labels"])
    return [min(record["labels"], key=lambda label: (frequency[label], label), default=None) for record in records]


def by_class(example: EncodedExample, rates: Mapping[str, Rates]) -> Iterator[tuple[EncodedExample, float]]:
    """The text's examples in parts that are drawn at the same rate, each with its rate.

    The tasks that are not rebalanced stay together, the others are by themselves: their rows come and go.
    """
    parts: dict[tuple[str, float], list[TaskExample]] = {}
    unlabelled = []
    for asked in example.task_examples:
        if not asked.labelled:
            unlabelled.append(asked)  # learns from a teacher, along with whatever of the text is drawn
            continue
        own = rates.get(asked.task)
        key = ("", 1.0) if own is None else (asked.task, own.rates[own.classes[asked.index]])
        parts.setdefault(key, []).append(asked)
    if not parts:
        yield example, 1.0  # a pair of texts that teachers alone have labelled
    for number, ((_, rate), part) in enumerate(parts.items()):
        yield replace(example, task_examples=part + (unlabelled if number == 0 else [])), rate
