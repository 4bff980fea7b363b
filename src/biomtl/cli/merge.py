"""``biomtl merge``."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from biomtl.checkpoints.merge import merge as merged
from biomtl.cli.say import say
from biomtl.cli.verify import NoVerify
from biomtl.storage.files import refuse_existing


class How(StrEnum):
    """Ways to merge."""

    average = "average"
    add = "add"
    ties = "ties"
    dare = "dare"


def merge(
    models: Annotated[list[Path], typer.Argument(metavar="MODEL...", help="Model or run folders.", show_default=False)],
    out: Annotated[Path, typer.Option("--out", help="Model folder to write.", show_default=False)],
    how: Annotated[
        How, typer.Option("--how", help="Mean of the weights, or task vectors on top of --base.")
    ] = How.average,
    base: Annotated[
        str | None, typer.Option("--base", help="The encoder that all were trained from.", show_default=False)
    ] = None,
    weight: Annotated[float, typer.Option("--weight", help="Factor of the task vectors' mean.")] = 1.0,
    density: Annotated[float, typer.Option("--density", help="Share of each vector that ties and dare keep.")] = 0.2,
    seed: Annotated[int, typer.Option("--seed", help="Seed of dare.", min=0)] = 0,
    no_verify: NoVerify = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an existing folder.")] = False,
) -> None:
    """Merge models that were trained from one encoder into one model with the heads of all.

    Examples:

        biomtl merge runs/alone/hoc runs/alone/ddi2013 --out merged

        biomtl merge runs/alone/hoc runs/alone/ddi2013 --how ties --base all-MiniLM-L6-v2 --out merged
    """
    refuse_existing(out, overwrite, output="model", inputs=(*models, base))
    model = merged(models, how.value, base=base, weight=weight, density=density, seed=seed)
    model.save_pretrained(out, overwrite=overwrite)
    say(f"model: {out}, max_length {model.processor.max_length}, tasks {', '.join(model.tasks)}")
