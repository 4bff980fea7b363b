"""The runs of docs/results.md and docs/relations.md: BLUE's six public tasks with a small encoder, all arms and seeds.

    biomtl prepare CORPORA --out prepared
    python benchmarks/public_six.py prepared OUT --workers 16 --minutes 10

Rates were chosen on dev, with a seed of their own, by the runs that ``--tune`` adds; test is scored once, by the runs
of the arms. Complete runs are skipped, so the same call goes on where time ended. Made for one GPU that many small runs
share; on a CPU it works the same, but takes days: there, use ``--bf16`` and ``--save-minutes 5``.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from forked_runs import Keys, Queue, Run, preload

SEEDS = (1, 2, 3)
TUNING_SEED = 0
RELATIONS = ("ddi2013", "chemprot")
ENTITIES = ("bc5cdr-chem", "bc5cdr-disease")
WEIGHT_4 = dict.fromkeys(ENTITIES, 4)
BALANCED = {"bc5cdr-chem": 8, "bc5cdr-disease": 8, "hoc": 4, "biosses": 16}
"""Entities, HoC and BIOSSES have the smallest gradients at the encoder (docs/why-joint.md)."""
VIEW = "spans"
TASKS: dict[str, dict[str, Any]] = {
    "bc5cdr-chem": {},
    "bc5cdr-disease": {},
    "ddi2013": {"view": VIEW},
    "chemprot": {"view": VIEW},
    "hoc": {},
    "biosses": {"pairs": "apart"},
}
# Passes over a task's training split, the same in every arm but those that say otherwise; the best one is kept by dev.
EPOCHS = {"bc5cdr-chem": 10, "bc5cdr-disease": 10, "ddi2013": 10, "chemprot": 10, "hoc": 6, "biosses": 20}
KINDS = {"markers": "mask", "levitated": "spans"}  # whose rates a view takes
VIEW_EPOCHS = {"mask": 6, "markers": 6, "levitated": 6}
JOINT_EPOCHS, BALANCED_EPOCHS, ADAPT_EPOCHS = 12, 8, 3
EVAL_STEPS = {"bc5cdr-chem": 176, "bc5cdr-disease": 176, "ddi2013": 288, "chemprot": 448}  # two passes
BATCH = {"spans": 1024, "levitated": 1024, "mask": 4096, "markers": 4096}  # positions
RATES: dict[str, tuple[Keys, ...]] = {
    "spans": (
        {"learning_rate": 1e-4},
        {"learning_rate": 2e-4},
        {"learning_rate": 2e-4, "batch_tokens": 2048},
    ),
    "mask": ({"learning_rate": 1e-4}, {"learning_rate": 2e-4}),
    "tagging": ({"learning_rate": 1e-4}, {"learning_rate": 2e-4}),
    "multilabel": ({"learning_rate": 1e-4}, {"learning_rate": 2e-4}),
    "joint": (
        {"learning_rate": 1e-4},
        {"learning_rate": 2e-4},
        {"learning_rate": 4e-4},
        {"learning_rate": 2e-4, "loss_balance": "equal"},
    ),
}
CHOSEN: dict[str, Keys] = {
    "spans/ddi2013": {"learning_rate": 1e-4},
    "spans/chemprot": {"learning_rate": 2e-4},
    "mask/ddi2013": {"learning_rate": 1e-4},
    "mask/chemprot": {"learning_rate": 1e-4},
    "tagging/bc5cdr-disease": {"learning_rate": 2e-4},
    "multilabel/hoc": {"learning_rate": 1e-4},
    "joint/all": {"learning_rate": 2e-4, "loss_balance": "equal"},
}
"""What was best on dev (benchmarks/results)."""


class Arms:
    """Every run, with the keys that make it.

    Args:
        prepared: the prepared suite.
        out: folder of all runs.
        encoder: what every arm starts from.
        view: how relations are read, alone and beside other tasks.
        seeds: those of each arm; an ensemble of teachers has one model of each.
        tune: choose the rates anew.
        small: one pass and few rows, to try the program itself.
    """

    def __init__(
        self,
        prepared: Path,
        out: Path,
        encoder: str,
        *,
        view: str = VIEW,
        seeds: Sequence[int] = SEEDS,
        tune: bool,
        small: bool,
    ) -> None:
        self.out, self.encoder, self.tune, self.small = out, encoder, tune, small
        self.view, self.seeds = view, seeds
        self.tasks = {name: {**keys, "view": view} if name in RELATIONS else keys for name, keys in TASKS.items()}
        self.shared_folder = str(out / "teachers" / "-".join(map(str, seeds)))
        self.common: dict[str, Any] = {
            "suite": str(prepared),
            "head_learning_rate": 1e-3,
            "num_threads": 1,
            "save_strategy": "no",
            "save_minutes": 0,
        }

    def keys(self, seed: int, tasks: Mapping[str, Keys], epochs: int, **more: Any) -> dict[str, Any]:
        """A recipe."""
        chosen = {name: dict(options) for name, options in tasks.items()}
        if self.small:
            chosen = {name: {**options, "max_rows": 40} for name, options in chosen.items()}
            epochs = 1
        keys = {
            **self.common,
            "encoder": self.encoder,
            "seed": seed,
            "tasks": chosen,
            "num_train_epochs": epochs,
            **more,
        }
        return {key: value for key, value in keys.items() if value is not None}

    def alone(self, task: str, seed: int, view: str | None = None, times: float = 1, **more: Any) -> dict[str, Any]:
        """A task by itself."""
        options, epochs, batch = self.tasks[task], EPOCHS[task], 2048
        view = view or self.view
        if task in RELATIONS:
            options, epochs, batch = {"view": view}, VIEW_EPOCHS.get(view, EPOCHS[task]), BATCH[view]
        if task == "biosses":
            more = {"learning_rate": 5e-5, **more}
            batch = 1024
        passes = max(1, round(times * epochs))
        # In a study with another view than spans, dev is scored after every pass of every task.
        steps = EVAL_STEPS.get(task) if view == "spans" and passes > 6 else None
        return self.keys(seed, {task: options}, passes, **{"batch_tokens": batch, "eval_steps": steps, **more})

    def joint(self, seed: int, **more: Any) -> dict[str, Any]:
        """All tasks together."""
        counts = {"bc5cdr-chem": 4546, "bc5cdr-disease": 4546, "ddi2013": 2851, "chemprot": 3714, "hoc": 8000}
        weights = {**counts, "biosses": 2000 if more.get("distill") else 640}
        tasks = {name: {**options, "mixing_weight": weights[name]} for name, options in self.tasks.items()}
        if not more.get("loss_balance"):
            tasks["hoc"]["weight"] = 4
        for name, weight in more.pop("weights", {}).items():
            tasks[name]["weight"] = weight
        if (width := more.pop("adapter", None)) is not None:
            tasks["bc5cdr-chem"]["adapter"] = tasks["bc5cdr-disease"]["adapter"] = width
        best = [name for name in TASKS if name != "biosses"]  # whose 16 dev pairs are noise
        more = {
            "metric_for_best_model": best,
            "policy": "fixed",
            "batch_tokens": 4096,
            "eval_steps": 640 if more.get("distill") else 480,
            **more,
        }
        return self.keys(seed, tasks, JOINT_EPOCHS, **more)

    def rate(self, kind: str, task: str) -> Keys:
        """The rates that were best on dev."""
        if not self.tune:
            return CHOSEN[f"{kind}/{task}"]
        scores = {
            number: dev_score(self.out / "tune" / kind / task / str(number)) for number in range(len(RATES[kind]))
        }
        return RATES[kind][max(scores, key=lambda number: scores[number])]

    def kind(self, task: str) -> str:
        """Whose rates a task alone uses."""
        if task in RELATIONS:
            return KINDS.get(self.view, self.view)
        return {"hoc": "multilabel"}.get(task, "tagging")

    def tuning(self) -> Iterator[Run]:
        """The runs that choose rates."""
        for number, keys in enumerate(RATES["joint"]):
            yield Run(f"tune/joint/all/{number}", self.joint(TUNING_SEED, predict_test=False, **keys))
        for kind in ("mask", "spans", "multilabel", "tagging"):
            tasks = {"multilabel": ("hoc",), "tagging": ("bc5cdr-disease",)}.get(kind, RELATIONS)
            for number, keys in enumerate(RATES[kind]):
                for task in tasks:
                    view = kind if kind in BATCH else None
                    made = self.alone(task, TUNING_SEED, view, predict_test=False, **keys)
                    yield Run(f"tune/{kind}/{task}/{number}", made)

    def needs(self, kind: str, task: str) -> list[str]:
        """The runs that choose the rates of a kind."""
        return [f"tune/{kind}/{task}/{number}" for number in range(len(RATES[kind]) if self.tune else 0)]

    def single(self, arm: str, task: str, seed: int, needs: tuple[str, ...] = (), **more: Any) -> Run:
        """A run of one task with the chosen rates; a run of an earlier stage lowers them."""
        if task == "biosses":
            return Run(f"{arm}/{task}/{seed}", lambda: self.alone(task, seed, **more), needs)
        kind = self.kind(task)
        tuned = "bc5cdr-disease" if kind == "tagging" else task

        def keys() -> Keys:
            rate = dict(self.rate(kind, tuned))
            if more.get("heads") == "trained":
                rate["learning_rate"] = rate["learning_rate"] / 2
            return self.alone(task, seed, **{**rate, **more})

        return Run(f"{arm}/{task}/{seed}", keys, [*self.needs(kind, tuned), *needs])

    def mixed(self, arm: str, seed: int, needs: tuple[str, ...] = (), **more: Any) -> Run:
        """A joint run with the chosen rates."""
        return Run(
            f"{arm}/{seed}",
            lambda: self.joint(seed, **{**self.rate("joint", "all"), **more}),
            [*self.needs("joint", "all"), *needs],
        )

    def entities(self, seed: int) -> Run:
        """Both entity tasks, from which a joint run starts."""
        tasks = {name: self.tasks[name] for name in ENTITIES}
        rate = self.rate("tagging", "bc5cdr-disease")
        return Run(f"entities/{seed}", self.keys(seed, tasks, 5, batch_tokens=2048, predict_test=False, **rate))

    def viewed(self, view: str, task: str, seed: int) -> Run:
        """A relation task in another view; ``markers`` and ``levitated`` take the rates of ``mask`` and ``spans``."""
        kind = KINDS.get(view, view)
        return Run(
            f"{view}/{task}/{seed}",
            lambda: self.alone(task, seed, view, **self.rate(kind, task)),
            self.needs(kind, task),
        )

    def all(self) -> Iterator[Run]:
        """Every run, the most important first."""
        yield from self.tuning() if self.tune else ()
        for seed in self.seeds:
            keys = self.keys(seed, self.tasks, ADAPT_EPOCHS, **ADAPT)
            yield Run(f"adapt/{seed}", keys, done="model/config.json", adapts=True)
        for seed in self.seeds:
            for task in ("chemprot", "ddi2013", "bc5cdr-chem", "bc5cdr-disease", "hoc", "biosses"):
                yield self.single("alone", task, seed)
        for seed in self.seeds:
            yield from self.distilled(seed)
        for arm in ("ensemble-distilled", "balanced-distilled", "weighted-distilled", "adapted-weighted-distilled"):
            for seed in self.seeds:
                yield from self.each(arm, seed)
        for seed in self.seeds:
            for task in TASKS:
                yield self.alone_distilled(task, seed)
        for seed in self.seeds:
            for task in RELATIONS:
                yield self.viewed("levitated", task, seed)
        for seed in self.seeds:
            yield self.mixed("balanced", seed, weights=BALANCED)
            yield self.mixed("weighted", seed, weights=WEIGHT_4)
        for seed in self.seeds:
            yield self.mixed("joint", seed)
        for seed in self.seeds:
            adapted = str(self.out / "adapt" / str(seed) / "model")
            yield self.mixed("adapted-joint", seed, (f"adapt/{seed}",), encoder=adapted)
        for task in RELATIONS:
            for seed in self.seeds:
                yield self.viewed("mask", task, seed)
        yield from self.variants("weight-8", "weight-4-own-layers", "one-task-per-batch")
        for task in TASKS:
            for seed in self.seeds:
                yield self.single("alone-longer", task, seed, times=2)
        yield from self.variants("weight-2", "weight-4", "scale", "uncertainty", "weight-4-half-rate")
        for task in RELATIONS:
            for seed in self.seeds:
                yield self.viewed("markers", task, seed)
        for seed in self.seeds:
            yield self.entities(seed)
            first: dict[str, Any] = {"encoder": str(self.out / "entities" / str(seed)), "heads": "trained"}
            first["num_train_epochs"] = JOINT_EPOCHS - 1  # five passes over the entities' texts cost about one of all
            yield self.mixed("entities-first", seed, (f"entities/{seed}",), **first)
        for seed in self.seeds:
            yield from self.each("joint", seed)
            for task in TASKS:
                adapted = str(self.out / "adapt" / str(seed) / "model")
                yield self.single("adapted-alone", task, seed, (f"adapt/{seed}",), encoder=adapted)

    def distilled(self, seed: int) -> Iterator[Run]:
        """Joint runs whose teachers are the single-task models of the same seed."""
        teach: dict[str, Any] = {"gold_from": 0.0, "gold_to": 0.5, "unlabelled": "*", "pairs": 1500}
        teach["teachers"] = [str(self.out / "alone" / task / str(seed)) for task in TASKS]
        teach["folder"] = str(self.out / "teachers" / str(seed))
        after = tuple(f"alone/{task}/{seed}" for task in TASKS)
        adapted = str(self.out / "adapt" / str(seed) / "model")
        from_adapted: dict[str, Any] = {"needs": (*after, f"adapt/{seed}"), "encoder": adapted}
        yield self.ensemble(seed, teach)
        yield self.mixed("balanced-distilled", seed, after, distill=teach, **BALANCED_RUN)
        yield self.mixed("weighted-distilled", seed, after, distill=teach, weights=WEIGHT_4)
        yield self.mixed("adapted-weighted-distilled", seed, **from_adapted, distill=teach, weights=WEIGHT_4)
        yield self.mixed("distilled", seed, after, distill=teach)
        yield self.mixed("adapted-distilled", seed, **from_adapted, distill=teach)

    def ensemble(self, seed: int, teach: Keys) -> Run:
        """A longer joint run whose teachers are the single-task models of all seeds."""
        needs = tuple(f"alone/{task}/{other}" for task in TASKS for other in self.seeds)
        teach = {**teach, "teachers": {task: self.all_seeds(task) for task in TASKS}, "folder": self.shared_folder}
        longer = {**BALANCED_RUN, "num_train_epochs": JOINT_EPOCHS}
        return self.mixed("ensemble-distilled", seed, needs, distill=teach, **longer)

    def alone_distilled(self, task: str, seed: int) -> Run:
        """A task by itself with the ensemble's teachers: what distillation is worth without other tasks."""
        teach = {"teachers": {task: self.all_seeds(task)}, "gold_to": 0.5, "folder": self.shared_folder}
        needs = tuple(f"alone/{task}/{other}" for other in self.seeds)
        return self.single("alone-distilled", task, seed, needs, distill=teach)

    def all_seeds(self, task: str) -> list[str]:
        """A task's teachers."""
        return [str(self.out / "alone" / task / str(seed)) for seed in self.seeds]

    def each(self, arm: str, seed: int) -> Iterator[Run]:
        """Every task by itself, from a joint run and with its head; with balanced weights, from its teachers, too."""
        for task in TASKS:
            start = {"encoder": str(self.out / arm / str(seed) / "model"), "heads": "trained", "times": 0.5}
            own = str(self.out / "alone" / task / str(seed))
            taught = {"ensemble-distilled": self.all_seeds(task), "balanced-distilled": [own]}
            if arm in taught:
                half = {"gold_from": 0.5, "gold_to": 0.5, "folder": str(self.out / "teachers" / "each")}
                start["distill"] = {"teachers": {task: taught[arm]}, **half}
            yield self.single(f"{arm}-each", task, seed, (f"{arm}/{seed}",), **start)

    def variants(self, *names: str) -> Iterator[Run]:
        """Other weights and balances, on dev, with the seed of the tuning."""
        for name in names:
            yield self.mixed(f"variant/{name}", TUNING_SEED, predict_test=False, **VARIANTS[name])


VARIANTS: dict[str, dict[str, Any]] = {
    "weight-8": {"weights": dict.fromkeys(ENTITIES, 8)},
    "one-task-per-batch": {"mixing": "batch"},
    "weight-2": {"weights": dict.fromkeys(ENTITIES, 2)},
    "weight-4": {"weights": WEIGHT_4},
    "scale": {"loss_balance": "scale"},
    "uncertainty": {"loss_balance": "uncertainty"},
    "weight-4-half-rate": {"weights": WEIGHT_4, "learning_rate": 1e-4},
    "weight-4-own-layers": {"weights": WEIGHT_4, "adapter": 204},
}
BALANCED_RUN: dict[str, Any] = {"weights": BALANCED, "num_train_epochs": BALANCED_EPOCHS}
ADAPT: Keys = {
    "learning_rate": 1e-4,
    "batch_tokens": 4096,
    "eval_strategy": "no",
    "predict_test": False,
}


def dev_score(folder: Path) -> float:
    """A run's best mean score on dev."""
    return float(json.loads((folder / "metrics.json").read_text(encoding="utf-8"))["mean"]["dev"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("prepared", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=float("inf"))
    parser.add_argument("--encoder", default="all-MiniLM-L6-v2")
    parser.add_argument("--only", default="", help="only runs with this pattern in their name, and nothing they need")
    parser.add_argument("--tune", action="store_true", help="choose the rates anew, on dev")
    parser.add_argument("--small", action="store_true", help="one pass over 40 rows, to try the program")
    parser.add_argument("--bf16", action="store_true", help="train in bfloat16, for CPUs with its instructions")
    parser.add_argument(
        "--view", choices=sorted(BATCH), default=VIEW, help="how every arm but those of views reads relations"
    )
    parser.add_argument(
        "--seeds", type=int, nargs="+", default=SEEDS, help="seeds of each arm, whose models are an ensemble's teachers"
    )
    parser.add_argument("--save-minutes", type=float, help="write checkpoints, from which a stopped run goes on")
    parser.add_argument("--list", action="store_true")
    options = parser.parse_args()
    out = options.out.absolute()
    choices = {"view": options.view, "seeds": options.seeds, "tune": options.tune, "small": options.small}
    arms = Arms(options.prepared.absolute(), out, options.encoder, **choices)
    arms.common["bf16"] = options.bf16
    if options.save_minutes:
        arms.common.update(save_strategy="epoch", save_minutes=options.save_minutes)
    runs = list(arms.all())
    if options.list:
        print("\n".join(run.name for run in runs if re.search(options.only, run.name)))
        return
    preload()
    Queue(out, runs, options.only).work(options.workers, 60 * options.minutes)


if __name__ == "__main__":
    main()
