"""Translate flags into an ordinary run: a task with its head, and a recipe."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from biomtl.elmoft.checks import POOL, SEQ2SEQ, SEQ2VEC, SSFUNC, notes
from biomtl.elmoft.flags import Flags
from biomtl.errors import InputError
from biomtl.suite import Suite
from biomtl.tasks.task import Task
from biomtl.tasks.types.base import Record, type_of
from biomtl.training.rebalance import Rates, sampling_rates
from biomtl.training.recipe import Recipe
from biomtl.training.recipe_io import make_recipe


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


def make_plan(flags: Flags, suite: Suite) -> Plan:
    """Recipe and head for the suite's one task.

    Raises:
        InputError: a flag that contradicts the task.
    """
    task = next(iter(suite.tasks.values()))
    rule = rebalancing(flags, task)
    train = suite[task.name].records("train")
    rates = sampling_rates(task, train, rule)
    options = head_options(flags, task)
    if flags.weight_class and type_of(task).answer != "score":
        options["class_weights"] = class_weights(task, train, rates)
    recipe = make_recipe(
        {
            "encoder": encoder_name(flags),
            "suite": str(flags.input or flags.data_dir),
            "tasks": {task.name: {"head": "mlp", "head_options": options, "rebalance": rule}},
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
            "early_stopping_on": "train_loss" if flags.earlystop and flags.protocol == "reference" else None,
            "save_strategy": "no",
        }
    )
    return Plan(suite.only([task.name]).with_options(recipe.tasks), recipe, tuple(notes(flags, task, rates)))


def rebalancing(flags: Flags, task: Task) -> str | None:
    """The rule by which the classes of the training rows are balanced.

    Raises:
        InputError: balanced scores, or a CRF with weights.
    """
    if flags.rebalance is None:
        return None if task.inputs == "pair" else "undersample"
    if flags.rebalance == "none":
        return None
    if type_of(task).answer == "score":
        raise InputError(f"--rebalance {flags.rebalance} with --task {flags.task}", expected="classes, not scores")
    if flags.rebalance == "class_weights" and (flags.do_crf or flags.weight_class):
        other, why = ("do_crf", "a CRF's loss has no class weights") if flags.do_crf else ("weight_class", "give one")
        raise InputError(f"both --{other} and --rebalance class_weights", fix=why)
    return flags.rebalance


def head_options(flags: Flags, task: Task) -> dict[str, Any]:
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
    return reference_options(options) if flags.protocol == "reference" else options


def reference_options(options: dict[str, Any]) -> dict[str, Any]:
    """The same with the old program's networks: recurrent ones of one direction, 768 filters of each width."""
    changed = dict(options)
    for key in ("seq2vec", "seq2seq"):
        if options.get(key) in ("lstm", "gru", "rnn"):
            changed[key] = f"{options[key]}-forward"
    if options.get("seq2vec") in ("cnn", "cnn-highway"):
        changed["size"] = 768
    return changed


def class_weights(task: Task, records: Sequence[Record], rates: Rates | None = None) -> list[float]:
    """Weights by inverse frequency, with mean 1 over all gold labels that an epoch draws; 1 for a label never seen.

    Args:
        task: the task.
        records: its training rows.
        rates: how often they are drawn; default once each.
    """
    counts = dict.fromkeys(task.labels, 0.0)
    answer = type_of(task).answer
    for record, rate in zip(records, rates.of_rows if rates else [1.0] * len(records), strict=True):
        gold = record[answer]
        for label in [gold] if isinstance(gold, str) else gold:
            counts[label] += rate
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
