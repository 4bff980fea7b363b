"""What each training method is worth in small joint runs: dev scores beside the plain run's, seed by seed.

    biomtl prepare CORPORA --out prepared
    python benchmarks/methods_worth.py prepared OUT --bf16 --seeds 1 2 3 --json benchmarks/results/methods_worth.json

Three public tasks with a part of their training rows, so that a run takes minutes on a CPU: entities with weight
4 and relations, and ``loss_balance: equal`` (docs/why-joint.md). Only dev is scored. Complete runs are skipped.
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from forked_runs import Keys, Queue, Run, preload

TASKS: dict[str, dict[str, Any]] = {
    "bc5cdr-chem": {"weight": 4, "max_rows": 800},
    "bc5cdr-disease": {"weight": 4, "max_rows": 800},
    "ddi2013": {"view": "spans", "max_rows": 3000},
}
TARGETS = {"bc5cdr-chem": 0.88, "bc5cdr-disease": 0.79, "ddi2013": 0.74}  # alone, all rows, dev
ARMS: dict[str, Keys] = {
    "plain": {},
    "ema_decay: 0.99": {"ema_decay": 0.99},
    "layer_decay: 0.9": {"layer_decay": 0.9},
    "frozen_layers: 2": {"frozen_layers": 2},
    "gradual_thawing: 0.3": {"gradual_thawing": 0.3},
    "lora": {"lora": {"rank": 16}, "learning_rate": 1e-3},
    "tasks.NAME.lora: 8": {"each": {"lora": 8}},
    "tasks.NAME.adapter: 204": {"each": {"adapter": 204}},
    "loss_balance: scale": {"loss_balance": "scale", "weights": False},
    "loss_balance: uncertainty": {"loss_balance": "uncertainty", "weights": False},
    "loss_balance: equal, no weights": {"weights": False},
    "gradient_aggregation: pcgrad": {"gradient_aggregation": "pcgrad"},
    "gradient_aggregation: upgrad": {"gradient_aggregation": "upgrad"},
    "need_sampling: 0.5": {"need_sampling": 0.5},
    "label_smoothing: 0.1": {"objective": {"label_smoothing": 0.1}},
    "focal_gamma: 2": {"objective": {"focal_gamma": 2}},
    "class_weights: sqrt": {"objective": {"class_weights": "sqrt"}},
    "r_drop: 1": {"r_drop": 1.0},
    "smart": {"smart": {}},
    "task_stopping": {"task_stopping": {"patience": 1}},
    "mixing: batch": {"mixing": "batch"},
}


def recipe(options: argparse.Namespace, seed: int, arm: Keys) -> dict[str, Any]:
    """The recipe of an arm."""
    changes = dict(arm)
    own = changes.pop("each", {})
    weights = changes.pop("weights", True)
    tasks = {name: {**keys, **own} for name, keys in TASKS.items()}
    for name, keys in tasks.items():
        if not weights:
            keys.pop("weight", None)
        if "need_sampling" in changes:
            keys["target_score"] = TARGETS[name]
    stopping = "task_stopping" in changes or "need_sampling" in changes
    keys = {
        "encoder": options.encoder,
        "suite": str(options.prepared.absolute()),
        "tasks": tasks,
        "policy": "proportional",
        "loss_balance": "equal",
        "seed": seed,
        "num_train_epochs": options.passes,
        "learning_rate": 2e-4,
        "head_learning_rate": 1e-3,
        "batch_tokens": 1024,
        "bf16": options.bf16,
        "num_threads": 1,
        "save_strategy": "no",
        "save_minutes": 0,
        "predict_test": False,
    }
    if not stopping:
        keys["eval_steps"] = 100_000  # only the last step
    return {**keys, **changes}


def runs(options: argparse.Namespace) -> Iterator[Run]:
    """Every run, seed by seed."""
    for seed in options.seeds:
        for number, arm in enumerate(ARMS.values()):
            yield Run(f"{number:02}/{seed}", recipe(options, seed, arm))


def scores(out: Path) -> dict[str, Any]:
    """Dev scores and CPU seconds of every complete run."""
    told: dict[str, Any] = {}
    for number, name in enumerate(ARMS):
        for path in sorted(out.glob(f"{number:02}/*/metrics.json")):
            metrics = json.loads(path.read_text(encoding="utf-8"))
            dev = {task: round(splits["dev"]["value"], 4) for task, splits in metrics["tasks"].items()}
            told.setdefault(name, {})[path.parent.name] = {**dev, "mean": round(metrics["mean"]["dev"], 4)}
    return told


def table(told: dict[str, Any]) -> str:
    """One row per arm: mean scores, and the mean's difference from the plain run with the same seed, in points."""
    lines = ["| recipe | " + " | ".join(TASKS) + " | mean | difference by seed |", "| --- " * (len(TASKS) + 3) + "|"]
    for name, by_seed in told.items():
        means = [statistics.mean(run[key] for run in by_seed.values()) for key in (*TASKS, "mean")]
        plain = told.get("plain", {})
        gaps = [f"{100 * (run['mean'] - plain[seed]['mean']):+.1f}" for seed, run in by_seed.items() if seed in plain]
        cells = " | ".join(f"{value:.3f}" for value in means)
        lines.append(f"| `{name}` | {cells} | {'' if name == 'plain' else ', '.join(gaps)} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("prepared", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--encoder", default="all-MiniLM-L6-v2")
    parser.add_argument("--passes", type=int, default=4)
    parser.add_argument("--seeds", type=int, nargs="*", default=[1])
    parser.add_argument("--bf16", action="store_true", help="train in bfloat16, for CPUs with its instructions")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=float("inf"))
    parser.add_argument("--only", default="", help="only runs with this pattern in their name, such as 03/")
    parser.add_argument("--json", type=Path, help="file for the scores of all complete runs")
    options = parser.parse_args()
    out = options.out.absolute()
    preload()
    Queue(out, list(runs(options)), options.only).work(options.workers, 60 * options.minutes)
    told = scores(out)
    if options.json:
        facts = {"passes": options.passes, "tasks": TASKS, "bf16": options.bf16}
        options.json.write_text(json.dumps({**facts, "runs": told}, indent=1) + "\n", encoding="utf-8")
    print(table(told))


if __name__ == "__main__":
    main()
