"""Tasks as records: what is labelled, how it is scored, who may have the data."""

from biomtl.tasks.registry import SUITES, get_task, known_tasks, suite_tasks
from biomtl.tasks.task import Task

__all__ = ["SUITES", "Task", "get_task", "known_tasks", "suite_tasks"]
