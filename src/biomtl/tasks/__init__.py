"""Tasks as records: what is labelled, how it is scored, and who may use the data."""

from biomtl.tasks.registry import SUITES, get_task, known_tasks, suite_tasks
from biomtl.tasks.task import Task

__all__ = ["SUITES", "Task", "get_task", "known_tasks", "suite_tasks"]
