"""Search for the best values of a recipe's keys, by their dev score."""

from __future__ import annotations

import importlib
import threading
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console

from biomtl.errors import InputError
from biomtl.results import FILE, Results
from biomtl.scoring.metrics import METRICS
from biomtl.storage.files import write_json
from biomtl.study.jobs import Job, job, refuse_stages, run_in_process, write_study
from biomtl.study.plots import bar_plot
from biomtl.training.recipe import Recipe
from biomtl.training.run import train
from biomtl.training.selection import selecting_score
from biomtl.training.space import TuneRange

JOURNAL = "trials.log"


def tune(recipe: Recipe, out: Path, trials: int, console: Console, *, workers: int = 1) -> dict[str, Any]:
    """Try values from the recipe's space ``tune``, and say which gave the best dev score.

    The sampler is Optuna's TPE (Bergstra et al. 2011); a trial below the median of the others at the same number
    of evaluations is given up. A search that was stopped goes on with its trials so far. With several workers, what is
    tried next also depends on which trial ends first.

    Args:
        recipe: a recipe with ``tune``; the trials train it with other values.
        out: the study's folder.
        trials: how many trials there are to be in all.
        console: for its progress.
        workers: trials side by side, each in a process of its own.

    Raises:
        InputError: no space, no dev, or Optuna isn't installed.
    """
    refuse_stages(recipe, "tune")
    if not recipe.tune:
        raise InputError("the recipe has no space to search", expected="tune: {KEY: {low, high} or [VALUE, …]}")
    if recipe.eval_strategy == "no":
        raise InputError("tune needs dev, but eval_strategy is no", fix="set eval_strategy: epoch or eval_steps")
    optuna = _optuna()
    out.mkdir(parents=True, exist_ok=True)
    storage = optuna.storages.JournalStorage(optuna.storages.journal.JournalFileBackend(str(out / JOURNAL)))
    pruner = optuna.pruners.MedianPruner(n_startup_trials=5)
    names = {"study_name": "tune", "load_if_exists": True, "direction": "maximize"}
    study = optuna.create_study(storage=storage, pruner=pruner, **names)
    finished = [trial for trial in study.trials if trial.state.is_finished()]
    study.sampler = optuna.samplers.TPESampler(seed=recipe.seed + len(finished))  # no trial of an earlier call again
    jobs: dict[int, Job] = {}
    busy: defaultdict[Path, threading.Lock] = defaultdict(threading.Lock)

    def objective(trial: Any) -> float:
        changes = {key: _suggest(trial, key, space) for key, space in recipe.tune.items()}
        made = job(f"trial {trial.number}", recipe, out, nested(recipe, changes), split="dev")
        jobs[trial.number] = made
        trial.set_user_attr("run", made.folder.name)
        best: list[float] = []

        def watch(step: int, score: float) -> None:
            best.append(max([score, *best[-1:]]))
            trial.report(best[-1], len(best))
            if trial.should_prune():
                raise optuna.TrialPruned

        with busy[made.folder]:  # two trials with the same values are one run
            if not made.finished and workers > 1:
                run_in_process(
                    made, trial.number, workers, lambda line: watch(line["step"], logged_score(recipe, line))
                )
            elif not made.finished:
                begun = made.begun
                train(made.recipe, overwrite=not begun, resume=begun, console=Console(quiet=True), watch=watch)
        value = dev_score(made)
        console.print(f"tune: trial {trial.number}: {value:.4f} with {changes}", markup=False, highlight=False)
        return value

    study.optimize(objective, n_trials=max(0, trials - len(finished)), n_jobs=workers)
    return _report(optuna, study, out, list(jobs.values()), console)


def dev_score(made: Job) -> float:
    """The dev score that selected a finished run's model, higher is better."""
    results = Results.read(made.folder / FILE)
    scores = {name: splits["dev"] for name, splits in results.tasks.items() if "dev" in splits}
    values = {name: {"metric": score.main, "value": score.value} for name, score in scores.items()}
    return logged_score(made.recipe, {"scores": values, "mean": results.mean["dev"]})


def logged_score(recipe: Recipe, line: Mapping[str, Any]) -> float:
    """The score that selects a model, higher is better, from a line of a run's log about dev."""
    signs = {name: 1 if METRICS[score["metric"]].higher_is_better else -1 for name, score in line["scores"].items()}
    gains = {name: sign * float(line["scores"][name]["value"]) for name, sign in signs.items()}
    return selecting_score(recipe.metric_for_best_model, gains, float(line["mean"]))


def _report(optuna: Any, study: Any, out: Path, jobs: list[Job], console: Console) -> dict[str, Any]:
    complete = [trial for trial in study.trials if trial.state == optuna.trial.TrialState.COMPLETE]
    found: dict[str, Any] = {
        "best": {"value": study.best_value, "keys": study.best_params, "run": study.best_trial.user_attrs["run"]},
        "trials": [
            {"number": t.number, "state": t.state.name, "value": t.value, "keys": t.params} for t in study.trials
        ],
    }
    texts = {}
    if len(complete) > 1 and len({trial.value for trial in complete}) > 1:
        evaluator = optuna.importance.PedAnovaImportanceEvaluator()
        found["importance"] = optuna.importance.get_param_importances(study, evaluator=evaluator)
        texts["importance.svg"] = bar_plot(found["importance"], "Importance of the keys for the dev score")
    write_study(out, jobs, found, texts)
    write_json(out / "best.json", found["best"])
    console.print(f"tune: best {study.best_value:.4f} with {study.best_params}", markup=False, highlight=False)
    return found


def nested(recipe: Recipe, changes: Mapping[str, Any]) -> dict[str, Any]:
    """Changes with dotted keys as mappings, beside what the recipe gives there."""
    values: dict[str, Any] = {}
    for key, value in changes.items():
        first, *rest = key.split(".")
        if not rest:
            values[first] = value
            continue
        given = getattr(recipe, first)
        start = given.model_dump(exclude_unset=True, exclude_none=True) if hasattr(given, "model_dump") else {}
        values.setdefault(first, start)[rest[0]] = value
    return values


def _suggest(trial: Any, key: str, space: TuneRange | tuple[Any, ...]) -> Any:
    if isinstance(space, tuple):
        return trial.suggest_categorical(key, list(space))
    if space.whole:
        return trial.suggest_int(key, int(space.low), int(space.high), log=space.log)
    return trial.suggest_float(key, space.low, space.high, log=space.log)


def _optuna() -> Any:
    try:
        optuna = importlib.import_module("optuna")
    except ImportError as error:
        raise InputError("tune needs optuna", fix='pip install "biomtl[tune]"') from error
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna
