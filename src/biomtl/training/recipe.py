"""The recipe of a run: one pydantic model, every key explained, contradictions refused before any data is read.

Keys carry Hugging Face's argument names where such a name exists. ``None`` (``null`` in YAML) always means "not
given"; after validation every field holds the value that the run will use.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator
from pydantic.functional_validators import ModelWrapValidatorHandler

from biomtl.custom.config import TaskDefinition
from biomtl.packaged import PACKAGED_ENCODER
from biomtl.training.options import (
    AdaptOptions,
    Amount,
    Count,
    Decay,
    DistillOptions,
    LoraOptions,
    Natural,
    NotNegative,
    ObjectiveOptions,
    Portion,
    Share,
    SmartOptions,
    TaskStoppingOptions,
    listed,
    number,
)
from biomtl.training.recipe_checks import RULES
from biomtl.training.recipe_tasks import TaskOptions, contradiction, only_group, tasks_by_name
from biomtl.training.selection import MEAN
from biomtl.training.space import Space
from biomtl.training.stage import Stages

__all__ = ["MEAN", "Recipe"]


def _word(value: Any) -> Any:
    """YAML 1.1 reads a bare ``no`` as false."""
    return "no" if value is False else value


Seed = Annotated[int, BeforeValidator(number), Field(ge=0, lt=2**53)]  # torch overflows slightly above
Strategy = Annotated[Literal["epoch", "steps", "no"], BeforeValidator(_word)]
Schedule = Literal["linear", "cosine", "constant", "polynomial", "exponential", "multi_step", "plateau"]
Policy = Literal["proportional", "sqrt", "temperature", "uniform", "annealed", "fixed"]


class Recipe(BaseModel):
    """Everything that decides a run; the fields' order is the order of ``recipe.yaml`` and of the reference page."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    encoder: str = Field(
        PACKAGED_ENCODER,
        min_length=1,
        description="Encoder folder or hub name; `all-MiniLM-L6-v2` is the packaged copy when that is installed.",
    )
    heads: Literal["fresh", "trained"] = Field(
        "fresh",
        description="Heads to start from if `encoder` is a biomtl model: `fresh` ones, or its `trained` ones for "
        "the tasks that it has (as in `biomtl finetune`).",
    )
    init_from: str | None = Field(
        None,
        min_length=1,
        description="Another encoder or model (folder, file of safetensors or hub name), whose tensors take the place "
        "of those of `encoder` with the same name and shape; the plan says which. Not with `heads: trained`.",
    )
    num_hidden_layers: Count | None = Field(
        None, description="Keep only this many of the encoder's first layers; default all. Not with `heads: trained`."
    )
    suite: str = Field("sample", min_length=1, description="Prepared folder, or `sample` for the bundled suite.")
    tasks: dict[str, TaskOptions] = Field(
        default_factory=dict,
        description="Tasks to train, as names or with options; default every task of the suite.",
    )
    group: str | None = Field(
        None,
        description="Only those of `tasks` that are in this group: `biomedical` or `clinical`; default all.",
    )
    output: str = Field("runs/run", min_length=1, description="Run folder; default `runs/<name of the recipe file>`.")
    seed: Seed = Field(42, description="Seed of weights, order, mixing and dropout.")
    stages: Stages = Field(
        (),
        description="Several runs in sequence: `adapt`, `alone`, `joint`, `each`, as names or `{NAME: {KEY: VALUE}}`; "
        "default one run.",
    )
    adapt: AdaptOptions | None = Field(
        None, description="The stage `adapt`: masked language modelling on the tasks' texts."
    )
    tune: Space = Field(
        default_factory=dict,
        description="Search space of `biomtl study tune`: key to a list of values, or to `{low, high, log, whole}`.",
    )
    train_on: Literal["train", "train+dev"] = Field(
        "train",
        description="Training splits; `train+dev` leaves no data for model selection: the last step's model is kept.",
    )
    exclude_overlap: bool = Field(
        False, description="Drop training rows whose document or text is scored in one of the run's tasks."
    )
    predict_test: bool = Field(True, description="Score the test split once, with the final model.")

    max_length: Count = Field(128, description="Word pieces per row; longer texts are split into overlapping windows.")
    stride: Natural = Field(
        32, description="Word pieces shared by neighbouring windows; default a quarter of `max_length`."
    )
    batch_tokens: Count | None = Field(
        None, description="Budget of a batch in positions, including padding (default 2048); or use `batch_size`."
    )
    batch_size: Count | None = Field(None, description="Texts per batch, whatever their length; or use `batch_tokens`.")
    gradient_accumulation_steps: Count = Field(1, description="Batches per optimiser step.")
    mixing: Literal["instance", "batch"] = Field(
        "instance", description="Tasks mixed within a batch, or one task per batch as in MT-DNN."
    )
    policy: Policy = Field("proportional", description="How an epoch's samples are divided among the tasks.")
    temperature: Amount | None = Field(None, description="T of `policy: temperature`: share ~ rows^(1/T).")

    num_train_epochs: Count | None = Field(None, description="Epochs to train (default 3); or use `max_steps`.")
    max_steps: Count | None = Field(None, description="Optimiser steps to train; or use `num_train_epochs`.")
    learning_rate: Amount = Field(5e-5, description="Peak learning rate of the encoder.")
    head_learning_rate: Amount | None = Field(None, description="Peak learning rate of the heads; default the same.")
    lr_scheduler_type: Schedule = Field(
        "linear",
        description="Learning rate after warm-up: `linear`, `cosine` or `polynomial` decay to zero, `constant`, or a "
        "factor after each epoch (`exponential`), some epochs (`multi_step`), or dev scores that no longer rise "
        "(`plateau`).",
    )
    lr_power: Amount = Field(1.0, description="Power of `lr_scheduler_type: polynomial`.")
    lr_gamma: Decay | None = Field(
        None, description="Factor of each decay: `exponential` (default 0.95), `multi_step` (0.1), `plateau` (0.5)."
    )
    lr_patience: Natural = Field(
        3, description="Evaluations on dev without a better score that `lr_scheduler_type: plateau` waits for."
    )
    lr_milestones: tuple[Count, ...] | None = Field(
        None, description="Epochs after which `lr_scheduler_type: multi_step` lowers the rate."
    )
    warmup_ratio: Share | None = Field(None, description="Fraction of all steps for warm-up (default 0.1).")
    warmup_steps: Natural | None = Field(None, description="Steps for warm-up; or use `warmup_ratio`.")
    optim: Literal["adamw", "bert_adam", "adamax", "radam", "adafactor", "sgd", "adadelta"] = Field(
        "adamw", description="Optimiser; `bert_adam` is Adam without bias correction, as in BERT's own code."
    )
    momentum: Share = Field(0.0, description="Momentum of `optim: sgd`.")
    weight_decay: NotNegative = Field(0.01, description="AdamW's weight decay; not applied to biases and norm weights.")
    adam_beta1: Share = Field(0.9, description="AdamW's decay rate for the mean of gradients.")
    adam_beta2: Share = Field(0.999, description="AdamW's decay rate for the mean of squared gradients.")
    adam_epsilon: Amount = Field(1e-8, description="AdamW's constant against division by zero.")
    max_grad_norm: NotNegative = Field(
        1.0, description="Clip the global gradient norm at this value; 0 turns clipping off."
    )
    layer_decay: Decay | None = Field(
        None, description="Learning-rate factor from each encoder layer to the one below; default none."
    )
    ema_decay: Decay | None = Field(
        None, description="Score and save a moving average of the weights with this decay, such as 0.99; default none."
    )
    loss_balance: Literal["equal", "uncertainty", "dwa", "scale"] | None = Field(
        None, description="Total weight of each task's loss in the run; default its share of the examples."
    )
    gradient_aggregation: Literal["upgrad", "pcgrad", "cagrad", "mgda", "imtl_g", "aligned_mtl", "nash_mtl"] | None = (
        Field(
            None, description="Rule that combines the tasks' gradients of the encoder (extra `mtl`); default their sum."
        )
    )
    need_sampling: Portion | None = Field(
        None,
        description="Part of an epoch's samples that follows the tasks' distance from their targets on dev; the rest "
        "follows `policy`; default none.",
    )
    objective: ObjectiveOptions | None = Field(
        None, description="Label smoothing, class weights, focal loss; default plain cross-entropy."
    )
    distill: DistillOptions | None = Field(
        None, description="Also learn from the outputs of trained models (teachers); default only from gold."
    )
    lora: LoraOptions | None = Field(
        None, description="Train low-rank adapters instead of the encoder's own weights (extra `lora`); default none."
    )
    r_drop: Amount | None = Field(
        None, description="Factor of the divergence between two passes with different dropout; default one pass."
    )
    smart: SmartOptions | None = Field(
        None, description="Adversarial smoothing and proximal point optimisation; default none."
    )
    task_stopping: TaskStoppingOptions | None = Field(None, description="Early stopping of single tasks; default none.")
    frozen_layers: Natural | None = Field(
        None, description="Freeze the embeddings and this many of the encoder's first layers; default none."
    )
    gradual_thawing: Portion | None = Field(
        None,
        description="Share of the run over which the encoder's layers are unfrozen, last first; default at once.",
    )
    calibrate: bool = Field(
        False, description="After training, fit temperatures and decision thresholds on dev and save them in the model."
    )
    dropout: Share | None = Field(None, description="Dropout of encoder and heads; default the encoder's own.")
    head_dropout: Share | None = Field(None, description="Dropout of the heads; default `dropout`.")
    freeze_encoder: bool | None = Field(None, description="Train the heads only; default `false`, for an ELMo `true`.")
    activations: Literal["bf16", "fp32", "none"] = Field(
        "bf16",
        description="Precision of a frozen ELMo's layers on disk, computed once per text for all epochs, "
        "seeds and runs; `none` computes them in every epoch.",
    )
    activations_folder: str | None = Field(
        None, description="Folder for these layers; default `elmo` in `$BIOMTL_CACHE` or `~/.cache/biomtl`."
    )
    activations_gb: Amount = Field(32.0, description="Maximum size of these layers in gigabytes.")
    bf16: bool = Field(False, description="Compute in bfloat16, keep weights in float32.")
    fp16: bool = Field(
        False, description="Train in float16 with loss scaling, for GPUs without bfloat16; weights stay in float32."
    )
    gradient_checkpointing: bool = Field(
        False, description="Recompute activations in the backward pass to save memory."
    )
    num_threads: Count | None = Field(None, le=1024, description="CPU threads; default torch's own choice.")

    eval_strategy: Strategy = Field("epoch", description="Score dev every epoch, every `eval_steps` steps, or never.")
    eval_steps: Count | None = Field(None, description="Optimiser steps between two evaluations on dev.")
    metric_for_best_model: str | Annotated[tuple[str, ...], Field(min_length=1)] | None = Field(
        None,
        description="Dev score for model selection: `mean` of the tasks' main metrics (default), a task, or a list of "
        "tasks for their mean.",
    )
    early_stopping_patience: Count | None = Field(
        None, description="Stop after this many evaluations on dev without improvement; default never."
    )
    early_stopping_threshold: NotNegative | None = Field(
        None, description="Smallest gain on dev that counts as improvement for early stopping (default 0)."
    )
    early_stopping_on: Literal["dev", "train_loss"] | None = Field(
        None,
        description="What early stopping watches: the score on dev (default; while it is 0 it stops nothing), or the "
        "steps' mean loss between two evaluations.",
    )
    save_strategy: Strategy = Field(
        "epoch", description="Write a resumable checkpoint every epoch, every `save_steps` steps, or never."
    )
    save_steps: Count | None = Field(None, description="Optimiser steps between two checkpoints.")
    save_minutes: NotNegative = Field(
        15, description="Also write a checkpoint when the last one is this many minutes old; 0 turns this off."
    )
    save_total_limit: Count = Field(1, description="Checkpoints to keep; older ones are deleted.")
    report_texts: bool = Field(
        True, description="Show texts of the data among the errors in `report.html`; `false` leaves them out."
    )
    report_to: Annotated[tuple[str, ...], BeforeValidator(listed)] = Field(
        (), description="Accelerate trackers by name, such as `tensorboard`."
    )

    @model_validator(mode="wrap")
    @classmethod
    def _resolve(cls, values: Any, validate: ModelWrapValidatorHandler[Recipe]) -> Recipe:
        """Fill in values that follow from other keys; ``model_fields_set`` keeps only the given ones."""
        if not isinstance(values, Mapping):
            return validate(values)
        given = {key: value for key, value in values.items() if value is not None}
        for key, value in given.items():
            if isinstance(value, str) and "\0" in value:
                raise contradiction(f"{key} holds a NUL character, which no name has", key)
        explicit = set(given)
        if "tasks" in given:
            given["tasks"] = tasks_by_name(given["tasks"])
        if "group" in given:
            only_group(given)
        for key, value, unless in (
            ("batch_tokens", 2048, "batch_size"),
            ("num_train_epochs", 3, "max_steps"),
            ("warmup_ratio", 0.1, "warmup_steps"),
        ):
            if unless not in given:
                given.setdefault(key, value)
        if "early_stopping_patience" in given:
            given.setdefault("early_stopping_threshold", 0.0)
        blind = given.get("train_on") == "train+dev"
        given.setdefault("eval_strategy", "no" if blind else "steps" if "eval_steps" in given else "epoch")
        given.setdefault("save_strategy", "steps" if "save_steps" in given else "epoch")
        if _word(given["eval_strategy"]) != "no":
            given.setdefault("metric_for_best_model", MEAN)
        if isinstance(length := number(given.get("max_length", 128)), int | float):
            given.setdefault("stride", int(length) // 4)
        recipe = validate(given)
        object.__setattr__(recipe, "__pydantic_fields_set__", explicit)
        return recipe

    @property
    def own_tasks(self) -> dict[str, TaskDefinition]:
        """The tasks that the recipe itself defines."""
        return {name: options for name, options in self.tasks.items() if options.files is not None}

    @model_validator(mode="after")
    def _consistent(self) -> Recipe:
        for rule in RULES:
            rule(self)
        return self
