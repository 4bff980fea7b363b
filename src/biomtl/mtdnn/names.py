"""MT-DNN's names and numbers, and our counterparts; the tables are in ``names.yaml``."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import resources
from typing import Any

import yaml

TABLES: Mapping[str, Any] = yaml.safe_load((resources.files(__package__) / "names.yaml").read_text(encoding="utf-8"))
TYPES: Mapping[str, str] = TABLES["types"]
INPUTS: Mapping[str, str] = TABLES["formats"]
LOSSES: Mapping[str, Mapping[str, Any]] = TABLES["losses"]
METRICS: Mapping[str, Mapping[str, Any]] = TABLES["metrics"]


def by_number(table: Mapping[str, Mapping[str, Any]]) -> dict[int, str]:
    """MT-DNN's names by the numbers of its enumeration."""
    return {entry["number"]: name for name, entry in table.items() if "number" in entry}


def metrics_for(names: list[str], task_type: str) -> tuple[tuple[str, ...], list[str]]:
    """Our metrics for MT-DNN's, in order, and those of its names that have no counterpart for this type."""
    found = {name: METRICS.get(name, {}).get(task_type) for name in names}
    ours = dict.fromkeys(metric for metric in found.values() if metric)
    return tuple(ours), [name for name, metric in found.items() if not metric]
