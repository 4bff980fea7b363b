"""The tasks of a recipe: their options, and the forms in which they may be listed."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Literal

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from biomtl.custom.config import TaskDefinition
from biomtl.tasks.head import HeadChoice, View
from biomtl.tasks.registry import GROUPS, known_tasks
from biomtl.training.options import Amount, Count, Natural, NotNegative, Share

LossName = Literal["cross_entropy", "mse", "sym_kl", "js", "hellinger", "cosine"]
DivergenceName = Literal["mse", "sym_kl", "js", "hellinger", "cosine"]
OF_MIXTURES = (
    "policy",
    "temperature",
    "need_sampling",
    "loss_balance",
    "gradient_aggregation",
    "metric_for_best_model",
    "mixing",
)
"""Recipe keys that a run of a single task has no use for."""
OF_SHARES = ("mixing_weight", "weight", "target_score")
"""The same of a task's options."""


class TaskOptions(TaskDefinition):
    """A recipe's options for one task; with ``type`` and ``files`` it is the user's own task."""

    weight: NotNegative = Field(1.0, description="Factor of the task's mean loss in the step's loss.")
    loss_scale: Literal["range", "score"] = Field(
        "range",
        description="Unit of a regression's squared error: the score range, so that 0 to 5 counts no more than 0 to 1, "
        "or the score itself, as in MT-DNN.",
    )
    loss: LossName | None = Field(
        None,
        description="The task's loss by name: `cross_entropy`, `mse`, `sym_kl`, `js`, `hellinger` or `cosine` of its "
        "outputs as distributions; default the type's own, such as cross-entropy.",
    )
    divergence: DivergenceName | None = Field(
        None,
        description="How `smart` and `r_drop` compare two passes of the task: `sym_kl`, `js`, `hellinger`, `mse` or "
        "`cosine`; default the mean of both Kullback-Leibler divergences.",
    )
    mixing_weight: Amount | None = Field(None, description="Share of the samples under `policy: fixed`, in any unit.")
    target_score: Amount | None = Field(
        None,
        description="Dev score at which the task needs no further samples (`need_sampling`); default 1, for an error "
        "such as `mse` none.",
    )
    max_rows: Count | None = Field(None, description="Train on this many rows, sampled once by `seed`; default all.")
    rebalance: Literal["undersample", "oversample", "class_weights"] | None = Field(
        None,
        description="Balance the classes in training: `undersample` draws as many rows of the most frequent class as "
        "the others have on average, another part of them in each epoch; `oversample` draws every class as often as "
        "the most frequent one; `class_weights` weighs the loss by inverse frequency. Default none.",
    )
    pairs: Literal["together", "apart"] | None = Field(
        None,
        description="Encode two texts as one sequence, or separately and compare them; default the task's own way.",
    )
    order: Literal["ab", "ba"] | None = Field(
        None,
        description="Which of a pair's texts comes first in the sequence; default the task's own, or a trained head's.",
    )
    dropout: Share | None = Field(None, description="Dropout of the task's head; default the recipe's `dropout`.")
    view: View | None = Field(
        None,
        description="Relation tasks: what the encoder reads of a pair. `mask`: the text with both mentions replaced by "
        "placeholders; `markers`: with typed markers around them; `spans`: the text as it stands, once for all its "
        "pairs; `levitated`: the same with markers beside the text for each pair.",
    )
    argument_types: dict[str, str] | None = Field(
        None,
        description="Relation tasks: other names for the types of their arguments, such as those of the model's "
        "taggers (`{Chemical: drug}`); they are added to the `types` of the task's record.",
    )
    adapter: Natural | None = Field(
        None, description="Width of a task-specific attention layer below the head, such as 204; default none."
    )
    lora: Natural | None = Field(
        None,
        description="Rank of the task's own low-rank adapters in the encoder's layers, such as 8; default none.",
    )
    head: str | None = Field(
        None,
        description="`default` (the encoder family's own), `mlp`, `pooler` or `san`; default the task record's `head`.",
    )
    head_options: dict[str, Any] = Field(default_factory=dict, description="Options of a named head, such as `turns`.")

    @model_validator(mode="before")
    @classmethod
    def _old_head(cls, values: Any) -> Any:
        """Accept options under ``head``, as in older recipes."""
        if isinstance(values, Mapping) and isinstance(values.get("head"), Mapping):
            options = {**values["head"], **(values.get("head_options") or {})}
            return {**{key: value for key, value in values.items() if key != "head"}, "head_options": options}
        return values

    def choose(self, head: HeadChoice) -> HeadChoice:
        """The requested head, where ``head`` is the task's own without these options."""
        wanted = HeadChoice(
            name=self.head or head.name,
            options=self.head_options,
            pairs=self.pairs or head.pairs,
            view=self.view or head.view,
            adapter=head.adapter if self.adapter is None else self.adapter,
            lora=head.lora if self.lora is None else self.lora,
        )
        options = {**head.options, **wanted.options} if wanted.name == head.name else wanted.options
        return wanted.model_copy(update={"options": options})


def contradiction(message: str, *keys: str) -> PydanticCustomError:
    """An error about several keys; the loader turns ``keys`` into a line number."""
    return PydanticCustomError("contradiction", "{message}", {"message": message, "keys": keys})


def only_group(given: dict[str, Any]) -> None:
    """Leave only the tasks of ``group`` in ``tasks``, and in what the stages say of single tasks.

    Raises:
        PydanticCustomError: no such group, or none of its tasks in the recipe.
    """
    group = given["group"]
    if not isinstance(group, str) or group not in GROUPS:
        raise contradiction(f"group {group!r}, choose one of {', '.join(GROUPS)}", "group")
    listed = [task for task in known_tasks().values() if task.name in GROUPS[group]]
    members = [name for task in listed for name in (task.name, *task.aliases)]
    if isinstance(tasks := given.get("tasks"), Mapping):
        given["tasks"] = {name: options for name, options in tasks.items() if name in members}
    if not given.get("tasks"):
        raise contradiction(
            f"group {group}: none of its tasks is listed ({', '.join(GROUPS[group])})", "group", "tasks"
        )
    stages = given.get("stages")
    given["stages"] = [_of_group(entry, members) for entry in stages] if isinstance(stages, list) else stages or ()


def _of_group(stage: Any, members: Collection[str]) -> Any:
    """A stage as written, with these tasks alone."""
    if not isinstance(stage, Mapping) or len(stage) != 1:
        return stage
    name, keys = next(iter(stage.items()))
    if not isinstance(keys, Mapping):
        return stage
    kept = dict(keys)
    if isinstance(tasks := keys.get("tasks"), list):
        kept["tasks"] = [task for task in tasks if task in members]
    if isinstance(single := keys.get("by_task"), Mapping):
        kept["by_task"] = {task: value for task, value in single.items() if task in members}
    return {name: kept}


def tasks_by_name(value: Any) -> Any:
    """``tasks`` in any of its forms as a mapping name -> options; anything else is left to pydantic.

    Forms: one name; a list of names, of ``{name: …, option: …}`` or of ``{NAME: {option: …}}``; a mapping.
    """
    if isinstance(value, str):
        value = [value]
    if isinstance(value, Mapping):
        return {name: {} if options is None else options for name, options in value.items()}
    if not isinstance(value, list | tuple):
        return value
    named: dict[str, Any] = {}
    for entry in value:
        name, options = _named(entry)
        if name in named:
            raise contradiction(f"task {name} is listed twice, remove one", "tasks")
        named[name] = options
    return named


def _named(entry: Any) -> tuple[str, Any]:
    if isinstance(entry, str):
        return entry, {}
    if isinstance(entry, Mapping) and isinstance(entry.get("name"), str):
        return entry["name"], {key: value for key, value in entry.items() if key != "name"}
    if isinstance(entry, Mapping) and len(entry) == 1:
        name, options = next(iter(entry.items()))
        return str(name), {} if options is None else options
    raise contradiction(f"a task given as {entry!r}, write its name, or `name:` and its options", "tasks")
