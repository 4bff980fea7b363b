"""The tables of docs/results.md from the run folders of benchmarks/blue_public.sh.

python benchmarks/results_table.py OUT
"""

from __future__ import annotations

import sys
from pathlib import Path

from biomtl.results import FILE, Results
from biomtl.scoring import MetricResult

TASKS = ("bc5cdr-chem", "bc5cdr-disease", "ddi2013", "chemprot", "hoc", "biosses")
SHOWN = ("entity_f1_spans", "macro_f1_positive", "micro_f1_positive", "example_f1_documents", "pearson")
# The same encoder and seed in the Hugging Face Trainer, one task at a time, learning rate 1e-4, batches of 32 rows:
# three epochs of BC5CDR (seqeval's strict F1), one of DDI, twenty of BIOSSES as a cross-encoder; ChemProt was trained
# on other rows.
STOCK = {
    ("bc5cdr-chem", "entity_f1_spans"): "0.851",
    ("bc5cdr-disease", "entity_f1_spans"): "0.758",
    ("ddi2013", "macro_f1_positive"): "0.424",
    ("ddi2013", "micro_f1_positive"): "0.463",
    ("biosses", "pearson"): "0.476",
}


def results(folder: Path) -> Results:
    """A run's results; none if the run isn't finished."""
    path = folder / FILE
    return Results.read(path) if path.is_file() else Results(tasks={}, mean={}, provenance={})


def found(run: Results, task: str) -> dict[str, MetricResult]:
    """The run's test scores for a task, by metric."""
    scores = run.on("test")
    return scores[task].metrics if task in scores else {}


def scores(arms: dict[str, dict[str, Results]]) -> None:
    """One row per task and metric, one column per arm."""
    print("| task | metric | stock | " + " | ".join(arms) + " |\n| --- | --- | --- |" + " --- |" * len(arms))
    for task in TASKS:
        for metric, score in found(arms["joint"][task], task).items():
            if metric not in SHOWN:
                continue
            cells = [STOCK.get((task, metric), "-")]
            for arm in arms.values():
                one = found(arm[task], task).get(metric)
                cells.append("-" if one is None else f"{one.value:.3f} ({one.low:.3f}-{one.high:.3f})")
            print(f"| `{task}` | {score.title} | " + " | ".join(cells) + " |")


def times(arms: dict[str, dict[str, Results]], half: Results) -> None:
    """Steps and seconds of each arm."""
    print("\n| arm | mean of the main metrics | steps | training | including test scoring |\n|" + " --- |" * 5)
    for name, arm in arms.items():
        values = [run.on("test")[task].value for task, run in arm.items() if task in run.on("test")]
        runs = [*{id(run): run.provenance for run in arm.values()}.values()]
        runs += [half.provenance] if name == "joint + finetune" else []
        steps, training, whole = (sum(run.get(key, 0) for run in runs) for key in ("steps", "train_seconds", "seconds"))
        mean = sum(values) / max(len(values), 1)
        minutes = f"{training / 60:.0f} min | {whole / 60:.0f} min"
        print(f"| {name} | {mean:.3f} ({len(values)} tasks) | {steps:,} | {minutes} |")


def main() -> None:
    out = Path(sys.argv[1])
    arms = {
        "alone": {task: results(out / "alone" / task) for task in TASKS},
        "joint": dict.fromkeys(TASKS, results(out / "joint")),
        "joint + finetune": {task: results(out / "refined" / task) for task in TASKS},
    }
    scores(arms)
    times(arms, results(out / "half"))


if __name__ == "__main__":
    main()
