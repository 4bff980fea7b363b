"""The score of a suite in parts, against BLURB's published numbers."""

from __future__ import annotations

import pytest

from biomtl.errors import InputError
from biomtl.scoring import score_records
from biomtl.scoring.suite import suite_score, suite_scores
from biomtl.tasks import SUITES, get_task, suite_tasks


@pytest.mark.parametrize(
    ("system", "published"), [("PubMedBERT base", 81.16), ("BioLinkBERT base", 83.39), ("BioLinkBERT large", 84.30)]
)
def test_the_published_scores_of_the_tasks_give_the_published_score_of_the_suite(system: str, published: float) -> None:
    """The tasks' numbers and the suite's come from different places in the papers, so they check each other."""
    values = {}
    for task in suite_tasks("blurb"):
        assert task.catalogue is not None
        (entry,) = [entry for entry in task.catalogue.published if entry.system == system]
        assert entry.metric == task.metric
        values[task.name] = entry.value / 100
    score = suite_score("blurb", values)
    assert score.value is not None
    assert 100 * score.value == pytest.approx(published, abs=0.006)
    assert len(score.parts) == 6
    assert score.parts["relations"] == pytest.approx(sum(values[name] for name in SUITES["blurb"][6:9]) / 3)
    (same,) = suite_scores({**values, "hoc": 0.1})
    assert same == score
    assert score.note.startswith("blurb score: macro average, the mean over the suite's 6 parts")


def test_without_one_task_the_suite_has_no_score_but_its_other_parts_do() -> None:
    values = dict.fromkeys(SUITES["blurb"], 0.5)
    del values["pubmedqa"]
    score = suite_score("blurb", values)
    assert (score.value, score.missing) == (None, ("pubmedqa",))
    assert "question answering" not in score.parts
    assert score.parts["PICO elements"] == 0.5
    assert suite_scores(values) == [score]
    assert suite_scores({"gad": 0.5, "hoc": 0.5}) == [], "one task doesn't make a suite"
    assert score.scored["question answering"] == (1, 2)
    whole = "12 of the suite's 13 tasks have a score by their main metric; missing: pubmedqa"
    assert score.note == f"no blurb score: {whole}"
    with pytest.raises(InputError, match="suite 'blue' has no score of its own, expected one of: blurb"):
        suite_score("blue", values)


def test_word_f1_counts_words_of_each_type_and_ignores_chunk_boundaries() -> None:
    task = get_task("ebm-pico")
    gold = [{"id": "1", "tags": ["I-PAR", "I-PAR", "O", "I-INT", "I-OUT"]}, {"id": "2", "tags": ["O", "I-OUT"]}]
    predicted = [{"id": "1", "tags": ["I-PAR", "O", "I-PAR", "I-INT", "O"]}, {"id": "2", "tags": ["O", "I-OUT"]}]
    score = score_records(task, gold, predicted, resamples=20)
    # PAR: 1 of 2 right, 1 of 2 found; INT: 1, 1; OUT: 1 of 1 right, 1 of 2 found
    assert [row.f1 for row in score.main.labels] == pytest.approx([1 / 2, 1, 2 / 3])
    assert score.main.value == pytest.approx((1 / 2 + 1 + 2 / 3) / 3)
    assert score.main.support == 5
