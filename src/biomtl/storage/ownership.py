"""What a command may replace: only output of the same kind of command, and never its inputs.

Every folder that a command writes has a ``.biomtl.json`` with the kind of output and the files written. Older folders
without this manifest are recognised by their file names.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import biomtl
from biomtl.errors import InputError

OWNED = ".biomtl.json"
LARGEST = 64 * 1024 * 1024  # bytes of a manifest: that of a million files
FIX = "choose another output; nothing was deleted"
_ENCODER = (
    *("config.json", "generation_config.json", "model*.safetensors", "model.safetensors.index.json"),
    *("processor.json", "README.md", "conversion.json", "tokenizer*.json", "special_tokens_map.json"),
    *("added_tokens.json", "vocab.txt", "vocab.json", "merges.txt", "*.model", "chat_template.jinja"),
)
_MODEL = (*_ENCODER, "manifest.json", "heads/*/*.json", "heads/*/*.safetensors")
_TABLES = tuple(f"{name}.{form}" for name in ("pred_*", "perf_*", "folds") for form in ("csv", "xlsx"))
_SPLITS = tuple(f"*/{split}.jsonl" for split in ("train", "dev", "test"))
_REPORT = ("report.html", "figures/*.svg", "figures/*.png")
_RUN = (
    *("recipe.yaml", "metrics.json", "log.jsonl", "predictions/*/*.jsonl", *_TABLES, *_REPORT),
    "reliability/*.svg",
    *(f"model/{name}" for name in (*_MODEL, OWNED)),
    *(f"checkpoints/*/{name}" for name in ("*.safetensors", "*.json")),
    "biomtl/**events.out.tfevents.*",  # what report_to: tensorboard keeps
    "biomtl/**hparams.yml",
)


@dataclass(frozen=True)
class Kind:
    """How to recognise a kind of output folder without a manifest.

    Attributes:
        signature: patterns of files of which an output of this kind has at least one; none if other folders may look
            the same.
        word: what such a file contains, and no file of other programs.
        files: patterns of all files that it may have: ``*`` is part of a name, ``**`` spans folders.
        grows: files are added after the folder was made, so the patterns apply in addition to a manifest.
    """

    signature: tuple[str, ...] = ()
    word: str = ""
    files: tuple[str, ...] = ()
    grows: bool = False


_VERSION = '"biomtl": "'
KINDS = {
    "annotate": Kind(),
    "audit": Kind(("audit.json",), '"near_duplicates"', ("audit.json", "overlap.svg")),
    "checkpoint": Kind(("progress.json",), '"schedule"', ("progress.json", "*.safetensors")),
    "convert": Kind(
        *(("conversion.json",), _VERSION),
        (*_MODEL, "bert_config.json", "checkpoint", "*.index", "*.data-00000-of-00001"),
    ),
    "download": Kind(("download.json",), '"files"', ("download.json",)),
    "elmo": Kind(("config.json",), '"char_cnn"', ("config.json", "model.safetensors")),
    "evaluate": Kind(
        *(("metrics.json",), '"provenance"'),
        ("metrics.json", "predictions/*/*.jsonl", *_TABLES, *_REPORT),
        grows=True,  # by its report
    ),
    "export": Kind(("README.md",), "biomtl", (*_ENCODER, "model.onnx", "onnx.json", "scores.json")),
    "model": Kind(("manifest.json",), _VERSION, _MODEL),
    "prepare": Kind(("counts.json",), '"not_used"', ("counts.json", "*/task.yaml", "*/provenance.json", *_SPLITS)),
    "run": Kind(
        *(("recipe.yaml", "fold-1/recipe.yaml"), "learning_rate:"),
        (*_RUN, *(f"fold-*/{name}" for name in (*_RUN, OWNED))),
        grows=True,
    ),
    "sample": Kind(("*/task.yaml",), "metric:", ("*/task.yaml", *_SPLITS)),
}
"""The kinds of folders that commands and functions write."""

_ANYTHING = re.compile(b"")
FILES = {
    "predictions": re.compile(rb'\{"id":'),
    "embeddings": re.compile(rb"\x89HDF\r\n"),
    "onnx": re.compile(rb"\x08[\x01-\x20]\x12"),
    "bioc": re.compile(rb"<\?xml |\{"),
    "jsonl": re.compile(rb'\{"'),
    "pubtator": re.compile(rb"[^|\n]+\|t\|"),
    "text": _ANYTHING,
}
"""The first bytes of the files that commands write; a file that starts differently was written by something else."""


def refuse_replacing(target: Path, output: str | None, inputs: Iterable[str | Path | None] = ()) -> None:
    """Refuse to replace anything but an output of this kind, or anything that the same command reads.

    Args:
        target: the existing file or folder.
        output: a key of ``KINDS`` or ``FILES``, or ``None`` for a file of any content.
        inputs: files and folders that the command reads; what is not a path (``sample``) is skipped.

    Raises:
        InputError: names what must not be replaced.
    """
    _refuse_places(target, inputs)
    refuse_foreign(target, output)


def refuse_foreign(target: Path, output: str | None) -> None:
    """The part of ``refuse_replacing`` that looks at the target alone."""
    if target.is_symlink():
        raise InputError("a symbolic link", path=target, expected="what biomtl wrote", fix=FIX)
    if output is None or output in FILES:
        _refuse_file(target, FILES.get(output or "", _ANYTHING))
        return
    if not target.is_dir():
        raise InputError("not a folder", path=target, expected=_NAMES[output], fix=FIX)
    names = sorted(files_below(target))
    own = _owner(target, output)
    if names and own is None:
        raise InputError(f"not {_NAMES[output]}", path=target, fix=FIX)
    foreign = [name for name in names if own is not None and not own(name)]
    if foreign:
        more = f" (and {len(foreign) - 1:,} more)" if foreign[1:] else ""
        problem = f"a file that is not part of {_NAMES[output]}{more}"
        raise InputError(problem, path=target / foreign[0], fix=f"move it away or {FIX}")


def _refuse_file(target: Path, begins: re.Pattern[bytes]) -> None:
    if not target.is_file():
        problem = "a folder" if target.is_dir() else "a device or pipe"
        raise InputError(problem, path=target, expected="a file to replace", fix=FIX)
    with target.open("rb") as stream:
        start = stream.read(4096)
    if start and not begins.match(start):
        raise InputError("not the kind of file that is written here", path=target, fix=FIX)


def write_owner(folder: Path, output: str) -> None:
    """Write the manifest of a complete folder."""
    names = sorted(name for name in files_below(folder) if name != OWNED)
    value = {"biomtl": biomtl.__version__, "output": output, "files": names}
    (folder / OWNED).write_text(json.dumps(value, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


def files_below(folder: Path) -> Iterator[str]:
    """Relative names of everything in a folder except folders; links are not followed."""
    for root, folders, files in os.walk(folder):
        inner = Path(root).relative_to(folder)
        links = [name for name in folders if os.path.islink(os.path.join(root, name))]
        for name in (*files, *links):
            yield (inner / name).as_posix()


def _refuse_places(target: Path, inputs: Iterable[str | Path | None]) -> None:
    """Refuse inputs, home, the current folder, and whatever one of these lies in (the root always does)."""
    place = target.resolve()
    for path in (Path(name) for name in inputs if name is not None):
        if not path.exists():
            continue
        if path.resolve() == place or (target.is_file() and path.is_file() and path.samefile(target)):
            raise InputError("the output would replace the input", path=target, fix=FIX)
        if path.resolve().is_relative_to(place):
            raise InputError(f"the output would replace a folder that holds the input {path}", path=target, fix=FIX)
    for role, path in (("the current folder", Path.cwd()), ("the home folder", Path("~").expanduser())):
        if path.resolve().is_relative_to(place):
            raise InputError(f"the output would replace {role} or one that holds it", path=target, fix=FIX)


_NAMES = {
    **{command: f"a folder that `biomtl {command}` wrote" for command in KINDS},
    "run": "a run folder",
    "prepare": "a prepared suite",
    "model": "a saved model",
    "checkpoint": "a checkpoint",
    "elmo": "a converted biLM",
    "sample": "the sample suite",
}


def _owner(folder: Path, output: str) -> Callable[[str], bool] | None:
    """A test of relative names; ``None`` if the folder is not an output of this kind."""
    known = KINDS[output]
    listed = _listed(folder / OWNED)
    if listed is not None:
        names = {OWNED, *_strings(listed.get("files"))}
        own = listed.get("output") == output
        return (lambda name: name in names or (known.grows and _matches(known, name))) if own else None
    marks = (path for pattern in known.signature for path in folder.glob(pattern))
    if not any(_says(path, known.word) for path in marks):
        return None
    receipt = set(_strings((_listed(folder / "download.json") or {}).get("files"))) if output == "download" else set()
    return lambda name: name in receipt or _matches(known, name)


def _listed(path: Path) -> dict[str, object] | None:
    """A small JSON object; ``None`` where there is none that can be read."""
    try:
        if path.is_symlink() or path.stat().st_size > LARGEST:
            return None
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _says(path: Path, word: str) -> bool:
    """Whether a file holds a word; a link or device says nothing."""
    if path.is_symlink() or not path.is_file() or path.stat().st_size > LARGEST:
        return False
    try:
        return word in path.read_text(encoding="utf-8")
    except (OSError, ValueError):
        return False


def _strings(value: object) -> list[str]:
    return [name for name in value if isinstance(name, str)] if isinstance(value, list | dict) else []


def _matches(known: Kind, name: str) -> bool:
    return any(pattern.fullmatch(name) for pattern in map(_compiled, known.files))


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    words = {"**": ".*", "*": "[^/]*"}
    return re.compile("".join(words.get(piece, re.escape(piece)) for piece in re.split(r"(\*+)", pattern)), re.DOTALL)
