"""Counts on disk, so that a long run can be stopped and taken up again, and its figures be shown."""

from __future__ import annotations

import json
import os
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "results"
MOST_KEPT = 100  # problems whose words are kept; all are counted
_FOLDERS = re.compile(r"(?<![\w.:/])/(?:[^\s/:\"']+/)+")
"""The folders of an absolute path, which are this machine's own."""
_DETAIL = re.compile(r"\d+|'[^']*'|\"[^\"]*\"|\([^)]*\)|\.biomtl-[a-z0-9_]{8}\.")


@dataclass
class Results:
    """The counts of one kind of trial, and what went wrong. Trial number n is the same in every run of a seed."""

    path: Path
    seed: int = 0
    trials: int = 0
    seconds: float = 0.0
    counts: dict[str, Counter[str]] = field(default_factory=dict)
    most: dict[str, float] = field(default_factory=dict)
    problems: list[dict[str, Any]] = field(default_factory=list)
    wrong: int = 0

    @classmethod
    def open(cls, path: Path, seed: int, fresh: bool) -> Results:
        """What ``path`` holds of this seed, or none yet; ``fresh`` deletes what it holds."""
        results = cls(path, seed)
        if fresh:
            path.unlink(missing_ok=True)
        if path.is_file():
            stored = json.loads(path.read_text(encoding="utf-8"))
            if stored["seed"] == seed:
                results.trials, results.seconds = stored["trials"], stored["seconds"]
                results.counts = {name: Counter(values) for name, values in stored["counts"].items()}
                results.most, results.problems, results.wrong = stored["most"], stored["problems"], stored["wrong"]
        return results

    def count(self, times: int = 1, **values: str) -> None:
        """Count one trial, or several, under each of its properties."""
        for name, value in values.items():
            self.counts.setdefault(name, Counter())[value] += times

    def highest(self, **values: float) -> None:
        """Keep the highest values."""
        for name, value in values.items():
            self.most[name] = round(max(self.most.get(name, 0), value), 2)

    def problem(self, what: str, **facts: Any) -> None:
        """Note what went wrong; of problems that differ in details only, the first is kept and the others counted."""
        self.wrong += 1
        facts = {**facts, "what": _FOLDERS.sub("", what)}
        same = next((known for known in self.problems if _shape(known) == _shape(facts)), None)
        if same is not None:
            same["times"] += 1
        elif len(self.problems) < MOST_KEPT:
            self.problems.append({"trial": self.trials, "times": 1, **facts})

    def total(self, name: str) -> int:
        """All counts under one property."""
        return self.counts.get(name, Counter()).total()

    def save(self) -> None:
        """Write the file anew under a temporary name, then rename."""
        counts = {name: dict(sorted(values.items())) for name, values in sorted(self.counts.items())}
        facts = {"seed": self.seed, "trials": self.trials, "wrong": self.wrong, "seconds": round(self.seconds, 1)}
        facts |= {"most": dict(sorted(self.most.items())), "counts": counts, "problems": self.problems}
        self.path.parent.mkdir(parents=True, exist_ok=True)
        work = self.path.with_suffix(".tmp")
        work.write_text(json.dumps(facts, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
        os.replace(work, self.path)


def _shape(problem: Mapping[str, Any]) -> tuple[str, ...]:
    """What two problems of one kind have in common."""
    where = (str(problem.get(key)) for key in ("scenario", "command", "reader"))
    return (*where, _DETAIL.sub("", problem["what"])[-300:])
