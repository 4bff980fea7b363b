"""The option that all commands with predictions share."""

from __future__ import annotations

from typing import Annotated

import typer

Uncalibrated = Annotated[
    bool,
    typer.Option(
        "--uncalibrated", help="Don't use the temperatures and thresholds that the model was calibrated with."
    ),
]
