"""JSON and YAML files, read with limits: a bad file gives a one-line error, never a traceback or a hang."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from biomtl.errors import InputError
from biomtl.storage.files import read_lines
from biomtl.storage.inputs import refuse_endless

MAX_JSON = 64 << 20  # bytes; a tokenizer of a large vocabulary has 20 million
MAX_YAML = 1 << 20  # characters; PyYAML reads a few hundred thousand per second
MAX_VALUES = 200_000  # values in a YAML document, with its aliases expanded
MAX_DEPTH = 64
_FAULTS = (yaml.YAMLError, ValueError, LookupError, TypeError, AttributeError, OverflowError, RecursionError)
"""What PyYAML raises for values that don't match their tag."""


def read_json(path: str | Path, what: str, fix: str | None = None) -> dict[str, Any]:
    """The object in a JSON file.

    Args:
        path: the file.
        what: what is expected there, such as ``a model's manifest``.
        fix: what the user can do about a bad file.

    Raises:
        InputError: no such file, over 64 MiB, not UTF-8, not JSON, not an object, nested more than 64 levels, or half a
            surrogate pair.
    """
    path = Path(path)
    refuse_endless(path)
    try:
        with path.open("rb") as stream:
            content = stream.read(MAX_JSON + 1)
    except OSError as error:
        problem = "no such file" if isinstance(error, FileNotFoundError) else f"can't be read ({error.strerror})"
        raise InputError(problem, path=path, expected=what, fix=fix) from error
    if len(content) > MAX_JSON:
        raise InputError(f"over {MAX_JSON >> 20} MiB", path=path, expected=what, fix=fix)
    try:
        text = content.decode("utf-8-sig")
        value = json.loads(text, parse_constant=_refuse_constant)
        if _is_deep(value):
            raise ValueError(f"nested more than {MAX_DEPTH} levels")
        if "\\ud" in text.lower():
            json.dumps(value, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        reason = "nested too deep" if isinstance(error, RecursionError) else _first_line(error)
        raise InputError(f"not JSON ({reason})", path=path, expected=what, fix=fix) from error
    if not isinstance(value, dict):
        raise InputError(f"a JSON {type(value).__name__}", path=path, expected=what, fix=fix)
    return value


Record = TypeVar("Record", bound=BaseModel)


def validated(model: type[Record], value: Any, path: str | Path, what: str, fix: str | None = None) -> Record:
    """``value`` as a record of this kind; ``path`` is the file that it comes from.

    Raises:
        InputError: a field that is missing, unknown or of another type.
    """
    try:
        return model.model_validate(value)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"]))
        reason = first["msg"].removeprefix("Value error, ")
        raise InputError(f"{field}: {reason}".removeprefix(": "), path=path, expected=what, fix=fix) from error


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not a JSON number")


def _is_deep(value: Any) -> bool:
    """Whether containers are nested more than ``MAX_DEPTH`` levels."""
    level = [value] if isinstance(value, dict | list) else []
    for _ in range(MAX_DEPTH):
        inner = (holder.values() if isinstance(holder, dict) else holder for holder in level)
        level = [child for children in inner for child in children if isinstance(child, dict | list)]
        if not level:
            return False
    return True


class NotYamlError(ValueError):
    """A text that isn't YAML or exceeds the limits; ``line`` counts from 1."""

    def __init__(self, problem: str, line: int | None = None) -> None:
        super().__init__(problem)
        self.line = line


class _Loader(yaml.SafeLoader):
    """Only YAML's plain values; dates and numbers in base 60 stay text, since no field of ours is either."""

    values = depth = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        """The next node; too many or too deeply nested nodes are refused before the rest is read."""
        self.values += 1
        self.depth += 1
        if self.values > MAX_VALUES:
            raise NotYamlError(f"over {MAX_VALUES:,} values")
        if self.depth > MAX_DEPTH + 1:
            raise NotYamlError(f"nested more than {MAX_DEPTH} levels")
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node


def _as_text(loader: _Loader, node: yaml.Node) -> str:
    return str(loader.construct_scalar(node))  # type: ignore[arg-type]


def _number(loader: _Loader, node: yaml.Node) -> str | int | float:
    text = _as_text(loader, node)
    if ":" in text or not isinstance(node, yaml.ScalarNode):
        return text
    whole = node.tag == "tag:yaml.org,2002:int"
    return loader.construct_yaml_int(node) if whole else loader.construct_yaml_float(node)


def _unknown(loader: _Loader, node: yaml.Node) -> None:
    raise yaml.constructor.ConstructorError(None, None, f"a value of type {node.tag}", node.start_mark)


_DATE = "tag:yaml.org,2002:timestamp"
_Loader.yaml_implicit_resolvers = {
    first: [pair for pair in pairs if pair[0] != _DATE]
    for first, pairs in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_constructor(_DATE, _as_text)
for _kind in ("int", "float"):
    _Loader.add_constructor(f"tag:yaml.org,2002:{_kind}", _number)
for _kind in ("binary", "omap", "pairs", "set"):
    _Loader.add_constructor(f"tag:yaml.org,2002:{_kind}", _unknown)


def parse_yaml(text: str) -> tuple[Any, yaml.Node | None]:
    """The value of a YAML document and its node (for line numbers); ``None`` for both if the document is empty.

    Raises:
        NotYamlError: not YAML, values that don't match their tag, tagged dates and other types, over 1 MiB, nested more
            than 64 levels, aliases that contain themselves or expand to over 200,000 values.
    """
    if len(text) > MAX_YAML:
        raise NotYamlError(f"over {MAX_YAML >> 20} MiB")
    loader = None
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        if node is None:
            return None, None
        if _unfolded(node, {}, 0) > MAX_VALUES:
            raise NotYamlError(f"aliases that expand to over {MAX_VALUES:,} values")
        return loader.construct_document(node), node
    except NotYamlError:
        raise
    except _FAULTS as error:
        mark = getattr(error, "problem_mark", None)
        reason = getattr(error, "problem", None) or _first_line(error)
        if isinstance(error, RecursionError):
            reason = "nested too deep"
        elif not isinstance(error, yaml.YAMLError | ValueError):
            reason = f"a value that doesn't match its tag: {reason}"
        raise NotYamlError(reason, mark.line + 1 if mark else None) from error
    finally:
        if loader is not None:
            loader.dispose()


def _unfolded(node: yaml.Node, known: dict[int, int | None], depth: int) -> int:
    """How many values a node contains, counting every alias as often as it is used."""
    if id(node) in known:
        size = known[id(node)]
        if size is None:
            raise NotYamlError("an alias that contains itself", node.start_mark.line + 1)
        return size
    if depth > MAX_DEPTH:
        raise NotYamlError(f"nested more than {MAX_DEPTH} levels", node.start_mark.line + 1)
    known[id(node)] = None
    children: list[yaml.Node] = []
    if isinstance(node, yaml.MappingNode):
        children = [child for pair in node.value for child in pair]
    elif isinstance(node, yaml.SequenceNode):
        children = node.value
    size = 1 + sum(_unfolded(child, known, depth + 1) for child in children)
    known[id(node)] = size
    return size


def read_yaml(path: str | Path) -> tuple[Any, yaml.Node | None]:
    """The same for a file.

    Raises:
        InputError: missing or unreadable file, bytes that are not UTF-8, and what ``parse_yaml`` refuses.
    """
    text = "\n".join(line for _, line in read_lines(path))
    try:
        return parse_yaml(text)
    except NotYamlError as error:
        raise InputError(f"not YAML ({error})", path=path, line=error.line) from error


def _first_line(error: BaseException) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)
