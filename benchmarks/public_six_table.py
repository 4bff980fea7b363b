"""The tables of docs/results.md, from the runs of benchmarks/public_six.py or a JSON file of their scores.

python benchmarks/public_six_table.py benchmarks/results/public_six.json
python benchmarks/public_six_table.py OUT --json scores.json
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml
from scipy import stats

TASKS = {
    "bc5cdr-chem": ("chemicals", "entity_f1_spans"),
    "bc5cdr-disease": ("diseases", "entity_f1_spans"),
    "ddi2013": ("DDI", "macro_f1_positive"),
    "chemprot": ("ChemProt", "micro_f1_positive"),
    "hoc": ("HoC", "example_f1_documents"),
    "biosses": ("BIOSSES", "pearson"),
}
ARMS = {
    "alone": "six models, each task alone",
    "alone-longer": "the same, twice the passes",
    "alone-distilled": "each task alone, distilled from three models of it",
    "joint": "joint, losses weighted equally",
    "weighted": "joint, entities with weight 4",
    "adapted-joint": "adapted, then joint",
    "balanced": "joint, balanced weights",
    "weighted-distilled": "joint, weight 4, distilled",
    "balanced-distilled": "joint, balanced weights, distilled",
    "ensemble-distilled": "joint, balanced weights, twelve epochs, distilled from three models per task",
    "adapted-weighted-distilled": "adapted, then joint, weight 4, distilled",
    "balanced-distilled-each": "joint, balanced weights, distilled, then each task",
    "ensemble-distilled-each": "the same, then each task with these teachers",
    "weighted-distilled-each": "joint, weight 4, distilled, then each task",
    "adapted-weighted-distilled-each": "adapted, joint, weight 4, distilled, then each task",
}
NEEDED = {
    "alone-distilled": ("alone",) * 3,
    "ensemble-distilled": ("alone",) * 3,
    "ensemble-distilled-each": ("ensemble-distilled",),
    "balanced-distilled": ("alone",),
    "balanced-distilled-each": ("balanced-distilled",),
    "adapted-joint": ("adapt",),
    "weighted-distilled": ("alone",),
    "adapted-weighted-distilled": ("adapt", "alone"),
    "weighted-distilled-each": ("weighted-distilled",),
    "adapted-weighted-distilled-each": ("adapted-weighted-distilled",),
}
"""Arms whose training an arm needs besides its own; an ensemble has the teachers of all three seeds."""
ADAPTATION = 2.7
"""Millions of tokens of the adaptation, which has no scores: 720 steps with 3,738 on average."""

Scores = dict[str, dict[str, float]]  # by task and seed


def record(folder: Path) -> dict[str, Any]:
    """What is kept of a run: its settings, its cost and its scores with their intervals."""
    metrics = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    recipe = yaml.safe_load((folder / "recipe.yaml").read_text(encoding="utf-8"))
    facts = metrics["provenance"]
    scores: dict[str, Any] = {}
    for task, splits in metrics["tasks"].items():
        for split, score in splits.items():
            found = {
                name: [score["metrics"][name][key] for key in ("value", "low", "high")] for name in score["metrics"]
            }
            scores.setdefault(task, {})[split] = {
                name: [None if value is None else round(value, 4) for value in values] for name, values in found.items()
            }
    return {
        "learning_rate": recipe["learning_rate"],
        "batch_tokens": recipe["batch_tokens"],
        "epochs": recipe["num_train_epochs"],
        "seed": recipe["seed"],
        "steps": facts["steps"],
        "best_step": facts["best_step"],
        "train_seconds": round(facts["train_seconds"], 1),
        "encoded_tokens": facts["plan"]["real_tokens"] * recipe["num_train_epochs"],
        "scores": scores,
    }


def of_arm(runs: Mapping[str, Any], arm: str) -> list[tuple[str, Any]]:
    """An arm's runs with their seeds."""
    found = ((name.split("/"), run) for name, run in runs.items())
    return [(parts[-1], run) for parts, run in found if parts[0] == arm]


def scores(runs: Mapping[str, Any], arm: str, split: str) -> Scores:
    """Main metrics by task and seed."""
    found: Scores = {}
    for seed, run in of_arm(runs, arm):
        for task, splits in run["scores"].items():
            found.setdefault(task, {})[seed] = splits[split][TASKS[task][1]][0]
    return found


def better(runs: Mapping[str, Any], arm: str, split: str) -> Scores:
    """Of each task and seed the single-task model or an arm's, whichever has the better score on dev."""
    chosen: Scores = {}
    ours, alone = ({where: scores(runs, name, where) for where in ("dev", split)} for name in (arm, "alone"))
    for task in ours["dev"].keys() & alone["dev"].keys():
        for seed in ours["dev"][task].keys() & alone["dev"][task].keys():
            best = max((alone, ours), key=lambda one: one["dev"][task][seed])
            chosen.setdefault(task, {})[seed] = best[split][task][seed]
    return chosen


def by_seed(found: Scores, tasks: Iterable[str]) -> dict[str, float]:
    """The mean over tasks of each seed that has them all."""
    names = list(tasks)
    if any(name not in found for name in names):
        return {}
    seeds = set.intersection(*(set(found[name]) for name in names))
    return {seed: statistics.mean(found[name][seed] for name in names) for seed in sorted(seeds)}


def spread(values: Iterable[float]) -> str:
    """Mean ± standard deviation over seeds."""
    known = list(values)
    if not known:
        return "-"
    return f"{statistics.mean(known):.3f} ± {statistics.stdev(known):.3f}" if len(known) > 1 else f"{known[0]:.3f}"


def difference(ours: Mapping[str, float], theirs: Mapping[str, float]) -> str:
    """The mean difference of the same seeds in points, with the 95 % interval of a paired t-test."""
    seeds = sorted(ours.keys() & theirs.keys())
    if len(seeds) < 2:
        return "-"
    gaps = [100 * (ours[seed] - theirs[seed]) for seed in seeds]
    half = stats.t.ppf(0.975, len(gaps) - 1) * statistics.stdev(gaps) / len(gaps) ** 0.5
    mean = statistics.mean(gaps)
    return f"{mean:+.1f} ({mean - half:+.1f} to {mean + half:+.1f})"


def tokens(runs: Mapping[str, Any], arm: str) -> float:
    """Millions of encoded tokens of an arm and of those that it needs, mean over seeds."""
    if arm == "adapt":
        return ADAPTATION
    found = of_arm(runs, arm)
    seeds = {seed for seed, _ in found}
    own = sum(run["encoded_tokens"] for _, run in found) / max(1, len(seeds)) / 1e6
    return own + sum(tokens(runs, other) for other in NEEDED.get(arm, ()))


def table(runs: Mapping[str, Any], split: str) -> str:
    """One row per arm: scores of each task, their mean, and its difference from single-task models.

    On test, an arm of single-task runs has a second row: per task and seed this model or that trained alone, by dev.
    """
    heads = [shown for shown, _ in TASKS.values()]
    lines = [
        f"| {split} | " + " | ".join(heads) + " | mean | difference from alone |",
        "| --- " * (len(heads) + 3) + "|",
    ]
    base = by_seed(scores(runs, "alone", split), TASKS)
    for arm, title in ARMS.items():
        if not (found := scores(runs, arm, split)):
            continue
        lines.append(row(title, found, base))
        if split == "test" and arm.endswith("-each"):
            lines.append(row("for each task this or alone, the better on dev", better(runs, arm, split), base))
    return "\n".join(lines)


def row(title: str, found: Scores, base: Mapping[str, float]) -> str:
    """An arm's scores by task, their mean, and its difference from single-task models."""
    means = by_seed(found, TASKS)
    gap = "" if means == base else difference(means, base)
    cells = [spread(found.get(task, {}).values()) for task in TASKS]
    return f"| {title} | " + " | ".join([*cells, spread(means.values()), gap]) + " |"


def gaps(runs: Mapping[str, Any], arm: str, split: str) -> str:
    """An arm's difference from single-task models, task by task."""
    ours, theirs = scores(runs, arm, split), scores(runs, "alone", split)
    five = [task for task in TASKS if task != "biosses"]
    cells = [difference(ours[task], theirs[task]) for task in TASKS]
    return f"| {ARMS[arm]} | " + " | ".join([*cells, difference(by_seed(ours, five), by_seed(theirs, five))]) + " |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path, help="folder of benchmarks/public_six.py, or a file that --json wrote")
    parser.add_argument("--json", type=Path, help="file that the scores of all complete runs are added to")
    options = parser.parse_args()
    if options.source.is_dir():
        found = sorted(path.parent for path in options.source.glob("**/metrics.json"))
        runs = {folder.relative_to(options.source).as_posix(): record(folder) for folder in found}
    else:
        runs = json.loads(options.source.read_text(encoding="utf-8"))["runs"]
    if options.json:
        known = json.loads(options.json.read_text(encoding="utf-8")) if options.json.exists() else {"runs": {}}
        runs = known["runs"] = dict(sorted({**known["runs"], **runs}.items()))
        options.json.write_text(json.dumps(known, indent=1) + "\n", encoding="utf-8")
    for split in ("test", "dev"):
        print(table(runs, split), end="\n\n")
    print("| test, points | " + " | ".join(shown for shown, _ in TASKS.values()) + " | mean without BIOSSES |")
    print("| --- " * (len(TASKS) + 2) + "|")
    for arm in ARMS:
        if arm not in ("alone", "alone-longer") and of_arm(runs, arm):
            print(gaps(runs, arm, "test"))
    print("\n| arm | millions of tokens |\n| --- | --- |")
    for arm, title in ARMS.items():
        if of_arm(runs, arm):
            print(f"| {title} | {tokens(runs, arm):.1f} |")


if __name__ == "__main__":
    main()
