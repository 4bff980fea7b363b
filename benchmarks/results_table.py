"""The table of docs/results.md from the run folders of benchmarks/blue_public.sh.

python benchmarks/results_table.py OUT
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

TASKS = ("bc5cdr-chem", "bc5cdr-disease", "ddi2013", "chemprot", "hoc", "biosses")


def metrics(folder: Path) -> dict[str, Any]:
    """A run's ``metrics.json``, or nothing where the run isn't finished."""
    path = folder / "metrics.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {"tasks": {}, "provenance": {}}


def main() -> None:
    out = Path(sys.argv[1])
    arms = {
        "alone": {task: metrics(out / "alone" / task) for task in TASKS},
        "joint": dict.fromkeys(TASKS, metrics(out / "joint")),
        "joint + finetune": {task: metrics(out / "refined" / task) for task in TASKS},
    }
    print("| task | metric | " + " | ".join(arms) + " |\n| --- | --- |" + " --- |" * len(arms))
    names = {
        task: list(arms["joint"][task]["tasks"].get(task, {}).get("test", {}).get("metrics", {})) for task in TASKS
    }
    for task in TASKS:
        for metric in names[task]:
            cells, title = [], metric
            for arm in arms.values():
                found = arm[task]["tasks"].get(task, {}).get("test", {}).get("metrics", {}).get(metric)
                if found is None:
                    cells.append("-")
                    continue
                title = found["title"]
                cells.append(f"{found['value']:.3f} ({found['low']:.3f}-{found['high']:.3f})")
            print(f"| `{task}` | {title} | " + " | ".join(cells) + " |")
    for name, arm in arms.items():
        runs = {id(run): run for run in arm.values()}.values()
        values = [run["tasks"][t]["test"]["value"] for t, run in arm.items() if t in run["tasks"]]
        seconds = sum(run["provenance"].get("train_seconds", 0) for run in runs)
        whole = sum(run["provenance"].get("seconds", 0) for run in runs)
        steps = sum(run["provenance"].get("steps", 0) for run in runs)
        mean = sum(values) / max(len(values), 1)
        print(f"{name}: mean of the main metrics {mean:.3f} over {len(values)} tasks; {steps} steps, {seconds:.0f} s")
        print(f"  of training, {whole:.0f} s with scoring the test split")
    half = metrics(out / "half")["provenance"]
    print(f"joint + finetune starts from {half.get('steps')} joint steps, {half.get('train_seconds')} s")


if __name__ == "__main__":
    main()
