"""Before training: learn how each tagging task's corpus splits text, so that new text is split in the same way."""

from __future__ import annotations

from biomtl.model import MultiTaskModel
from biomtl.suite import Suite
from biomtl.tasks.task import Task
from biomtl.text.word_rules import describe, learn_words


def learn_word_rules(model: MultiTaskModel, suite: Suite) -> list[str]:
    """Give each tagging task of the model the rule learned from its train split, to be saved with its head.

    Returns:
        Messages for the user: one line for each task whose words don't follow our rule, or can't be reproduced.
    """
    notes = []
    for name, task in with_word_rules(suite).items():
        if task.words is not None and name in model.tasks:
            model.tasks[name] = model.tasks[name].model_copy(update={"words": task.words})
            notes += [f"task {name}: {line}" for line in describe(task.words)]
    return notes


def with_word_rules(suite: Suite) -> dict[str, Task]:
    """The suite's tasks, each tagging task with the rule learned from its train split."""
    return {
        name: entry.task.model_copy(update={"words": learn_words(entry.records("train"))})
        if entry.task.inputs == "tokens" and "train" in entry
        else entry.task
        for name, entry in suite.data.items()
    }
