"""Search for the best values of a recipe's keys, by their dev score."""

from __future__ import annotations

import hashlib
import importlib
import json
import threading
from collections import defaultdict
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from itertools import chain, islice, product
from pathlib import Path
from typing import Any

from rich.console import Console

from biomtl.errors import DivergenceError, InputError
from biomtl.results import FILE, Results
from biomtl.scoring.metrics import METRICS
from biomtl.storage.files import write_json
from biomtl.study.importance import importance
from biomtl.study.jobs import RUNS, Job, job, refuse_stages, write_study
from biomtl.study.plots import bar_plot
from biomtl.study.stage_plan import given_keys
from biomtl.study.workers import Workers, dev_lines, repeatable
from biomtl.training.folder import in_use
from biomtl.training.recipe import Recipe
from biomtl.training.recipe_io import make_recipe
from biomtl.training.run import train
from biomtl.training.selection import selecting_score
from biomtl.training.space import TuneRange

JOURNAL = "trials.log"
MOST = 1000  # combinations of values that are tried on the recipe before the first trial


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
    refuse_impossible(recipe)
    optuna = _optuna()
    name = study_name(recipe, out)
    out.mkdir(parents=True, exist_ok=True)
    storage = optuna.storages.JournalStorage(optuna.storages.journal.JournalFileBackend(str(out / JOURNAL)))
    others = sum(one.n_trials for one in optuna.get_all_study_summaries(storage) if one.study_name != name)
    if others:
        what = "with another recipe, space or data are not counted"
        console.print(f"tune: {others} earlier trials {what}", markup=False, highlight=False)
    pruner = optuna.pruners.MedianPruner(n_startup_trials=5)
    names = {"study_name": name, "load_if_exists": True, "direction": "maximize"}
    study = optuna.create_study(storage=storage, pruner=pruner, **names)
    known = _take_up(optuna, study, out)
    study.sampler = optuna.samplers.TPESampler(seed=recipe.seed + len(study.trials))  # no earlier trial again
    busy: defaultdict[Path, threading.Lock] = defaultdict(threading.Lock)

    def attempt(processes: Workers | None) -> None:
        trial = study.ask()
        try:
            study.tell(trial, objective(trial, processes))
        except optuna.TrialPruned:
            study.tell(trial, state=optuna.trial.TrialState.PRUNED)
            console.print(f"tune: trial {trial.number}: given up, {trial.params}", markup=False, highlight=False)
        except DivergenceError as error:  # worse than any other, and no reason to end the search
            study.tell(trial, state=optuna.trial.TrialState.PRUNED)
            console.print(f"tune: trial {trial.number}: {error}, {trial.params}", markup=False, highlight=False)
        except Exception:
            study.tell(trial, state=optuna.trial.TrialState.FAIL)
            raise

    def objective(trial: Any, processes: Workers | None) -> float:
        changes = {key: _suggest(trial, key, space) for key, space in recipe.tune.items()}
        made = job(f"trial {trial.number}", recipe, out, nested(recipe, changes), split="dev")
        trial.set_user_attr("run", made.folder.name)
        seen: dict[int, float] = {}

        def watch(step: int, score: float) -> None:
            if step in seen:
                return
            seen[step] = score
            trial.report(max(seen.values()), len(seen))
            if trial.should_prune():
                raise optuna.TrialPruned

        with busy[made.folder]:  # two trials with the same values are one run
            if processes is not None:
                processes.train(made, lambda line: watch(line["step"], logged_score(recipe, line)))
            elif not made.finished:
                begun = made.begun
                for line in dev_lines(made.folder) if begun else ():
                    watch(line["step"], logged_score(recipe, line))
                train(made.recipe, overwrite=not begun, resume=begun, console=Console(quiet=True), watch=watch)
        value = dev_score(made)
        console.print(f"tune: trial {trial.number}: {value:.4f} with {changes}", markup=False, highlight=False)
        return value

    left = range(max(0, trials - known))
    with repeatable():
        if workers == 1:
            for _ in left:
                attempt(None)
        else:
            with ThreadPoolExecutor(workers) as pool, Workers(workers) as processes:
                list(pool.map(lambda _: attempt(processes), left))
    return _report(recipe, optuna, study, out, console)


def study_name(recipe: Recipe, out: Path) -> str:
    """A name from all that decides a trial's score, and the space: trials of other searches don't count."""
    plain = job("tune", recipe, out, {}, split="dev").folder.name
    space = json.dumps(recipe.model_dump(mode="json", include={"tune"}))
    return hashlib.sha256(f"{plain} {space}".encode()).hexdigest()[:16]


def refuse_impossible(recipe: Recipe) -> None:
    """Refuse a space in which values contradict each other or the recipe, before the first trial.

    Raises:
        InputError: the first of such values.
    """
    given = {key: value for key, value in given_keys(recipe).items() if key != "tune"}
    choices = [own if isinstance(own, tuple) else _ends(own) for own in recipe.tune.values()]
    first = [own[0] for own in choices]
    singly = ((*first[:i], value, *first[i + 1 :]) for i, own in enumerate(choices) for value in own)
    for values in chain(singly, islice(product(*choices), MOST)):
        changes = dict(zip(recipe.tune, values, strict=True))
        try:
            make_recipe({**given, **nested(recipe, changes)})
        except InputError as error:
            problem = f"tune: a trial with {changes}: {error.found}"
            raise InputError(problem, expected=error.expected, fix=error.fix) from error


def _ends(space: TuneRange) -> tuple[float, float]:
    return (int(space.low), int(space.high)) if space.whole else (space.low, space.high)


def _take_up(optuna: Any, study: Any, out: Path) -> int:
    """Queue the trials again that a stopped call left behind; returns the number of the others.

    A trial that failed doesn't count, and one whose run another process trains is that process's.
    """
    states = optuna.trial.TrialState
    trials = study.get_trials(deepcopy=False)
    known = sum(trial.state in (states.COMPLETE, states.PRUNED) for trial in trials)
    for trial in trials:
        if trial.state != states.RUNNING:
            continue
        run = trial.user_attrs.get("run")
        if run is not None and in_use(out / RUNS / run):
            known += 1
            continue
        study.tell(trial.number, state=states.FAIL)
        if run is not None:
            study.enqueue_trial(trial.params)
    return known


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


def _report(recipe: Recipe, optuna: Any, study: Any, out: Path, console: Console) -> dict[str, Any]:
    states = optuna.trial.TrialState
    complete = [trial for trial in study.trials if trial.state == states.COMPLETE]
    if not complete:
        raise InputError("no trial is finished yet", path=out, fix="run the command again, or with more --trials")
    found: dict[str, Any] = {
        "best": {
            "value": study.best_value,
            "keys": _values(recipe, study.best_params),
            "run": study.best_trial.user_attrs["run"],
        },
        "trials": [
            {
                "number": t.number,
                "state": t.state.name,
                "value": t.value,
                "keys": _values(recipe, t.params),
                **t.user_attrs,
            }
            for t in study.trials
            if t.state not in (states.FAIL, states.WAITING)
        ],
    }
    texts = {}
    runs = {trial.user_attrs["run"]: trial for trial in complete}.values()  # trials with the same values are one run
    ranges = [key for key, space in recipe.tune.items() if isinstance(space, TuneRange)]
    if shares := importance([trial.params for trial in runs], [trial.value for trial in runs], ranges):
        found["importance"] = shares
        texts["importance.svg"] = bar_plot(shares, "Share of the dev score's variance that goes with each key")
    write_study(out, (), found, texts)
    write_json(out / "best.json", found["best"])
    best = found["best"]
    console.print(f"tune: best {best['value']:.4f} with {best['keys']}", markup=False, highlight=False)
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
        names = [_name(value) for value in space]
        return space[names.index(trial.suggest_categorical(key, names))]
    if space.whole:
        return trial.suggest_int(key, int(space.low), int(space.high), log=space.log)
    return trial.suggest_float(key, space.low, space.high, log=space.log)


def _name(value: Any) -> Any:
    """What Optuna knows a value of a list by: itself, or the JSON of a list or mapping."""
    return value if isinstance(value, str | int | float | None) else json.dumps(value)


def _values(recipe: Recipe, params: Mapping[str, Any]) -> dict[str, Any]:
    """The values of a trial's parameters."""
    found = dict(params)
    for key, space in recipe.tune.items():
        if isinstance(space, tuple) and key in found:
            found[key] = next(value for value in space if _name(value) == found[key])
    return found


def _optuna() -> Any:
    try:
        optuna = importlib.import_module("optuna")
    except ImportError as error:
        raise InputError("tune needs optuna", fix='pip install "biomtl[tune]"') from error
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    return optuna
