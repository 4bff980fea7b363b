"""No command runs code from a folder that it reads, whatever its config says and however a prompt is answered."""

from __future__ import annotations

import ast
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

import biomtl
import tiny
from biomtl.errors import InputError
from biomtl.pretrained import load_network

Command = Callable[..., Any]
MARK = "ran.txt"
CODE = """
import pathlib
pathlib.Path({mark!r}).write_text("ran")
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast
class Config(BertConfig):
    model_type = "{kind}"
class Model(BertModel):
    config_class = Config
class Words(PreTrainedTokenizerFast):
    pass
"""


def edit(path: Path, **values: Any) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


def custom_code(folder: Path, mark: Path, kind: str) -> None:
    (folder / "theirs.py").write_text(CODE.format(mark=str(mark), kind=kind))
    classes = {"AutoConfig": "theirs.Config", "AutoModel": "theirs.Model"}
    classes |= {f"AutoModelFor{name}Classification": "theirs.Model" for name in ("Sequence", "Token")}
    edit(folder / "config.json", model_type=kind, auto_map=classes)
    edit(folder / "tokenizer_config.json", tokenizer_class="Words", auto_map={"AutoTokenizer": [None, "theirs.Words"]})


def known_kind(folder: Path, mark: Path) -> None:
    custom_code(folder, mark, "bert")


def unknown_kind(folder: Path, mark: Path) -> None:
    custom_code(folder, mark, "theirs")


def kernel(folder: Path, mark: Path) -> None:
    edit(folder / "config.json", attn_implementation="someone/kernel", _attn_implementation="someone/kernel")


def kernels(folder: Path, mark: Path) -> None:
    edit(folder / "config.json", use_kernels=True)


def adapter(folder: Path, mark: Path) -> None:
    value = {"peft_type": "LORA", "base_model_name_or_path": str(folder.parent / "other")}
    (folder / "adapter_config.json").write_text(json.dumps(value))


HOSTILE = {"custom code": known_kind, "unknown": unknown_kind, "kernel": kernel, "kernels": kernels, "adapter": adapter}
REFUSED = {"unknown": "Python code of its own", "kernel": "a kernel", "kernels": "a kernel", "adapter": "an adapter"}


@pytest.mark.parametrize("kind", HOSTILE)
def test_every_command_that_opens_a_folder(
    command: Command, tmp_path: Path, bert: Path, small_model: Path, small_suite: Path, kind: str
) -> None:
    mark = tmp_path / MARK
    encoder, model = tmp_path / "encoder", tmp_path / "model"
    shutil.copytree(bert, encoder)
    shutil.copytree(small_model, model)
    for folder in (encoder, model):
        edit(folder / "config.json", architectures=["BertForSequenceClassification"])
        HOSTILE[kind](folder, mark)
    text = tmp_path / "lines.txt"
    text.write_text("Pola met rimu.\n")
    recipe = tiny.write_recipe(
        tmp_path / "r.yaml", encoder, small_suite, max_length=24, max_steps=1, num_train_epochs=None, predict_test=False
    )
    calls: list[list[Any]] = [
        ["convert", encoder, tmp_path / "a"],
        ["convert", encoder, tmp_path / "b", "--encoder-only"],
        ["convert", encoder, tmp_path / "c", "--to", "tf"],
        ["convert", model, tmp_path / "d", "--encoder-only"],
        ["embed", encoder, text, "--out", tmp_path / "e.hdf5"],
        ["audit", small_suite, "--encoder", encoder],
        ["train", recipe],
        ["predict", model, text],
        ["annotate", model, text, "--out", tmp_path / "f.jsonl"],
        ["evaluate", model, "--data", small_suite, "--out", tmp_path / "g"],
        ["export", model, tmp_path / "h", "--encoder-only"],
        ["finetune", model, "--task", "cls-text", "--data", small_suite, "--out", tmp_path / "i", "max_steps=1"],
    ]
    for words in calls:
        ended = command(*words, stdin=b"y\ny\ny\ny\n" * 10)
        assert not mark.exists(), words
        assert ended.code in (0, 2), (words, ended)
        assert "y/N" not in ended.out + ended.err, words
        if kind in REFUSED and words[0] != "audit":
            assert ended.code == 2, words
            assert ended.err.count("\n") == 1, ended.err
    if kind in REFUSED:
        with pytest.raises(InputError, match=REFUSED[kind]):
            load_network(encoder)


def test_transformers_opens_folders_in_one_place() -> None:
    """So that no call can forget the flags."""
    root = Path(biomtl.__file__).parent
    wrong = []
    for path in root.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                owner = ast.unparse(node.func.value)
                if node.func.attr == "from_pretrained" and owner not in (
                    "MultiTaskModel",
                    "cls",
                    "biomtl.MultiTaskModel",
                ):
                    wrong.append(f"{path.relative_to(root)}:{node.lineno}: {owner}")
                if node.func.attr in ("torch_load", "pipeline") or (owner, node.func.attr) == ("torch", "load"):
                    wrong.append(f"{path.relative_to(root)}:{node.lineno}: {node.func.attr}")
    assert {line.split(":")[0] for line in wrong} == {"pretrained.py", "checkpoints/mtdnn/unpickle.py"}, wrong


@pytest.mark.parametrize("form", ["external storage", "virtual", "external link", "soft link"])
def test_hdf5_weights_read_no_other_file(tmp_path: Path, form: str) -> None:
    from biomtl.encoders.elmo.weights import _datasets

    secret = tmp_path / "secret.bin"
    secret.write_bytes(np.arange(4, dtype="f4").tobytes())
    with h5py.File(tmp_path / "other.hdf5", "w") as file:
        file["x"] = np.zeros(4, "f4")
    path = tmp_path / "weights.hdf5"
    with h5py.File(path, "w") as file:
        file.create_group("layer")["mine"] = np.zeros(4, "f4")
        if form == "external storage":
            file.create_dataset("layer/x", (4,), "f4", external=[(str(secret), 0, 16)])
        elif form == "virtual":
            layout = h5py.VirtualLayout((4,), "f4")
            layout[:] = h5py.VirtualSource(str(tmp_path / "other.hdf5"), "x", (4,))
            file.create_virtual_dataset("layer/x", layout)
        elif form == "external link":
            file["layer/x"] = h5py.ExternalLink(str(tmp_path / "other.hdf5"), "x")
        else:
            file["layer/x"] = h5py.SoftLink("/layer/mine")
    with h5py.File(path) as file, pytest.raises(InputError, match=r"is a link|in another file"):
        list(_datasets(file, path))


@pytest.mark.parametrize("name", ["flash_attention_2", "paged|flash_attention_3", "someone/kernel@main:layer"])
@pytest.mark.parametrize("key", ["attn_implementation", "_attn_implementation"])
def test_an_attention_whose_code_would_be_fetched(tmp_path: Path, bert: Path, key: str, name: str) -> None:
    """Without the package of that name, transformers takes flash attention from the hub."""
    encoder = tmp_path / "encoder"
    shutil.copytree(bert, encoder)
    edit(encoder / "config.json", **{key: name})
    with pytest.raises(InputError, match="a kernel is code"):
        load_network(encoder)
    edit(encoder / "config.json", **{key: "eager"})
    load_network(encoder)
