"""``biomtl finetune``."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from biomtl.cli.say import say
from biomtl.cli.verify import NoVerify
from biomtl.model import MANIFEST, model_folder, read_manifest
from biomtl.training.recipe_io import recipe_from_options
from biomtl.training.run import train


def finetune(
    model: Annotated[
        Path, typer.Argument(help="Multi-task model, run folder or encoder to start from.", show_default=False)
    ],
    task: Annotated[str, typer.Option("--task", help="The task to fine-tune, by name or alias.", show_default=False)],
    data: Annotated[
        str,
        typer.Option("--data", help="Prepared suite, `sample`, or a recipe with your own tasks.", show_default=False),
    ],
    out: Annotated[Path, typer.Option("--out", help="Run folder to write.", show_default=False)],
    overrides: Annotated[
        list[str] | None,
        typer.Argument(metavar="KEY=VALUE", help="Recipe keys to set, such as `num_train_epochs=10`."),
    ] = None,
    recipe: Annotated[Path | None, typer.Option("--recipe", help="Take the other settings from this recipe.")] = None,
    fresh_head: Annotated[
        bool, typer.Option("--fresh-head", help="Use a new head for the task instead of the trained one.")
    ] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Continue the run folder's newest checkpoint.")] = False,
    no_verify: NoVerify = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an existing run folder.")] = False,
) -> None:
    """Fine-tune a multi-task model on one of its tasks (or on a new one, with a new head).

    Example: `biomtl finetune runs/joint --task ddi2013 --data prepared --out runs/ddi learning_rate=5e-5`
    """
    plain = _is_encoder(model)
    if plain:
        say(f"{model} is an encoder without heads: {task} gets a new one")
    trained = {} if plain else {"max_length": read_manifest(model_folder(model))["max_length"]}
    heads = "fresh" if fresh_head or plain else "trained"
    fixed = {"encoder": str(model), "heads": heads, "suite": data, "tasks": [task], "output": str(out)}
    # One task by itself is one run, whatever stages the recipe has for all of them.
    plan = recipe_from_options(recipe, overrides or [], defaults=trained, **fixed, stages=[])
    run = train(plan, resume=resume, overwrite=overwrite, command=shlex.join(["biomtl", *sys.argv[1:]]))
    if run.metrics:  # of several processes, only the first has them
        say(f"run folder: {run.folder}")


def _is_encoder(folder: Path) -> bool:
    """Whether it is a folder in ``save_pretrained`` form, without biomtl's heads."""
    return (folder / "config.json").is_file() and not (model_folder(folder) / MANIFEST).is_file()
