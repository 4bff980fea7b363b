"""BLURB's thirteen records against the facts that Gu et al. 2021 published (tables 1 and 3), and against BLUE's."""

from __future__ import annotations

import pytest

from biomtl.scoring.metrics import metrics_of
from biomtl.tasks import SUITES, Task, known_tasks, suite_tasks
from biomtl.tasks.registry import PARTS, named

TASKS = suite_tasks("blurb")

# Train / dev / test in the unit of BLURB's table, and its metric.
BLURB_TABLE = {
    "bc5-chem": ("mentions", 5203, 5347, 5385, "entity_f1_conlleval"),
    "bc5-disease": ("mentions", 4182, 4244, 4424, "entity_f1_conlleval"),
    "ncbi-disease": ("mentions", 5134, 787, 960, "entity_f1_conlleval"),
    "bc2gm": ("mentions", 15197, 3061, 6325, "entity_f1_conlleval"),
    "jnlpba": ("mentions", 46750, 4551, 8662, "entity_f1_conlleval"),
    "ebm-pico": ("labelled words", 339167, 85321, 16364, "word_macro_f1"),
    "blurb-chemprot": ("rows", 18035, 11268, 15745, "micro_f1_positive"),
    "blurb-ddi": ("rows", 25296, 2496, 5716, "micro_f1_positive"),
    "gad": ("rows", 4261, 535, 534, "micro_f1_positive"),
    "blurb-biosses": ("pairs", 64, 16, 20, "pearson"),
    "blurb-hoc": ("rows", 1295, 186, 371, "micro_f1"),
    "pubmedqa": ("pairs", 450, 50, 500, "accuracy"),
    "bioasq": ("pairs", 670, 75, 140, "accuracy"),
}


def test_thirteen_tasks_in_six_parts() -> None:
    assert [task.name for task in TASKS] == list(BLURB_TABLE)
    assert [len(tasks) for tasks in PARTS["blurb"].values()] == [5, 1, 3, 1, 1, 2]
    assert list(known_tasks())[10:] == list(BLURB_TABLE)


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
def test_counts_and_metric_are_blurbs(task: Task) -> None:
    assert task.catalogue is not None
    unit, *counts, metric = BLURB_TABLE[task.name]
    assert [task.catalogue.expected[split][unit] for split in ("train", "dev", "test")] == counts
    assert (task.metric, metrics_of(task)[0].id) == (metric, metric)
    for column in task.catalogue.expected.values():
        labels = [column[label] for label in task.labels if label in column]
        assert not labels or sum(labels) == column[unit]
    assert task.catalogue.obtain.startswith("http")
    assert len(task.catalogue.published) == 3


def test_a_task_of_the_same_corpus_names_the_other_and_has_its_labels() -> None:
    origins = {task.name: task.catalogue.split_of for task in TASKS if task.catalogue and task.catalogue.split_of}
    assert len(origins) == 6
    for name, origin in origins.items():
        one, other = known_tasks()[name], known_tasks()[origin]
        assert (one.type, one.labels, one.negative, one.inputs) == (
            other.type,
            other.labels,
            other.negative,
            other.inputs,
        )
        assert origin in SUITES["blue"]


def test_no_two_tasks_share_a_name() -> None:
    names = [name for task in known_tasks().values() for name in (task.name, *task.aliases)]
    assert len(names) == len(set(names))
    assert not set(names) & set(SUITES)
    assert named(["BC5-chem", "blurb", "ebmnlp"]) == list(BLURB_TABLE)
