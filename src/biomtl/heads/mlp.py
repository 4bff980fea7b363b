"""The ``stack`` head of every task type: words -> one vector -> norm -> dropout -> linear layers.

The shape of the heads in Peng, Yan and Lu 2019 (arXiv 1906.05474), on any encoder. A task asks for it by
``head: stack`` and gives ``StackOptions`` as ``head_options``. Tagging keeps a vector for every word, pairs have one
for each text.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.rnn import pad_sequence

from biomtl.encoders.base import Encoded, Encoder
from biomtl.errors import InputError, nearest
from biomtl.heads.contrastive import ContrastiveHead, contrastive_loss
from biomtl.heads.crf import Crf
from biomtl.heads.pairs import ApartHead
from biomtl.heads.seq2seq import build_sequence_layer
from biomtl.heads.seq2vec import Reducer, build_reducer
from biomtl.tasks.task import Task

if TYPE_CHECKING:
    from biomtl.tasks.types.base import TaskRows

Loss = Callable[[Tensor, "TaskRows"], Tensor]


class StackOptions(BaseModel):
    """What a task says under ``head_options``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    reducer: str = Field("boe", description="words to one vector, see `heads.seq2vec`")
    sequence: str | None = Field(None, description="layer between the words and a tagger, see `heads.seq2seq`")
    size: int = Field(384, gt=0, description="states a direction, filters a width of those two")
    hidden: int = Field(0, ge=0, description="width of the two hidden layers; 0: one linear layer alone")
    dropout: float = Field(0.1, ge=0, lt=1, description="after the norm")
    norm: Literal["batch", "layer"] | None = Field(None, description="of the features, before the layers")
    last_dropout: bool = Field(False, description="the same dropout on the logits")
    init_mean: float = Field(0.0, description="of the linear layers' first weights, with init_std")
    init_std: float | None = Field(None, ge=0, description="their deviation; default torch's own way")
    compare: Literal["concat", "distance", "cosine"] = Field(
        "concat", description="scored pairs: layers over both vectors, or how near they are, learned by contrast"
    )
    crf: bool = Field(False, description="tagging: score whole tag sequences")
    class_weights: tuple[float, ...] | None = Field(None, description="factor of each label's loss")
    threshold: float = Field(0.5, gt=0, lt=1, description="multilabel: least probability of a predicted label")

    @classmethod
    def of(cls, task: Task) -> StackOptions:
        """The options of a task.

        Raises:
            InputError: an unknown option or an impossible value.
        """
        try:
            options = cls.model_validate(task.head_options)
        except ValidationError as error:
            first = error.errors()[0]
            name = ".".join(map(str, first["loc"]))
            fix = nearest(name, cls.model_fields) if first["type"] == "extra_forbidden" else None
            raise InputError(f"task {task.name}: head option {name}: {first['msg']}", fix=fix) from error
        if options.class_weights is not None and len(options.class_weights) != len(task.labels):
            found = f"task {task.name}: {len(options.class_weights)} class_weights"
            raise InputError(found, expected=f"{len(task.labels)}, one a label")
        return options


class BatchNorm(nn.BatchNorm1d):
    """Batch normalisation that takes a batch of one as it does when predicting: one row has no spread."""

    def forward(self, values: Tensor) -> Tensor:
        """``[n, dim]`` to the same."""
        if self.training and len(values) < 2:
            mean, variance = self.running_mean, self.running_var
            return functional.batch_norm(values, mean, variance, self.weight, self.bias, eps=self.eps)
        return super().forward(values)


class Features(nn.Module):
    """Norm and dropout: ``[n, dim]`` to the same."""

    def __init__(self, dim: int, options: StackOptions) -> None:
        super().__init__()
        norms: dict[str | None, Callable[[int], nn.Module]] = {"batch": BatchNorm, "layer": nn.LayerNorm}
        self.norm = norms[options.norm](dim) if options.norm else nn.Identity()
        self.dropout = nn.Dropout(options.dropout)

    def forward(self, values: Tensor) -> Tensor:
        """See the class."""
        return self.dropout(self.norm(values))


def linear_layers(dim: int, labels: int | None, options: StackOptions) -> nn.Sequential:
    """Two hidden layers with ReLU if the options give them a width, then one output a label (if any are wanted)."""
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


class TextStack(nn.Module):
    """One output row a text."""

    def __init__(self, task: Task, encoder: Encoder, labels: int, options: StackOptions) -> None:
        super().__init__()
        self.view = encoder.view()
        self.reducer: Reducer = build_reducer(options.reducer, encoder.dim, options.size)
        self.features = Features(self.reducer.dim, options)
        self.layers = linear_layers(self.reducer.dim, labels, options)
        self.last = nn.Dropout(options.dropout if options.last_dropout else 0.0)
        self.output = _output(task)
        self.own_loss = weighted_loss(task, options)

    def forward(self, encoded: Encoded) -> Tensor:
        """``[rows, labels]``."""
        seen = encoded if self.view is None else self.view(encoded)
        return self.output(self.last(self.layers(self.features(self.reducer(seen.hidden, seen.mask)))))


class ConcatenatedPair(nn.Module):
    """Layers over both texts' vectors side by side."""

    def __init__(self, task: Task, dim: int, labels: int, options: StackOptions) -> None:
        super().__init__()
        self.features = Features(dim, options)
        self.layers = linear_layers(2 * dim, labels, options)
        self.output = _output(task)

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        """``[pairs, dim]`` twice to ``[pairs, labels]``."""
        return self.output(self.layers(torch.cat([self.features(first), self.features(second)], dim=-1)))


class NearPair(nn.Module):
    """The same layers over either text's vector; the score is how near they end."""

    def __init__(self, task: Task, dim: int, options: StackOptions) -> None:
        super().__init__()
        self.features = Features(dim, options)
        self.layers = linear_layers(dim, None, options)
        kind: Literal["distance", "cosine"] = "distance" if options.compare == "distance" else "cosine"
        low, high = task.score_range or (0.0, 1.0)
        self.near = ContrastiveHead(options.hidden or dim, kind, low, high)

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        """``[pairs, dim]`` twice to scores ``[pairs, 1]``."""
        return self.near(self.layers(self.features(first)), self.layers(self.features(second)))

    def loss(self, scores: Tensor, rows: TaskRows) -> Tensor:
        """The contrastive loss; a score says the distance that it was made of."""
        low, span = self.near.low, self.near.high - self.near.low
        distances = (1 - (scores.float().squeeze(-1) - low) / span) * self.near.margin
        assert rows.targets is not None
        return contrastive_loss(distances, (rows.targets - low) / span, self.near.margin)


class PairStack(ApartHead):
    """Both texts of a pair through one reducer, then compared."""

    def __init__(self, task: Task, encoder: Encoder, labels: int, options: StackOptions) -> None:
        reducer = build_reducer(options.reducer, encoder.dim, options.size)
        near = None if options.compare == "concat" else NearPair(task, reducer.dim, options)
        super().__init__(near or ConcatenatedPair(task, reducer.dim, labels, options), encoder.view(), reducer)
        self.own_loss = near.loss if near else weighted_loss(task, options)


class TagStack(nn.Module):
    """One output row a word."""

    def __init__(self, task: Task, encoder: Encoder, labels: int, options: StackOptions) -> None:
        super().__init__()
        self.view = encoder.view()
        self.sequence = build_sequence_layer(options.sequence, encoder.dim, options.size) if options.sequence else None
        dim = encoder.dim if self.sequence is None else self.sequence.dim
        self.features = Features(dim, options)
        self.layers = linear_layers(dim, labels, options)
        self.last = nn.Dropout(options.dropout if options.last_dropout else 0.0)
        self.crf = Crf(labels) if options.crf else None
        self.outside = task.outside
        self.own_loss = weighted_loss(task, options) if self.crf is None else self.sequence_loss

    def forward(self, encoded: Encoded) -> Tensor:
        """``[rows, words, labels]``; zeros where there is no word."""
        seen = encoded if self.view is None else self.view(encoded)
        words = seen.hidden if self.sequence is None else self.sequence(seen.hidden, seen.mask)
        real = seen.mask.bool()
        # Statistics of a batch are those of its words, whatever the padding.
        values = self.last(self.layers(self.features(words[real])))
        logits = values.new_zeros(*real.shape, values.shape[-1]).index_put((real,), values)
        # Every parameter has to stand in the outputs where several processes train (DDP looks for them there).
        return logits if self.crf is None else logits + 0 * sum(part.sum() for part in self.crf.parameters())

    def paths(self, emissions: Tensor, sizes: Tensor) -> Tensor:
        """What to decode of the emissions ``[words, tags]``: scores of the best paths, where the head knows paths.

        Args:
            emissions: words of all examples one after another.
            sizes: ``[examples]`` words of each.
        """
        if self.crf is None or self.training or not len(emissions):
            return emissions
        padded, mask = _by_example(emissions, sizes)
        return self.crf.max_marginals(padded, mask)[mask]

    def sequence_loss(self, emissions: Tensor, rows: TaskRows) -> Tensor:
        """The gold sequences' negative log-likelihood a word; a word without piece counts as outside."""
        assert self.crf is not None
        assert rows.targets is not None
        if not len(emissions):
            return emissions.sum()
        padded, mask = _by_example(emissions, rows.output_counts)
        tags, _ = _by_example(rows.targets.where(rows.targets >= 0, self.outside), rows.output_counts)
        return self.crf.loss(padded, tags, mask).sum() / mask.sum().clamp(min=1)


def build_stack(task: Task, encoder: Encoder, labels: int, *, apart: bool) -> nn.Module:
    """The head for a task.

    Args:
        task: the task, its options under ``head_options``.
        encoder: what the head stands on.
        labels: outputs.
        apart: whether the task's pairs are encoded apart.

    Raises:
        InputError: an option that is unknown, impossible, or no sense for the task's type.
    """
    options = StackOptions.of(task)
    for name, wanted, fits in (
        ("crf", options.crf, task.type == "tagging"),
        ("sequence", options.sequence, task.type == "tagging"),
        ("compare", options.compare != "concat", task.type == "regression" and apart),
        ("class_weights", options.class_weights, task.type != "regression" and not options.crf),
    ):
        if wanted and not fits:
            raise InputError(f"task {task.name}: head option {name} for {task.type}", fix="leave it out")
    kind: Any = TagStack if task.type == "tagging" else PairStack if apart else TextStack
    return kind(task, encoder, labels, options)


def weighted_loss(task: Task, options: StackOptions) -> Loss | None:
    """The type's own loss with a factor for each label, or ``None`` without weights."""
    if options.class_weights is None:
        return None
    weights = torch.tensor(options.class_weights)

    def classes(outputs: Tensor, rows: TaskRows) -> Tensor:
        assert rows.targets is not None
        counted = (rows.targets != -100).sum().clamp(min=1)
        factors = weights.to(outputs.device)
        return functional.cross_entropy(outputs.float(), rows.targets, factors, reduction="sum") / counted

    def labels(outputs: Tensor, rows: TaskRows) -> Tensor:
        assert rows.targets is not None
        each = functional.binary_cross_entropy_with_logits(outputs.float(), rows.targets, reduction="none")
        return (each * weights.to(outputs.device)).sum() / max(outputs.numel(), 1)

    return labels if task.type == "multilabel" else classes


def _output(task: Task) -> nn.Module:
    return Bounded(*(task.score_range or (0.0, 1.0))) if task.type == "regression" else nn.Identity()


def _by_example(values: Tensor, sizes: Tensor) -> tuple[Tensor, Tensor]:
    """``[words, …]`` of all examples as ``[examples, longest, …]`` and the mask of its real words."""
    padded = pad_sequence(values.split(sizes.tolist()), batch_first=True)
    mask = torch.arange(padded.shape[1], device=values.device) < sizes.to(values.device).unsqueeze(1)
    return padded, mask
