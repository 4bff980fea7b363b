"""Training the runs of a study: one after another, or side by side in processes of their own."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from rich.console import Console

from biomtl.errors import DIVERGED, BiomtlError, DivergenceError, InputError
from biomtl.signals import SAID, Ended
from biomtl.storage.files import atomic_file
from biomtl.study.jobs import Job
from biomtl.study.stages import train
from biomtl.training.folder import place_of
from biomtl.training.recipe_io import dump_recipe

POLL_SECONDS = 1.0
Watch = Callable[[Mapping[str, Any]], None]


def run_jobs(jobs: Sequence[Job], console: Console, *, workers: int = 1) -> None:
    """Train what isn't finished, continue what was interrupted; with several workers, side by side.

    A run that fails doesn't keep the others from being trained.

    Raises:
        InputError: a run failed, once all others are finished; the message names the first.
    """
    todo = [one for one in {job.folder: job for job in jobs}.values() if not one.finished]
    done = len({job.folder: job for job in jobs}) - len(todo)
    console.print(f"study: {done} runs finished, {len(todo)} to go", markup=False)
    failed: list[str] = []

    def attempt(one: Job, run: Callable[[Job], object]) -> None:
        name = f"{one.arm}, seed {one.recipe.seed}"
        try:
            run(one)
        except BiomtlError as error:
            failed.append(f"{name} ({error})")
            console.print(f"study: {name}: failed: {error}", markup=False, highlight=False)
        else:
            console.print(f"study: {name}: finished", markup=False)

    with repeatable():
        if workers == 1:
            for one in todo:
                if not one.finished:  # meanwhile, by another study in the same folder
                    console.print(f"study: {one.arm}, seed {one.recipe.seed}: {one.folder}", markup=False)
                    attempt(one, _train_here)
        else:
            with ThreadPoolExecutor(workers) as pool, Workers(workers) as processes:
                list(pool.map(lambda one: attempt(one, processes.train), todo))
    if failed:
        fix = "change or leave out what fails, and run the command again: finished runs are kept"
        raise InputError(f"{len(failed)} of {len(todo)} runs failed, first {failed[0]}", fix=fix)


def _train_here(one: Job) -> None:
    train(one.recipe, resume=one.begun, overwrite=not one.begun, console=Console(quiet=True))


@contextlib.contextmanager
def repeatable() -> Iterator[None]:
    """Within this block, the message for a signal says how to go on with a study."""
    try:
        yield
    except Ended as end:
        raise Ended(end.number, f"{SAID[end.number]}, run the same command again to continue") from end


class Workers:
    """Processes that train runs, called from as many threads; a signal to the program ends them too.

    Args:
        count: how many share the CPU's cores and the GPUs. A run takes the GPU that has been free for longest.
    """

    def __init__(self, count: int) -> None:
        self.count = count
        self._devices: SimpleQueue[str | None] = SimpleQueue()
        known: list[str | None] = [*_devices()] or [None]
        for number in range(count):
            self._devices.put(known[number % len(known)])
        self._running: set[subprocess.Popen[bytes]] = set()
        self._ended: Ended | None = None

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if isinstance(error, Ended):
            self._ended = error
            for process in list(self._running):
                process.terminate()

    def train(self, one: Job, watch: Watch | None = None) -> None:
        """Train a run, if it isn't finished.

        Args:
            one: the run.
            watch: called with each line of the run's log about dev; what it raises stops the run.

        Raises:
            InputError: the run failed; the message is its last line.
            Ended: a signal ended the program.
        """
        device = self._devices.get()
        try:
            if not one.finished:
                self._train(one, device, watch)
        finally:
            self._devices.put(device)

    def _train(self, one: Job, device: str | None, watch: Watch | None) -> None:
        path = one.folder.parent / f"{one.folder.name}.yaml"
        with atomic_file(path) as stream:
            stream.write(dump_recipe(one.recipe))
        words = ["-m", "biomtl.cli.main", "train", str(path), "--resume" if one.begun else "--overwrite"]
        environment = {**os.environ, "OMP_NUM_THREADS": str(max(1, (os.cpu_count() or 1) // self.count))}
        if device is not None:
            environment["CUDA_VISIBLE_DEVICES"] = device
        with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as said:
            streams: dict[str, Any] = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": said}
            with subprocess.Popen([sys.executable, *words], env=environment, **streams) as process:
                self._running.add(process)
                try:
                    self._refuse_ended()
                    if watch is not None:
                        for line in _dev_lines(one.folder, process):
                            watch(line)
                    process.wait()
                except BaseException:
                    process.terminate()
                    raise
                finally:
                    self._running.discard(process)
            self._refuse_ended()
            said.seek(0)
            lines = said.read().strip().splitlines() or ["no message"]
        if process.returncode:
            kind = DivergenceError if DIVERGED in lines[-1] else InputError
            raise kind(f"run {one.arm} failed ({lines[-1]})", path=one.folder, fix=f"biomtl train {path}")

    def _refuse_ended(self) -> None:
        if self._ended is not None:
            raise self._ended


def dev_lines(folder: Path) -> list[Mapping[str, Any]]:
    """What a run has logged about dev so far."""
    path = place_of(folder) / "log.jsonl"
    text = path.read_text(encoding="utf-8") if path.is_file() else ""
    lines = [json.loads(line) for line in text.split("\n")[:-1] if '"split"' in line]
    return [line for line in lines if line["split"] == "dev"]


def _dev_lines(folder: Path, process: subprocess.Popen[bytes]) -> Iterator[Mapping[str, Any]]:
    """The same as a process trains the run; a resumed run begins with what is known of it."""
    last, ended = 0, False
    while not ended:
        ended = process.poll() is not None
        for line in dev_lines(folder):
            if line["step"] > last:
                last = line["step"]
                yield line
        if not ended:
            time.sleep(POLL_SECONDS)


def _devices() -> list[str]:
    """The GPUs that the study may use."""
    import torch

    said = os.environ.get("CUDA_VISIBLE_DEVICES")
    if said is not None:
        return [name for name in said.split(",") if name]
    return [str(i) for i in range(torch.cuda.device_count())]
