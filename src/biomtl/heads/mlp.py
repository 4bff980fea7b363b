"""The ``mlp`` head of every task type: words -> one vector -> norm -> dropout -> linear layers.

The shape of the heads in Peng, Yan and Lu 2019 (arXiv 1906.05474), on any encoder. A recipe asks for it by
``head: mlp`` and gives ``MlpOptions`` as ``head_options``. Tagging keeps a vector for every word; pairs have one for
each text.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn
from torch.nn import functional

from biomtl.encoders.base import Encoded, Encoder, RowNetwork
from biomtl.errors import InputError
from biomtl.heads.contrastive import ContrastiveHead, contrastive_losses
from biomtl.heads.losses import targets_of, weighted_mean
from biomtl.heads.options import head_options
from biomtl.heads.rows import TaskRows
from biomtl.heads.seq2seq import build_seq2seq
from biomtl.heads.seq2vec import Seq2Vec, build_seq2vec
from biomtl.tasks.head import HeadChoice
from biomtl.tasks.task import Task


class MlpOptions(BaseModel):
    """The options under ``head_options`` in a recipe."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    seq2vec: str = Field("boe", description="words to one vector, see `heads.seq2vec`")
    seq2seq: str | None = Field(None, description="layer between the words and a tagger, see `heads.seq2seq`")
    size: int = Field(384, gt=0, description="states per direction, filters per width of those two")
    hidden: int = Field(0, ge=0, description="width of two hidden layers; 0: only one linear layer")
    dropout: float = Field(0.1, ge=0, lt=1, description="after the norm")
    norm: Literal["batch", "layer"] | None = Field(None, description="of the features, before the layers")
    last_dropout: bool = Field(False, description="the same dropout on the logits")
    init_mean: float = Field(0.0, description="mean of the linear layers' initial weights, with init_std")
    init_std: float | None = Field(None, ge=0, description="standard deviation; default torch's own initialisation")
    compare: Literal["concat", "distance", "cosine"] = Field(
        "concat",
        description="scored pairs: layers over both vectors, or their similarity, learned with contrastive loss",
    )
    crf: bool = Field(False, description="tagging: score whole tag sequences")
    class_weights: tuple[float, ...] | None = Field(None, description="factor of each label's loss")
    threshold: float = Field(0.5, gt=0, lt=1, description="multilabel: lowest probability of a predicted label")

    @classmethod
    def of(cls, task: Task, choice: HeadChoice, *fitting: str) -> MlpOptions:
        """The options of a task's head.

        Args:
            task: the task.
            choice: its head, with the given options.
            fitting: of the options that only apply to some task types, those that apply here.

        Raises:
            InputError: an unknown option, an impossible value, or an option that doesn't apply to the task's type.
        """
        options = head_options(cls, task, choice)
        for name in ("crf", "seq2seq", "compare", "class_weights"):
            if getattr(options, name) != cls.model_fields[name].default and name not in fitting:
                raise InputError(f"task {task.name}: head option {name} for {task.type}", fix="leave it out")
        if options.crf and options.class_weights:
            raise InputError(
                f"task {task.name}: head option class_weights for {task.type} with a crf", fix="leave one out"
            )
        if options.class_weights is not None and len(options.class_weights) != len(task.labels):
            problem = f"task {task.name}: {len(options.class_weights)} class_weights"
            raise InputError(problem, expected=f"{len(task.labels)}, one per label")
        return options


class BatchNorm(nn.BatchNorm1d):
    """Batch normalisation that treats a batch of one as in prediction, since one row has no variance."""

    def forward(self, values: Tensor) -> Tensor:
        """``[n, dim]`` to the same."""
        if self.training and len(values) < 2:
            mean, variance = self.running_mean, self.running_var
            return functional.batch_norm(values, mean, variance, self.weight, self.bias, eps=self.eps)
        return super().forward(values)


class Features(nn.Module):
    """Norm and dropout: ``[n, dim]`` to the same."""

    def __init__(self, dim: int, options: MlpOptions) -> None:
        super().__init__()
        norms: dict[str | None, Callable[[int], nn.Module]] = {"batch": BatchNorm, "layer": nn.LayerNorm}
        self.norm = norms[options.norm](dim) if options.norm else nn.Identity()
        self.dropout = nn.Dropout(options.dropout)

    def forward(self, values: Tensor) -> Tensor:
        """See the class."""
        return self.dropout(self.norm(values))


def linear_layers(dim: int, labels: int | None, options: MlpOptions) -> nn.Sequential:
    """Two hidden layers with ReLU if the options give them a width, then one output per label (if any are wanted)."""
    layers: list[nn.Module] = []
    for _ in range(2 if options.hidden else 0):
        layers += [nn.Linear(dim, options.hidden), nn.ReLU()]
        dim = options.hidden
    if labels is not None:
        layers.append(nn.Linear(dim, labels))
    if options.init_std is not None:
        for layer in layers:
            if isinstance(layer, nn.Linear):
                nn.init.normal_(layer.weight, options.init_mean, options.init_std)
                nn.init.zeros_(layer.bias)
    return nn.Sequential(*layers)


class Bounded(nn.Module):
    """A logit as a score between ``low`` and ``high``."""

    def __init__(self, low: float, high: float) -> None:
        super().__init__()
        self.low, self.high = low, high

    def forward(self, values: Tensor) -> Tensor:
        """``[n, 1]`` to the same."""
        return self.low + (self.high - self.low) * torch.sigmoid(values)


class MlpTexts(RowNetwork):
    """One output row per text."""

    def __init__(self, encoder: Encoder, labels: int, options: MlpOptions, output: nn.Module | None = None) -> None:
        super().__init__()
        self.layer_mix = encoder.layer_mix()
        self.seq2vec: Seq2Vec = build_seq2vec(options.seq2vec, encoder.dim, options.size)
        self.features = Features(self.seq2vec.dim, options)
        self.layers = linear_layers(self.seq2vec.dim, labels, options)
        self.last = nn.Dropout(options.dropout if options.last_dropout else 0.0)
        self.output = output or nn.Identity()

    def forward(self, encoded: Encoded) -> Tensor:
        """``[rows, labels]``."""
        mixed = encoded if self.layer_mix is None else self.layer_mix(encoded)
        return self.output(self.last(self.layers(self.features(self.seq2vec(mixed.hidden, mixed.mask, mixed.layout)))))


class MlpWords(RowNetwork):
    """One output row per word."""

    def __init__(self, encoder: Encoder, labels: int, options: MlpOptions) -> None:
        super().__init__()
        self.layer_mix = encoder.layer_mix()
        self.seq2seq = build_seq2seq(options.seq2seq, encoder.dim, options.size) if options.seq2seq else None
        dim = encoder.dim if self.seq2seq is None else self.seq2seq.dim
        self.features = Features(dim, options)
        self.layers = linear_layers(dim, labels, options)
        self.last = nn.Dropout(options.dropout if options.last_dropout else 0.0)

    def forward(self, encoded: Encoded) -> Tensor:
        """``[rows, words, labels]``; zeros where there is no word."""
        mixed = encoded if self.layer_mix is None else self.layer_mix(encoded)
        layout = mixed.real_positions()
        words = mixed.hidden if self.seq2seq is None else self.seq2seq(mixed.hidden, mixed.mask, layout)
        # A batch's statistics are those of its words, without padding.
        values = self.last(self.layers(self.features(layout.gather(words))))
        return layout.scatter(values, words.shape[1])


class ConcatenatedPair(nn.Module):
    """Layers over the concatenated vectors of both texts."""

    def __init__(self, dim: int, labels: int, options: MlpOptions, output: nn.Module | None = None) -> None:
        super().__init__()
        self.features = Features(dim, options)
        self.layers = linear_layers(2 * dim, labels, options)
        self.output = output or nn.Identity()

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        """``[pairs, dim]`` twice to ``[pairs, labels]``."""
        return self.output(self.layers(torch.cat([self.features(first), self.features(second)], dim=-1)))


class ContrastivePair(nn.Module):
    """The same layers over each text's vector; the score is the similarity of the results."""

    def __init__(self, dim: int, options: MlpOptions, low: float, high: float) -> None:
        super().__init__()
        self.features = Features(dim, options)
        self.layers = linear_layers(dim, None, options)
        compare: Literal["distance", "cosine"] = "distance" if options.compare == "distance" else "cosine"
        self.contrastive = ContrastiveHead(options.hidden or dim, compare, low, high)

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        """``[pairs, dim]`` twice to scores ``[pairs, 1]``."""
        return self.contrastive(self.layers(self.features(first)), self.layers(self.features(second)))

    def loss(self, scores: Tensor, rows: TaskRows) -> Tensor:
        """The contrastive loss; the distance is recovered from the score."""
        low, span = self.contrastive.low, self.contrastive.high - self.contrastive.low
        distances = (1 - (scores.float().squeeze(-1) - low) / span) * self.contrastive.margin
        each = contrastive_losses(distances, (targets_of(rows) - low) / span, self.contrastive.margin)
        return each.mean() if rows.weights is None else weighted_mean(each, rows)
