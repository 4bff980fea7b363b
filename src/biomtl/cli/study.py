"""``biomtl study``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from biomtl.cli.splits import SplitName
from biomtl.report.console import table_console
from biomtl.study import studies
from biomtl.study.jobs import study_folder
from biomtl.study.tune import tune as search
from biomtl.training.recipe_io import load_recipe, placing_stages

app = typer.Typer(add_completion=False, rich_markup_mode="markdown", no_args_is_help=True)
RecipePath = Annotated[Path, typer.Argument(help="Recipe file (YAML).", show_default=False)]
Out = Annotated[
    Path, typer.Option("--out", help="Folder of the study; finished runs in it are kept.", show_default=False)
]
Overrides = Annotated[list[str] | None, typer.Argument(metavar="KEY=VALUE", help="Recipe keys to set.")]
Count = Annotated[int, typer.Option("--seeds", help="Number of seeds, counting up from the recipe's.", min=1)]
Where = Annotated[SplitName, typer.Option("--split", help="Split to compare on; test is not used otherwise.")]
Workers = Annotated[int, typer.Option("--workers", help="Runs in parallel, each in its own process.", min=1)]


@app.callback()
def study() -> None:
    """Train many runs of one recipe: several seeds, ablations, pairs of tasks, or hyperparameter tuning."""


@app.command()
def seeds(
    recipe: RecipePath,
    out: Out,
    overrides: Overrides = None,
    count: Count = 5,
    split: Where = SplitName.dev,
    workers: Workers = 1,
) -> None:
    """Compute mean, standard deviation and interval of every score over several seeds."""
    loaded, where = load_recipe(recipe, overrides or []), study_folder(out)
    with placing_stages(recipe, overrides or []):
        studies.seeds(loaded, where, count, table_console(), split=split.value, workers=workers)


@app.command()
def ablate(
    recipe: RecipePath,
    out: Out,
    overrides: Overrides = None,
    key: Annotated[
        list[str] | None,
        typer.Option("--key", help="Key to leave out, or KEY=VALUE, STAGE, STAGE.KEY; default every method."),
    ] = None,
    count: Count = 1,
    split: Where = SplitName.dev,
    workers: Workers = 1,
) -> None:
    """Compare the recipe with the same recipe without each of its methods."""
    loaded, where = load_recipe(recipe, overrides or []), study_folder(out)
    with placing_stages(recipe, overrides or []):
        studies.ablate(loaded, where, table_console(), keys=key or [], count=count, split=split.value, workers=workers)


@app.command()
def pairwise(
    recipe: RecipePath,
    out: Out,
    overrides: Overrides = None,
    count: Count = 1,
    split: Where = SplitName.dev,
    workers: Workers = 1,
) -> None:
    """Measure what each task gains from each other one: all pairs against all single tasks, with a heat map."""
    loaded, where = load_recipe(recipe, overrides or []), study_folder(out)
    with placing_stages(recipe, overrides or []):
        studies.pairwise(loaded, where, table_console(), count=count, split=split.value, workers=workers)


@app.command()
def tune(
    recipe: RecipePath,
    out: Out,
    overrides: Overrides = None,
    trials: Annotated[
        int, typer.Option("--trials", help="Trials in all, those of earlier calls included.", min=1)
    ] = 20,
    workers: Workers = 1,
) -> None:
    """Tune hyperparameters on dev; the recipe's key `tune` is the search space."""
    loaded, where = load_recipe(recipe, overrides or []), study_folder(out)
    with placing_stages(recipe, overrides or []):
        search(loaded, where, trials, table_console(), workers=workers)
