"""The command ``biomtl``: one module per command, errors in one line."""

from __future__ import annotations

import contextlib
import errno
import os
import sys
from typing import Annotated

import typer

import biomtl
from biomtl.cli.commands import LazyGroup
from biomtl.errors import BiomtlError, visible
from biomtl.signals import Ended, raised

app = typer.Typer(
    name="biomtl",
    cls=LazyGroup,
    help="Multi-task learning for biomedical text mining: prepare, train, score, annotate.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"biomtl {biomtl.__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> None:
    if debug:
        os.environ["BIOMTL_DEBUG"] = "1"


def main() -> None:
    """Run the command line; an error that the user can fix is one line on stderr and exit code 2."""
    for stream in (sys.stdout, sys.stderr):  # in an old locale, what it has no character for is shown as an escape
        with contextlib.suppress(AttributeError):
            stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    try:
        with raised():
            code = app(prog_name="biomtl", standalone_mode=False)
    except Ended as end:
        sys.stderr.write(f"biomtl: {end}\n" if str(end) else "")
        sys.exit(end.code)
    except BiomtlError as error:
        if os.environ.get("BIOMTL_DEBUG"):
            raise
        sys.stderr.write(f"biomtl: error: {error}\n")
        sys.exit(2)
    except OSError as error:
        if os.environ.get("BIOMTL_DEBUG"):
            raise
        nameless = "standard output: " if error.errno == errno.ENOSPC else ""  # files' errors have names
        where = f"{error.filename}: " if error.filename else nameless
        sys.stderr.write(visible(f"biomtl: error: {where}{error.strerror or error}") + "\n")
        sys.exit(2)
    except MemoryError as error:
        if os.environ.get("BIOMTL_DEBUG"):
            raise
        sys.stderr.write(visible(f"biomtl: error: not enough memory {error}".rstrip()) + "\n")
        sys.exit(2)
    except Exception as error:
        refuse_usage(error)
        raise
    sys.exit(code or 0)


def elmoft() -> None:
    """The command ``elmoft``: ``biomtl elmo`` under its old name."""
    sys.argv[:1] = ["biomtl", "elmo"]
    main()


def refuse_usage(error: Exception) -> None:
    """Report typer's errors in one line, like every other error.

    Its exceptions are recognised by their methods, since the module that defines them changes with typer's version.
    """
    context, said = getattr(error, "ctx", None), getattr(error, "format_message", None)
    if said is None:
        return
    if len(sys.argv) < 2:  # no command: typer's message is the help
        sys.stderr.write(said() + "\n")
    else:
        command = context.command_path if context else "biomtl"
        problem = " ".join(said().split()).rstrip(".")
        sys.stderr.write(visible(f"biomtl: error: {problem}, see `{command} --help`") + "\n")
    sys.exit(2)


if __name__ == "__main__":
    main()
