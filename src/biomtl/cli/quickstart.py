"""``biomtl quickstart``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from biomtl.formats.model import Document
from biomtl.inference.annotate import Annotator
from biomtl.inference.predictor import Predictor
from biomtl.recipes import packaged_recipes
from biomtl.report.console import table_console
from biomtl.report.tables import annotation
from biomtl.training.recipe_io import load_recipe
from biomtl.training.run import train

SENTENCE = "Severe nausea was seen after tolvaprine was given together with rifoxetine, and the tremor did not improve."


def quickstart(
    out: Annotated[Path, typer.Option("--out", help="Run folder to write.")] = Path("runs/quickstart"),
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an existing run folder.")] = False,
) -> None:
    """Train ten small tasks together on this machine, score them, and annotate a sentence: a few minutes on a CPU.

    The sentences are invented, so the scores say nothing about real text; the encoder is the packaged MiniLM.

    Example: `biomtl quickstart`
    """

    console = table_console()
    recipe = load_recipe(packaged_recipes()["sample"], [f"output={out}"])
    run = train(recipe, overwrite=overwrite, command="biomtl quickstart", console=console)
    annotator = Annotator(Predictor(run.model))
    console.print("\nA new sentence, annotated by every task that can:")
    [document] = annotator([Document("1", SENTENCE)])
    console.print(annotation(document, [name for name in run.model.tasks if name not in annotator.skipped]))
    console.print(f"\nThe run is in {out}. Next:", highlight=False)
    console.print(f'  echo "Your own sentence." | biomtl predict {out}', highlight=False)
