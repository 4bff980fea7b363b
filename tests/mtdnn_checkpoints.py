"""Invented checkpoints as the current MT-DNN trainer writes them, with task definitions pickled in ``config``."""

from __future__ import annotations

import enum
import sys
import types
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import torch

from old_checkpoints import SETTINGS, mtdnn_state, write_pt

ENUMERATIONS = {
    "data_utils.task_def": {
        "TaskType": ("Classification", "Regression", "Ranking", "Span", "SpanYN", "SeqenceLabeling", "MaskLM"),
        "DataFormat": ("PremiseOnly", "PremiseAndOneHypothesis", "PremiseAndMultiHypothesis", "Seqence"),
        "EncoderModelType": ("BERT", "ROBERTA"),
    },
    "data_utils.metrics": {"Metric": ("F1", "MCC", "Pearson", "Spearman", "AUC", "old", "SeqEval")},
    "mt_dnn.loss": {"LossCriterion": ("MseCriterion", "RankCeCriterion", "SpanCeCriterion", "SeqCeCriterion", "Mlm")},
}


class Vocabulary:
    """As MT-DNN's: labels in order."""

    def __init__(self, *names: str) -> None:
        self.neat = True
        self.tok2ind = {name: i for i, name in enumerate(names)}
        self.ind2tok = dict(enumerate(names))


class TaskDef(dict):
    """As MT-DNN's: a dict of texts, with the values as attributes."""

    def __init__(self, **values: Any) -> None:
        dict.__init__(self, {key: repr(value) for key, value in values.items()})
        self.__dict__.update(values)


@contextmanager
def packages() -> Iterator[Any]:
    """MT-DNN's modules, importable inside the context only."""
    modules: dict[str, Any] = {}
    for name in (*ENUMERATIONS, "data_utils.vocab", "experiments.exp_def"):
        for part in (name.partition(".")[0], name):
            modules.setdefault(part, types.ModuleType(part))
    kinds = types.SimpleNamespace()
    for name, members in ENUMERATIONS.items():
        for title, names in members.items():
            start = 0 if title == "LossCriterion" else 1
            names = ("CeCriterion", *names) if title == "LossCriterion" else names
            base = enum.Enum if title == "Metric" else enum.IntEnum
            made = base(title, {member: i for i, member in enumerate(names, start)})
            made.__module__, made.__qualname__ = name, title
            setattr(modules[name], title, made)
            setattr(kinds, title, made)
    for name, kind in (("data_utils.vocab", Vocabulary), ("experiments.exp_def", TaskDef)):
        copy = type(kind.__name__, kind.__bases__, {k: v for k, v in vars(kind).items() if k != "__dict__"})
        copy.__module__, copy.__qualname__ = name, kind.__name__
        setattr(modules[name], kind.__name__, copy)
        setattr(kinds, kind.__name__, copy)
    try:
        sys.modules.update(modules)
        yield kinds
    finally:
        for name in modules:
            del sys.modules[name]


def definitions(kinds: Any) -> dict[str, Any]:
    """A task of each kind: two texts, one text, a score, tags, ranking."""
    task, data, loss, metric = kinds.TaskType, kinds.DataFormat, kinds.LossCriterion, kinds.Metric
    two, lines = data.PremiseAndOneHypothesis, data.Seqence
    common: dict[str, Any] = {"split_names": ["train", "dev"], "enable_san": False, "dropout_p": 0.05, "actf": "tanh"}

    def define(task_type: Any, data_type: Any, loss: Any, metrics: Any, count: int, *labels: str) -> Any:
        vocabulary = kinds.Vocabulary(*labels) if labels else None
        return kinds.TaskDef(
            task_type=task_type, data_type=data_type, loss=loss, metric_meta=metrics, n_class=count,
            label_vocab=vocabulary, kd_loss=None, adv_loss=None, **common,
        )  # fmt: skip

    return {
        "nli": define(task.Classification, two, loss.CeCriterion, (metric.F1,), 2, "no", "yes"),
        "kind": define(task.Classification, data.PremiseOnly, loss.CeCriterion, (metric.MCC,), 3, "a|b", "c,d", "e"),
        "sts": define(task.Regression, two, loss.MseCriterion, (metric.Spearman,), 1),
        "ner": define(task.SeqenceLabeling, lines, loss.SeqCeCriterion, (metric.SeqEval,), 4, "O", "B-X", "I-X", "X"),
        "rank": define(task.Ranking, data.PremiseAndMultiHypothesis, loss.RankCeCriterion, (), 1),
    }  # fmt: skip


def state(layout: str, dropout: bool = True) -> dict[str, torch.Tensor]:
    """The tensors of BERT and of these five heads: ``own`` poolers, or one that is ``shared``."""
    made = {name: value for name, value in mtdnn_state().items() if name.startswith("bert.")}
    torch.manual_seed(3)

    def linear(name: str, outputs: int) -> None:
        made[f"{name}.weight"], made[f"{name}.bias"] = torch.randn(outputs, 8), torch.randn(outputs)

    if layout == "shared":
        linear("pooler.dense", 8)
    for number, outputs in enumerate((2, 3, 1, 4, 1)):
        tagger = number == 3
        if layout == "own" and not tagger:
            linear(f"scoring_list.{number}.0.dense", 8)
        linear(f"scoring_list.{number}" + (".1" if layout == "own" and (dropout or not tagger) else ""), outputs)
    return made


def write_current(
    path: Path,
    layout: str = "own",
    *,
    dropout: bool = True,
    weights: dict[str, torch.Tensor] | None = None,
    extra: Any = None,
    kinds: Any = None,
    **changes: Any,
) -> Path:
    """A checkpoint as the current MT-DNN writes it.

    Args:
        path: the file to write.
        layout: as in `state`.
        dropout: whether the tagger has dropout, which numbers its layers.
        weights: tensors that replace those of these names or are added.
        extra: a further value in the file.
        kinds: the modules' classes, inside `packages`; default those of a new one.
        changes: further settings.
    """
    with packages() if kinds is None else nullcontext(kinds) as kinds:
        tasks = definitions(kinds)
        settings: dict[str, Any] = dict(SETTINGS) | {
            "train_datasets": [f"{name}_part" if name == "nli" else name for name in tasks],
            "task_def_list": list(tasks.values()),
            "encoder_type": kinds.EncoderModelType.BERT,
            "pooler_actf": "tanh",
        }
        if layout == "shared":
            settings["have_lr_scheduler"] = True
        optimizer = {
            "state": {0: {"step": 1, "exp_avg": torch.zeros(2)}},
            "param_groups": [{"lr": 1e-5, "params": [0]}],
        }
        return write_pt(
            path,
            state=state(layout, dropout) | (weights or {}),
            config=settings | changes,
            optimizer=optimizer,
            extra=extra,
        )
