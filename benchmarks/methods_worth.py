"""What training methods are worth in small joint runs: dev scores beside those of a plain run with the same seed.

Three public tasks with a part of their training rows, so that a run takes minutes on a CPU. All joint runs have the
same number of steps and are scored on dev once, after the last (those whose method needs dev scores after every pass,
of which the last counts). Beside them, the tasks are trained alone, and these models are merged. Complete runs are
skipped.

    biomtl prepare CORPORA --out prepared
    python benchmarks/methods_worth.py prepared OUT --bf16 --json benchmarks/results/methods_worth.json
"""

from __future__ import annotations

import argparse
import json
import re
import statistics
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from forked_runs import Keys, Queue, Run, preload

TASKS: dict[str, dict[str, Any]] = {
    "bc5cdr-chem": {"weight": 4, "max_rows": 600},
    "bc5cdr-disease": {"weight": 4, "max_rows": 600},
    "ddi2013": {"view": "spans", "max_rows": 2200},
}
PASSES = 3
STEPS = 80 * PASSES
SCORED = {"eval_steps": STEPS // PASSES}
TARGETS = {"bc5cdr-chem": 0.88, "bc5cdr-disease": 0.79, "ddi2013": 0.74}  # dev, alone, with all rows
ARMS: dict[str, Keys] = {
    "plain": {"calibrate": True},  # after training, so that the scores of the last step are those of a plain run
    "ema_decay: 0.98": {"ema_decay": 0.98},
    "layer_decay: 0.9": {"layer_decay": 0.9},
    "frozen_layers: 2": {"frozen_layers": 2},
    "gradual_thawing: 0.3": {"gradual_thawing": 0.3},
    "lora, rate 1e-3": {"lora": {"rank": 16}, "learning_rate": 1e-3},
    "label_smoothing: 0.1": {"objective": {"label_smoothing": 0.1}},
    "focal_gamma: 2": {"objective": {"focal_gamma": 2}},
    "class_weights: sqrt": {"objective": {"class_weights": "sqrt"}},
    "rebalance: undersample": {"ddi2013": {"rebalance": "undersample"}},
    "need_sampling: 0.5": {"need_sampling": 0.5, **SCORED},
    "task_stopping": {"task_stopping": {"patience": 1, "then": "distill"}, **SCORED},
    "r_drop: 1": {"r_drop": 1.0},
    "smart": {"smart": {}},
    "gradient_aggregation: pcgrad": {"gradient_aggregation": "pcgrad"},
}
ALONE = "three models, each task alone"
MERGERS = {
    "alone, merged: average": ["average"],
    "alone, merged: add, weight 2": ["add", "--weight", "2"],
    "alone, merged: ties, weight 2": ["ties", "--weight", "2"],
}


def recipe(options: argparse.Namespace, seed: int, arm: Keys) -> dict[str, Any]:
    """The recipe of a joint run."""
    changes = dict(arm)
    tasks = {name: {**keys, **changes.pop(name, {})} for name, keys in TASKS.items()}
    if "need_sampling" in changes:
        for name, target in TARGETS.items():
            tasks[name]["target_score"] = target
    keys = {
        "encoder": options.encoder,
        "suite": str(options.prepared.absolute()),
        "tasks": tasks,
        "loss_balance": "equal",
        "seed": seed,
        "max_steps": STEPS,
        "learning_rate": 2e-4,
        "head_learning_rate": 1e-3,
        "batch_tokens": 1024,
        "bf16": options.bf16,
        "num_threads": 1,
        "eval_strategy": "steps",
        "eval_steps": STEPS,
        "save_strategy": "no",
        "save_minutes": 0,
        "predict_test": False,
    }
    return {**keys, **changes}


def alone(options: argparse.Namespace, seed: int, task: str) -> dict[str, Any]:
    """The recipe of a task alone, with as many passes over its rows as the joint run has."""
    keys = recipe(options, seed, {})
    del keys["loss_balance"], keys["max_steps"], keys["eval_steps"]
    own = {key: value for key, value in TASKS[task].items() if key != "weight"}
    return {**keys, "tasks": {task: own}, "num_train_epochs": PASSES, "eval_strategy": "no"}


def runs(options: argparse.Namespace) -> Iterator[Run]:
    """Every run, seed by seed."""
    for seed in options.seeds:
        for task in TASKS:
            yield Run(f"alone-{task}/{seed}", alone(options, seed, task))
        for number, arm in enumerate(ARMS.values()):
            yield Run(f"{number:02}/{seed}", recipe(options, seed, arm))


def command(*words: str) -> None:
    """Run biomtl with some arguments."""
    subprocess.run([sys.executable, "-m", "biomtl", *words], check=True, stdout=subprocess.DEVNULL)


def score(
    options: argparse.Namespace, model: Path, out: Path, split: str = "dev", more: Sequence[str] = ()
) -> dict[str, float]:
    """Each task's score by a model, kept in ``out``; ``more`` are further options of ``biomtl evaluate``."""
    if not (out / "metrics.json").is_file():
        words = ["evaluate", str(model), "--data", str(options.prepared), "--split", split, *more]
        command(*words, *["--bf16"] * options.bf16, "--out", str(out), "--overwrite")
    tasks = json.loads((out / "metrics.json").read_text(encoding="utf-8"))["tasks"]
    return {task: round(splits[split]["value"], 4) for task, splits in tasks.items()}


def merge(options: argparse.Namespace, models: list[Path], how: list[str], out: Path) -> dict[str, float]:
    """The scores on dev of a model that is merged from others."""
    if not (out / "model").is_dir():
        command("merge", *map(str, models), "--out", str(out / "model"), "--base", options.encoder, "--how", *how)
    return score(options, out / "model", out / "dev")


def joint_scores(run: Path) -> dict[str, float]:
    """The dev scores after a run's last step."""
    lines = (run / "log.jsonl").read_text(encoding="utf-8").splitlines()
    found = [facts["scores"] for line in lines if "scores" in (facts := json.loads(line))]
    return {task: round(found[-1][task]["value"], 4) for task in TASKS}


def calibration(options: argparse.Namespace, run: Path) -> dict[str, Any]:
    """Of a plain run's model on test: scores and calibration errors of its probabilities, calibrated and not."""
    from biomtl.report.answers import read_answers
    from biomtl.report.confidence import confidence_charts
    from biomtl.results import Results
    from biomtl.suite import load_suite

    found: dict[str, Any] = {}
    suite = load_suite(options.prepared, TASKS)
    for name, more in (("calibrated", []), ("uncalibrated", ["--uncalibrated"])):
        out = run.parent / f"{run.name}-{name}"
        scores = score(options, run / "model", out, "test", more)
        answers, _ = read_answers(out, Results.read(out / "metrics.json"), suite)
        errors = {each.task.name: round(confidence_charts(each)[1] or 0.0, 4) for each in answers}
        found[name] = {"score": scores, "calibration_error": errors}
    return found


def results(options: argparse.Namespace, out: Path) -> dict[str, Any]:
    """Scores of all complete runs, by arm and seed."""
    told: dict[str, Any] = {}
    for seed in map(str, options.seeds):
        for number, name in enumerate(ARMS):
            if (out / f"{number:02}" / seed / "metrics.json").is_file():
                told.setdefault(name, {})[seed] = joint_scores(out / f"{number:02}" / seed)
        parts = [out / f"alone-{task}" / seed for task in TASKS]
        if all((part / "metrics.json").is_file() for part in parts):
            own = [score(options, part / "model", part.parent / f"{seed}-dev") for part in parts]
            told.setdefault(ALONE, {})[seed] = {task: value for scores in own for task, value in scores.items()}
            for name, how in MERGERS.items():
                told.setdefault(name, {})[seed] = merge(
                    options, parts, how, out / re.sub("[^a-z0-9]+", "-", name) / seed
                )
    plain = [out / "00" / seed for seed in told.get("plain", {})]
    if len(plain) > 1:
        told["plain runs merged: average"] = {"all": merge(options, plain, ["average"], out / "soup")}
    told["calibrate"] = {run.name: calibration(options, run) for run in plain}
    return told


def table(told: dict[str, Any]) -> str:
    """One row per arm: mean scores, and the difference of the mean from the plain run with the same seed, in points."""
    lines = ["| recipe | " + " | ".join(TASKS) + " | mean | difference by seed |", "| --- " * (len(TASKS) + 3) + "|"]
    plain = {seed: statistics.mean(scores.values()) for seed, scores in told["plain"].items()}
    for name, by_seed in told.items():
        if name == "calibrate":
            continue
        columns = [statistics.mean(scores[task] for scores in by_seed.values()) for task in TASKS]
        gaps = [100 * (statistics.mean(v.values()) - plain[seed]) for seed, v in by_seed.items() if seed in plain]
        cells = " | ".join(f"{value:.3f}" for value in (*columns, statistics.mean(columns)))
        lines.append(f"| `{name}` | {cells} | {', '.join(f'{gap:+.1f}' for gap in gaps)} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("prepared", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--encoder", default="all-MiniLM-L6-v2")
    parser.add_argument("--seeds", type=int, nargs="*", default=[1, 2, 3])
    parser.add_argument("--bf16", action="store_true", help="train in bfloat16, for CPUs with its instructions")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=float("inf"))
    parser.add_argument("--only", default="", help="only runs with this pattern in their name, such as 03/")
    parser.add_argument("--json", type=Path, help="file for the scores of all complete runs, which are then evaluated")
    options = parser.parse_args()
    out = options.out.absolute()
    preload()
    Queue(out, list(runs(options)), options.only).work(options.workers, 60 * options.minutes)
    if options.json:
        told = results(options, out)
        facts = {"tasks": TASKS, "steps": STEPS, "bf16": options.bf16}
        options.json.write_text(json.dumps({**facts, "dev": told}, indent=1) + "\n", encoding="utf-8")
        print(table(told))


if __name__ == "__main__":
    main()
