"""``biomtl report``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from biomtl.cli.say import say
from biomtl.errors import InputError
from biomtl.report.figures import write_figures
from biomtl.report.page import gather, write_report
from biomtl.report.scores import Baseline, Tested
from biomtl.results import FILE, Results, SplitScore, run_folder
from biomtl.study.arms import ScoredRun, gold_of
from biomtl.study.compare import compare_runs
from biomtl.suite import Suite, load_suite
from biomtl.tasks.task import Split
from biomtl.training.recipe_io import changes, load_recipe

RESAMPLES = 2_000  # of the paired tests: p-values to about 0.01, in seconds


def report(
    run: Annotated[
        Path, typer.Argument(help="Run folder, or a folder that `evaluate` wrote.", show_default=False, metavar="RUN")
    ],
    against: Annotated[
        Path | None, typer.Option("--against", help="A run to compare with.", show_default=False)
    ] = None,
    data: Annotated[
        str | None,
        typer.Option("--data", help="Suite with the gold records; default that of the run.", show_default=False),
    ] = None,
    without_texts: Annotated[
        bool, typer.Option("--without-texts", help="Leave out the texts of the data, such as licensed ones.")
    ] = False,
    figures: Annotated[
        bool, typer.Option("--figures", help="Also write every figure as SVG and PNG, into RUN/figures.")
    ] = False,
) -> None:
    """Write a run's `report.html` again: scores, curves, confusion, errors and provenance on one page.

    Example: `biomtl report runs/joint --against runs/alone`
    """
    run, against = run_folder(run), against and run_folder(against)
    results = Results.read(run / FILE)
    recipe = load_recipe(run / "recipe.yaml") if (run / "recipe.yaml").is_file() else None
    suite = gold_records(run, results, data)
    baseline = None if against is None else compared(run, against, results, data)
    shown = changes(recipe) if recipe is not None else []
    texts = not without_texts and (recipe is None or recipe.report_texts)
    say(f"written: {write_report(run, suite, changed=shown, baseline=baseline, texts=texts)}")
    if figures:
        for path in write_figures(gather(run, suite), run / "figures"):
            say(f"written: {path}")


def gold_records(run: Path, results: Results, data: str | None) -> Suite | None:
    """The gold records of a run's tasks: those of ``data``, or where the run had them; None if they are gone.

    Raises:
        InputError: ``data`` was given and can't be read.
    """
    known = list(results.tasks)
    if data is not None:
        return load_suite(data, known)
    try:
        return Suite([gold_of(name, [ScoredRun(run, results)]) for name in known])
    except InputError as error:
        say(f"no errors are shown: {error}")
    return None


def compared(run: Path, against: Path, results: Results, data: str | None) -> Baseline:
    """The baseline, with a paired test of every task that both have and whose gold records are at hand.

    Raises:
        InputError: nothing was scored in both, or all of it on other data.
    """
    other = Results.read(against / FILE)
    shared, notes = alike(results, other)
    if not any(shared.values()):
        problem = " ".join(notes) or "no task and split that both have"
        raise InputError(problem, path=against, expected=f"some of {', '.join(results.tasks)}")
    tests: dict[tuple[Split, str], Tested] = {}
    for split in dict.fromkeys(split for splits in shared.values() for split in splits):
        try:
            found = compare_runs([f"baseline={against}", f"run={run}"], split, data=data, resamples=RESAMPLES)
        except InputError as error:
            notes.append(f"Not tested on {split}: {error}.")
            continue
        for task in found.tasks:
            test = found.cells[task]["run"].test
            if test is not None:
                tests[split, task] = Tested(test.difference, test.low, test.high, test.p)
    if tests:
        how = f"paired over documents, {RESAMPLES:,} resamples, not corrected for the number of tasks"
        notes.insert(0, f"Differences with their 95 % intervals and two-sided p-values: {how}.")
    kept = other.model_copy(update={"tasks": shared})
    return Baseline(against.resolve().name, kept, tests, " ".join(notes))


def alike(results: Results, other: Results) -> tuple[dict[str, dict[Split, SplitScore]], list[str]]:
    """The other run's scores of the same tasks and splits on the same data, and a note on those on other data."""
    shared: dict[str, dict[Split, SplitScore]] = {}
    notes: list[str] = []
    for task in [task for task in results.tasks if task in other.tasks]:
        shared[task] = {}
        for split in [split for split in results.tasks[task] if split in other.tasks[task]]:
            sums = [run.provenance.get("data", {}).get(task, {}).get(split) for run in (results, other)]
            if None in sums or sums[0] == sums[1]:
                shared[task][split] = other.tasks[task][split]
            else:
                notes.append(f"{task}, {split}: the two runs were scored on other data, so they are not compared.")
    return shared, notes
