"""Many short training runs side by side on one device: a queue of runs that wait for each other.

Each run is ``biomtl train`` in a forked process, so that the libraries are imported once. A run that is complete is
skipped, one that was stopped goes on from its last checkpoint or begins anew, and the output of each is kept beside it.
"""

from __future__ import annotations

import os
import re
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Keys = Mapping[str, Any]


@dataclass(frozen=True)
class Run:
    """A run: its folder, the keys of its recipe, and the runs that must be complete before.

    ``keys`` may be a function, called when the run starts, for keys that follow from earlier runs. ``adapts`` if its
    encoder guesses masked words instead of learning tasks.
    """

    name: str
    keys: Keys | Callable[[], Keys]
    needs: Sequence[str] = ()
    done: str = "metrics.json"
    adapts: bool = False


@dataclass
class Queue:
    """Runs in the order of their importance, of which those with the pattern ``only`` in their name are run."""

    out: Path
    runs: Sequence[Run]
    only: str = ""
    started: dict[int, tuple[Run, float]] = field(default_factory=dict)
    failed: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.known = {run.name: run.done for run in self.runs}

    def complete(self, name: str) -> bool:
        """Whether a run was done, now or by an earlier call."""
        done = self.known.get(name, "metrics.json")
        return (self.out / name / done).is_file()

    def ready(self) -> Iterator[Run]:
        """Runs that can start now."""
        busy = {run.name for run, _ in self.started.values()}
        for run in self.runs:
            if run.name in busy or run.name in self.failed or self.complete(run.name):
                continue
            if not re.search(self.only, run.name):
                continue
            if all(self.complete(name) for name in run.needs):
                yield run

    def work(self, workers: int, seconds: float) -> None:
        """Start runs while there is time, ``workers`` at once, and wait for the last; stop what is late."""
        end = time.monotonic() + seconds
        while True:
            while len(self.started) < workers and time.monotonic() < end and (run := next(self.ready(), None)):
                self.start(run)
            if not self.started:
                return
            process, status = os.waitpid(-1, os.WNOHANG)
            if process:
                self.ended(process, status)
            elif time.monotonic() > end:
                self.stop()
            else:
                time.sleep(0.1)

    def start(self, run: Run) -> None:
        """Fork a process that trains a run."""
        process = os.fork()
        if process == 0:
            os._exit(train(self.out, run))
        self.started[process] = (run, time.monotonic())

    def ended(self, process: int, status: int) -> None:
        """Say how a run ended."""
        run, began = self.started.pop(process)
        if status or not self.complete(run.name):
            self.failed.add(run.name)
        said = "failed" if run.name in self.failed else "done"
        print(f"{time.monotonic() - began:7.1f} s  {said}  {run.name}", flush=True)

    def stop(self) -> None:
        """Stop the runs for which there is no time; those with checkpoints write one more."""
        for process in self.started:
            os.kill(process, signal.SIGTERM)
        for process, (run, _) in list(self.started.items()):
            os.waitpid(process, 0)
            del self.started[process]
            print(f"           late  {run.name}", flush=True)


def train(out: Path, run: Run) -> int:
    """Train a run in this process, with its output in a file beside its folder."""
    from biomtl.__main__ import main
    from biomtl.training.adapt import adapt
    from biomtl.training.recipe_io import load_recipe

    folder = out / run.name
    folder.parent.mkdir(parents=True, exist_ok=True)
    resumed = any(folder.glob("checkpoints/step-*"))
    said = os.open(f"{folder}.log", os.O_WRONLY | os.O_CREAT | (os.O_APPEND if resumed else os.O_TRUNC))
    os.dup2(said, 1)
    os.dup2(said, 2)
    try:
        keys = run.keys() if callable(run.keys) else run.keys
        recipe = Path(f"{folder}.yaml")
        recipe.write_text(as_yaml({**keys, "output": str(folder)}), encoding="utf-8")
        if run.adapts:
            adapt(load_recipe(recipe), overwrite=True)
            return 0
        sys.argv = ["biomtl", "train", str(recipe), "--resume" if resumed else "--overwrite"]
        main()
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


def as_yaml(keys: Keys) -> str:
    """A recipe's text."""
    import yaml

    return str(yaml.safe_dump(dict(keys), sort_keys=False))


def preload() -> None:
    """Import what every run needs, before the first fork; no device is touched."""
    import transformers.models.bert.modeling_bert
    import transformers.models.bert.tokenization_bert  # noqa: F401

    import biomtl.cli.train
    import biomtl.inference.evaluate
    import biomtl.study.stages
    import biomtl.training.adapt
    import biomtl.training.run  # noqa: F401
