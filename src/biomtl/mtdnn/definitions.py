"""Task definitions of MT-DNN (``task_def.yml``) as a recipe of ours, and what has no counterpart in it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from biomtl.errors import InputError
from biomtl.mtdnn.flags import apply_flags
from biomtl.mtdnn.names import INPUTS, LOSSES, TYPES, metrics_for
from biomtl.mtdnn.rows import PIECE_MARKS
from biomtl.storage.files import atomic_file
from biomtl.storage.structured import read_yaml
from biomtl.tasks.task import SPLITS, Split, name_problem
from biomtl.tasks.types.base import task_type

#: What MT-DNN's trainer does whatever the definitions say, and its options' defaults.
TRAINING: Mapping[str, Any] = {
    "max_length": 512,
    "batch_size": 8,
    "mixing": "batch",
    "num_train_epochs": 5,
    "learning_rate": 5e-5,
    "warmup_ratio": 0.1,
    "optim": "adamax",
    "weight_decay": 0.01,
    "adam_epsilon": 1e-8,
}
_KNOWN = {
    "data_format", "task_type", "enable_san", "labels", "n_class", "metric_meta", "split_names", "loss", "dropout_p",
    "encoder_type", "kd_loss", "adv_loss", "actf",
}  # fmt: skip
_ELSEWHERE = {
    "actf": "MT-DNN finds no activation by this name and uses none; ours is the encoder family's",
}


@dataclass
class Conversion:
    """A recipe, and remarks: what is different or missing."""

    recipe: dict[str, Any]
    remarks: list[str] = field(default_factory=list)


def convert_definitions(
    source: Path,
    target: Path,
    *,
    data: Path | None = None,
    vocabulary: Path | None = None,
    flags: str = "",
    overwrite: bool = False,
) -> Conversion:
    """Write a recipe for the tasks of a ``task_def.yml``.

    Args:
        source: the definitions.
        target: the recipe to write.
        data: the folder of ``<task>_<split>.tsv`` or ``.json``; default ``canonical_data`` beside the definitions, if
            it is there, else their own folder.
        vocabulary: the ``vocab.txt`` of files of word pieces.
        flags: flags of ``train.py``, which change the recipe.
        overwrite: replace an existing recipe.

    Raises:
        InputError: not task definitions, no task that has a counterpart, or flags that MT-DNN doesn't have.
    """
    if data is None:
        beside = source.parent / "canonical_data"
        data = beside if beside.is_dir() else source.parent
    made = read_definitions(source, data, target.parent, vocabulary)
    made.remarks += apply_flags(flags, made.recipe)
    text = yaml.safe_dump(made.recipe, sort_keys=False, allow_unicode=True, width=120)
    head = [f"# Written from {source.name} by `biomtl convert`. Set `encoder` to the folder or name of your encoder."]
    head += [f"# - {remark}" for remark in made.remarks]
    with atomic_file(target, overwrite=overwrite) as stream:
        stream.write("\n".join(head) + "\n" + text)
    return made


def read_definitions(source: Path, data: Path, base: Path, vocabulary: Path | None = None) -> Conversion:
    """The recipe of a ``task_def.yml``, with names of files relative to ``base``.

    Raises:
        InputError: not task definitions, or no task that has a counterpart.
    """
    value, _ = read_yaml(source)
    if not isinstance(value, dict) or not all(
        isinstance(entry, dict) and "task_type" in entry for entry in value.values()
    ):
        expected = "a mapping of tasks, each with task_type and data_format"
        raise InputError("not task definitions of MT-DNN", path=source, expected=expected)
    made = Conversion({"encoder": "bert-base-uncased", **TRAINING, "tasks": {}})
    for name, entry in value.items():
        made.remarks += [f"{name}: {remark}" for remark in _task(str(name), entry, made.recipe, source, data, base)]
    if not made.recipe["tasks"]:
        raise InputError(f"no task with a counterpart ({'; '.join(made.remarks)})", path=source)
    if vocabulary is not None:
        for entry in made.recipe["tasks"].values():
            entry["vocabulary"] = os.path.relpath(vocabulary, base)
    return made


def _task(
    name: str, entry: dict[str, Any], recipe: dict[str, Any], source: Path, data: Path, base: Path
) -> Iterator[str]:
    """Add a task to the recipe; yields what is different or missing."""
    if problem := name_problem(name):
        raise InputError(problem, path=source)
    loss = LOSSES.get(str(entry.get("loss")), {}).get("type")
    kind = TYPES.get(str(entry["task_type"])) or loss
    inputs = INPUTS.get(str(entry.get("data_format")))
    if kind in (None, "mlm") or inputs is None or inputs not in task_type(kind).inputs:
        yield f"left out, {entry['task_type']} over {entry.get('data_format')} has no counterpart"
        return
    options: dict[str, Any] = {"type": kind, "format": "mtdnn"}
    files, left_out = _files(name, entry, data, base)
    if left_out:
        yield f"one file per split, so these are left out: {', '.join(left_out)}"
    if not files:
        yield f"left out, no {name}_<split>.tsv or .json in {data}"
        return
    if kind == "span" and any(file.endswith(".json") for file in files.values()):
        yield "left out, its .json are features of MT-DNN; give its .tsv, or SQuAD's own files (docs/own-tasks.md#span)"
        return
    options["files"] = files
    labels = _labels(entry, kind)
    if kind == "tagging" and any(label != "O" and label[:2] not in ("B-", "I-") for label in labels):
        yield "left out, its tags are not O, B- and I-"
        return
    if labels:
        options["labels"] = labels
    given = [str(metric) for metric in entry.get("metric_meta") or ()]
    metrics, unknown = metrics_for(given, kind)
    if metrics:
        options["metric"] = metrics[0]
    if any(metric.endswith("_positive") for metric in metrics):
        options["negative"] = labels[-1] if given[0].endswith("WithoutLastOne") else labels[0]
    if metrics[1:]:
        options["metrics"] = list(metrics[1:])
    if unknown:
        yield f"metrics without a counterpart: {', '.join(unknown)}"
    if entry.get("enable_san") and inputs == "pair" and kind == "classification":
        options["head"] = "san"
    if kind == "regression":
        options["loss_scale"] = "score"
    if (dropout := entry.get("dropout_p")) is not None:
        options["dropout"] = dropout
    yield from _losses(entry, kind, options)
    for key in entry:
        if key in _ELSEWHERE:
            yield f"{key}: {_ELSEWHERE[key]}"
        elif key not in _KNOWN:
            yield f"{key}: no counterpart"
    recipe["tasks"][name] = options


def _losses(entry: Mapping[str, Any], kind: str, options: dict[str, Any]) -> Iterator[str]:
    """Set the losses that differ from ours, or say that there is none."""
    names = {key: str(entry[key]) for key in ("loss", "adv_loss", "kd_loss") if entry.get(key) is not None}
    ours = {key: LOSSES.get(name, {}).get("name") for key, name in names.items()}
    own = "mse" if kind == "regression" else "cross_entropy"
    known = ("mse",) if kind == "regression" else ("mse", "sym_kl", "js", "hellinger")
    for key, option, choices in (("loss", "loss", (own, *known)), ("adv_loss", "divergence", known)):
        if ours.get(key) in choices:
            if ours[key] != own:
                options[option] = ours[key]
        elif key in names:
            yield f"{key} {names[key]}: the {option} is that of its type"
    if "kd_loss" in names and ours["kd_loss"] != options.get("loss", own):
        yield f"kd_loss {names['kd_loss']}: `distill` mixes gold and teachers into one target of the task's own loss"


def _labels(entry: Mapping[str, Any], kind: str) -> list[str]:
    """The labels in order; without any, the numbers from 0."""
    if kind not in ("classification", "tagging"):
        return []
    given = entry.get("labels")
    if isinstance(given, list):
        return [str(label) for label in given if kind != "tagging" or label not in PIECE_MARKS]
    count = entry.get("n_class")
    return [str(number) for number in range(count)] if type(count) is int and 1 < count < 10_000 else []


def _files(name: str, entry: Mapping[str, Any], data: Path, base: Path) -> tuple[dict[Split, str], list[str]]:
    """The file of each split, and the names of splits that have one already."""
    files: dict[Split, str] = {}
    left_out = []
    for given in entry.get("split_names") or SPLITS:
        split = next((split for split in SPLITS if split in str(given)), None)
        found = next(
            (data / f"{name}_{given}{end}" for end in (".tsv", ".json") if (data / f"{name}_{given}{end}").is_file()),
            None,
        )
        if split is None or found is None:
            continue
        if split in files:
            left_out.append(str(given))
        else:
            files[split] = os.path.relpath(found, base)
    return files, left_out
