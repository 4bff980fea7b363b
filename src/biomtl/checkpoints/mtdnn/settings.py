"""What a checkpoint's ``config`` says about its heads: the task of each, as MT-DNN's trainer saved it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from biomtl.checkpoints.mtdnn.stand_ins import Labels, Member, attributes
from biomtl.mtdnn.names import LOSSES, METRICS, TABLES, by_number, metrics_for

_LOSS_NAMES, _METRIC_NAMES = by_number(LOSSES), by_number(METRICS)
_OLD_CODES = {1: "classification", 2: "regression", 3: "ranking", 4: "span", 5: "tagging"}  # TaskType until 2021
_ACTIVATIONS = {"tanh": "tanh", "relu": "relu", "gelu": "gelu"}


@dataclass(frozen=True)
class HeadTask:
    """A head's task in our words; ``None`` and empty where the checkpoint doesn't say.

    ``type`` is ``None`` for what has no counterpart here, such as text generation.
    """

    name: str
    type: str | None
    inputs: str | None = None
    labels: tuple[str, ...] = ()
    metrics: tuple[str, ...] = ()
    dropout: float | None = None


def is_current(settings: Mapping[str, Any]) -> bool:
    """Whether the file was written since February 2020, when the trainer began to save task definitions.

    Since then pairs are encoded as (first, second), and SAN's state starts from the second text; before, and in
    MT-BlueBERT, as (second, first).
    """
    return isinstance(settings.get("task_def_list"), list)


def head_tasks(settings: Mapping[str, Any]) -> dict[int, HeadTask]:
    """The task of each head, by the head's number; empty if the settings don't name them."""
    given = settings.get("train_datasets")
    if not isinstance(given, list) or not all(type(name) is str for name in given):
        return {}
    definitions, codes = settings.get("task_def_list"), settings.get("task_types")
    if isinstance(definitions, list):
        names = list(dict.fromkeys(name.split("_")[0] for name in given))  # as the trainer names tasks
        if len(names) != len(definitions):
            return {}
        return {i: _defined(name, attributes(definitions[i])) for i, name in enumerate(names)}
    if not isinstance(codes, list) or len(codes) != len(given):
        return {}
    return {i: HeadTask(name, _OLD_CODES.get(_number(codes[i]))) for i, name in enumerate(given)}


def pooler_activation(settings: Mapping[str, Any], own: bool) -> str:
    """The activation after the dense layer of MT-DNN's pooler.

    Its lookup of the activation by name has found nothing since February 2022, so that there is none, whatever
    ``pooler_actf`` says. Files from before that have settings of a learning-rate scheduler, which were removed in the
    same month.

    Args:
        settings: the checkpoint's.
        own: whether each head has a pooler of its own, as since October 2022, or all share one.
    """
    if own or "have_lr_scheduler" not in settings:
        return "none"
    return _ACTIVATIONS.get(str(settings.get("pooler_actf", "tanh")), "none")


def _defined(name: str, definition: Mapping[str, Any]) -> HeadTask:
    loss, kind = _number(definition.get("loss")), _number(definition.get("task_type"))
    by_loss = LOSSES[_LOSS_NAMES[loss]]["type"] if loss in _LOSS_NAMES else None
    task_type = by_loss or TABLES["type_numbers"].get(kind)
    if task_type == "mlm" or kind > 8:  # generation and cloze tasks have a loss of another type
        return HeadTask(name, None)
    inputs = TABLES["format_numbers"].get(_number(definition.get("data_type")))
    labels = definition.get("label_vocab")
    given = definition.get("metric_meta")
    numbers = [_number(metric) for metric in given] if isinstance(given, list | tuple) else []
    metrics, _ = metrics_for([_METRIC_NAMES[n] for n in numbers if n in _METRIC_NAMES], task_type or "")
    dropout = definition.get("dropout_p")
    return HeadTask(
        name,
        task_type,
        inputs,
        labels.names if isinstance(labels, Labels) else (),
        metrics,
        float(dropout) if isinstance(dropout, int | float) and 0 <= dropout < 1 else None,
    )


def _number(value: Any) -> int:
    """The number of an enumeration's member, -1 for anything else."""
    if isinstance(value, Member):
        return value.number
    return value if type(value) is int else -1
