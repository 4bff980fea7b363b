"""Models of the Hugging Face hub: fetched as files, without any code."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from biomtl.errors import InputError

PREFIX = "hub:"
_ALWAYS = (
    "config.json", "vocab.txt", "vocab.json", "merges.txt", "tokenizer.json", "tokenizer_config.json",
    "special_tokens_map.json", "added_tokens.json", "*.model",
)  # fmt: skip
_SAFE = ("model*.safetensors", "model.safetensors.index.json")
_OURS = ("*.json", "*.safetensors", "*.txt", "*.model")
_PICKLED = ("pytorch_model*.bin", "pytorch_model.bin.index.json")


def is_hub(source: str | Path) -> bool:
    """Whether a source is named as ``hub:OWNER/NAME``."""
    return str(source).startswith(PREFIX)


def fetch(source: str | Path) -> Path:
    """The files of ``hub:OWNER/NAME[@REVISION]`` in the hub's cache: configuration, tokenizer and weights.

    Pickled weights are fetched only where there are no safetensors; whoever opens them reads tensors alone.

    Raises:
        InputError: no such model, or no way to it, such as offline.
    """
    folder = _snapshot(source, [*_ALWAYS, *_SAFE])
    if not any(folder.glob("*.safetensors")):
        folder = _snapshot(source, [*_ALWAYS, *_PICKLED])
    if not any(folder.glob("*.safetensors")) and not any(folder.glob("pytorch_model*.bin")):
        raise InputError("no weights", path=str(source), expected="model.safetensors or pytorch_model.bin")
    return folder


@cache
def fetch_model(source: str | Path) -> Path:
    """A saved model of biomtl, as `biomtl push` uploads it; its manifest has the checksums of all its files.

    Asked for once per process, so that all that reads the model reads the same revision.

    Raises:
        InputError: as for `fetch`.
    """
    return _snapshot(source, _OURS)


def _snapshot(source: str | Path, patterns: Sequence[str]) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub import utils as hub_utils
    from huggingface_hub.errors import LocalEntryNotFoundError, OfflineModeIsEnabled

    if not sys.stderr.isatty():
        hub_utils.disable_progress_bars()
    name, _, revision = str(source).removeprefix(PREFIX).partition("@")
    try:
        return Path(snapshot_download(name, revision=revision or None, allow_patterns=list(patterns)))
    except Exception as error:  # its own errors, those of the connection, and of the disk
        unreachable = (LocalEntryNotFoundError, OfflineModeIsEnabled, ConnectionError)
        reason = "not in the cache, and the hub can't be reached"
        if not isinstance(error, unreachable):
            reason = (str(error).strip() or type(error).__name__).splitlines()[0][:160]
        fix = "check name and connection; offline, copy its files from another machine and name that folder"
        raise InputError(f"the model can't be fetched ({reason})", path=str(source), fix=fix) from error
