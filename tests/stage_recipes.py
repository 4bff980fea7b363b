"""Recipes with stages for the tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

TASKS = ["cls-text", "tag-drug"]


def keys_of(bert: Path, suite: Path, folder: Path, **keys: Any) -> dict[str, Any]:
    base = {"encoder": str(bert), "suite": str(suite), "output": str(folder), "max_length": 24, "batch_size": 8}
    base |= {"num_train_epochs": 1, "learning_rate": 1e-3, "num_threads": 1, "tasks": TASKS, "save_steps": 1}
    return {**base, **keys}


FOUR: list[Any] = [
    {"adapt": {"num_train_epochs": 2}},
    "alone",
    {"joint": {"distill": {"teachers": "alone"}, "max_steps": 4}},
    {"each": {"learning_rate": 5e-4, "by_task": {"tag-drug": {"num_train_epochs": 2}}}},
]


class StoppedError(Exception):
    """The process ends here."""
