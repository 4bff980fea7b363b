"""No command deletes files that it didn't write or that it reads, whatever its options."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import tiny
from biomtl.cli.main import app
from biomtl.errors import InputError
from biomtl.storage.files import atomic_file, atomic_folder, refuse_existing
from biomtl.storage.ownership import KINDS, OWNED

Command = Callable[..., Any]
BLUE_ROW = "index\tsentence1\tsentence2\tlabel\np1\tHe coughs.\tHe smokes.\tneutral\n"
RUN = {"max_steps": 1, "predict_test": False}


class Place:
    """A folder with one input of every kind, and for each command its words up to the output."""

    def __init__(self, root: Path, bert: Path, suite: Path, model: Path) -> None:
        self.root = root
        for source, name in ((bert, "encoder"), (suite, "suite"), (model, "model")):
            shutil.copytree(source, root / name)
        (root / "blue/mednli").mkdir(parents=True)
        (root / "blue/mednli/dev.tsv").write_text(BLUE_ROW)
        (root / "lines.txt").write_text("Pola met rimu.\n")
        (root / "brat").mkdir()
        (root / "brat/one.txt").write_text("Pola met rimu.\n")
        (root / "brat/one.ann").write_text("T1\tDrug 0 4\tPola\n")
        tiny.write_recipe(
            root / "recipe.yaml", root / "encoder", root / "suite", max_length=24, num_train_epochs=None, **RUN
        )

    def words(self, command: str, out: Path) -> list[object]:
        root = self.root
        options = [f"{key}={str(value).lower()}" for key, value in RUN.items()]
        suite, model, text = root / "suite", root / "model", root / "lines.txt"
        return {
            "annotate": [model, root / "brat", "--out", out],
            "audit": [suite, "--out", out],
            "convert": [root / "encoder", out, "--encoder-only"],
            "embed": [root / "encoder", text, "--out", out],
            "evaluate": [model, "--data", suite, "--out", out],
            "export": [model, out, "--encoder-only"],
            "finetune": [model, "--task", "cls-text", "--data", suite, "--out", out, *options],
            "predict": [model, text, "--out", out],
            "prepare": [root / "blue", "--out", out],
            "train": [root / "recipe.yaml", f"output={out}"],
            "elmo": ["ddi", "--data-dir", suite, "--out", out],
            "quickstart": ["--out", out],
            "download": ["bc5cdr-chem", "--out", out],
        }[command]


@pytest.fixture
def place(tmp_path: Path, bert: Path, small_suite: Path, small_model: Path) -> Place:
    return Place(tmp_path / "place", bert, small_suite, small_model)


WRITING = ["annotate", "audit", "convert", "embed", "evaluate", "export", "finetune", "predict", "prepare", "train"]
OTHERS = ["elmo", "quickstart"]  # tested for refusals alone: their outputs take long
SAY_ONLY = {"check", "score", "tasks"}


def snapshot(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_every_command_that_writes_is_covered() -> None:
    known = {command.name for command in app.registered_commands}
    with_overwrite = known - SAY_ONLY
    assert with_overwrite - {"download"} <= {*WRITING, *OTHERS}, "give the new command a place in Place.words"


@pytest.mark.parametrize("name", [*WRITING, *OTHERS])
@pytest.mark.parametrize("disguised", [False, True])
def test_a_users_folder_stays(command: Command, place: Place, name: str, disguised: bool) -> None:
    """Even if some of its files have names that biomtl uses."""
    out = place.root / "thesis"
    (out / "heads").mkdir(parents=True)
    (out / "chapter.txt").write_text("years of work")
    (out / "heads/notes.md").write_text("more")
    if disguised:
        for mark in ("manifest.json", "recipe.yaml", "metrics.json", "audit.json", "conversion.json", "counts.json"):
            (out / mark).write_text("{}")
    before = snapshot(place.root)
    ended = command(name, *place.words(name, out), "--overwrite")
    assert ended.code == 2, ended
    assert ended.err.startswith("biomtl: error: ")
    assert ended.err.count("\n") == 1
    assert snapshot(place.root) == before


@pytest.mark.parametrize("name", WRITING)
def test_the_same_command_may_replace_its_own(command: Command, place: Place, name: str) -> None:
    out = place.root / "out"
    words = place.words(name, out)
    assert command(name, *words).code == 0
    assert command(name, *words).code == 2
    ended = command(name, *words, "--overwrite")
    assert ended.code == 0, ended
    if out.is_dir():
        (out / "notes.txt").write_text("mine")
        before = snapshot(out)
        ended = command(name, *words, "--overwrite")
        assert ended.code == 2
        assert f"{out / 'notes.txt'}: a file that is not part of" in ended.err
        assert snapshot(out) == before


@pytest.mark.parametrize("name", [*WRITING, *OTHERS])
def test_inputs_and_their_folders_stay(command: Command, place: Place, name: str) -> None:
    before = snapshot(place.root)
    for target in ("model", "suite", "encoder", "brat", "blue", "lines.txt", "recipe.yaml", "."):
        ended = command(name, *place.words(name, place.root / target), "--overwrite")
        assert ended.code == 2, (name, target, ended)
        assert snapshot(place.root) == before, (name, target)


def test_a_run_is_not_replaced_by_output_made_from_it(command: Command, place: Place) -> None:
    run = place.root / "run"
    assert command("train", place.root / "recipe.yaml", f"output={run}").code == 0
    before = snapshot(run)
    suite = place.root / "suite"
    for model in (run, run / "model"):
        for words in (
            ["evaluate", model, "--data", suite, "--out", run],
            ["finetune", model, "--task", "cls-text", "--data", suite, "--out", run],
            ["export", model, run, "--encoder-only"],
            ["convert", model, run, "--encoder-only"],
        ):
            ended = command(*words, "--overwrite")
            assert ended.code == 2, words
            assert "the output would replace" in ended.err
            assert snapshot(run) == before


@pytest.mark.parametrize("where", ["home", "current", "above"])
def test_home_and_the_current_folder_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str) -> None:
    folder = tmp_path / "a" / "b"
    folder.mkdir(parents=True)
    if where == "home":
        monkeypatch.setenv("HOME", str(folder))
    else:
        monkeypatch.chdir(folder)
    target = tmp_path / "a" if where == "above" else folder
    with pytest.raises(InputError, match=r"the output would replace the (home|current) folder"):
        refuse_existing(target, True, output="audit")


@pytest.mark.parametrize("kind", KINDS)
def test_output_of_another_command_stays(tmp_path: Path, kind: str) -> None:
    with atomic_folder(tmp_path / "out", kind) as work:
        (work / "a.json").write_text("{}")
    assert json.loads((tmp_path / "out" / OWNED).read_text())["files"] == ["a.json"]
    for other in set(KINDS) - {kind}:
        with pytest.raises(InputError, match=r"not a|not the"):
            refuse_existing(tmp_path / "out", True, output=other)
    with atomic_folder(tmp_path / "out", kind, overwrite=True) as work:
        (work / "b.json").write_text("{}")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [OWNED, "b.json"]


@pytest.mark.parametrize("overwrite", [False, True])
def test_what_appears_meanwhile_stays(tmp_path: Path, overwrite: bool) -> None:
    target = tmp_path / "out"

    def make() -> None:
        with atomic_folder(target, "audit", overwrite=overwrite):
            target.mkdir()
            (target / "mine.txt").write_text("mine")

    with pytest.raises(InputError, match="not a folder that `biomtl audit` wrote" if overwrite else "meanwhile"):
        make()
    assert snapshot(tmp_path) == {"out/mine.txt": b"mine"}


def test_a_file_that_appears_meanwhile_stays(tmp_path: Path) -> None:
    target = tmp_path / "out.txt"

    def make() -> None:
        with atomic_file(target, overwrite=False) as stream:
            stream.write("ours")
            target.write_text("mine")

    with pytest.raises(InputError, match="meanwhile"):
        make()
    assert snapshot(tmp_path) == {"out.txt": b"mine"}


def test_links_pipes_and_devices_stay(tmp_path: Path) -> None:
    import os

    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    os.mkfifo(tmp_path / "pipe")
    for name, kind, said in (("link", "audit", "a symbolic link"), ("pipe", None, "a device or pipe")):
        with pytest.raises(InputError, match=said):
            refuse_existing(tmp_path / name, True, output=kind)
    (tmp_path / "text.txt").write_text("one")
    os.link(tmp_path / "text.txt", tmp_path / "other.txt")
    with pytest.raises(InputError, match="replace the input"):
        refuse_existing(tmp_path / "other.txt", True, inputs=[tmp_path / "text.txt"])


@pytest.mark.parametrize("kind", ["audit", "evaluate", "model", "prepare", "convert"])
def test_outputs_from_before_the_manifest(command: Command, place: Place, kind: str) -> None:
    """They are recognised by their files, and the same command may replace them."""
    out = place.root / "out"
    words = {"audit": "audit", "evaluate": "evaluate", "prepare": "prepare", "convert": "convert"}
    if kind == "model":
        (place.root / "model" / OWNED).unlink()
        refuse_existing(place.root / "model", True, output="model")
        return
    assert command(words[kind], *place.words(words[kind], out)).code == 0
    (out / OWNED).unlink()
    assert command(words[kind], *place.words(words[kind], out), "--overwrite").code == 0
    (out / OWNED).unlink()
    (out / "notes.txt").write_text("mine")
    assert command(words[kind], *place.words(words[kind], out), "--overwrite").code == 2
    assert (out / "notes.txt").read_text() == "mine"


FOREIGN = {
    "export": {"README.md": "# A model of mine", "config.json": "{}", "model.safetensors": "", "tokenizer.json": "{}"},
    "elmo": {"config.json": '{"model_type": "bert"}', "model.safetensors": ""},
    "evaluate": {"metrics.json": '{"accuracy": 0.9}'},
    "audit": {"audit.json": '{"findings": []}'},
    "checkpoint": {"progress.json": '{"done": 3}'},
    "model": {"manifest.json": '{"name": "app"}', "config.json": "{}"},
    "prepare": {"counts.json": '{"a": 1}'},
    "convert": {"conversion.json": "{}", "config.json": "{}", "model.safetensors": ""},
    "run": {"recipe.yaml": "soup: onions", "log.jsonl": "{}"},
    "sample": {"soup/task.yaml": "cut: onions", "soup/train.jsonl": "{}"},
}


@pytest.mark.parametrize("kind", FOREIGN)
def test_a_folder_with_only_known_names_stays(tmp_path: Path, kind: str) -> None:
    """For example a model from the hub, whose files have the same names as an export's."""
    for name, content in FOREIGN[kind].items():
        (tmp_path / "out" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "out" / name).write_text(content)
    with pytest.raises(InputError, match="nothing was deleted"), atomic_folder(tmp_path / "out", kind, overwrite=True):
        pass
    assert len(snapshot(tmp_path / "out")) == len(FOREIGN[kind])


def test_the_root_is_not_a_target(command: Command, place: Place) -> None:
    for name in ("train", "finetune"):
        words = place.words(name, Path("/"))
        ended = command(name, *words, "--overwrite")
        assert ended.code == 2, ended
        assert ended.err.count("\n") == 1, ended.err
