"""A user's own data as a task: a definition in a recipe, no code."""

from biomtl.custom.config import Files, TaskDefinition
from biomtl.custom.definitions import read_definitions
from biomtl.custom.task import OwnTask, own_task

__all__ = ["Files", "OwnTask", "TaskDefinition", "own_task", "read_definitions"]
