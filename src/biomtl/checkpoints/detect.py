"""Detecting the format of a checkpoint."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

Format = Literal["tf", "mtdnn", "elmo", "hf"]


def detect_format(source: Path) -> Format:
    """The format, judged by the files; ``tf`` if nothing indicates another, since a prefix isn't a file."""
    if source.is_dir():
        return _of_folder(source)
    if source.suffix in (".hdf5", ".h5") or (source.suffix == ".json" and "options" in source.name):
        return "elmo"
    if source.name in ("config.json", "model.safetensors", "manifest.json"):
        return "hf"
    if source.name == "pytorch_model.bin" and (source.parent / "config.json").is_file():
        return "hf"
    if source.is_file() and (source.suffix in (".pt", ".pth", ".bin") or _is_torch(source)):
        return "mtdnn"
    return "tf"


def _of_folder(folder: Path) -> Format:
    names = {path.name for path in folder.iterdir()}
    if "config.json" in names and not any(name.endswith(".index") for name in names):
        return "hf"
    if any(name.endswith((".hdf5", ".h5")) for name in names):
        return "elmo"
    tensorflow = any(name.endswith(".index") or ".data-0" in name or ".ckpt" in name for name in names)
    if not tensorflow and sum(name.endswith(".pt") for name in names) == 1:
        return "mtdnn"
    return "tf"


def _is_torch(path: Path) -> bool:
    with path.open("rb") as stream:
        return stream.read(2) in (b"PK", b"\x80\x02")
