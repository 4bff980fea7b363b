"""Before training: how each tagging task's corpus cuts its text, so that new text can be cut the same way."""

from __future__ import annotations

from biomtl.model import MultiTaskModel
from biomtl.suite import Suite
from biomtl.text.word_rules import describe, learn_words


def learn_word_rules(model: MultiTaskModel, suite: Suite) -> list[str]:
    """Give each tagging task of the model the rule of its train split, to be saved with its head.

    Returns:
        What the user should know: a line for every task whose words are not ours, or can't be reproduced.
    """
    notes = []
    for name, entry in suite.data.items():
        if entry.task.inputs == "tokens" and "train" in entry and name in model.tasks:
            rule = learn_words(entry.records("train"))
            model.tasks[name] = model.tasks[name].model_copy(update={"words": rule})
            notes += [f"task {name}: {line}" for line in describe(rule)]
    return notes
