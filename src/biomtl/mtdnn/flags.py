"""The flags of MT-DNN's trainer as keys of a recipe; the table is in ``flags.yaml``."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator, Mapping
from importlib import resources
from typing import Any

import yaml

from biomtl.errors import InputError, nearest

FLAGS: Mapping[str, Mapping[str, Any]] = yaml.safe_load(
    (resources.files(__package__) / "flags.yaml").read_text(encoding="utf-8")
)
ALTERNATIVES = {"batch_size": "batch_tokens", "num_train_epochs": "max_steps"}


def apply_flags(text: str, recipe: dict[str, Any]) -> list[str]:
    """Change a recipe as these flags of ``train.py`` ask, and return remarks on what has no key.

    Args:
        text: the flags, as on its command line.
        recipe: a recipe with its ``tasks``.

    Raises:
        InputError: an unknown flag, a value that a flag doesn't have, a task that the recipe lacks.
    """
    remarks = []
    pairs = dict(_pairs(text))
    for flag, value in sorted(pairs.items(), key=lambda pair: "with" in FLAGS[pair[0]]):
        entry = FLAGS[flag]
        if entry.get("note"):
            remarks.append(f"{flag}: {entry['note']}")
        if entry.get("with", flag) not in pairs:
            remarks.append(f"{flag}: without effect, {entry['with']} is not given")
        elif "key" in entry and (found := _value(flag, entry, value)) is not None:
            _put(recipe, entry["key"], found[0], flag)
    return remarks


def _pairs(text: str) -> Iterator[tuple[str, str | None]]:
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise InputError(f"--flags: {error}", expected="flags as on train.py's command line") from error
    while words:
        flag, equals, value = words.pop(0).partition("=")
        if flag not in FLAGS:
            raise InputError(f"--flags: unknown {flag!r}", fix=nearest(flag, FLAGS))
        if not equals:
            value = words.pop(0) if words and not words[0].startswith("--") else ""
        yield flag, value or None


def _value(flag: str, entry: Mapping[str, Any], value: str | None) -> tuple[Any] | None:
    """The key's value in a tuple; ``None`` if the flag leaves things as they are."""
    if "over" in entry and not (value is not None and _number(flag, value) > entry["over"]):
        return None
    if "set" in entry:
        return (entry["set"],)
    if value is None:
        raise InputError(f"--flags: {flag} without a value", fix="give it, or leave the flag out")
    if "split" in entry:
        return ([yaml.safe_load(part) for part in value.split(entry["split"]) if part],)
    if "values" not in entry:
        return (yaml.safe_load(value),)
    if value not in entry["values"]:
        raise InputError(f"--flags: {flag} {value}", expected=", ".join(entry["values"]))
    return (entry["values"][value],)


def _number(flag: str, value: str) -> float:
    try:
        return float(value)
    except ValueError:
        raise InputError(f"--flags: {flag} {value!r:.40}", expected="a number") from None


def _put(recipe: dict[str, Any], key: str, value: Any, flag: str) -> None:
    first, _, rest = key.partition(".")
    if key == "tasks":
        names = list(dict.fromkeys(str(name).split("_")[0] for name in value))
        for name in names:
            if name not in recipe["tasks"]:
                raise InputError(f"--flags: {flag}: no task {name!r}", fix=nearest(name, recipe["tasks"]))
        recipe["tasks"] = {name: recipe["tasks"][name] for name in names}
    elif first == "san":
        for options in recipe["tasks"].values():
            if options.get("head") == "san":
                options.setdefault("head_options", {})[rest] = value
    elif rest:
        recipe.setdefault(first, {})[rest] = value
    elif isinstance(value, dict):
        recipe.setdefault(key, dict(value))
    else:
        recipe.pop(ALTERNATIVES.get(key, ""), None)
        recipe[key] = value


def table() -> str:
    """The flags as a table in Markdown, for ``docs/from-mt-dnn.md``."""
    lines = ["| flag | here | remark |", "| --- | --- | --- |"]
    for flag, entry in FLAGS.items():
        key = str(entry.get("key", ""))
        if key.startswith("san."):
            key = f"head_options.{key.removeprefix('san.')}"
        shown = f"`{key}`" if key else ""
        if "set" in entry and not isinstance(entry["set"], dict):
            shown = f"`{key}: {str(entry['set']).lower()}`"
        values = ", ".join(f"`{theirs}` is `{str(ours).lower()}`" for theirs, ours in entry.get("values", {}).items())
        remark = "; ".join(part for part in (values, entry.get("note", "")) if part)
        lines.append(f"| `{flag}` | {shown} | {remark} |")
    return "\n".join(lines) + "\n"


def insert(page: str) -> str:
    """A page with the table between its two marks."""
    before, _, rest = page.partition("<!-- flags -->")
    return f"{before}<!-- flags -->\n\n{table()}\n<!-- end of flags -->{rest.partition('<!-- end of flags -->')[2]}"


if __name__ == "__main__":
    sys.stdout.write(insert(sys.stdin.read()))
