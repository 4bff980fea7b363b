"""``biomtl train``."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

import biomtl
from biomtl import training
from biomtl.cli.say import say
from biomtl.cli.verify import NoVerify
from biomtl.training.recipe_io import load_recipe, placing_stages


def train(
    recipe: Annotated[
        Path, typer.Argument(help="Recipe file (YAML), or a name that `biomtl recipes` lists.", show_default=False)
    ],
    overrides: Annotated[
        list[str] | None,
        typer.Argument(metavar="KEY=VALUE", help="Recipe keys to set, such as `learning_rate=1e-4`."),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Continue the run folder's newest checkpoint.")] = False,
    no_verify: NoVerify = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an existing run folder.")] = False,
) -> None:
    """Train one encoder on all tasks of a recipe; select on dev, score test once.

    Example: `biomtl train sample output=runs/first num_train_epochs=5`

    On four GPUs, or four processes of a CPU:
    `torchrun --standalone --nproc_per_node 4 -m biomtl.cli.main train RECIPE`
    """
    command = shlex.join(["biomtl", *sys.argv[1:]])
    chosen = load_recipe(recipe, overrides or [])
    # A recipe with stages is several runs and a comparison; any other is one run. Both are imported on first use.
    run = biomtl.train if chosen.stages else training.train
    with placing_stages(recipe, overrides or []):
        done = run(chosen, resume=resume, overwrite=overwrite, command=command)
    if done.metrics:  # of several processes, only the first has them
        say(f"run folder: {done.folder}")
