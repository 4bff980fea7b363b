"""Translate flags into an ordinary run: a task with its head, and a recipe."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from biomtl.elmoft.flags import Flags
from biomtl.errors import InputError, nearest
from biomtl.suite import Suite
from biomtl.tasks.task import Task
from biomtl.tasks.types.base import Record, type_of
from biomtl.training.recipe import Recipe
from biomtl.training.recipe_io import make_recipe

SEQ2VEC = {
    "boe": "boe",
    "pytorch-lstm": "lstm",
    "pytorch-gru": "gru",
    "pytorch-rnn": "rnn",
    "pytorch-agmnlstm": "agmnlstm",
    "pytorch-stkaltlstm": "stkaltlstm",
    "cnn": "cnn",
    "cnn_highway": "cnn-highway",
}
SEQ2SEQ = {
    "pytorch-lstm": "lstm",
    "pytorch-gru": "gru",
    "pytorch-rnn": "rnn",
    "cnn": "cnn",
    "isa": "isa",
    "qanet": "qanet",
    "ssae": "ssae",
    "ff": "ff",
}
POOL = {"max": "max", "avg": "avg"}
SSFUNC = {"concat": "concat", "dist": "distance", "sim": "cosine"}
CHOICES: dict[str, Iterable[str]] = {
    "model": ("elmo",),
    "seq2vec": SEQ2VEC,
    "seq2seq": SEQ2SEQ,
    "pool": POOL,
    "ssfunc": SSFUNC,
    "norm_type": ("batch", "layer"),
    "protocol": ("blue", "reference"),
    "activations": ("bf16", "fp32", "none"),
}
# Flag -> a test for valid values, and its description.
LIMITS: dict[str, tuple[Any, str]] = {
    "maxlen": (lambda n: n >= 1, "1 or more"),
    "epochs": (lambda n: n >= 1, "1 or more"),
    "bsize": (lambda n: n >= 1, "1 or more"),
    "fchdim": (lambda n: n >= 0, "0 or more"),
    "pdrop": (lambda p: 0 <= p < 1, "at least 0 and below 1"),
    "pthrshld": (lambda p: 0 < p < 1, "between 0 and 1"),
    "lr": (lambda r: 0 < r < float("inf"), "a number above 0"),
    "wdecay": (lambda r: 0 <= r < float("inf"), "0 or more"),
    "clipmaxn": (lambda r: 0 <= r < float("inf"), "0 or more"),
    "initln_mean": (lambda r: abs(r) < float("inf"), "a number"),
    "initln_std": (lambda r: 0 <= r < float("inf"), "0 or more"),
    "es_patience": (lambda n: n >= 1, "1 or more"),
    "es_delta": (lambda r: 0 <= r < float("inf"), "0 or more"),
    "kfold": (lambda n: n is None or n >= 2, "2 or more"),
    "seed": (lambda n: n >= 0, "0 or more"),
    "gpunum": (lambda n: n >= 0, "0 or more"),
    "np": (lambda n: n >= 1, "1 or more"),
}
# Flags that change nothing, whatever the task.
IDLE = {
    "droplast": "all rows are used for training, and the last batch of an epoch may be smaller",
    "lm_loss": "the released weights have no word predictor, so there is no language-model loss",
    "fmt": "tables are written as xlsx and csv",
}
# Flags that matter only for some answers.
FOR_ANSWERS = {
    "seq2seq": ("tags",),
    "ssfunc": ("score",),
    "pthrshld": ("labels",),
    "pool": ("label", "labels", "score"),
    "weight_class": ("label", "labels", "tags"),
}


@dataclass(frozen=True)
class Plan:
    """A run: the data with the task's head in its record, the recipe, and notes for the user."""

    suite: Suite
    recipe: Recipe
    notes: tuple[str, ...]

    @property
    def task(self) -> Task:
        """The one task."""
        return next(iter(self.suite.tasks.values()))


def check(flags: Flags) -> None:
    """Refuse invalid values before anything is read.

    Raises:
        InputError: an unknown choice, a number out of range, or contradictory flags.
    """
    for name, known in CHOICES.items():
        value = getattr(flags, name)
        if value is not None and value not in known:
            raise InputError(f"--{name} {value!r}", fix=nearest(value, known))
    for name, (possible, said) in LIMITS.items():
        if not possible(getattr(flags, name)):
            raise InputError(f"--{name} {getattr(flags, name)}", expected=said)
    if flags.resume and flags.kfold:
        raise InputError("both --resume and --kfold", fix="give one of them: --resume trains nothing")
    devices(flags)


def devices(flags: Flags) -> list[int]:
    """The GPUs that the flags ask for, in order; none for the CPU.

    Raises:
        InputError: ``--gpuq`` is not a list of numbers.
    """
    queue = list(range(flags.gpunum))
    if flags.gpuq is not None and flags.gpuq.strip().lower() not in ("", "auto", "all"):
        numbers = [number.strip() for number in flags.gpuq.split(",") if number.strip()]
        if not all(number.isascii() and number.isdigit() for number in numbers):
            raise InputError(f"--gpuq {flags.gpuq!r}", expected="device numbers such as 0 or 0,1")
        queue = [int(number) for number in numbers]
    return queue[: flags.gpunum]


def make_plan(flags: Flags, suite: Suite) -> Plan:
    """Recipe and head for the suite's one task.

    Raises:
        InputError: a flag that contradicts the task.
    """
    task = next(iter(suite.tasks.values()))
    options = head_options(flags, task, suite[task.name].records("train") if flags.weight_class else [])
    recipe = make_recipe(
        {
            "encoder": encoder_name(flags),
            "suite": str(flags.input or flags.data_dir),
            "tasks": {task.name: {"head": "mlp", "head_options": options}},
            "output": str(flags.out or f"runs/elmoft-{flags.task}"),
            "seed": flags.seed,
            "max_length": flags.maxlen,
            "batch_size": flags.bsize,
            "num_train_epochs": flags.epochs,
            "learning_rate": flags.lr,
            "lr_scheduler_type": "constant",
            "warmup_steps": 0,
            "weight_decay": flags.wdecay,
            "max_grad_norm": flags.clipmaxn,
            "freeze_encoder": True,
            "activations": flags.activations,
            "activations_folder": str(flags.cache / "elmo"),
            "early_stopping_patience": flags.es_patience if flags.earlystop else None,
            "early_stopping_threshold": flags.es_delta if flags.earlystop else None,
            "save_strategy": "no",
        }
    )
    return Plan(suite.only([task.name]).with_options(recipe.tasks), recipe, tuple(notes(flags, task)))


def head_options(flags: Flags, task: Task, train: Sequence[Record]) -> dict[str, Any]:
    """The options of the ``mlp`` head (see ``biomtl.heads.mlp``)."""
    options: dict[str, Any] = {"hidden": flags.fchdim, "dropout": flags.pdrop, "last_dropout": flags.do_lastdrop}
    if flags.do_norm:
        options["norm"] = flags.norm_type
    if flags.initln:
        options |= {"init_mean": flags.initln_mean, "init_std": flags.initln_std}
    answer = type_of(task).answer
    if flags.do_crf and answer != "tags":
        raise InputError(f"--do_crf with --task {flags.task}", expected="an NER task", fix="leave it out")
    if flags.do_crf and flags.weight_class:
        raise InputError("both --do_crf and --weight_class", fix="give one: a CRF's loss has no class weights")
    if answer == "tags":
        options |= {"seq2seq": SEQ2SEQ[flags.seq2seq]} if flags.seq2seq else {}
        options |= {"crf": True} if flags.do_crf else {}
    else:
        options["seq2vec"] = SEQ2VEC[flags.seq2vec] if flags.seq2vec else POOL[flags.pool] if flags.pool else "last"
    if answer == "score" and flags.ssfunc:
        options["compare"] = SSFUNC[flags.ssfunc]
    if answer == "labels":
        options["threshold"] = flags.pthrshld
    if flags.weight_class and answer != "score":
        options["class_weights"] = class_weights(task, train)
    return options


def class_weights(task: Task, records: Sequence[Record]) -> list[float]:
    """Weights by inverse frequency, with mean 1 over all gold labels of ``records``; 1 for a label never seen."""
    counts = dict.fromkeys(task.labels, 0)
    answer = type_of(task).answer
    for record in records:
        gold = record[answer]
        for label in [gold] if isinstance(gold, str) else gold:
            counts[label] += 1
    seen = {label: count for label, count in counts.items() if count}
    total = sum(seen.values())
    return [round(total / (len(seen) * seen[label]), 6) if label in seen else 1.0 for label in task.labels]


def encoder_name(flags: Flags) -> str:
    """The recipe's name for the biLM: the folder, if both files are in the same one."""
    if folder := pretrained(flags):
        return folder
    for name in ("options_path", "weights_path"):
        if getattr(flags, name) is None:
            raise InputError(f"no --{name}", expected="the biLM's options.json and weights.hdf5")
    assert flags.options_path is not None
    assert flags.weights_path is not None
    together = flags.options_path.parent == flags.weights_path.parent
    return str(flags.weights_path.parent if together else flags.weights_path)


def pretrained(flags: Flags) -> str | None:
    """The folder given by ``--pretrained``, for which old scripts may also write ``true``."""
    given = flags.pretrained
    return None if given is None or given.lower() in ("true", "false") else given


def notes(flags: Flags, task: Task) -> Iterable[str]:
    """A note for every given flag that has no effect."""
    defaults: Mapping[str, Any] = {field.name: field.default for field in fields(Flags)}
    for name, why in IDLE.items():
        if getattr(flags, name) != defaults[name]:
            yield f"--{name} has no effect: {why}"
    for name, answers in FOR_ANSWERS.items():
        if getattr(flags, name) != defaults[name] and type_of(task).answer not in answers:
            yield f"--{name} has no effect: {flags.task} is a {task.type} task"
    if flags.seq2vec and flags.pool:
        yield "--pool has no effect: --seq2vec determines how words become one vector"
