"""``biomtl push``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from biomtl.checkpoints.push import push as upload
from biomtl.cli.say import say


def push(
    model: Annotated[Path, typer.Argument(metavar="RUN", help="Model or run folder.", show_default=False)],
    repo: Annotated[str, typer.Argument(metavar="REPO", help="Repository on the hub, OWNER/NAME.", show_default=False)],
    public: Annotated[
        bool, typer.Option("--public", help="Make a new repository public; a model can reproduce its training data.")
    ] = False,
    message: Annotated[str | None, typer.Option("--message", help="Message of the commit.")] = None,
) -> None:
    """Upload a model with its card to the Hugging Face hub, into a private repository unless you say otherwise.

    Example: `biomtl push runs/joint my-name/my-model`
    """
    say(upload(model, repo, public=public, message=message))
