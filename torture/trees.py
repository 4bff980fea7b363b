"""What a folder or file holds, without what a clock or a command line says, to tell whole outputs from torn ones."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from biomtl.storage.checksums import SEAL

VOLATILE = ("seconds", "train_seconds", "command", "resumed", "started", "created", "date", "energy_wh")
"""Keys of JSON files whose values differ between two runs of the same command."""

Tree = Mapping[str, str]
"""Names below a path (``.`` the path itself) and their contents' SHA-256; ``folder`` for a folder."""


def tree(path: Path) -> Tree:
    """Everything at and below ``path``, hidden files too; empty if there is nothing."""
    if path.is_symlink() or path.is_file():
        return {".": digest(path)}
    if not path.is_dir():
        return {}
    found = {".": "folder"}
    for entry in sorted(path.rglob("*")):
        name = entry.relative_to(path).as_posix()
        found[name] = "folder" if entry.is_dir() and not entry.is_symlink() else digest(entry)
    return found


def digest(path: Path) -> str:
    """The SHA-256 of a file; of JSON and JSON lines, without volatile keys."""
    content = path.read_bytes()
    if path.suffix in (".json", ".jsonl"):
        lines = content.splitlines() if path.suffix == ".jsonl" else [content]
        try:
            content = json.dumps([_steady(_unsealed(json.loads(line))) for line in lines]).encode()
        except ValueError:
            content = b"torn " + content
    elif path.suffix == ".md":
        content = content.replace(b" --overwrite", b"").replace(b" --resume", b"")  # a model card quotes the command
    return hashlib.sha256(content).hexdigest()


def _unsealed(value: Any) -> Any:
    """A file without the checksum of itself, which counts the volatile keys."""
    return {key: inner for key, inner in value.items() if key != SEAL} if isinstance(value, dict) else value


def _steady(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _steady(inner) for key, inner in value.items() if key not in VOLATILE}
    if isinstance(value, list):
        return [_steady(inner) for inner in value]
    return value


def difference(found: Tree, expected: Tree, loose: frozenset[str] = frozenset()) -> str:
    """The first thing that differs, in words; empty if nothing does. Of ``loose`` files only the names count."""
    for name in sorted({*found, *expected}):
        if name not in found:
            return f"{name} is missing"
        if name not in expected:
            return f"{name} is too many"
        if found[name] != expected[name] and name not in loose:
            return f"{name} differs"
    return ""
