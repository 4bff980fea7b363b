"""The ten records against the facts that BLUE published, and against each other."""

from __future__ import annotations

import pytest

from biomtl.errors import InputError
from biomtl.scoring import METRICS
from biomtl.scoring.metrics import metrics_of
from biomtl.tasks import SUITES, Task, get_task, known_tasks, suite_tasks

TASKS = suite_tasks("blue")

# BLUE's own table: train / dev / test, in the unit that it counts.
BLUE_TABLE = {
    "medsts": ("pairs", 675, 75, 318),
    "biosses": ("pairs", 64, 16, 20),
    "bc5cdr-chem": ("mentions", 5203, 5347, 5385),
    "bc5cdr-disease": ("mentions", 4182, 4244, 4424),
    "shareclefe": ("mentions", 4628, 1075, 5195),
    "ddi2013": ("positives", 2937, 1004, 979),
    "chemprot": ("positives", 4154, 2416, 3458),
    "i2b2-2010": ("positives", 3110, 10, 6293),  # the table says 11 in dev, the released file has 10
    "hoc": ("documents", 1108, 157, 315),
    "mednli": ("pairs", 11232, 1395, 1422),
}
# BlueBERT base P+M in BLUE's table.
BLUEBERT = {
    "medsts": 84.8,
    "biosses": 91.6,
    "bc5cdr-chem": 92.4,
    "bc5cdr-disease": 85.4,
    "shareclefe": 77.1,
    "ddi2013": 79.4,
    "chemprot": 69.2,
    "i2b2-2010": 76.4,
    "hoc": 83.1,
    "mednli": 84.0,
}
ALIASES = {
    "clinicalsts": "medsts",
    "clnclsts": "medsts",
    "clinicalSTS": "medsts",
    "BIOSSES": "biosses",
    "bc5cdr-chemical": "bc5cdr-chem",
    "BC5CDR-chem": "bc5cdr-chem",
    "bc5cdr-dz": "bc5cdr-disease",
    "clefe": "shareclefe",
    "ShAReCLEFEHealthCorpus": "shareclefe",
    "ddi": "ddi2013",
    "ddi2013-type": "ddi2013",
    "ChemProt": "chemprot",
    "i2b2": "i2b2-2010",
    "i2b2_2010": "i2b2-2010",
    "i2b2-2010-re": "i2b2-2010",
}


def test_the_ten_in_blues_order() -> None:
    assert list(known_tasks())[:10] == list(BLUE_TABLE)


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
def test_counts_are_blues_and_add_up(task: Task) -> None:
    assert task.catalogue is not None
    unit, *counts = BLUE_TABLE[task.name]
    expected = task.catalogue.expected
    assert [expected[split][unit] for split in ("train", "dev", "test")] == counts
    for column in expected.values():
        assert set(column) <= {*task.labels, "rows", "positives", "pairs", "sentences", "mentions", "documents"}
        if task.negative is not None:
            labels = {label: column[label] for label in task.labels}
            assert sum(labels.values()) == column["rows"]
            assert column["rows"] - labels[task.negative] == column["positives"]
        if task.type == "multilabel":
            assert set(task.labels) <= set(column)


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
def test_published_scores_name_metric_and_source(task: Task) -> None:
    assert task.catalogue is not None
    published = {entry.system: entry for entry in task.catalogue.published}
    assert published["BlueBERT base P+M"].value == BLUEBERT[task.name]
    assert "ELMo (PubMed, frozen)" in published
    for entry in published.values():
        assert METRICS[entry.metric].types == METRICS[task.metric].types
        assert entry.source
        assert 0 < entry.value <= 100
    assert task.catalogue.obtain
    assert task.catalogue.citation
    assert task.catalogue.licence


def test_who_may_have_the_data() -> None:
    free = {task.name for task in TASKS if task.catalogue and task.catalogue.free}
    assert free == set(SUITES["blue-public"])
    assert [task.name for task in suite_tasks("blue")] == list(BLUE_TABLE)


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
def test_shape_and_metrics(task: Task) -> None:
    assert metrics_of(task)[0].id == task.metric
    assert (task.score_range is not None) == (task.type == "regression") == (not task.labels)
    assert (task.type == "tagging") == (task.inputs == "tokens")
    if task.type == "tagging":
        kind = task.labels[1][2:]
        assert task.labels == ("O", f"B-{kind}", f"I-{kind}")
    if task.negative is not None:
        assert task.labels[-1] == task.negative


def test_ddi_is_macro_with_micro_beside_it() -> None:
    task = get_task("ddi2013")
    assert (task.metric, task.metrics) == ("macro_f1_positive", ("micro_f1_positive",))
    assert task.labels == ("DDI-advise", "DDI-effect", "DDI-int", "DDI-mechanism", "DDI-false")


def test_every_alias_and_folder_name_of_blue_and_its_consumers() -> None:
    for alias, name in ALIASES.items():
        assert get_task(alias).name == name
    names = [name for task in TASKS for name in (task.name, *task.aliases)]
    assert len(names) == len(set(names))


def test_unknown_names_get_the_nearest() -> None:
    with pytest.raises(InputError, match=r"unknown task 'chempro', did you mean 'chemprot'\?"):
        get_task("chempro")
    with pytest.raises(InputError, match=r"unknown task 'xyz', known: medsts, .*mednli"):
        get_task("xyz")
    with pytest.raises(InputError, match="unknown suite 'blue-publc', did you mean 'blue-public'"):
        suite_tasks("blue-publc")
