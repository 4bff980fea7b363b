"""The progress of a training run on a terminal: one line, and below it the loss of each task."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from rich.console import Console, RenderableType
from rich.progress import BarColumn, MofNCompleteColumn, Progress, Task, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

MOST_LINES = 6  # of tasks: a longer list would push what was said before off the screen


class TimeLeft(TimeRemainingColumn):
    """The time left, in words."""

    def render(self, task: Task) -> Text:
        """Such as ``0:12:30 left``."""
        return Text(f"{super().render(task)} left", "progress.remaining")


class TrainingBar(Progress):
    """Steps, mean loss, learning rate, speed and time left in one line of 80 columns; the tasks' losses below.

    Args:
        console: where it is drawn.
        total: optimiser steps of the run.
        done: steps that a resumed run has behind it.
        disable: draw nothing.
    """

    def __init__(self, console: Console, total: int, done: int = 0, *, disable: bool = False) -> None:
        self.losses: dict[str, float] = {}
        self._step: TaskID | None = None
        super().__init__(
            TextColumn("[bold]train"),
            BarColumn(bar_width=8),
            MofNCompleteColumn(),
            TextColumn("{task.fields[facts]}", markup=False),
            TimeLeft(),
            console=console,
            disable=disable,
        )
        self._step = self.add_task("train", total=total, completed=done, facts="")

    def step(self, step: int, losses: Mapping[str, float], rate: float) -> None:
        """Show a step.

        Args:
            step: the number of steps done.
            losses: each task's smoothed loss.
            rate: the learning rate.
        """
        self.losses = dict(losses)
        mean = sum(losses.values()) / max(len(losses), 1)
        speed = next((task.speed for task in self.tasks if task.id == self._step), None)
        per_second = f"{speed:.1f} steps/s" if speed else ""
        if self._step is not None:
            self.update(self._step, completed=step, facts=f"loss {mean:.3f}  lr {rate:.2g}  {per_second}")

    def get_renderables(self) -> Iterable[RenderableType]:
        """The line, then the tasks."""
        yield self.make_tasks_table(self.tasks)
        if self.losses:
            yield task_losses(self.losses, self.console.width)


def task_losses(losses: Mapping[str, float], width: int) -> Table:
    """The tasks' losses in as many columns as the width allows, each with its complete name."""
    longest = max(map(len, losses)) + len("  0.000  ")
    columns = max(width // longest, 1)
    shown = list(losses.items())
    if len(shown) > columns * MOST_LINES:
        shown = shown[: columns * MOST_LINES - 1]
    cells = [Text.assemble(f"{name} ", (f"{loss:.3f}", "cyan")) for name, loss in shown]
    if more := len(losses) - len(shown):
        cells.append(Text(f"… {more} more in log.jsonl"))
    grid = Table.grid(padding=(0, 2))
    for _ in range(min(columns, len(cells))):
        grid.add_column(overflow="fold")
    for start in range(0, len(cells), columns):
        row = cells[start : start + columns]
        grid.add_row(*row, *[Text()] * (columns - len(row) if start else 0))
    return grid
