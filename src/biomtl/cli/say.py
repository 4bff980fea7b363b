"""What commands print apart from tables: no control characters, whatever the user's strings contain."""

from __future__ import annotations

import json
import sys

import typer

from biomtl.errors import visible


def say(text: str, *, err: bool = False) -> None:
    """Print lines of text on standard output, or on standard error."""
    typer.echo(visible(text, keep="\n"), err=err)


def say_json(text: str) -> None:
    """Print JSON; characters that a terminal would obey, or that its encoding lacks, become JSON's escapes."""
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    typer.echo("".join(c if _shown(c, encoding) else json.dumps(c)[1:-1] for c in text))


def _shown(character: str, encoding: str) -> bool:
    if character.isascii():
        return character.isprintable() or character == "\n"
    try:
        character.encode(encoding)
    except UnicodeEncodeError:
        return False
    return character.isprintable()
