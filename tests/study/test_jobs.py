"""The runs of a study: what their names depend on, their seeds, and the study's folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

import tiny
from biomtl.errors import InputError
from biomtl.study.jobs import job, seeds_of, study_folder
from biomtl.training.recipe_io import load_recipe, make_recipe


@pytest.fixture
def recipe(bert: Path, small_suite: Path, tmp_path: Path) -> Path:
    tasks = ["cls-text", "tag-drug"]
    return tiny.write_recipe(tmp_path / "r.yaml", bert, small_suite, max_length=24, tasks=tasks, ema_decay=0.5)


def test_names_are_derived_from_what_determines_a_run(recipe: Path, small_suite: Path, tmp_path: Path) -> None:
    loaded = load_recipe(recipe)

    def name(**changes: Any) -> str:
        return job("a", loaded, tmp_path, changes, split="dev").folder.name

    assert name() == name() == name(num_threads=2) == name(save_steps=3)
    assert len({name(), name(seed=1), name(learning_rate=1e-2), name(ema_decay=None)}) == 4


def test_files_of_any_kind_determine_a_run(bert: Path, recipe: Path, tmp_path: Path) -> None:
    """Tensors taken from elsewhere do, and the model of a run folder, but not its report."""
    other, run = tiny.write_encoder(tmp_path / "other"), tmp_path / "run"
    tiny.model(bert, ("cls-text",), max_length=24).save_pretrained(run / "model")
    (run / "report.html").write_text("old")

    def name(**changes: Any) -> str:
        return job("a", load_recipe(recipe), tmp_path, changes, split="dev").folder.name

    first = name(init_from=str(other))
    tiny.write_encoder(other, seed=1)
    assert name(init_from=str(other)) != first
    taught = {"teachers": {"cls-text": str(run)}}
    first = name(distill=taught)
    (run / "report.html").write_text("new")
    assert name(distill=taught) == first
    (run / "model" / "heads" / "cls-text" / "head.json").write_text("{}")
    assert name(distill=taught) != first
    staged = load_recipe(recipe, ["stages=[adapt, joint]", f"adapt.corpus={tmp_path / 'none.txt'}"])
    with pytest.raises(InputError, match=r"none\.txt: no such file, expected the corpus of the stage adapt"):
        job("a", staged, tmp_path, {}, split="dev")


def test_what_the_tasks_are_determines_a_run(recipe: Path, tmp_path: Path) -> None:
    """Another metric, or another column of the same file, is another run, though the files are the same."""

    def name(path: Path, *changes: str) -> str:
        return job("a", load_recipe(path, changes), tmp_path, {}, split="dev").folder.name

    def write(path: Path, **changes: Any) -> None:
        path.write_text(yaml.safe_dump({**yaml.safe_load(path.read_text()), **changes}))

    suite = tiny.write_suite(tmp_path / "suite", ("cls-text", "tag-drug"))
    first = name(recipe, f"suite={suite}")
    write(suite / "cls-text" / "task.yaml", licence="CC0-1.0")
    assert name(recipe, f"suite={suite}") == first
    write(suite / "cls-text" / "task.yaml", metric="accuracy")
    assert name(recipe, f"suite={suite}") != first
    (tmp_path / "d.csv").write_text("title,body,label\n" + "pola,rimu,a\nteksa,vono,b\n" * 9)
    own = {"type": "classification", "files": dict.fromkeys(("train", "dev"), "d.csv")}
    found = set()
    for text in ("title", "body"):
        columns = {"text": text, "label": "label"}
        (tmp_path / "own.yaml").write_text(yaml.safe_dump({"tasks": {"mine": {**own, "columns": columns}}}))
        found.add(name(recipe, f"suite={tmp_path / 'own.yaml'}", "tasks=[mine]"))
    assert len(found) == 2


def test_no_two_runs_share_a_teacher() -> None:
    assert list(seeds_of(make_recipe({"seed": 7}), 3)) == [7, 8, 9]
    several = [{"alone": {"seeds": 3}}, {"joint": {"distill": {"teachers": "alone"}}}]
    assert list(seeds_of(make_recipe({"stages": several}), 3)) == [42, 45, 48]


def test_a_study_refuses_a_foreign_folder(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(InputError, match="a folder that doesn't belong to a study"):
        study_folder(tmp_path)
    with pytest.raises(InputError, match="a file, expected a folder"):
        study_folder(tmp_path / "thesis.txt")
    (tmp_path / "runs").mkdir()  # those of `biomtl train`, perhaps
    with pytest.raises(InputError, match="a folder that doesn't belong to a study"):
        study_folder(tmp_path)
    (tmp_path / "thesis.txt").unlink()
    assert study_folder(tmp_path) == tmp_path
