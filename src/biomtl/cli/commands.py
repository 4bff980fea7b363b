"""The commands by name, each in its own module, which is imported when the command is run or its help is shown.

So ``biomtl --help`` and the commands that compute nothing start without torch, while the commands' modules have
ordinary imports at the top.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from importlib import import_module
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

# The first line of each command's docstring, copied because reading it would import the command.
COMMANDS: Mapping[str, str] = {
    "quickstart": (
        "Train ten small tasks together on this machine, score them, and annotate a sentence: a few minutes on a CPU."
    ),
    "tasks": "List the tasks: type, counts, metric, licence, and where or from whom to get the data.",
    "download": (
        "Download the freely distributable corpora; for licensed ones, say whom to ask and where to put the files."
    ),
    "prepare": (
        "Turn original corpora, or files in BLUE's or BLURB's format, into a prepared suite, and check its counts."
    ),
    "check": ("Show how biomtl reads your own data: rows, labels, lengths, the first record, and every bad row."),
    "audit": ("Find documents and texts that occur in both training and evaluation data; count sizes and lengths."),
    "train": "Train one encoder on all tasks of a recipe; select on dev, score test once.",
    "recipes": "List the recipes that come with biomtl, or print one to start your own from.",
    "finetune": "Fine-tune a multi-task model on one of its tasks (or on a new one, with a new head).",
    "evaluate": "Predict a split and score it by the benchmark's rules, with 95 % intervals.",
    "score": "Score predictions by the rules of the benchmarks, with rows per label and 95 % intervals.",
    "report": "Write a run's `report.html` again: scores, curves, confusion, errors and provenance on one page.",
    "compare": "Compare runs task by task with the first: differences, paired tests, wins and ranks.",
    "leaderboard": "Show runs beside published scores: test split, with the sources and where the protocols differ.",
    "study": ("Train many runs of one recipe: several seeds, ablations, pairs of tasks, or hyperparameter tuning."),
    "reproduce": "Run a paper's experiments and compare the figures with the published ones.",
    "merge": "Merge models that were trained from one encoder into one model with the heads of all.",
    "predict": "Label raw text with every task of a model, in one encoder pass; one JSON line per text.",
    "annotate": ("Annotate documents with every task of a model; offsets are those of the document."),
    "embed": ("Write word vectors from every layer: one dataset per sentence, numbered from 0, layers x words x dim."),
    "convert": "Convert a TensorFlow BERT, an MT-DNN `.pt`, an ELMo or a fine-tuned Hugging Face model.",
    "export": "Write a task's head as a stock `transformers` model, or heads as one ONNX graph.",
    "push": "Upload a model with its card to the Hugging Face hub, into a private repository unless you say otherwise.",
    "elmo": "Fine-tune on a frozen ELMo with the flags of elmoft.py, all explained in docs/elmoft.md.",
}


@cache
def load(name: str) -> Any:
    """A command with its options, made from the function of the same name in its module."""
    module = import_module(f"biomtl.cli.{name}")
    app = getattr(module, "app", None)  # a command with commands of its own
    if app is None:
        app = typer.Typer(add_completion=False, rich_markup_mode="markdown")
        app.command(name)(getattr(module, name))
    return tidied(typer.main.get_command(app))


def tidied(command: Any) -> Any:
    """A command whose help calls a switch no ``<bool>`` and a repeated option no ``<list[str]>``."""
    make_help = command.get_help_option

    def plain_help(context: Any) -> Any:
        option = make_help(context)
        if option is not None:
            option.metavar = ""
        return option

    command.get_help_option = plain_help
    _name_values(command.params)
    if not isinstance(command, LazyGroup):
        for inner in getattr(command, "commands", {}).values():
            tidied(inner)
    return command


def _name_values(parameters: Iterable[Any]) -> None:
    for parameter in parameters:
        if getattr(parameter, "is_flag", False):
            parameter.metavar = ""
        elif getattr(parameter, "multiple", False) and parameter.metavar is None:
            parameter.metavar = parameter.name.upper()


class _Loaded(Mapping[str, Any]):
    """Commands by name; looking one up imports it, listing the names doesn't."""

    def __getitem__(self, name: str) -> Any:
        if name not in COMMANDS:
            raise KeyError(name)
        return load(name)

    def __iter__(self) -> Iterator[str]:
        return iter(COMMANDS)

    def __len__(self) -> int:
        return len(COMMANDS)


class LazyGroup(TyperGroup):
    """A group that knows its commands' names and a line about each; everything else is imported on demand."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.commands: Any = _Loaded()
        tidied(self)

    def list_commands(self, ctx: Any) -> list[str]:
        """The names, in the order of typical use."""
        return list(self.commands)

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """The group's help, from the lines above."""
        _name_values(self.params)  # Typer adds those for completion late
        self._with_lines_only(super().format_help, ctx, formatter)

    def shell_complete(self, ctx: Any, incomplete: str) -> Any:
        """Completions of a partial name, with the lines above."""
        return self._with_lines_only(super().shell_complete, ctx, incomplete)

    def _with_lines_only(self, show: Any, *arguments: Any) -> Any:
        loaded = self.commands
        self.commands = {
            name: TyperCommand(name, help=line, rich_markup_mode="markdown") for name, line in COMMANDS.items()
        }
        try:
            return show(*arguments)
        finally:
            self.commands = loaded
