"""The option ``--no-verify`` of every command that loads a saved model."""

from __future__ import annotations

from typing import Annotated

import typer

from biomtl.storage import checksums


def _set(unwanted: bool) -> bool:
    checksums.demand(not unwanted)
    return unwanted


NoVerify = Annotated[
    bool, typer.Option("--no-verify", callback=_set, help="Don't compare the model's files with their checksums.")
]
