"""The runs of a study: each in a folder named after what decides it, so that none is trained twice."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from biomtl.errors import InputError
from biomtl.storage.checksums import sha256, take
from biomtl.storage.files import atomic_file, write_json
from biomtl.study.arms import Arm, ScoredRun, scored_runs
from biomtl.study.stage_plan import FINAL, given_keys, plan_stages
from biomtl.study.stages import stages_finished, train
from biomtl.suite import load_suite
from biomtl.tasks.task import Split
from biomtl.training.checkpoint import latest_checkpoint
from biomtl.training.folder import CHECKPOINTS, RECIPE, is_finished
from biomtl.training.recipe import Recipe
from biomtl.training.recipe_io import dump_recipe, make_recipe
from biomtl.training.splits import scored_splits

RUNS, INDEX = "runs", "study.json"
POLL_SECONDS = 1.0
ELSEWHERE = ("output", "num_threads", "report_to", "save_strategy", "save_steps", "save_minutes", "save_total_limit")
"""Keys that don't decide what a run learns."""


@dataclass(frozen=True)
class Job:
    """A run of a study: which arm it belongs to, and its recipe, whose output follows from the rest."""

    arm: str
    recipe: Recipe

    @property
    def folder(self) -> Path:
        """Where it is."""
        return Path(self.recipe.output)

    @property
    def finished(self) -> bool:
        """Whether there is nothing left to train."""
        return stages_finished(self.recipe) if self.recipe.stages else is_finished(self.folder)

    @property
    def begun(self) -> bool:
        """Whether an earlier call left something to go on with."""
        if self.recipe.stages:
            return (self.folder / RECIPE).is_file()
        return latest_checkpoint(self.folder / CHECKPOINTS) is not None

    @property
    def stages(self) -> list[str]:
        """The stages that score tasks; an empty name for a recipe without stages."""
        return [stage.name for stage in self.recipe.stages if stage.name in FINAL] or [""]


def job(arm: str, recipe: Recipe, out: Path, changes: Mapping[str, Any], *, split: Split) -> Job:
    """A run of the recipe with some keys changed; ``None`` takes a key out.

    Test is not looked at unless it is what the study compares.

    Raises:
        InputError: the run wouldn't score that split.
    """
    values = {key: value for key, value in given_keys(recipe).items() if key not in ("output", "tune")}
    values |= {"predict_test": split == "test", **changes}
    values = {key: value for key, value in values.items() if value is not None}
    made = make_recipe({**values, "output": "run"})
    runs = [run.recipe for run in plan_stages(made) if run.stage in FINAL and run.scores] if made.stages else [made]
    if not all(split in scored_splits(run) for run in runs):
        fix = "set eval_strategy: epoch or eval_steps, or compare on test with --split test"
        raise InputError(f"a study on {split}, but eval_strategy is no, so that nothing is scored on {split}", fix=fix)
    return Job(arm, made.model_copy(update={"output": str(out / RUNS / content_name(made))}))


def content_name(recipe: Recipe) -> str:
    """A name from all that decides a run: its keys, its data, and an encoder or teachers in folders."""
    suite = load_suite(recipe.suite, list(recipe.tasks) or None, recipe.own_tasks)
    decisive = recipe.model_copy(update={key: Recipe.model_fields[key].default for key in ELSEWHERE})
    runs = [run.recipe for run in plan_stages(recipe)] if recipe.stages else [recipe]
    folders = [take(Path(name)) for name in dict.fromkeys(_read_by(runs)) if Path(name).is_dir()]
    said = f"{dump_recipe(decisive)}\n{suite.provenance()}\n{folders}"
    corpora = {run.adapt.corpus for run in runs if run.adapt is not None and run.adapt.corpus is not None}
    said += "".join(f"\n{sha256(Path(corpus))}" for corpus in sorted(corpora))
    return hashlib.sha256(said.encode()).hexdigest()[:16]


def _read_by(runs: Iterable[Recipe]) -> Iterator[str]:
    """Encoders and teachers; those that a stage trains aren't there yet."""
    for run in runs:
        yield run.encoder
        if run.distill is not None:
            yield from (name for names in run.distill.teachers.values() for name in names)


def study_folder(out: Path) -> Path:
    """A folder for a study: a new or an empty one, or that of a study to go on with.

    Raises:
        InputError: a folder that holds something else.
    """
    if out.is_dir() and any(out.iterdir()) and not any((out / name).exists() for name in (RUNS, INDEX, "trials.log")):
        raise InputError("a folder that doesn't belong to a study", path=out, fix="choose another --out")
    if out.exists() and not out.is_dir():
        raise InputError("a file", path=out, expected="a folder", fix="choose another --out")
    return out


def run_jobs(jobs: Sequence[Job], console: Console, *, workers: int = 1) -> None:
    """Train what isn't finished, continue what was interrupted; with several workers, side by side.

    A worker is a process of its own, with its share of the CPU's cores and its turn among the GPUs.

    Raises:
        InputError: a run failed; the message is its last line.
    """
    todo = [one for one in {job.folder: job for job in jobs}.values() if not one.finished]
    done = len({job.folder for job in jobs}) - len(todo)
    console.print(f"study: {done} runs finished, {len(todo)} to go", markup=False)
    if workers == 1:
        for one in todo:
            console.print(f"study: {one.arm}, seed {one.recipe.seed}: {one.folder}", markup=False)
            train(one.recipe, resume=one.begun, overwrite=not one.begun, console=Console(quiet=True))
        return
    with ThreadPoolExecutor(workers) as pool:
        for one, _ in zip(todo, pool.map(run_in_process, todo, range(len(todo)), [workers] * len(todo)), strict=True):
            console.print(f"study: {one.arm}, seed {one.recipe.seed}: finished", markup=False)


def run_in_process(
    one: Job, number: int, workers: int, watch: Callable[[Mapping[str, Any]], None] | None = None
) -> None:
    """Train a run in a process of its own.

    Args:
        one: the run.
        number: its turn among the GPUs.
        workers: how many share the CPU's cores.
        watch: called with each line of the run's log about dev; what it raises stops the run.

    Raises:
        InputError: the run failed; the message is its last line.
    """
    path = one.folder.parent / f"{one.folder.name}.yaml"
    with atomic_file(path) as stream:
        stream.write(dump_recipe(one.recipe))
    words = ["-m", "biomtl.cli.main", "train", str(path), "--resume" if one.begun else "--overwrite"]
    environment = {**os.environ, "OMP_NUM_THREADS": str(max(1, (os.cpu_count() or 1) // workers))}
    devices = _devices()
    if devices:
        environment["CUDA_VISIBLE_DEVICES"] = devices[number % len(devices)]
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as said:
        with subprocess.Popen(
            [sys.executable, *words], env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=said
        ) as process:
            try:
                if watch is not None:
                    for line in _dev_lines(one.folder / "log.jsonl", process):
                        watch(line)
                process.wait()
            except BaseException:
                process.terminate()
                raise
        said.seek(0)
        lines = said.read().strip().splitlines() or ["no message"]
    if process.returncode:
        raise InputError(f"run {one.arm} failed ({lines[-1]})", path=one.folder, fix=f"biomtl train {path}")


def _dev_lines(path: Path, process: subprocess.Popen[bytes]) -> Iterator[Mapping[str, Any]]:
    """What a run logs about dev, as it does so; a resumed run begins with what is known of it."""
    last, ended = 0, False
    while not ended:
        ended = process.poll() is not None
        text = path.read_text(encoding="utf-8") if path.is_file() else ""
        complete = text.split("\n")[:-1]
        for line in map(json.loads, (line for line in complete if '"split"' in line)):
            if line["split"] == "dev" and line["step"] > last:
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


def arms_of(jobs: Sequence[Job], split: Split, stage: str = "") -> list[Arm]:
    """The finished runs, by arm; of recipes with stages those of one stage, of arms that have it."""
    arms: dict[str, dict[str, list[ScoredRun]]] = {}
    for one in jobs:
        for run in scored_runs(one.folder / stage) if stage in one.stages else ():
            for task in run.results.on(split):
                arms.setdefault(one.arm, {}).setdefault(task, []).append(run)
    return [Arm(name, runs) for name, runs in arms.items()]


def refuse_stages(recipe: Recipe, study: str) -> None:
    """Refuse a recipe with stages where a study needs single runs.

    Raises:
        InputError: it has stages.
    """
    if recipe.stages:
        raise InputError(f"study {study} with stages, which are several runs", fix="add stages=[]")


def write_study(out: Path, jobs: Iterable[Job], found: Mapping[str, Any], texts: Mapping[str, str]) -> None:
    """Write ``study.json`` with the runs of each arm, and files such as tables and plots beside it."""
    runs: dict[str, list[str]] = {}
    for one in jobs:
        runs.setdefault(one.arm, []).append(f"{RUNS}/{one.folder.name}")
    write_json(out / INDEX, {"arms": runs, **found})
    for name, text in texts.items():
        with atomic_file(out / name) as stream:
            stream.write(text)
