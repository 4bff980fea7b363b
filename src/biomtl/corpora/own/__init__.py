"""A user's own data as a task: a definition in a recipe, no code."""

from biomtl.corpora.own.config import Files, TaskDefinition
from biomtl.corpora.own.definitions import read_definitions
from biomtl.corpora.own.task import OwnTask, own_task

__all__ = ["Files", "OwnTask", "TaskDefinition", "own_task", "read_definitions"]
