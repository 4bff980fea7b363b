"""Why joint training costs points: the probes of docs/why-joint.md, on BLUE's six public tasks.

    biomtl prepare CORPORA --out prepared
    python benchmarks/why_joint.py prepared OUT --passes 2            what a task loses beside others, in short runs
    python benchmarks/why_joint.py prepared OUT --gradients           norms and cosines of the tasks' gradients

In every probe each task sees its training split ``--passes`` times, alone or beside others, and only dev is scored.
Complete runs are skipped. ``--bf16`` is for CPUs with bfloat16 instructions, ``--workers`` for a GPU that many small
runs share.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from forked_runs import Keys, Queue, Run, preload
from public_six import TASKS

ENTRIES = {"bc5cdr-chem": 4546, "bc5cdr-disease": 4546, "ddi2013": 2851, "chemprot": 3714, "hoc": 10527, "biosses": 640}
"""Texts of a task in a pass; BIOSSES' 64 pairs are read ten times."""
MEASURED = "bc5cdr-disease"
SINGLE, SIX = 1024, 2048  # positions of a batch
VARIANTS: dict[str, Keys] = {
    "equal": {"loss_balance": "equal"},
    "entities-4": {"loss_balance": "equal", "weights": {"bc5cdr-chem": 4, "bc5cdr-disease": 4}},
    "scale": {"loss_balance": "scale"},
    "smaller-batches": {"loss_balance": "equal", "batch_tokens": 1024},
    "shares": {},
    "one-task-per-batch": {"loss_balance": "equal", "mixing": "batch", "batch_tokens": 1024},
    "lower-half-frozen": {"loss_balance": "equal", "frozen_layers": 3},
    "own-lora": {"loss_balance": "equal", "lora": 8},
    "half-the-rate": {"loss_balance": "equal", "learning_rate": 1e-4},
    "twice-the-rate": {"loss_balance": "equal", "learning_rate": 4e-4},
    "uncertainty": {"loss_balance": "uncertainty"},
    "slower-heads": {"loss_balance": "equal", "head_learning_rate": 2e-4},
    "own-layers": {"loss_balance": "equal", "adapter": 204},
    "pcgrad": {"loss_balance": "equal", "gradient_aggregation": "pcgrad"},
    "batch": {"loss_balance": "equal", "mixing": "batch"},
    "batch-shares": {"mixing": "batch"},
    "sqrt": {"loss_balance": "equal", "policy": "sqrt"},
    "uniform": {"loss_balance": "equal", "policy": "uniform"},
}
OWN = ("adapter", "lora")  # keys of each task


def keys(options: argparse.Namespace, seed: int, names: tuple[str, ...], **more: Any) -> dict[str, Any]:
    """The recipe of a probe."""
    own = {key: more.pop(key) for key in OWN if key in more}
    weights = more.pop("weights", {})
    shares = {name: {"mixing_weight": ENTRIES[name]} if "policy" not in more else {} for name in names}
    tasks = {name: {**TASKS[name], **own, **shares[name]} for name in names}
    for name, weight in weights.items():
        tasks[name]["weight"] = weight
    recipe = {
        "encoder": options.encoder,
        "suite": str(options.prepared.absolute()),
        "tasks": tasks,
        "policy": "fixed",
        "seed": seed,
        "num_train_epochs": options.passes,
        "learning_rate": 2e-4,
        "head_learning_rate": 1e-3,
        "batch_tokens": SINGLE if len(names) < len(TASKS) else SIX,
        "bf16": options.bf16,
        "num_threads": 1,
        "eval_strategy": "epoch",
        "save_strategy": "no",
        "predict_test": False,
    }
    return {**recipe, **more}


def probes(options: argparse.Namespace) -> Iterator[Run]:
    """Every probe, the most telling first."""
    for seed in options.seeds:
        yield Run(f"{MEASURED}/{seed}", keys(options, seed, (MEASURED,)))
        for name, variant in VARIANTS.items():
            yield Run(f"all-{name}/{seed}", keys(options, seed, tuple(TASKS), **variant))
            if name == "equal":
                yield from entities_first(options, seed, variant)
                for other in ("bc5cdr-chem", "chemprot", "ddi2013", "hoc", "biosses"):
                    yield Run(f"{MEASURED}+{other}/{seed}", keys(options, seed, (MEASURED, other), **variant))
        longer = keys(options, seed, tuple(TASKS), **VARIANTS["equal"])
        yield Run(f"all-twice-the-steps/{seed}", {**longer, "num_train_epochs": 2 * options.passes})
        for task in TASKS:
            if task != MEASURED:
                yield Run(f"{task}/{seed}", keys(options, seed, (task,)))


def entities_first(options: argparse.Namespace, seed: int, variant: Keys) -> Iterator[Run]:
    """Both entity tasks alone for three passes, then all tasks from that encoder, the heads of entities kept."""
    first = f"entities/{seed}"
    recipe = keys(options, seed, ("bc5cdr-chem", "bc5cdr-disease"), **variant)
    yield Run(first, {**recipe, "num_train_epochs": 3})
    start = {"encoder": str(options.out.absolute() / first), "heads": "trained"}
    yield Run(f"all-entities-first/{seed}", {**keys(options, seed, tuple(TASKS), **variant), **start}, [first])


def scores(out: Path, passes: int) -> dict[str, Any]:
    """The main dev score of each task of every complete probe."""
    told: dict[str, Any] = {"passes": passes}
    for path in sorted(out.glob("*/*/metrics.json")):
        metrics = json.loads(path.read_text(encoding="utf-8"))
        tasks = {name: round(splits["dev"]["value"], 4) for name, splits in metrics["tasks"].items()}
        facts = metrics["provenance"]
        name = path.parent.relative_to(out).as_posix()
        told[name] = {"dev": tasks, "steps": facts["steps"], "seconds": facts["train_seconds"]}
    return told


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("prepared", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--encoder", default="all-MiniLM-L6-v2")
    parser.add_argument("--passes", type=int, default=2)
    parser.add_argument("--seeds", type=int, nargs="*", default=[1])
    parser.add_argument("--bf16", action="store_true")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=float("inf"))
    parser.add_argument("--only", default="", help="only probes with this pattern in their name")
    parser.add_argument("--gradients", action="store_true", help="measure gradients during one joint run instead")
    parser.add_argument("--json", type=Path, help="file for the results of all complete probes")
    options = parser.parse_args()
    out = options.out.absolute()
    preload()
    if options.gradients:
        from gradients import measure

        recipe = keys(options, options.seeds[0], tuple(TASKS), **VARIANTS["equal"])
        told = measure({**recipe, "output": str(out / "gradients")})
    else:
        Queue(out, list(probes(options)), options.only).work(options.workers, 60 * options.minutes)
        told = scores(out, options.passes)
    if options.json:
        options.json.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
