"""The model card: scores and origin in text and metadata; no path, no machine name, no markup from users' strings."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from huggingface_hub import ModelCard

import tiny
from biomtl.checkpoints.card import Form, plain, write_card
from biomtl.results import Results
from biomtl.scoring import MetricResult, Score
from biomtl.tasks import get_task
from biomtl.tasks.task import Task

MOOD = Task(name="mood", labels=("good", "bad"), metric="accuracy", licence="CC0")
NEAR = Task(name="near", type="regression", inputs="pair", metric="pearson", score_range=(0, 4))
FACTS: dict[str, Any] = {
    "biomtl": "0.1.0",
    "python": "3.11.7",
    "packages": {"torch": "2.6.0"},
    "platform": "Linux-9.9-rt-ward7",
    "command": "biomtl train /data/secret/recipe.yaml output=/data/secret/run",
    "encoder": "/data/secret/my-bert",
    "seed": 7,
    "steps": 1200,
    "selection": "dev",
    "data": {"mood": {"train": "ab12"}},
    "model": "/data/secret/older",
}


def results(*tasks: Task, units: int = 80) -> Results:
    metric = MetricResult("accuracy", "accuracy", 0.5, 0.5, None, 8, 0.25, 0.75)
    scores = {task.name: Score(task.name, {"accuracy": metric}, 8, units, "row", 0, 1000) for task in tasks}
    return Results.of([SimpleNamespace(split=split, scores=scores, mean=0.5) for split in ("dev", "test")], FACTS)


@pytest.mark.parametrize("name", ["rel-spans", "rel-mask", "reg-pair", "cls-text"])
def test_the_code_of_a_card_runs(name: str, bert: Path, tmp_path: Path) -> None:
    model = tiny.model(bert, [name], max_length=48)
    model.save_pretrained(tmp_path / "model")
    card = write_card(tmp_path, "biomtl", [model.tasks[name]], {}).read_text()
    code = card.partition("```python\n")[2].partition("```")[0].replace("THIS FOLDER", str(tmp_path / "model"))
    scope: dict[str, Any] = {}
    exec(code.replace("biomtl.Predictor", "found = biomtl.Predictor"), scope)
    assert list(scope["found"][0]) == [name]
    if name.startswith("rel"):
        assert f"| {name} | relation | a text and two mentions in it |" in card


@pytest.mark.parametrize("form", ["biomtl", "hf", "onnx", "encoder"])
def test_a_card_names_no_path_and_no_machine(form: Form, tmp_path: Path) -> None:
    tasks = [] if form == "encoder" else [MOOD]
    card = write_card(tmp_path, form, tasks, FACTS, max_length=128, results=results(MOOD)).read_text(encoding="utf-8")
    assert "secret" not in card
    assert "ward7" not in card
    assert str(tmp_path) not in card
    assert "my-bert" in card
    assert "seed 7" in card
    assert "128 word pieces" in card
    assert ModelCard(card).data.tags[:2] == ["biomtl", "biomedical"]


def test_an_interval_from_few_units_is_marked(tmp_path: Path) -> None:
    card = write_card(tmp_path, "biomtl", [MOOD], FACTS, results=results(MOOD, NEAR, units=8)).read_text()
    assert card.count("| accuracy | 0.500 | 0.250 to 0.750* |") == 2
    assert card.count("interval from 8 rows only") == 2


def test_text_and_metadata_give_the_scores(tmp_path: Path) -> None:
    path = write_card(tmp_path, "biomtl", [MOOD, NEAR], {**FACTS, "base_model": "a/b"}, results=results(MOOD, NEAR))
    card = ModelCard.load(path)
    assert "| mood | classification | a text | good, bad | CC0 |" in card.text
    assert "| near | regression | two texts | 0 to 4 | unknown |" in card.text
    assert card.text.count("| accuracy | 0.500 | 0.250 to 0.750 |") == 4
    assert card.data.base_model == "a/b"
    entries = {(entry.dataset_type, entry.dataset_split): entry for entry in card.data.eval_results}
    assert set(entries) == {(name, split) for name in ("mood", "near") for split in ("dev", "test")}
    assert entries["mood", "test"].metric_value == 0.5
    assert entries["mood", "test"].metric_type == "accuracy"


@pytest.mark.parametrize(
    ("selection", "said"),
    [
        ("dev", "The weights were selected on dev. Test was scored once."),
        ("last step", "The weights are those of the last step. Test was scored once."),
        (None, "\n\nTest was scored once."),  # a run of a version that didn't record it
    ],
)
def test_it_says_how_the_weights_were_chosen(tmp_path: Path, selection: str | None, said: str) -> None:
    scored = results(MOOD)
    scored.provenance["selection"] = selection
    assert said in write_card(tmp_path, "hf", [MOOD], FACTS, results=scored).read_text(encoding="utf-8")
    del scored.mean["test"]
    card = write_card(tmp_path, "hf", [MOOD], FACTS, results=scored).read_text(encoding="utf-8")
    assert "scored once" not in card
    assert "selected on dev" not in card or selection == "dev"


def test_only_the_exported_tasks_scores_are_shown(tmp_path: Path) -> None:
    card = write_card(tmp_path, "hf", [MOOD], FACTS, results=results(MOOD, NEAR)).read_text(encoding="utf-8")
    assert "near" not in card
    assert ModelCard(card).data.pipeline_tag == "text-classification"
    tagger = write_card(tmp_path, "hf", [get_task("bc5cdr-chem")], FACTS).read_text(encoding="utf-8")
    assert ModelCard(tagger).data.pipeline_tag == "token-classification"
    assert ModelCard(tagger).data.eval_results is None


def test_user_strings_are_plain_text(tmp_path: Path) -> None:
    labels = (
        "<script>alert(1)</script>",
        "[x](http://y)",
        "a|b\n## c",
        "![i](j)",
        "\x1b[31mred",
        "tail\n---\nlicense: mit",
    )
    task = Task(name="wild", labels=labels, metric="accuracy", licence="<b>*mine*</b>")
    facts = {**FACTS, "base_model": None, "encoder": "x\n---\nlicense: mit"}
    card = ModelCard(write_card(tmp_path, "biomtl", [task], facts, results=results(task)).read_text(encoding="utf-8"))
    assert "<script" not in card.text
    assert "<b>" not in card.text
    assert "](http" not in card.text.replace("\\](", "")
    assert "\x1b" not in card.text
    assert card.data.license == "other"
    headings = [line for line in card.text.splitlines() if line.startswith("#")]
    assert headings == ["# biomtl: wild", "## Scores on dev", "## Scores on test"]
    (row,) = [line for line in card.text.splitlines() if line.startswith("| wild | classification")]
    assert len([cell for cell in row.replace("\\|", "").split("|") if cell]) == 5


def test_plain_leaves_ordinary_text_alone() -> None:
    assert plain("CPR:3, B-Gene, naïve Bayes (2 %)") == "CPR:3, B-Gene, naïve Bayes (2 %)"
    assert plain(" a\t\nb ") == "a b"
