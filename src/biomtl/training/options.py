"""Options of training methods that have several, as nested keys of the recipe; without torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field
from pydantic_core import PydanticCustomError


def number(value: Any) -> Any:
    """YAML 1.1 reads ``1e-4`` as a string and ``yes`` as a boolean; the first is a number, the second is not."""
    if isinstance(value, bool):
        raise PydanticCustomError("not_a_number", "Input should be a number")
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            return value
    return value


def _counted(value: int) -> int:
    """Larger integers are not exact as floats, and planning an epoch computes with floats."""
    if value >= 2**53:
        raise PydanticCustomError("too_large", "Input should be less than 9007199254740992")
    return value


Count = Annotated[int, BeforeValidator(number), Field(gt=0), AfterValidator(_counted)]
Amount = Annotated[float, BeforeValidator(number), Field(gt=0)]
Natural = Annotated[int, BeforeValidator(number), Field(ge=0), AfterValidator(_counted)]
Share = Annotated[float, BeforeValidator(number), Field(ge=0, lt=1)]
Portion = Annotated[float, BeforeValidator(number), Field(gt=0, le=1)]
Decay = Annotated[float, BeforeValidator(number), Field(gt=0, lt=1)]
NotNegative = Annotated[float, BeforeValidator(number), Field(ge=0)]


def listed(value: Any) -> Any:
    """One text as a list of one."""
    return (value,) if isinstance(value, str) else value


def _by_task(value: Any) -> Any:
    """``teachers`` in any of its forms as a mapping; runs that are not given for a task stand under ``*``."""
    if isinstance(value, Mapping):
        return {str(task): listed(runs) for task, runs in value.items()}
    return {EVERY: listed(value)} if isinstance(value, str | list | tuple) else value


Texts = Annotated[tuple[str, ...], BeforeValidator(listed)]
Runs = Annotated[tuple[str, ...], BeforeValidator(listed), Field(min_length=1)]
Unit = Annotated[float, BeforeValidator(number), Field(ge=0, le=1)]
EVERY = "*"


class Options(BaseModel):
    """The options of one method."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class ObjectiveOptions(Options):
    """``objective``: changes of the cross-entropy."""

    label_smoothing: Share = Field(0.0, description="Share of the target that is spread over all labels.")
    class_weights: Literal["balanced", "sqrt"] | None = Field(
        None, description="Factor of each label by its frequency f in training: `balanced` 1/f, `sqrt` 1/sqrt(f)."
    )
    focal_gamma: NotNegative = Field(0.0, description="Exponent of focal loss: how much less easy examples count.")


class SmartOptions(Options):
    """``smart``: smoothness-inducing adversarial regularisation."""

    weight: NotNegative = Field(1.0, description="Factor of the divergence from the outputs for perturbed embeddings.")
    noise: Amount = Field(1e-5, description="Standard deviation of the initial noise.")
    step_size: Amount = Field(1e-3, description="Largest change of an embedding's element in one ascent step.")
    steps: Count = Field(1, description="Ascent steps; each costs a pass.")
    proximal: NotNegative = Field(0.0, description="Factor of the divergence from the averaged weights' outputs.")
    proximal_decay: Decay = Field(0.99, description="Decay of that average.")


class TaskStoppingOptions(Options):
    """``task_stopping``: early stopping of single tasks."""

    patience: Count = Field(3, description="Evaluations on dev without a gain of the task's own score.")
    then: Literal["freeze", "distill"] = Field(
        "freeze",
        description="Afterwards the task is no longer trained and its head is left as it is, or it is trained on the "
        "outputs of the weights that were best for it (a copy of the weights per task).",
    )


class DistillOptions(Options):
    """``distill``: knowledge distillation from trained models."""

    teachers: Annotated[dict[str, Runs], BeforeValidator(_by_task), Field(min_length=1)] = Field(
        description="Runs or models that teach: one or a list for the tasks that they have, or a mapping from task to "
        "one or several, whose outputs are averaged.",
    )
    gold_from: Unit = Field(
        0.0, description="Share of gold in the target at the first step, the rest is the teachers'."
    )
    gold_to: Unit = Field(1.0, description="That share at the last step; in between it changes linearly.")
    unlabelled: Texts = Field((), description="Tasks whose teachers also label each other's texts; `*` for all.")
    pairs: Natural = Field(
        0,
        description="For each text-pair task among these, this many extra pairs of neighbouring texts of the others, "
        "labelled by its teachers only.",
    )
    folder: str | None = Field(
        None,
        description="Folder for the teachers' outputs; default `teachers` in `$BIOMTL_CACHE` or `~/.cache/biomtl`.",
    )


class AdaptOptions(Options):
    """``adapt``: further pre-training of the encoder on text, the stage `adapt`."""

    mask_share: Annotated[float, BeforeValidator(number), Field(gt=0, lt=0.9)] = Field(
        0.15, description="Share of the words to predict; of these 80 % are masked and 10 % replaced."
    )
    corpus: str | None = Field(
        None, description="Text file with one passage per line; default the texts of the tasks' training splits."
    )
    allow_test_text: bool = Field(False, description="Accept a corpus although it contains texts that the run scores.")


class LoraOptions(Options):
    """``lora``: low-rank adapters instead of the encoder's own weights."""

    rank: Count = Field(8, description="Width of an adapter.")
    alpha: Amount = Field(16, description="Its factor is alpha / rank.")
    dropout: Share = Field(0.0, description="Dropout of its input.")
    attention_only: bool = Field(False, description="Adapters in the attention's linear layers only, instead of all.")


CONTRADICTIONS = (
    ("objective", "r_drop", "both replace the tasks' losses"),
    ("distill", "objective", "both replace the tasks' losses"),
    ("distill", "r_drop", "both replace the tasks' losses"),
    ("frozen_layers", "freeze_encoder", "both freeze"),
    ("lora", "freeze_encoder", "adapters are trained in the encoder"),
    ("lora", "gradual_thawing", "layers that are never trained can't be unfrozen"),
    ("gradient_aggregation", "freeze_encoder", "a frozen encoder has no gradient"),
    ("gradient_aggregation", "gradient_checkpointing", "each task's backward pass would recompute everything"),
    ("gradual_thawing", "freeze_encoder", "a frozen encoder can't be unfrozen"),
)
"""Pairs of the recipe's keys of which only one may be given, with the reason."""
