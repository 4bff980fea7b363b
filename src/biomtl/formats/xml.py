"""Safe, incremental reading of XML, with line numbers (which ElementTree lacks).

A document type is accepted, since BioC files have one, but nothing is ever loaded or expanded: an entity declaration,
the stuff of every "XML bomb", is an error.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO
from xml.parsers import expat

from biomtl.errors import InputError
from biomtl.storage.files import MAX_LINE

_BLOCK = 1 << 16
_MAX_DEPTH = 100  # these formats have fewer than ten levels


@dataclass(slots=True)
class Element:
    """An XML element: ``text`` is its own character data, ``line`` its first line."""

    tag: str
    attributes: dict[str, str]
    line: int
    text: str = ""
    children: list[Element] = field(default_factory=list)

    def all(self, tag: str) -> list[Element]:
        """Its children with that name."""
        return [child for child in self.children if child.tag == tag]


def elements(stream: BinaryIO, tag: str, where: str | Path, root: str | None = None) -> Iterator[Element]:
    """Stream every outermost ``tag`` element with its children; nothing else is kept.

    Args:
        stream: a binary stream, read in blocks; only one element is held in memory.
        tag: name of the elements.
        where: the file's name for errors.
        root: required name of the outermost element.

    Raises:
        InputError: malformed XML, entity declarations, an absurdly large or deep element.
    """
    builder = _Builder(tag, where, root)
    final = False
    try:
        while not final:
            block = stream.read(_BLOCK)
            final = not block
            builder.feed(block, final)
            yield from builder.done
            builder.done.clear()
    finally:
        builder.close()


class _Builder:
    def __init__(self, tag: str, where: str | Path, root: str | None) -> None:
        self.tag, self.where, self.root = tag, where, root
        self.done: list[Element] = []
        self._stack: list[Element] = []
        self._text: list[list[str]] = []
        self._depth = self._size = 0
        self._parser = parser = expat.ParserCreate()
        parser.buffer_text = True
        parser.StartElementHandler, parser.EndElementHandler = self._start, self._end
        parser.CharacterDataHandler = self._data
        parser.EntityDeclHandler = self._refuse_entity

    def feed(self, block: bytes, final: bool) -> None:
        try:
            self._parser.Parse(block, final)
        except expat.ExpatError as error:
            problem = expat.errors.messages[error.code]
            raise InputError(f"broken XML ({problem})", path=self.where, line=error.lineno) from error
        except (LookupError, ValueError) as error:  # an encoding that Python doesn't know or expat can't use
            raise self._error(f"unreadable encoding ({error})", "save the file as UTF-8") from error

    def close(self) -> None:
        """Release the parser, which refers back to this; otherwise many files would leave much to garbage-collect."""
        del self._parser

    def _error(self, problem: str, fix: str | None = None) -> InputError:
        return InputError(problem, path=self.where, line=self._parser.CurrentLineNumber, fix=fix)

    def _refuse_entity(self, name: str, *_: object) -> None:
        raise self._error(f"a declaration of the entity {name[:40]!r}", "don't trust the file, or expand its entities")

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        if not self._depth and self.root and tag != self.root:
            raise self._error(
                f"outermost element <{tag[:40]}>", f"is this the right format? It begins with <{self.root}>"
            )
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            raise self._error(f"elements nested over {_MAX_DEPTH} deep")
        if self._stack or tag == self.tag:
            self._grow(len(tag) + sum(len(key) + len(value) for key, value in attributes.items()) + 64)
            self._stack.append(Element(tag, attributes, self._parser.CurrentLineNumber))
            self._text.append([])

    def _data(self, text: str) -> None:
        if self._stack:
            self._grow(len(text))
            self._text[-1].append(text)

    def _end(self, tag: str) -> None:
        self._depth -= 1
        if not self._stack:
            return
        element = self._stack.pop()
        element.text = "".join(self._text.pop())
        if self._stack:
            self._stack[-1].children.append(element)
        else:
            self.done.append(element)
            self._size = 0

    def _grow(self, size: int) -> None:
        self._size += size
        if self._size > MAX_LINE:
            raise self._error(f"a <{self.tag}> of over {MAX_LINE:,} characters", "split it")
