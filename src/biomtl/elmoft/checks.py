"""What the flags may say: their choices and limits, and notes on those without effect."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import fields
from typing import Any

from biomtl.elmoft.flags import Flags
from biomtl.errors import InputError, nearest
from biomtl.tasks.task import Task
from biomtl.tasks.types.base import type_of
from biomtl.training.rebalance import Rates

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
    "rebalance": ("undersample", "oversample", "class_weights", "none"),
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
    "lmcoef": "there is no language-model loss to weight",
    "fmt": "tables are written as xlsx and csv",
    "spfmt": "nothing is written in a sparse format",
    "avg": "the tables hold every average",
    "maxtrial": "nothing is tried again",
    "pid": "the launcher numbers the processes",
    "omp": "torch uses all threads, or OMP_NUM_THREADS of them",
    "gpumem": "memory is taken as needed, less with a smaller --bsize",
    "crsdev": "all processes use devices of one kind",
    "distbknd": "nccl is used on GPUs, gloo on CPUs",
    "disturl": "the launcher chooses the address",
}
# Flags that matter only for some answers.
FOR_ANSWERS = {
    "seq2seq": ("tags",),
    "ssfunc": ("score",),
    "pthrshld": ("labels",),
    "pool": ("label", "labels", "score"),
    "weight_class": ("label", "labels", "tags"),
}


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


def notes(flags: Flags, task: Task, rates: Rates | None) -> Iterable[str]:
    """A note for every given flag that has no effect, and one on classes that are balanced unasked.

    Args:
        flags: the flags.
        task: the task.
        rates: how often the rows of train are drawn.
    """
    defaults: Mapping[str, Any] = {field.name: field.default for field in fields(Flags)}
    for name, why in IDLE.items():
        if getattr(flags, name) != defaults[name]:
            yield f"--{name} has no effect: {why}"
    for name, answers in FOR_ANSWERS.items():
        if getattr(flags, name) != defaults[name] and type_of(task).answer not in answers:
            yield f"--{name} has no effect: {flags.task} is a {task.type} task"
    if flags.seq2vec and flags.pool:
        yield "--pool has no effect: --seq2vec determines how words become one vector"
    if rates is not None and flags.rebalance is None and min(rates.rates.values()) < 1:
        rows = {"labels": "rows without a label", "tags": "sentences without a mention"}
        yield (
            f"{rows.get(type_of(task).answer, 'rows of the most frequent class')} are undersampled in training, as in "
            "elmoft.py (--rebalance none uses all); dev and test are scored on all rows, by BLUE's rules"
        )
