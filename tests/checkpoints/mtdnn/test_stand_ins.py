"""Pickles that misuse the allowed class names: nothing runs, nothing is imported, and they are refused in one line."""

from __future__ import annotations

import pickle
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

from biomtl.checkpoints.convert import convert
from biomtl.checkpoints.mtdnn.stand_ins import Labels, Member, stand_ins
from biomtl.checkpoints.mtdnn.unpickle import load_pt
from biomtl.errors import InputError
from mtdnn_checkpoints import definitions, packages, write_current
from old_checkpoints import write_pt

TASK_TYPE = b"cdata_utils.task_def\nTaskType\n"
TASK_DEF = b"cexperiments.exp_def\nTaskDef\n"
VOCABULARY = b"cdata_utils.vocab\nVocabulary\n"
EMPTY = b")"
STOP = b"."


def text(value: str) -> bytes:
    return b"X" + len(value).to_bytes(4, "little") + value.encode()


def call(target: bytes, *arguments: bytes) -> bytes:
    return target + b"(" + b"".join(arguments) + b"tR"


def made(target: bytes, *arguments: bytes) -> bytes:
    return target + b"(" + b"".join(arguments) + b"t\x81"


def state(*items: bytes) -> bytes:
    return b"}(" + b"".join(items) + b"ub"


OS = b"cos\nsystem\n"
HOSTILE = {
    "an enumeration of code": (call(TASK_TYPE, text("__import__('os').system('touch MARK')")), "TaskType of"),
    "an enumeration of a function": (call(TASK_TYPE, OS), r"os\.system|blocked"),
    "an enumeration of a class": (call(TASK_TYPE, TASK_DEF), "TaskType of"),
    "an enumeration of several": (call(TASK_TYPE, b"K\x01", b"K\x02"), "TaskType of"),
    "an enumeration of nothing": (call(TASK_TYPE), "TaskType of"),
    "a huge number": (call(TASK_TYPE, b"\x8a\xff" + b"\x7f" * 255), "TaskType of"),
    "truth as a number": (call(TASK_TYPE, b"\x88"), "TaskType of"),
    "a member with a state": (call(TASK_TYPE, b"K\x01") + state(text("__class__"), TASK_DEF), "with a state"),
    "a definition that is called": (call(TASK_DEF, text("x")), "a TaskDef that is called"),
    "a definition made of something": (made(TASK_DEF, OS), r"os\.system|blocked"),
    "a vocabulary that is called": (call(VOCABULARY, text("x")), "a Vocabulary that is called"),
    "a vocabulary without labels": (made(VOCABULARY) + state(text("tok2ind"), text("x")), "without labels"),
    "a vocabulary of functions": (
        made(VOCABULARY) + state(text("tok2ind"), b"}(" + TASK_DEF + b"K\x00u"), "without labels"
    ),
    "numbers with a gap": (
        made(VOCABULARY) + state(text("tok2ind"), b"}(" + text("a") + b"K\x05u"), "whose numbers are not",
    ),
    "a dotted name": (b"cdata_utils.task_def\nTaskType.mro\n", r"TaskType\.mro"),
    "a private name": (b"cdata_utils.task_def\n__builtins__\n", "__builtins__"),
    "a module that only begins so": (b"cdata_utils.task_def.os\nsystem\n", r"task_def\.os\.system"),
    "another class of the module": (b"cexperiments.exp_def\nTaskDefs\n", "TaskDefs"),
    "a name on the stack": (text("data_utils.task_def") + text("TaskType") + b"\x93", "Unsupported operand"),
    "an old instance": (b"(idata_utils.task_def\nTaskType\n", "Unsupported operand"),
    "getattr": (call(b"c__builtin__\ngetattr\n", TASK_TYPE, text("__subclasses__")), "getattr"),
    "a registered extension": (b"\x82\x01", "Unsupported operand"),
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_files_that_hide_behind_allowed_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    value, message = HOSTILE[name]
    monkeypatch.chdir(tmp_path)
    source = write_current(tmp_path / "in" / "model.pt")
    # The settings of a good file, replaced by these instructions.
    replaced = source.with_name("hostile.pt")
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(replaced, "w") as new:
        for member in old.namelist():
            content = old.read(member)
            if member.endswith("data.pkl"):
                content = b"\x80\x02}(" + text("config") + value + text("state") + b"}u" + STOP
            new.writestr(member, content)
    before = set(sys.modules)
    with pytest.raises(InputError, match=message) as caught:
        convert(replaced, tmp_path / "out", encoder_only=True)
    assert "\n" not in str(caught.value)
    assert "no checkpoint needs" not in str(caught.value)
    assert not (tmp_path / "MARK").exists()
    assert not (tmp_path / "out").exists()
    assert not {module for module in set(sys.modules) - before if module.startswith(("data_utils", "experiments"))}


def test_packages_of_those_names_are_not_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A package of MT-DNN's name beside the file, or installed, never runs."""
    source = write_current(tmp_path / "in" / "model.pt")
    for name in ("data_utils/task_def", "data_utils/vocab", "data_utils/metrics", "experiments/exp_def", "mt_dnn/loss"):
        path = tmp_path / f"{name}.py"
        path.parent.mkdir(exist_ok=True)
        for file in (path, path.parent / "__init__.py"):
            file.write_text(f"open({str(tmp_path / 'MARK')!r}, 'w').close()\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    convert(source, tmp_path / "out")
    assert not (tmp_path / "MARK").exists()


@pytest.mark.parametrize("key", ["__class__", "__reduce__", "get", "keys"])
def test_attributes_that_shadow_methods_are_only_values(tmp_path: Path, key: str) -> None:
    with packages() as kinds:
        tasks = [kinds.TaskDef(**{key: kinds.TaskType.Ranking}) for _ in range(5)]
        source = write_current(tmp_path / "in" / "model.pt", kinds=kinds, task_def_list=tasks)
    convert(source, tmp_path / "out", encoder_only=True)


@pytest.mark.parametrize("label", ["", " ", "x\x1b[2J", "\ud800", "a\nb"])
def test_labels_that_are_not_labels(tmp_path: Path, label: str) -> None:
    with packages() as kinds:
        tasks = definitions(kinds)
        tasks["kind"].label_vocab = kinds.Vocabulary("fine", "b", label)
        source = write_current(tmp_path / "in" / "model.pt", kinds=kinds, task_def_list=list(tasks.values()))
    with pytest.raises(InputError, match="empty or holds control characters"):
        convert(source, tmp_path / "out")


def test_stand_ins_hold_only_values() -> None:
    """Each class that a pickle may name, called in every way that a pickle can call it."""
    for entry in stand_ins():
        kind = entry[0] if isinstance(entry, tuple) else entry
        if issubclass(kind, Member):
            assert kind(3).number == 3
            with pytest.raises(pickle.UnpicklingError):
                kind(3).number = 4
        else:
            assert not kind() if not issubclass(kind, Labels) else kind().names == ()
            with pytest.raises(pickle.UnpicklingError):
                kind(3)


def test_the_message_says_what_mtdnn_files_contain(tmp_path: Path) -> None:
    import argparse

    source = write_pt(tmp_path / "m.pt", config=argparse.Namespace(a=1))
    with pytest.raises(
        InputError,
        match="nothing was run; weights refer to tensors alone, and MT-DNN's settings to its task definitions",
    ):
        load_pt(source)


def test_every_name_that_the_trainer_writes_is_known(tmp_path: Path) -> None:
    content: Any = load_pt(write_current(tmp_path / "m.pt"))
    assert content["config"]["encoder_type"].number == 1
