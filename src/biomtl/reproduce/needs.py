"""What a reproduction needs, what is missing of it, and what it costs: known before anything is trained."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from biomtl.batch import collate, encode_examples
from biomtl.encoders.elmo.weights import is_elmo
from biomtl.errors import InputError
from biomtl.model import MultiTaskModel
from biomtl.packaged import hub_name, resolve_encoder
from biomtl.reproduce.plan import PlannedRun, Reproduction
from biomtl.suite import Suite, load_suite
from biomtl.tasks.registry import known_tasks
from biomtl.tasks.task import Split
from biomtl.training.accelerator import make_accelerator
from biomtl.training.optimiser import configure
from biomtl.training.recipe import Recipe
from biomtl.training.splits import check_splits, training_splits

TIMED = 8  # rows of each task that are timed for the cost
SCORING = 1 / 3  # of the time of training on a row: a forward pass
GPU = 1e14  # operations per second, a round number of the order of what data-centre GPUs sustain in bfloat16
BYTES = 16  # on disk for each parameter of a run: its weights, and a checkpoint's weights and two moments


@dataclass(frozen=True)
class Needs:
    """What the user brings, as far as it is there.

    Attributes:
        suite: the data; None if there is no prepared suite at the recipe's place.
        without: tasks of the recipe without data.
        encoder: the problem with the encoder; None if it can be loaded, or fetched from the hub.
    """

    suite: Suite | None
    without: tuple[str, ...]
    encoder: str | None

    @property
    def missing(self) -> bool:
        """Whether training can't begin."""
        return bool(self.without or self.encoder)


def look(reproduction: Reproduction) -> Needs:
    """Look for data and weights without reading them."""
    recipe = reproduction.recipe
    try:
        there = load_suite(recipe.suite)
    except InputError:
        return Needs(None, tuple(recipe.tasks), encoder_problem(reproduction))
    without = tuple(task for task in recipe.tasks if task not in there.tasks)
    own = [task for task in recipe.tasks if task not in without]
    return Needs(there.only(own), without, encoder_problem(reproduction))


def encoder_problem(reproduction: Reproduction) -> str | None:
    """The reason why the encoder can't be loaded; None if it is there or the hub has it."""
    name = reproduction.recipe.encoder
    if reproduction.paper.elmo:
        return None if is_elmo(name) else "no folder with options.json and weights.hdf5"
    if hub_name(name) is None:
        return None if Path(name).exists() else "no such folder"
    try:
        resolve_encoder(name)
    except InputError:
        return "not in the hub's local cache, and the hub can't be reached"
    return None


def refuse_missing(reproduction: Reproduction, needs: Needs) -> None:
    """Name all that is missing, in one line.

    Raises:
        InputError: data of a task, or the encoder.
    """
    if not needs.missing:
        return
    parts, fixes, recipe = [], [], reproduction.recipe
    if needs.without:
        parts.append(f"data of {', '.join(needs.without)} in {recipe.suite} (suite=FOLDER)")
        fixes.append(f"`biomtl tasks {needs.without[0]}` says where to get it, --tasks leaves tasks out")
    if needs.encoder:
        parts.append(f"the encoder {recipe.encoder}: {needs.encoder} (encoder=FOLDER)")
        fixes.append(reproduction.paper.weights)
    raise InputError(f"missing: {'; '.join(parts)}", fix="; ".join(fixes))


def read_all(reproduction: Reproduction) -> tuple[Suite, MultiTaskModel]:
    """Read all data and load the encoder, so that no run fails for want of them after days.

    Raises:
        InputError: a broken record or a missing split, or an encoder that can't be loaded or doesn't fit.
    """
    recipe = reproduction.recipe
    suite = load_suite(recipe.suite, list(recipe.tasks)).with_options(recipe.tasks)
    check_splits(suite, recipe)
    for name, entry in suite.data.items():
        for split in ("dev", "test"):
            if split not in entry:
                raise InputError(f"no {split} split of {name}", path=recipe.suite, fix="leave the task out: --tasks")
    lengths = {"max_length": recipe.max_length, "stride": recipe.stride}
    model = MultiTaskModel.from_encoder(recipe.encoder, suite.tasks, heads=suite.heads, **lengths)
    configure(model, recipe)
    return suite, model


def rows_of(suite: Suite | None, recipe: Recipe) -> dict[str, dict[Split, int]]:
    """Each task's rows by split: of the data, or the benchmark's counts for a task without any."""
    found: dict[str, dict[Split, int]] = {}
    for task in recipe.tasks:
        if suite is not None and task in suite.tasks:
            found[task] = {split: len(suite[task].records(split)) for split in suite[task].files}
        else:
            found[task] = _published_rows(task)
        most = recipe.tasks[task].max_rows
        if most is not None and "train" in found[task]:
            found[task]["train"] = min(most, found[task]["train"])
    return found


def _published_rows(task: str) -> dict[Split, int]:
    catalogue = known_tasks()[task].catalogue
    assert catalogue is not None
    units = {"rows": 1.0, "pairs": 1.0, "sentences": 1.0, "mentions": 0.9}  # of sentences per mention in BC5CDR
    return {
        split: round(next((counts[unit] * rows for unit, rows in units.items() if unit in counts), 0))
        for split, counts in catalogue.expected.items()
    }


@dataclass(frozen=True)
class Cost:
    """What the runs that are left cost.

    Attributes:
        runs: how many are left.
        passes: rows trained on, all epochs together.
        scored: rows scored on dev and test.
        seconds: on this machine, from a measured step of each task; None without data or encoder.
        device: what was measured.
        operations: at most, each row as long as the recipe allows.
        disk: bytes of the runs' folders.
    """

    runs: int
    passes: int
    scored: int
    seconds: float | None
    device: str
    operations: float
    disk: int


def cost(
    reproduction: Reproduction,
    runs: Iterable[PlannedRun],
    rows: Mapping[str, Mapping[Split, int]],
    pace: Mapping[str, float] | None = None,
    device: str = "",
    parameters: int | None = None,
) -> Cost:
    """The cost of all runs that aren't finished.

    Args:
        reproduction: what is run.
        runs: its runs.
        rows: each task's rows by split.
        pace: rows of a task that are trained on in a second.
        device: where that was measured.
        parameters: of the encoder; default those of the paper's.
    """
    recipe, paper = reproduction.recipe, reproduction.paper
    size = paper.parameters if parameters is None else parameters
    left = [run for run in runs if not run.finished]
    passes = scored = 0
    seconds = operations = 0.0
    for run in left:
        for task in run.tasks:
            counts = rows[task]
            trained = sum(counts.get(split, 0) for split in training_splits(recipe))
            looks = run.epochs if recipe.eval_strategy != "no" else 0
            read = counts.get("dev", 0) * looks + counts.get("test", 0)
            passes, scored = passes + trained * run.epochs, scored + read
            # A frozen encoder reads a text once for all epochs and runs.
            work = trained + SCORING * (counts.get("dev", 0) + counts.get("test", 0))
            if not paper.elmo:
                work = trained * run.epochs + SCORING * read
            operations += work * (2 if paper.elmo else 6) * size * recipe.max_length
            seconds += work / pace[task] if pace else 0.0
    disk = len(left) * BYTES * size
    return Cost(len(left), passes, scored, seconds if pace else None, device, operations, disk)


def encoder_parameters(model: MultiTaskModel) -> int:
    """The encoder's parameters without its embeddings, which cost no multiplications."""
    return sum(p.numel() for name, p in model.encoder.named_parameters() if "embeddings" not in name)


def measured_pace(model: MultiTaskModel, suite: Suite, recipe: Recipe) -> tuple[dict[str, float], str]:
    """Rows of each task that are trained on in a second, from one step each, and the device."""
    device = make_accelerator(recipe).device
    model.to(device).train()
    found = {}
    for name, entry in suite.data.items():
        rows = entry.records("train")[:TIMED]
        examples = encode_examples(model.processor, suite.tasks, {name: rows}, targets=True, choices=model.choices)
        seconds = 0.0
        for _ in range(2):  # the first time warms up
            started = time.perf_counter()
            batch = collate(examples, model.processor).to(device)
            output = model(batch.inputs, batch.tasks)[name]
            assert output.loss is not None
            output.loss.backward()
            model.zero_grad(set_to_none=True)
            seconds = time.perf_counter() - started
        found[name] = len(rows) / seconds
    return found, str(device)
