"""A run's folder, from plan to metrics."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from rich.console import Console
from safetensors.torch import load_file

import biomtl
import tiny
from biomtl.checkpoints.export import export_hf
from biomtl.encoders.transformer import TransformerEncoder
from biomtl.errors import InputError
from biomtl.inference.predict import predict_records
from biomtl.model import MultiTaskModel
from biomtl.results import Results
from biomtl.suite import load_suite
from biomtl.training import observer
from biomtl.training.observer import Observer
from biomtl.training.progress import DevScores, Progress
from biomtl.training.recipe_io import load_recipe, make_recipe
from biomtl.training.run import Run, train


@pytest.fixture
def run(bert: Path, small_suite: Path, tmp_path: Path) -> Callable[..., Run]:
    def start(name: str = "run", *, suite: Path = small_suite, overwrite: bool = False, **keys: Any) -> Run:
        base = {"max_length": 24, "batch_size": 12, "num_train_epochs": 1, "learning_rate": 2e-3, "num_threads": 1}
        if "max_steps" in keys:
            del base["num_train_epochs"]
        values = {**base, "encoder": str(bert), "suite": str(suite), "output": str(tmp_path / name), **keys}
        return train(values, overwrite=overwrite, console=Console(quiet=True))

    return start


def log(folder: Path, split: bool) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    return [line for line in lines if ("split" in line) == split]


def test_the_folder(run: Callable[..., Run], small_suite: Path, tmp_path: Path) -> None:
    result = run(num_train_epochs=2, save_total_limit=2)
    folder = result.folder
    expected = {"recipe.yaml", "model", "checkpoints", "metrics.json", "predictions", "log.jsonl"}
    assert {path.name for path in folder.iterdir()} >= expected
    assert load_recipe(folder / "recipe.yaml") == make_recipe(yaml.safe_load((folder / "recipe.yaml").read_text()))
    assert sorted(path.name for path in (folder / "predictions").iterdir()) == sorted(tiny.FOUR)
    assert sorted(path.name for path in (folder / "predictions" / "tag-drug").iterdir()) == ["dev.jsonl", "test.jsonl"]
    assert [path.name for path in sorted((folder / "checkpoints").iterdir())] == ["step-000003", "step-000006"]
    assert not list(folder.rglob("*.tmp"))

    steps, evaluations = log(folder, False), log(folder, True)
    assert [line["step"] for line in steps] == list(range(1, 7))
    keys = ["step", "epoch", "seconds", "real_tokens", "padded_tokens", "examples", "lr", "loss", "losses", "texts"]
    assert all(list(line) == keys for line in steps)
    assert steps[-1]["epoch"] == 2
    assert sum(line["examples"] for line in steps) == 2 * 48
    assert [line["step"] for line in evaluations] == [3, 6]
    assert all(list(line) == ["step", "seconds", "split", "scores", "mean"] for line in evaluations)

    metrics = json.loads((folder / "metrics.json").read_text())
    assert metrics == result.metrics.model_dump(mode="json", exclude={"suites"})  # none was scored whole
    assert list(metrics) == ["format", "tasks", "mean", "provenance"]
    assert sorted(metrics["tasks"]) == sorted(tiny.FOUR)
    for name, splits in metrics["tasks"].items():
        assert sorted(splits) == ["dev", "test"]
        for split, said in splits.items():
            score = biomtl.score(
                load_suite(small_suite).tasks[name],
                small_suite / name / f"{split}.jsonl",
                folder / "predictions" / name / f"{split}.jsonl",
                seed=42,
            )
            assert said["metric"] == score.main.title
            assert said["value"] == score.main.value
    assert metrics["mean"]["test"] == pytest.approx(sum(s["test"]["value"] for s in metrics["tasks"].values()) / 4)
    facts = metrics["provenance"]
    assert facts["seed"] == 42
    assert facts["steps"] == 6
    assert facts["best_step"] in (3, 6)
    assert facts["data"] == load_suite(small_suite).provenance()
    assert {"torch", "transformers"} <= set(facts["packages"])
    # The chosen model is the one that dev liked best, and it is what was scored.
    best = max(evaluations, key=lambda line: (line["mean"], -line["step"]))
    assert best["step"] == facts["best_step"]
    assert metrics["mean"]["dev"] == pytest.approx(best["mean"])
    assert sorted(MultiTaskModel.from_pretrained(folder).tasks) == sorted(tiny.FOUR)
    card = (folder / "model/README.md").read_text()
    assert "## Scores on test" in card
    assert "The weights were selected on dev. Test was scored once." in card
    assert str(tmp_path) not in card
    export_hf(MultiTaskModel.from_pretrained(folder), "cls-text", tmp_path, Results.of_model(folder))
    assert "## Scores on test" in (tmp_path / "README.md").read_text()


def test_the_best_model_by_a_named_task(run: Callable[..., Run]) -> None:
    keys = {"max_steps": 8, "eval_steps": 1, "learning_rate": 2e-2, "warmup_steps": 0, "save_strategy": "no"}
    folder = run(**keys, metric_for_best_model="reg-pair", predict_test=False).folder
    metrics = json.loads((folder / "metrics.json").read_text())
    scores = [line["scores"]["reg-pair"]["value"] for line in log(folder, True)]
    assert len(set(scores)) > 3
    assert metrics["provenance"]["best_step"] == 1 + scores.index(max(scores))
    assert metrics["tasks"]["reg-pair"]["dev"]["value"] == pytest.approx(max(scores))
    assert list(metrics["mean"]) == ["dev"]
    assert not (folder / "checkpoints").exists()


def test_all_processes_take_the_scores_of_the_first(run: Callable[..., Run], monkeypatch: pytest.MonkeyPatch) -> None:
    """Stopping, sampling and freezing by a score that differs in the last bit would part them."""
    first = iter([DevScores(0.5, {"cls-text": 0.5}), DevScores(0.25, {"cls-text": 0.25})])
    monkeypatch.setattr(observer, "broadcast_object_list", lambda own: [replace(next(first), errors=own[0].errors)])
    keys = {"max_steps": 6, "eval_steps": 1, "early_stopping_patience": 1, "save_strategy": "no"}
    folder = run(**keys, tasks=["cls-text"], predict_test=False).folder
    assert [line["step"] for line in log(folder, True)] == [1, 2]
    assert json.loads((folder / "metrics.json").read_text())["provenance"]["best_step"] == 1


@pytest.mark.parametrize(
    ("keys", "steps"),
    [
        ({"save_minutes": 1e-9}, [1, 2, 3, 4, 5, 6]),
        ({"save_minutes": 1e-9, "save_strategy": "no"}, []),
        ({"save_minutes": 0}, [3, 6]),
        ({}, [3, 6]),
    ],
)
def test_checkpoints_by_time(run: Callable[..., Run], keys: dict[str, Any], steps: list[int]) -> None:
    folder = run(num_train_epochs=2, save_total_limit=9, predict_test=False, **keys).folder
    assert sorted(int(path.name[5:]) for path in folder.glob("checkpoints/*")) == steps


def test_the_logged_rate_is_the_one_the_step_was_taken_with(run: Callable[..., Run]) -> None:
    keys = {"max_steps": 6, "warmup_steps": 2, "eval_strategy": "no", "save_strategy": "no", "predict_test": False}
    steps = log(run(**keys, learning_rate=4e-3, head_learning_rate=1e-2).folder, False)
    assert [line["lr"] for line in steps] == pytest.approx([0, 2e-3, 4e-3, 3e-3, 2e-3, 1e-3])


def test_training_learns(run: Callable[..., Run]) -> None:
    keys = {"num_train_epochs": 25, "eval_strategy": "no", "save_strategy": "no", "learning_rate": 5e-3}
    folder = run(**keys, dropout=0, predict_test=False, tasks=["cls-text", "tag-drug"]).folder
    assert json.loads((folder / "metrics.json").read_text())["provenance"]["selection"] == "last step"
    steps = log(folder, False)
    first, last = steps[0]["losses"], steps[-1]["losses"]
    assert all(last[name] < 0.3 * first[name] for name in first)


def test_a_frozen_encoder_stays(run: Callable[..., Run], bert: Path) -> None:
    folder = run(freeze_encoder=True, predict_test=False).folder
    before, after = (load_file(place / "model.safetensors") for place in (bert, folder / "model"))
    assert all(torch.equal(before[key], after[key]) for key in before)


def test_the_chosen_weights_are_saved_and_scored(
    run: Callable[..., Run], small_suite: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The dev score is best at the third of five steps: encoder, heads and scores are those of the third step."""
    scores = iter([0.1, 0.2, 0.5, 0.4, 0.3])
    evaluated = Observer.evaluate

    def scripted(self: Observer, progress: Progress) -> DevScores:
        return replace(evaluated(self, progress), chosen=next(scores))

    monkeypatch.setattr(Observer, "evaluate", scripted)
    keys = {"max_steps": 5, "eval_steps": 1, "save_steps": 1, "save_total_limit": 9, "warmup_steps": 0}
    result = run(**keys, learning_rate=1e-2)
    saved = MultiTaskModel.from_pretrained(result.folder)
    steps = [load_file(result.folder / f"checkpoints/step-{n:06d}/model.safetensors") for n in range(1, 6)]
    for name, value in saved.state_dict().items():
        assert torch.equal(value, steps[2][name]), name
        assert torch.equal(result.model.state_dict()[name], steps[2][name]), name
    changed = [name for name in steps[2] if not torch.equal(steps[2][name], steps[1][name])]
    assert any(name.startswith("encoder.") for name in changed)
    assert any(name.startswith("heads.") for name in changed)
    for split in ("dev", "test"):
        gold = {name: entry.records(split) for name, entry in load_suite(small_suite).data.items()}  # type: ignore[arg-type]
        written = [row["score"] for row in lines_of(result.folder / "predictions" / "reg-pair" / f"{split}.jsonl")]
        chosen = [row["score"] for row in predict_records(saved, gold)["reg-pair"]]
        assert written == pytest.approx(chosen, abs=1e-5), split
        last = MultiTaskModel.from_pretrained(result.folder)
        last.load_state_dict(steps[4])
        assert written != pytest.approx([row["score"] for row in predict_records(last, gold)["reg-pair"]], abs=1e-3)
    assert result.metrics.provenance["best_step"] == 3


def lines_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_a_frozen_encoder_is_written_once(run: Callable[..., Run], monkeypatch: pytest.MonkeyPatch) -> None:
    written = []
    save = TransformerEncoder.save
    monkeypatch.setattr(TransformerEncoder, "save", lambda self, folder: written.append(folder) or save(self, folder))
    keys = {"max_steps": 6, "eval_steps": 1, "save_steps": 1, "save_total_limit": 3, "learning_rate": 2e-2}
    folder = run(**keys, freeze_encoder=True, predict_test=False).folder
    means = [sum(s["value"] for s in line["scores"].values()) for line in log(folder, True)]
    assert sum(mean > max(means[:i], default=-1) for i, mean in enumerate(means)) > 2  # each wrote a model
    assert len(written) == 1
    assert len({path.stat().st_ino for path in (folder / "checkpoints").glob("*/frozen.safetensors")}) == 1
    assert len(list((folder / "checkpoints").glob("*/frozen.safetensors"))) == 3
    weights = [set(load_file(path)) for path in (folder / "checkpoints").glob("*/model.safetensors")]
    assert weights
    assert not any(name.startswith("encoder.") for names in weights for name in names)
    MultiTaskModel.from_pretrained(folder)


def test_trackers(run: Callable[..., Run]) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    folder = run(report_to=["tensorboard"], predict_test=False).folder
    (events,) = folder.rglob("events.out.*")
    read = EventAccumulator(str(events.parent))
    read.Reload()
    tags = read.Tags()["scalars"]
    assert {"loss", "lr", "loss/cls-text", "dev/mean", "dev/tag-drug"} <= set(tags)
    steps = log(folder, False)
    assert [point.value for point in read.Scalars("loss")] == pytest.approx([line["loss"] for line in steps])


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("tensorbord", "no tracker 'tensorbord', did you mean 'tensorboard'"),
        ("aim", "report_to: aim is not installed, run `pip install aim`"),
    ],
)
def test_a_tracker_that_is_not_there(run: Callable[..., Run], name: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message):
        run(report_to=[name])
    assert not (tmp_path / "run").exists()


def test_a_second_run_in_the_same_session(run: Callable[..., Run]) -> None:
    run("first", predict_test=False)
    run("half", bf16=True, predict_test=False)
    run("third", predict_test=False)


def test_an_existing_folder(run: Callable[..., Run], tmp_path: Path) -> None:
    run(predict_test=False)
    before = (tmp_path / "run" / "metrics.json").read_bytes()
    with pytest.raises(InputError, match="the output already exists"):
        run()
    assert (tmp_path / "run" / "metrics.json").read_bytes() == before
    with pytest.raises(InputError):  # a mistake doesn't cost the old run
        run(overwrite=True, report_to=["tensorbord"])
    assert (tmp_path / "run" / "metrics.json").read_bytes() == before
    run(overwrite=True, predict_test=False, seed=1)
    assert json.loads((tmp_path / "run" / "metrics.json").read_text())["provenance"]["seed"] == 1


@pytest.mark.parametrize("kind", ["folder", "file"])
def test_a_folder_that_is_not_a_run_is_never_deleted(run: Callable[..., Run], tmp_path: Path, kind: str) -> None:
    target = tmp_path / "run"
    if kind == "folder":
        target.mkdir()
        (target / "thesis.txt").write_text("years of work")
    else:
        target.write_text("years of work")
    with pytest.raises(InputError, match="a run folder, choose another output; nothing was deleted"):
        run(overwrite=True)
    assert (target / "thesis.txt" if kind == "folder" else target).read_text() == "years of work"


def test_a_diverging_run(run: Callable[..., Run], tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"training diverged: the loss of step \d+ is (nan|inf), lower learning_rate"):
        run(learning_rate=1e30, max_grad_norm=0, num_train_epochs=4, warmup_steps=0, eval_strategy="no")
    assert not (tmp_path / "run" / "model").exists()


def test_data_that_don_t_fit_the_recipe(run: Callable[..., Run], bert: Path, tmp_path: Path) -> None:
    recipe = {"tasks": ["tag-illness"], "output": str(tmp_path / "run")}
    suite = load_suite(tiny.write_suite(tmp_path / "one", ("cls-text",)))
    with pytest.raises(InputError, match="no data for task 'tag-illness'"):
        train(recipe, suite=suite)
    assert not (tmp_path / "run").exists()


def test_no_dev_anywhere(run: Callable[..., Run], tmp_path: Path) -> None:
    suite = tiny.write_suite(tmp_path / "train-only", ("cls-text",))
    (suite / "cls-text" / "dev.jsonl").unlink()
    said = r"no dev split for model selection \(cls-text\), add a dev file, or set eval_strategy=no"
    with pytest.raises(InputError, match=said):
        run(suite=suite)
    assert not (tmp_path / "run").exists()
    run(suite=suite, eval_strategy="no")
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert list(metrics["tasks"]["cls-text"]) == ["test"]


def test_one_task_without_dev_stops_no_other(bert: Path, tmp_path: Path) -> None:
    suite = tiny.write_suite(tmp_path / "suite")
    (suite / "cls-text" / "dev.jsonl").unlink()
    (suite / "reg-pair" / "test.jsonl").unlink()
    recipe = {"encoder": str(bert), "suite": str(suite), "output": str(tmp_path / "run"), "max_length": 24}
    recipe |= {"num_train_epochs": 1, "batch_size": 12, "num_threads": 1, "save_strategy": "no"}
    with pytest.raises(InputError, match="metric_for_best_model 'cls-text' has no dev split, name another task, or"):
        train({**recipe, "metric_for_best_model": "cls-text"})
    console = Console(file=io.StringIO(), width=300)
    metrics = train(recipe, console=console).metrics
    assert metrics is not None
    assert {name: sorted(splits) for name, splits in metrics.tasks.items()} == {
        "cls-text": ["test"],
        "reg-pair": ["dev"],
        "multi-text": ["dev", "test"],
        "tag-drug": ["dev", "test"],
    }
    assert isinstance(console.file, io.StringIO)
    said = console.file.getvalue()
    assert "no dev split: cls-text; not used for model selection (add a dev file, or set eval_strategy=no" in said
    assert "no test split: reg-pair; not scored at the end" in said
    console = Console(file=io.StringIO(), width=300)
    both = {key: value for key, value in recipe.items() if key != "num_train_epochs"}
    train({**both, "train_on": "train+dev", "max_steps": 1}, overwrite=True, console=console)
    assert "no dev split: cls-text; trained only on train" in console.file.getvalue()  # type: ignore[attr-defined]


def test_an_error_metric_selects_the_lowest(run: Callable[..., Run], tmp_path: Path) -> None:
    suite = tiny.write_suite(tmp_path / "errors", ("reg-text",))
    (suite / "reg-text" / "task.yaml").write_text(yaml.safe_dump({"name": "reg-text", **tiny.SCORES, "metric": "mse"}))
    folder = run(suite=suite, max_steps=8, eval_steps=1, learning_rate=5e-2, warmup_steps=0, predict_test=False).folder
    errors = [line["scores"]["reg-text"]["value"] for line in log(folder, True)]
    best = json.loads((folder / "metrics.json").read_text())["provenance"]["best_step"]
    assert [line["mean"] for line in log(folder, True)] == [-error for error in errors]
    assert len(set(errors)) > 3
    assert errors[best - 1] == min(errors)
