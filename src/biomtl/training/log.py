"""The log of a run: one line per step in ``log.jsonl``, trackers, and a progress bar or occasional lines."""

from __future__ import annotations

import contextlib
import json
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from biomtl.errors import InputError
from biomtl.report.bar import TrainingBar
from biomtl.storage.files import atomic_file, disk_errors, dump_json, read_jsonl
from biomtl.training.loop import Step

if TYPE_CHECKING:
    from accelerate import Accelerator

SMOOTHING = 0.9  # of the losses shown in the bar; the log keeps every value
LINE_SECONDS = 30.0  # between two lines if there is no terminal


class RunLog:
    """Writes ``log.jsonl``, feeds the trackers, and advances the progress bar.

    If standard error is not a terminal, occasional lines replace the bar.

    Args:
        path: the log file; its lines after step ``keep`` (of an interrupted run) are dropped.
        accelerator: owner of the trackers.
        total: optimiser steps of the run.
        keep: the step that a resumed run continues from.
    """

    def __init__(self, path: Path, accelerator: Accelerator, total: int, keep: int = 0) -> None:
        self.accelerator = accelerator
        self.main = accelerator.is_main_process
        self._smooth: dict[str, float] = {}
        self.total, self._first = total, keep
        self._started = self._said = time.monotonic()
        if self.main:
            old = kept_lines(path, keep) if keep and path.is_file() else []
            with atomic_file(path) as stream:
                stream.writelines(dump_json(line) + "\n" for line in old)
            self._path, self._stream = path, path.open("a", encoding="utf-8", buffering=1)
        console = Console(stderr=True)
        self.bar = TrainingBar(console, total, keep, disable=not (self.main and console.is_terminal))
        self._lines = self.main and not console.is_terminal
        self.bar.start()

    def step(self, step: Step) -> None:
        """Log one optimiser step."""
        for name, loss in step.losses.items():
            self._smooth[name] = SMOOTHING * self._smooth.get(name, loss) + (1 - SMOOTHING) * loss
        self.bar.step(step.step, self._smooth, step.lr)
        if self._lines and time.monotonic() - self._said >= LINE_SECONDS:
            self._say(step)
        self._write(asdict(step))
        values = {f"loss/{name}": loss for name, loss in step.losses.items()}
        self.accelerator.log({"loss": step.loss, "lr": step.lr, **values}, step=step.step)

    def evaluation(
        self, step: int, seconds: float, split: str, scores: Mapping[str, Mapping[str, Any]], mean: float
    ) -> None:
        """Log one evaluation: each task's main metric by id, and their mean, in which errors count as negative."""
        self._write({"step": step, "seconds": round(seconds, 3), "split": split, "scores": dict(scores), "mean": mean})
        values = {f"{split}/{name}": score["value"] for name, score in scores.items()}
        self.accelerator.log({f"{split}/mean": mean, **values}, step=step)

    def note(self, line: str) -> None:
        """A line for the user, above the bar if there is one."""
        if self.main:
            self.bar.console.print(f"biomtl: note: {line}", markup=False, highlight=False, soft_wrap=True)

    def _say(self, step: Step) -> None:
        """The run's progress in one line."""
        self._said = time.monotonic()
        each = (self._said - self._started) / (step.step - self._first)
        left = timedelta(seconds=round(each * (self.total - step.step)))
        line = f"step {step.step:,} of {self.total:,}, loss {step.loss:.4f}, rate {step.lr:.3g}, {left} left"
        print(line, file=sys.stderr, flush=True)

    def _write(self, line: dict[str, Any]) -> None:
        if self.main:
            with disk_errors(self._path):
                self._stream.write(json.dumps(line, ensure_ascii=False) + "\n")

    def close(self) -> None:
        """Stop the bar and close the file."""
        self.bar.stop()
        if self.main:
            with disk_errors(self._path):
                self._stream.close()


def kept_lines(path: Path, step: int) -> list[dict[str, Any]]:
    """The lines up to ``step`` or to an incomplete one, left by a killed process or a full disk."""
    lines: list[dict[str, Any]] = []
    with contextlib.suppress(InputError):
        for _, line in read_jsonl(path):
            number = line.get("step")
            if not isinstance(number, int | float):
                break
            if number <= step:
                lines.append(line)
    return lines
