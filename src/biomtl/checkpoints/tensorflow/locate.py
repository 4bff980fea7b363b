"""Which checkpoint a user means by a folder, a prefix or any of its files."""

from __future__ import annotations

import re
from pathlib import Path

from biomtl.checkpoints.tensorflow.table import is_table
from biomtl.errors import InputError
from biomtl.storage.files import read_lines

_PART = re.compile(r"(\.index|\.meta|\.data-\d{5}-of-\d{5})$")
_COMPANIONS = ("bert_config.json", "vocab.txt", "checkpoint")


def find_prefix(source: str | Path) -> Path:
    """The prefix of the checkpoint at ``source``: a folder, a prefix, or a file of the checkpoint or in its folder.

    In a folder, the file ``checkpoint`` names the latest checkpoint; without it there must be exactly one.

    Raises:
        InputError: none, several, one in the V1 format, or one without its index.
    """
    source = Path(source)
    if source.is_dir():
        return _in_folder(source)
    if source.name in _COMPANIONS and source.is_file():
        return _in_folder(source.parent)
    prefix = Path(_PART.sub("", str(source)))
    if prefix == source and source.is_file():
        raise _not_v2(source)
    if prefix == source and not _index(prefix).is_file() and not list(_data_files(prefix.parent, prefix.name)):
        fix = "give the checkpoint's folder, its prefix or one of its files"
        raise InputError("no such checkpoint", path=source, fix=fix)
    return prefix


def companion(prefix: Path, name: str, given: str | Path | None, option: str) -> Path:
    """The file ``name`` in the checkpoint's folder, unless another one is ``given``."""
    path = Path(given) if given is not None else prefix.parent / name
    if not path.is_file():
        fix = "check the path" if given is not None else f"put it beside the checkpoint or add {option} FILE"
        raise InputError("no such file", path=path, fix=fix)
    return path


def _in_folder(folder: Path) -> Path:
    named = _latest(folder)
    if named is not None:
        return named
    prefixes = sorted(Path(_PART.sub("", str(path))) for path in folder.glob("*.index"))
    if len(prefixes) == 1:
        return prefixes[0]
    if prefixes:
        names = ", ".join(prefix.name for prefix in prefixes)
        raise InputError(f"{len(prefixes)} checkpoints ({names})", path=folder, expected="one", fix="name its prefix")
    for path in _data_files(folder):
        raise InputError("no such file", path=_index(Path(_PART.sub("", str(path)))), expected="the checkpoint's index")
    for path in sorted(folder.glob("*.ckpt*")):
        if path.is_file():
            raise _not_v2(path)
    expected = "a file *.index of a TensorFlow checkpoint"
    raise InputError("no TensorFlow checkpoint in this folder", path=folder, expected=expected)


def _latest(folder: Path) -> Path | None:
    """The checkpoint named by the folder's text file ``checkpoint``; only its base name, as paths may differ here."""
    state = folder / "checkpoint"
    if not state.is_file():
        return None
    for _, line in read_lines(state):
        if match := re.fullmatch(r'\s*model_checkpoint_path:\s*"(.*)"\s*', line):
            prefix = folder / re.split(r"[/\\]", match[1])[-1]
            return prefix if _index(prefix).is_file() else None
    return None


def _not_v2(path: Path) -> InputError:
    if is_table(path):
        fix = "save it again with TensorFlow 1 (Saver(write_version=tf.train.SaverDef.V2))"
        return InputError("a checkpoint of the old V1 format", path=path, expected="V2 (*.index, *.data-*)", fix=fix)
    return InputError("not a TensorFlow checkpoint", path=path, expected="a folder, a prefix or a file *.index")


def _index(prefix: Path) -> Path:
    return Path(f"{prefix}.index")


def _data_files(folder: Path, name: str | None = None) -> list[Path]:
    if not folder.is_dir():
        return []
    shards = (path for path in folder.iterdir() if re.search(r"\.data-\d{5}-of-\d{5}$", path.name))
    return sorted(path for path in shards if name is None or _PART.sub("", path.name) == name)
