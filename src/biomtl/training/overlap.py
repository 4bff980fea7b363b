"""Before training: which training rows are also scored, and whether to drop them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from biomtl.audit.overlap import Shared, shared_rows
from biomtl.errors import InputError
from biomtl.suite import Suite
from biomtl.training.recipe import Recipe
from biomtl.training.splits import training_splits

MOST_LINES = 6


@dataclass(frozen=True)
class TrainingOverlap:
    """Training rows with a document or text that one of the run's tasks is scored on."""

    rows: list[Shared]
    sizes: Mapping[str, int]
    excluded: bool

    @property
    def counts(self) -> Counter[tuple[str, str, str]]:
        """Rows by training task, by what is shared, and by the split that is scored."""
        return Counter((row.task, row.why, " ".join(row.other)) for row in self.rows)

    def facts(self) -> dict[str, Any]:
        """For the provenance of results."""
        tasks = Counter(row.task for row in self.rows)
        return {"exclude_overlap": self.excluded, "rows": dict(sorted(tasks.items()))}

    def warning(self) -> str:
        """A message for the user, or nothing."""
        if not self.rows:
            return ""
        lines = [
            f"  {task}: {count:,} of {self.sizes[task]:,} training rows share a {why} with {other}"
            for (task, why, other), count in self.counts.most_common()
        ]
        more = [f"  … and {len(lines) - MOST_LINES} more such pairs"] if len(lines) > MOST_LINES else []
        head = (
            "dropped"
            if self.excluded
            else "warning: rows in training that are also scored (`exclude_overlap: true` drops them)"
        )
        return "\n".join([f"{head}:", *lines[:MOST_LINES], *more])


def look_for_overlap(suite: Suite, recipe: Recipe) -> tuple[Suite, TrainingOverlap]:
    """The suite, without the overlapping training rows if the recipe says so, and the overlap.

    The comparison is exact, by document and by the words of a text; ``biomtl audit`` also finds near-duplicates.

    Raises:
        InputError: a task would have no training row left.
    """
    trained = training_splits(recipe)
    records = {name: {split: entry.records(split) for split in entry.files} for name, entry in suite.data.items()}
    shared = shared_rows(records, trained)
    sizes = {name: sum(len(splits.get(split, ())) for split in trained) for name, splits in records.items()}
    overlap = TrainingOverlap(shared, sizes, recipe.exclude_overlap)
    if not recipe.exclude_overlap:
        return suite, overlap
    entries = []
    for name, entry in suite.data.items():
        for split in trained:
            rows = {row.row for row in shared if (row.task, row.split) == (name, split)}
            entry = entry.without(split, rows) if rows else entry
        if not any(entry.records(split) for split in trained if split in entry):
            fix = "leave out exclude_overlap, or make other splits"
            raise InputError(f"task {name}: every training row overlaps with scored data", fix=fix)
        entries.append(entry)
    return Suite(entries, suite.source), overlap
