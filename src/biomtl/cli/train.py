"""``biomtl train``."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from biomtl.model import MultiTaskModel
from biomtl.suite import load_suite
from biomtl.training.recipe_io import load_recipe
from biomtl.training.run import named, seeded
from biomtl.training.run import train as run


def train(
    recipe: Annotated[Path, typer.Argument(help="Recipe file (YAML); see docs/recipe.md.", show_default=False)],
    overrides: Annotated[
        list[str] | None,
        typer.Argument(metavar="[KEY=VALUE]...", help="Recipe keys to set, such as `learning_rate=1e-4`."),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Continue the run folder's newest checkpoint.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an existing run folder.")] = False,
) -> None:
    """Train one encoder on all tasks of a recipe; select on dev, score test once.

    Example: `biomtl train recipes/sample.yaml output=runs/first num_train_epochs=5`

    On several GPUs: `accelerate launch -m biomtl.cli.main train RECIPE`
    """

    plan = load_recipe(recipe, overrides or [])
    suite = load_suite(plan.suite, list(plan.tasks) or None, plan.own_tasks)
    plan = named(plan, suite)
    suite = suite.with_options(plan.tasks)
    seeded(plan)
    model = MultiTaskModel.from_encoder(
        plan.encoder, suite.tasks.values(), max_length=plan.max_length, stride=plan.stride
    )
    command = shlex.join(["biomtl", *sys.argv[1:]])
    run(model, suite, plan, resume=resume, overwrite=overwrite, command=command)
    typer.echo(f"run folder: {plan.output}")
