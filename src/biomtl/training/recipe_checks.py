"""Contradictions between a recipe's keys, each an error that names the keys."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from biomtl.tasks.task import name_problem
from biomtl.training.options import CONTRADICTIONS, ObjectiveOptions
from biomtl.training.recipe_tasks import contradiction
from biomtl.training.selection import MEAN, selecting_tasks
from biomtl.training.space import check_space


def check_own(recipe: Any) -> None:
    """Own tasks: their names, and what they lack."""
    for name, options in recipe.tasks.items():
        if options.files is not None and (problem := name_problem(name)):
            raise contradiction(problem, f"tasks.{name}")
        if options.given and (options.files is None or options.type is None):
            missing = "type" if options.type is None else "files"
            text = f"task {name} has {options.given[0]} but no {missing}: your own task needs type and files"
            raise contradiction(text, f"tasks.{name}.{options.given[0]}")


def check_alternatives(recipe: Any) -> None:
    """Keys that exclude each other, and those that need another."""
    for one, other in (
        ("batch_tokens", "batch_size"),
        ("num_train_epochs", "max_steps"),
        ("warmup_ratio", "warmup_steps"),
    ):
        if getattr(recipe, one) is not None and getattr(recipe, other) is not None:
            raise contradiction(f"both {one} and {other} are given, choose one (null unsets a key)", one, other)
    for strategy, steps in (("eval_strategy", "eval_steps"), ("save_strategy", "save_steps")):
        chosen, every = getattr(recipe, strategy), getattr(recipe, steps)
        if chosen == "steps" and every is None:
            raise contradiction(f"{strategy} is steps but {steps} is not given, add {steps}", strategy)
        if chosen != "steps" and every is not None:
            raise contradiction(f"{strategy} is {chosen} but {steps} is given, choose one", strategy, steps)
    if recipe.max_steps is not None and recipe.warmup_steps is not None and recipe.warmup_steps >= recipe.max_steps:
        raise contradiction("warmup_steps is not below max_steps, lower it", "warmup_steps", "max_steps")


def check_selection(recipe: Any) -> None:
    """Model selection: what ``train_on``, evaluation and early stopping allow."""
    stopping = recipe.early_stopping_patience is not None
    if recipe.train_on == "train+dev":
        if recipe.eval_strategy != "no":
            text = "train_on is train+dev but eval_strategy is given, dev can't judge what it trained: choose one"
            raise contradiction(text, "train_on", "eval_strategy")
        for key in ("early_stopping_patience", "eval_steps", "metric_for_best_model"):
            if getattr(recipe, key) is not None:
                text = f"train_on is train+dev but {key} is given, nothing is left for model selection: choose one"
                raise contradiction(text, "train_on", key)
    for key in ("early_stopping_patience", "metric_for_best_model"):
        if recipe.eval_strategy == "no" and getattr(recipe, key) is not None:
            raise contradiction(f"eval_strategy is no but {key} is given, choose one", "eval_strategy", key)
    for key in ("early_stopping_threshold", "early_stopping_on"):
        if getattr(recipe, key) is not None and not stopping:
            raise contradiction(f"{key} without early_stopping_patience, add the patience", key)
    for name in selecting_tasks(recipe.metric_for_best_model):
        if recipe.tasks and name not in recipe.tasks:
            text = f"metric_for_best_model is {name!r}, choose {MEAN} or one of the tasks: {', '.join(recipe.tasks)}"
            raise contradiction(text, "metric_for_best_model")


def check_schedule(recipe: Any) -> None:
    """Optimiser, schedule, precision and layers."""
    if recipe.num_hidden_layers is not None and recipe.heads == "trained":
        text = "num_hidden_layers cuts the encoder below trained heads: choose one, or heads: fresh"
        raise contradiction(text, "num_hidden_layers", "heads")
    if recipe.init_from is not None and recipe.heads == "trained":
        text = "init_from changes the encoder below trained heads: choose one, or heads: fresh"
        raise contradiction(text, "init_from", "heads")
    name = recipe.lr_scheduler_type
    if (name == "multi_step") != (recipe.lr_milestones is not None):
        text = "lr_scheduler_type: multi_step and lr_milestones go together, give both or neither"
        raise contradiction(text, "lr_scheduler_type", "lr_milestones")
    if recipe.lr_gamma is not None and name not in ("multi_step", "exponential", "plateau"):
        raise contradiction(f"lr_gamma for lr_scheduler_type: {name}, leave it out", "lr_gamma")
    if name in ("multi_step", "exponential") and recipe.num_train_epochs is None:
        text = f"lr_scheduler_type: {name} counts epochs, so it needs num_train_epochs"
        raise contradiction(text, "lr_scheduler_type", "max_steps")
    if name == "plateau" and recipe.eval_strategy == "no":
        text = "lr_scheduler_type: plateau needs scores of dev, but eval_strategy is no"
        raise contradiction(text, "lr_scheduler_type", "eval_strategy")
    for key in ("bf16", "smart", "gradient_aggregation"):
        if recipe.fp16 and getattr(recipe, key):
            why = "choose one" if key == "bf16" else "whose small gradients float16 loses, use bf16 or neither"
            raise contradiction(f"both fp16 and {key} are given, {why}", "fp16", key)
    if recipe.momentum and recipe.optim != "sgd":
        raise contradiction(f"momentum for optim: {recipe.optim}, leave it out", "momentum")


def check_mixing(recipe: Any) -> None:
    """Policies of mixing and the weights that they need."""
    if (recipe.policy == "temperature") != (recipe.temperature is not None):
        raise contradiction(
            "policy: temperature and a temperature go together, give both or neither", "policy", "temperature"
        )
    weighted = [name for name, options in recipe.tasks.items() if options.mixing_weight is not None]
    if recipe.policy != "fixed" and weighted:
        text = f"policy is {recipe.policy} but task {weighted[0]} has a mixing_weight, choose one (policy: fixed)"
        raise contradiction(text, "policy", f"tasks.{weighted[0]}.mixing_weight")
    missing = [name for name in recipe.tasks if name not in weighted]
    if recipe.policy == "fixed" and (missing or not weighted):
        text = "policy is fixed, so every task needs a mixing_weight: missing in " + (", ".join(missing) or "tasks")
        raise contradiction(text, "policy")


def check_lengths(recipe: Any) -> None:
    """Windows and their overlap."""
    if recipe.max_length <= 2 * recipe.stride:
        text = f"stride {recipe.stride} is not below half of max_length {recipe.max_length}, lower it"
        raise contradiction(text, "stride", "max_length")


def check_tune(recipe: Any) -> None:
    """The space of a study."""
    check_space(recipe.tune, type(recipe).model_fields)


def check_methods(recipe: Any) -> None:
    """Refuse methods that contradict each other or the rest of the recipe."""
    for first, second, why in CONTRADICTIONS:
        if getattr(recipe, first) is not None and getattr(recipe, second) not in (None, False):
            raise contradiction(f"{first} and {second} are given, choose one: {why}", first, second)
    for key in ("need_sampling", "task_stopping"):
        if getattr(recipe, key) is not None and recipe.eval_strategy == "no":
            raise contradiction(f"{key} needs scores on dev, but eval_strategy is no: choose one", key, "eval_strategy")
    if recipe.calibrate and recipe.eval_strategy == "no":
        raise contradiction("calibrate needs dev, but eval_strategy is no: choose one", "calibrate", "eval_strategy")
    if recipe.need_sampling is not None and recipe.max_steps is None:
        text = "need_sampling changes the length of epochs, so give max_steps instead of num_train_epochs"
        raise contradiction(text, "need_sampling", "num_train_epochs")
    if recipe.distill is not None and recipe.distill.unlabelled and recipe.mixing == "batch":
        text = "distill.unlabelled labels a text for several tasks, but mixing is batch: choose one"
        raise contradiction(text, "distill.unlabelled", "mixing")
    if recipe.distill is not None and recipe.distill.pairs and not recipe.distill.unlabelled:
        text = "distill.pairs without distill.unlabelled, whose tasks they are for: add the tasks"
        raise contradiction(text, "distill.pairs")
    for name, options in recipe.tasks.items():
        for key in ("smart", "gradient_checkpointing"):
            if options.lora and getattr(recipe, key):
                text = f"{key} and tasks.{name}.lora are given, choose one: {key} needs one encoder pass for all tasks"
                raise contradiction(text, key, f"tasks.{name}.lora")


def check_effects(recipe: Any) -> None:
    """Methods whose options leave them without effect, but not without cost."""
    if recipe.objective is not None and recipe.objective == ObjectiveOptions():
        raise contradiction("objective has no effect, give label_smoothing, class_weights or focal_gamma", "objective")
    if recipe.smart is not None and recipe.smart.weight == recipe.smart.proximal == 0:
        raise contradiction("smart has no effect with weight 0, give it a weight or proximal", "smart.weight")


def check_classes(recipe: Any) -> None:
    """Rules that balance a task's classes twice, or change a loss that another key replaces."""
    for name, options in recipe.tasks.items():
        key = f"tasks.{name}.rebalance"
        if options.rebalance == "class_weights":
            for other in ("objective", "distill", "r_drop"):
                if getattr(recipe, other) is not None:
                    text = f"{other} and {key}: class_weights are given, choose one: both replace the task's loss"
                    raise contradiction(text, other, key)
        elif options.rebalance and recipe.objective is not None and recipe.objective.class_weights:
            text = f"objective.class_weights and {key} are given, choose one: both balance the classes"
            raise contradiction(text, "objective", key)


RULES: tuple[Callable[[Any], None], ...] = (
    check_own,
    check_alternatives,
    check_selection,
    check_schedule,
    check_mixing,
    check_lengths,
    check_methods,
    check_effects,
    check_classes,
    check_tune,
)
"""What is checked of a whole recipe, in this order."""
