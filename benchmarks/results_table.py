"""The tables of docs/results.md from the run folders of benchmarks/blue_public.sh.

python benchmarks/results_table.py OUT
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

TASKS = ("bc5cdr-chem", "bc5cdr-disease", "ddi2013", "chemprot", "hoc", "biosses")
SHOWN = ("entity_f1_spans", "macro_f1_positive", "micro_f1_positive", "example_f1_documents", "pearson")
# The same encoder and seed in the Hugging Face Trainer, one task at a time, rate 1e-4, batches of 32 rows: three epochs
# of BC5CDR (seqeval's strict F1), one of DDI, twenty of BIOSSES as a cross-encoder; ChemProt was trained on other rows.
STOCK = {
    ("bc5cdr-chem", "entity_f1_spans"): "0.851",
    ("bc5cdr-disease", "entity_f1_spans"): "0.758",
    ("ddi2013", "macro_f1_positive"): "0.424",
    ("ddi2013", "micro_f1_positive"): "0.463",
    ("biosses", "pearson"): "0.476",
}
Metrics = dict[str, Any]


def metrics(folder: Path) -> Metrics:
    """A run's ``metrics.json``, or nothing where the run isn't finished."""
    path = folder / "metrics.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {"tasks": {}, "provenance": {}}


def found(run: Metrics, task: str) -> Metrics:
    """The run's test scores of a task by metric."""
    scores: Metrics = run["tasks"].get(task, {}).get("test", {}).get("metrics", {})
    return scores


def scores(arms: dict[str, dict[str, Metrics]]) -> None:
    """A row for each task and metric, a column for each arm."""
    print("| task | metric | stock | " + " | ".join(arms) + " |\n| --- | --- | --- |" + " --- |" * len(arms))
    for task in TASKS:
        for metric, score in found(arms["joint"][task], task).items():
            if metric not in SHOWN:
                continue
            cells = [STOCK.get((task, metric), "-")]
            for arm in arms.values():
                one = found(arm[task], task).get(metric)
                cells.append("-" if one is None else f"{one['value']:.3f} ({one['low']:.3f}-{one['high']:.3f})")
            print(f"| `{task}` | {score['title']} | " + " | ".join(cells) + " |")


def times(arms: dict[str, dict[str, Metrics]], half: Metrics) -> None:
    """Steps and seconds of each arm."""
    print("\n| arm | mean of the main metrics | steps | training | with scoring the test split |\n|" + " --- |" * 5)
    for name, arm in arms.items():
        values = [run["tasks"][task]["test"]["value"] for task, run in arm.items() if task in run["tasks"]]
        runs = [*{id(run): run["provenance"] for run in arm.values()}.values()]
        runs += [half["provenance"]] if name == "joint + finetune" else []
        steps, training, whole = (sum(run.get(key, 0) for run in runs) for key in ("steps", "train_seconds", "seconds"))
        mean = sum(values) / max(len(values), 1)
        minutes = f"{training / 60:.0f} min | {whole / 60:.0f} min"
        print(f"| {name} | {mean:.3f} ({len(values)} tasks) | {steps:,} | {minutes} |")


def main() -> None:
    out = Path(sys.argv[1])
    arms = {
        "alone": {task: metrics(out / "alone" / task) for task in TASKS},
        "joint": dict.fromkeys(TASKS, metrics(out / "joint")),
        "joint + finetune": {task: metrics(out / "refined" / task) for task in TASKS},
    }
    scores(arms)
    times(arms, metrics(out / "half"))


if __name__ == "__main__":
    main()
