"""A run, top to bottom: claim its folder, build model and data, train, select on dev, score test once, report."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from rich.console import Console

from biomtl.batch import encode_examples
from biomtl.checkpoints.card import write_card
from biomtl.encoders.lora import merge_lora
from biomtl.errors import InputError
from biomtl.heads.named import set_loss
from biomtl.inference.evaluate import Evaluation, evaluate
from biomtl.model import MultiTaskModel
from biomtl.notebook import html_table
from biomtl.report.console import table_console
from biomtl.report.page import write_report
from biomtl.report.tables import plan_table, score_table
from biomtl.results import FILE, Results
from biomtl.signals import SAID, Ended
from biomtl.suite import Suite
from biomtl.training.accelerator import finish, make_accelerator, on_main_process
from biomtl.training.assemble import assemble
from biomtl.training.calibrate import calibrate
from biomtl.training.data import TrainingData
from biomtl.training.folder import RunFolder, claim
from biomtl.training.loop import Hooks, fit
from biomtl.training.observer import Observer
from biomtl.training.optimiser import configure
from biomtl.training.origin import circumstances, provenance
from biomtl.training.overlap import look_for_overlap
from biomtl.training.precision import slow_bf16
from biomtl.training.progress import DevScores, Progress
from biomtl.training.rebalance import check_rebalance
from biomtl.training.recipe import Recipe
from biomtl.training.recipe_io import changes, load_recipe, make_recipe
from biomtl.training.settings import restored
from biomtl.training.splits import check_splits, scale_notes, scored_splits
from biomtl.training.teaching import teach, teachers_of
from biomtl.training.words import learn_word_rules

if TYPE_CHECKING:
    from accelerate import Accelerator


@dataclass(frozen=True)
class Run:
    """A finished run.

    Attributes:
        folder: the run folder.
        metrics: the content of ``metrics.json``; ``None`` in all processes but the first.
        model: the model with the selected weights; in all processes but the first, with those of the last step.
    """

    folder: Path
    metrics: Results | None
    model: MultiTaskModel

    def __repr__(self) -> str:
        means = [f"{split} {mean:.3f}" for split, mean in self.metrics.mean.items()] if self.metrics else []
        return f"Run({str(self.folder)!r}, {len(self.model.tasks)} tasks{''.join(f', {mean}' for mean in means)})"

    def _repr_html_(self) -> str:
        """A table of the main scores, then of the model."""
        rows = [
            (task, split, score.metric, score.value, score.rows)
            for task, splits in (self.metrics.tasks if self.metrics else {}).items()
            for split, score in splits.items()
        ]
        headers = ("task", "split", "metric", "score", "rows")
        return html_table(headers, rows, caption=f"Run {self.folder}") + self.model._repr_html_()


def train(
    recipe: Recipe | Mapping[str, Any] | str | Path,
    *positional: Any,
    model: MultiTaskModel | None = None,
    suite: Suite | None = None,
    resume: bool = False,
    overwrite: bool = False,
    command: str | None = None,
    console: Console | None = None,
    also: Callable[[Path, Results], None] | None = None,
    watch: Callable[[int, float], None] | None = None,
) -> Run:
    """Train according to the recipe, select on dev, score test once, and write the run folder.

    Args:
        recipe: everything that determines the run: a recipe, its keys, or its YAML file.
        model: a model to train instead of one built from the recipe; afterwards it has the selected weights. The
            recorded recipe describes its encoder, lengths and heads.
        suite: data to use instead of the recipe's; also recorded.
        positional: not allowed; the error for the old call shows the new one.
        resume: continue the folder's newest checkpoint.
        overwrite: replace an existing run once this one is finished.
        command: the command line, for the provenance.
        console: the console for tables; default standard output.
        watch: called after each evaluation on dev with the step and the score that selects the model; what it raises
            ends the run.
        also: writes further files into the folder, given the scores, before the run counts as finished.

    Raises:
        InputError: the folder exists (or, resuming, doesn't) or is another process's, a split is missing, the data
            don't fit the recipe, or the model or suite contradicts a key of the recipe.
    """
    if positional:
        raise TypeError("train(model, suite, recipe) is now biomtl.train(recipe, model=model, suite=suite)")
    console = console or table_console()
    if not isinstance(recipe, Recipe):
        recipe = make_recipe(recipe) if isinstance(recipe, Mapping) else load_recipe(recipe)
    if recipe.stages:
        raise InputError("a recipe with stages is several runs", fix="use biomtl.train, or set stages to []")
    if recipe.adapt is not None:
        raise InputError("adapt without a stage adapt", fix="add it to stages, before joint, or leave adapt out")
    accelerator = make_accelerator(recipe)
    with (
        claimed(recipe, accelerator, resume=resume, overwrite=overwrite) as folder,
        contextlib.ExitStack() as afterwards,
    ):
        recipe, suite, model = assemble(recipe, model, suite)
        afterwards.enter_context(restored(model))
        if recipe.distill is not None:
            teachers_of(recipe.distill, suite.tasks)
        notes = [model.borrowed.note()] if model.borrowed else []
        notes += check_splits(suite, recipe)
        check_rebalance(suite, recipe)
        suite, overlap = look_for_overlap(suite, recipe)
        notes += scale_notes(suite, recipe)
        notes += learn_word_rules(model, suite)
        if recipe.num_threads:
            torch.set_num_threads(recipe.num_threads)
        for name, options in recipe.tasks.items():
            set_loss(model.tasks[name], model.head(name), options.loss, options.divergence)
        model.drop_calibration()  # of weights that are about to change
        configure(model, recipe)
        with accelerator.main_process_first():  # the others find its work done
            tasks = {name: model.tasks[name] for name in suite.tasks}
            teaching = teach(suite, recipe, accelerator.device, lambda line: say(console, line), tasks=tasks)
        torch.manual_seed(recipe.seed + accelerator.process_index)
        data = TrainingData(model.processor, suite, recipe, accelerator.num_processes, teaching)
        plan = data.plan()
        if accelerator.is_main_process and not resume:
            console.print(plan_table(plan, suite.tasks, recipe, accelerator.num_processes))
            inferred = [note for entry in suite.data.values() for note in entry.notes]
            slow = slow_bf16(accelerator.device) if recipe.bf16 else None
            say(console, *inferred, *notes, overlap.warning(), slow, folder.note)
        model.to(accelerator.device)
        with accelerator.main_process_first():  # the others find its work done
            keep_activations(model, suite, recipe, data, console)
        accelerator.wait_for_everyone()
        on_main_process(accelerator, lambda: folder.begin(recipe))
        planned = {"max_length": model.processor.max_length, **plan.facts()}
        model.provenance = {**provenance(suite, recipe, command), "overlap": overlap.facts(), "plan": planned}
        if model.borrowed is not None:
            model.provenance["init_from"] = model.borrowed.facts()
        if teaching is not None:
            model.provenance["teachers"] = dict(teaching.teachers)
        results = None
        if not folder.scored:
            started = time.monotonic()
            with contextlib.closing(Observer(model, suite, recipe, accelerator, folder.place)) as run:
                hooks = Hooks(run.on_start, run.on_step, watched(run.evaluate, watch), run.save_best, run.note)
                progress = fit(model, data, recipe, accelerator, hooks, folder.checkpoints, resume=resume)
            accelerator.wait_for_everyone()
            merge_lora(model.encoder)
            if accelerator.is_main_process:
                with resumable(recipe):
                    score(run, progress, started, console)
        else:
            merge_lora(model.encoder)
            take_selected(model, folder.place)
        finish(accelerator)
        if accelerator.is_main_process:
            with resumable(recipe):
                results = describe(model, suite, folder.place, recipe, also)
                folder.settle()
    model.source, model.trained_heads = str(folder.output), set(model.tasks)
    return Run(folder.output, results, model)


def watched(
    evaluate: Callable[[Progress], DevScores], watch: Callable[[int, float], None] | None
) -> Callable[[Progress], DevScores]:
    """The same evaluation, with somebody who hears of its score."""

    def both(progress: Progress) -> DevScores:
        scores = evaluate(progress)
        if watch is not None:
            watch(progress.step, scores.chosen)
        return scores

    return both


@contextlib.contextmanager
def claimed(recipe: Recipe, accelerator: Accelerator, *, resume: bool, overwrite: bool) -> Iterator[RunFolder]:
    """The run's folder, held by the first process for all; if it is refused, all processes raise the error."""
    with contextlib.ExitStack() as held:
        read = [recipe.encoder, recipe.suite, *filter(None, [recipe.init_from])]
        if recipe.distill is not None:
            read += [run for runs in recipe.distill.teachers.values() for run in runs]
        folder = claim(Path(recipe.output), resume=resume, overwrite=overwrite, inputs=read)
        run_folder = on_main_process(accelerator, lambda: held.enter_context(folder))
        try:
            yield run_folder
        except Ended as end:
            if str(end) != SAID[end.number]:  # the loop, for example, says more
                raise
            said = f"{end}, {run_folder.continuation}" if accelerator.is_main_process else ""
            raise Ended(end.number, said) from end


@contextlib.contextmanager
def resumable(recipe: Recipe) -> Iterator[None]:
    """Within this block, after the last step, the message for a signal says how to continue."""
    try:
        yield
    except Ended as end:
        how = "nothing is saved (save_strategy: no)" if recipe.save_strategy == "no" else "go on with --resume"
        raise Ended(end.number, f"{end} after the last step, {how}") from end


def say(console: Console, *lines: str | None) -> None:
    """Print all non-empty lines as they are."""
    for line in lines:
        if line:
            console.print(line, markup=False, highlight=False)


def keep_activations(model: MultiTaskModel, suite: Suite, recipe: Recipe, data: TrainingData, console: Console) -> None:
    """Let a frozen encoder compute its outputs once for the whole run, including the scored splits."""
    if recipe.activations == "none":
        return
    folder = None if recipe.activations_folder is None else Path(recipe.activations_folder)
    if not model.encoder.keep_activations(folder, recipe.activations, int(recipe.activations_gb * 1e9)):
        return
    examples = list(data.examples)
    for split in scored_splits(recipe):
        records = {name: entry.records(split) for name, entry in suite.data.items() if split in entry}
        examples += encode_examples(model.processor, suite.tasks, records, targets=False, choices=model.choices)
    rows = [row for example in examples for row in example.rows]
    model.encoder.prepare(rows, lambda line: say(console, line))


def take_selected(model: MultiTaskModel, folder: Path) -> None:
    """Give the model the weights that were chosen and saved in a run's folder, and what was calibrated."""
    chosen = MultiTaskModel.from_pretrained(folder / "model")
    model.load_state_dict(chosen.state_dict())
    for name, choice in model.choices.items():
        model.choices[name] = choice.model_copy(update={"calibration": chosen.choices[name].calibration})


def score(run: Observer, progress: Progress, started: float, console: Console) -> None:
    """Load the chosen weights, score dev and test, and write the predictions and then ``metrics.json``."""
    model, suite, recipe, folder = run.model, run.suite, run.recipe, run.folder
    take_selected(model, folder)
    if recipe.calibrate:
        calibrate(model, suite, folder, bf16=recipe.bf16)
    evaluations: list[Evaluation] = []
    for split in scored_splits(recipe):
        if any(split in entry for entry in suite.data.values()):
            known = (
                run.predictions if split == "dev" and not recipe.calibrate else None
            )  # from when the model was chosen
            evaluations.append(evaluate(model, suite, split, seed=recipe.seed, bf16=recipe.bf16, predictions=known))
            evaluations[-1].write_predictions(folder / "predictions")
    facts = {
        **model.provenance,
        "steps": progress.step,
        "best_step": progress.best_step if recipe.eval_strategy != "no" else progress.step,
        "train_seconds": round(progress.seconds, 1),
        "seconds": round(time.monotonic() - started, 1),
        **circumstances(run.accelerator.device, run.energy),
    }
    results = Results.of(evaluations, facts)
    results.write(folder / FILE)
    for split in results.mean:
        console.print(score_table(results, split))


def describe(
    model: MultiTaskModel,
    suite: Suite,
    folder: Path,
    recipe: Recipe,
    also: Callable[[Path, Results], None] | None = None,
) -> Results:
    """Write the model card and, last, the report from the scores; then the run is finished."""
    results = Results.read(folder / FILE)
    tasks, length = list(suite.tasks.values()), model.processor.max_length
    write_card(folder / "model", "biomtl", tasks, results.provenance, max_length=length, results=results)
    if also is not None:
        also(folder, results)
    write_report(folder, suite, changed=changes(recipe), texts=recipe.report_texts)
    return results
