"""What keeps sentence similarity in a joint run: pairs that a teacher labels, how many, and their weight.

    biomtl prepare CORPORA --out prepared
    python benchmarks/similarity_pairs.py prepared OUT --bf16 --json scores.json

Joint runs of BLUE's six public tasks as in benchmarks/public_six.py, two passes, with a single-task model of BIOSSES as
teacher. BIOSSES has 16 pairs in dev, so the students' scores are also correlated with the teacher's, over neighbouring
texts of other tasks' dev splits, which nobody learned from. Complete runs are skipped.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from forked_runs import Queue, Run, preload
from public_six import CHOSEN, WEIGHT_4, Arms

from biomtl import Predictor
from biomtl.suite import load_suite

TASK, SEED, PASSES = "biosses", 1, 2
VARIANTS = {  # pairs, weight of the task
    "1,500 pairs": (1500, 1),
    "10,000 pairs": (10_000, 1),
    "1,500 pairs, weight 16": (1500, 16),
    "1,500 pairs, weight 8": (1500, 8),
}
TEXTS = 400  # of each of these tasks' dev splits
SOURCES = ("hoc", "chemprot", "ddi2013")


def runs(arms: Arms) -> Iterator[Run]:
    """The teacher, then every variant."""
    teacher = f"alone/{TASK}/{SEED}"
    yield arms.single("alone", TASK, SEED)
    for name, (pairs, weight) in VARIANTS.items():
        teach: dict[str, Any] = {"gold_from": 0.0, "gold_to": 0.5, "unlabelled": "*", "pairs": pairs}
        teach |= {"teachers": {TASK: str(arms.out / teacher)}, "folder": str(arms.out / "teachers")}
        more = {"num_train_epochs": PASSES, "eval_steps": None, "predict_test": False, "metric_for_best_model": None}
        keys = {**CHOSEN["joint/all"], **more, "weights": {**WEIGHT_4, "biosses": weight}, "distill": teach}
        yield Run(name.replace(",", "").replace(" ", "-"), arms.joint(SEED, **keys), [teacher])


def pairs_of_dev(prepared: Path) -> list[tuple[str, ...]]:
    """Neighbouring texts of other tasks."""
    suite = load_suite(prepared)
    texts: list[str] = []
    for name in SOURCES:
        found = dict.fromkeys(record["text"] for record in suite[name].records("dev"))
        texts += list(found)[:TEXTS]
    return list(zip(texts[::2], texts[1::2], strict=False))


def similarities(model: Path, pairs: list[tuple[str, ...]]) -> Any:
    """A model's scores for pairs."""
    return np.array([found[TASK].score for found in Predictor(model, tasks=[TASK])(pairs)])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("prepared", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--encoder", default="all-MiniLM-L6-v2")
    parser.add_argument("--bf16", action="store_true", help="train in bfloat16, for CPUs with its instructions")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--json", type=Path, help="file for the results of all complete runs")
    options = parser.parse_args()
    arms = Arms(options.prepared.absolute(), options.out.absolute(), options.encoder, tune=False, small=False)
    arms.common["bf16"] = options.bf16
    preload()
    made = list(runs(arms))
    Queue(arms.out, made).work(options.workers, float("inf"))
    pairs = pairs_of_dev(options.prepared)
    taught = similarities(arms.out / made[0].name, pairs)
    told: dict[str, Any] = {}
    for run, name in zip(made[1:], VARIANTS, strict=True):
        if not (arms.out / run.name / "metrics.json").is_file():
            continue
        metrics = json.loads((arms.out / run.name / "metrics.json").read_text(encoding="utf-8"))
        dev = {task: round(splits["dev"]["value"], 4) for task, splits in metrics["tasks"].items()}
        agreement = float(np.corrcoef(similarities(arms.out / run.name, pairs), taught)[0, 1])
        told[name] = {"dev": dev, "steps": metrics["provenance"]["steps"], "agreement": round(agreement, 4)}
        print(name, told[name], flush=True)
    if options.json:
        options.json.write_text(json.dumps({"passes": PASSES, "runs": told}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
