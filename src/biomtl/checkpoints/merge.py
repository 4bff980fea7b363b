"""Several models of one encoder made into one: averaged, or by adding what each has learned (task vectors)."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from biomtl.encoders import load_encoder
from biomtl.errors import InputError
from biomtl.model import MultiTaskModel

How = Literal["average", "add", "ties", "dare"]
Vectors = Sequence[Tensor]


def merge(
    models: Sequence[str | Path],
    how: How = "average",
    *,
    base: str | Path | None = None,
    weight: float = 1.0,
    density: float = 0.2,
    seed: int = 0,
) -> MultiTaskModel:
    """One model with the merged encoder and every model's heads; heads of the same task are averaged.

    Texts are read in rows of the largest of the models' lengths.
    Temperatures and thresholds are left out: they were fitted to the outputs of other weights.

    With w_i a model's encoder weights and b those of the encoder that all started from, the merged weights are

    - ``average``: the mean of the w_i (Wortsman et al. 2022, arXiv 2203.05482);
    - ``add``: b + weight * mean of the task vectors w_i - b (Ilharco et al. 2023, arXiv 2212.04089);
    - ``ties``: the same with vectors of which only the ``density`` largest elements of each tensor are kept, and of
      these the mean of those that have the sign of their sum (Yadav et al. 2023, arXiv 2306.01708, who choose the
      largest of all tensors together);
    - ``dare``: the same with vectors of which a random ``density`` is kept, scaled by 1 / density (Yu et al. 2024,
      arXiv 2311.03099).

    Args:
        models: model or run folders.
        how: see above.
        base: the encoder that all were trained from; needed by all ways but ``average``.
        weight: factor of the vectors' mean.
        density: share of a vector's elements that ``ties`` and ``dare`` keep.
        seed: of ``dare``.

    Raises:
        InputError: fewer than two models, encoders of unlike shapes or vocabularies, tokenizers that cut texts
            otherwise, no base, or heads of a task that don't fit.
    """
    if len(models) < 2:
        raise InputError(f"{len(models)} model", expected="two or more to merge")
    if how != "average" and base is None:
        raise InputError(f"{how} without a base", expected="the encoder that all were trained from", fix="add --base")
    if not math.isfinite(weight):
        raise InputError(f"weight {weight:g}", expected="a number")
    if not 0 < density <= 1:
        raise InputError(f"density {density:g}", expected="a share above 0, at most 1")
    loaded = [MultiTaskModel.from_pretrained(model) for model in models]
    weights = [dict(model.encoder.state_dict()) for model in loaded]
    merged = loaded[0]
    for path, model, own in zip(models[1:], loaded[1:], weights[1:], strict=True):
        _refuse_unlike(weights[0], own, models[0], path)
        if _vocabulary(model) != _vocabulary(merged):
            raise InputError("another vocabulary", path=path, expected=f"that of {models[0]}, the encoder's own")
        if _pieces(model) != _pieces(merged):
            raise InputError("a tokenizer that cuts texts otherwise", path=path, expected=f"that of {models[0]}")
    if how == "average":
        found = {name: _mean([own[name] for own in weights]) for name in weights[0]}
    else:
        start = dict(load_encoder(str(base)).state_dict())
        _refuse_unlike(start, weights[0], str(base), models[0])
        random = torch.Generator().manual_seed(seed)
        rule = _rule(how, density, random)
        found = {}
        for name, first in start.items():
            vectors = [own[name].float() - first.float() for own in weights]
            found[name] = (
                (first.float() + weight * rule(vectors)).to(first.dtype) if first.is_floating_point() else first
            )
    merged.encoder.load_state_dict(found)
    merged.processor = max((model.processor for model in loaded), key=lambda processor: processor.max_length)
    for other, where in zip(loaded[1:], models[1:], strict=True):
        _take_heads(merged, other, where)
    merged.drop_calibration()
    merged.provenance = {
        "merged": {"models": [str(model) for model in models], "how": how, "base": base and str(base), "weight": weight}
    }
    if how in ("ties", "dare"):
        merged.provenance["merged"]["density"] = density
    return merged


def _rule(how: How, density: float, random: torch.Generator) -> Callable[[Vectors], Tensor]:
    def add(vectors: Vectors) -> Tensor:
        return _mean(vectors)

    def ties(vectors: Vectors) -> Tensor:
        kept = torch.stack([largest(vector, density) for vector in vectors])
        sign = kept.sum(0).sign()
        agreeing = (kept.sign() == sign) & (kept != 0)
        return (kept * agreeing).sum(0) / agreeing.sum(0).clamp(min=1)

    def dare(vectors: Vectors) -> Tensor:
        drawn = [torch.rand(vector.shape, generator=random) < density for vector in vectors]
        return _mean([vector * keep / density for vector, keep in zip(vectors, drawn, strict=True)])

    rules: dict[str, Callable[[Vectors], Tensor]] = {"add": add, "ties": ties, "dare": dare}
    return rules[how]


def largest(vector: Tensor, density: float) -> Tensor:
    """The vector with all but its ``density`` largest elements set to 0."""
    count = max(1, round(density * vector.numel()))
    if count == vector.numel():
        return vector
    least = vector.abs().flatten().kthvalue(vector.numel() - count + 1).values
    return vector.masked_fill(vector.abs() < least, 0)


def _mean(values: Vectors) -> Tensor:
    if not values[0].is_floating_point():
        return values[0]
    return torch.stack([value.float() for value in values]).mean(0).to(values[0].dtype)


def _refuse_unlike(
    first: Mapping[str, Tensor], other: Mapping[str, Tensor], name: str | Path, path: str | Path
) -> None:
    if {key: value.shape for key, value in first.items()} != {key: value.shape for key, value in other.items()}:
        raise InputError("another encoder", path=path, expected=f"the weights of {name}, trained further")


def _vocabulary(model: MultiTaskModel) -> Mapping[str, int] | None:
    """The word pieces that the rows of the encoder's table stand for; ``None`` if it has no such table."""
    tokenizer = getattr(model.processor, "tokenizer", None)
    return None if tokenizer is None else tokenizer.get_vocab()


def _pieces(model: MultiTaskModel) -> Sequence[int] | None:
    """What the tokenizer makes of a text that shows whether it keeps case and accents."""
    tokenizer = getattr(model.processor, "tokenizer", None)
    return None if tokenizer is None else list(tokenizer("Naïve IL-2R\u03b1, 3.5 µg")["input_ids"])


def _take_heads(merged: MultiTaskModel, model: MultiTaskModel, name: str | Path) -> None:
    """Add a model's heads; one of a task that is there already becomes the mean of both, counting those before it."""
    for task, record in model.tasks.items():
        head = model.head(task)
        if task not in merged.tasks:
            merged.put_head(record, head, model.choices[task])
            counts = merged.provenance.setdefault("heads", {})
            counts[task] = 1
            continue
        if head.lora is not None:
            problem = f"task {task}'s own low-rank adapters, which can't be averaged"
            raise InputError(problem, path=name, expected="one model with this task")
        before = merged.head(task).state_dict()
        unlike = _read(merged, task) != _read(model, task)
        if unlike or {k: v.shape for k, v in before.items()} != {k: v.shape for k, v in head.state_dict().items()}:
            problem = f"another head of task {task}"
            expected = "the same labels, options and shape as in the models before it"
            raise InputError(problem, path=name, expected=expected)
        counts = merged.provenance.setdefault("heads", {})
        count = counts[task] = counts.get(task, 1) + 1
        mixed = {
            key: value + (head.state_dict()[key] - value) / count if value.is_floating_point() else value
            for key, value in before.items()
        }
        merged.head(task).load_state_dict(mixed)


def _read(model: MultiTaskModel, task: str) -> tuple[object, ...]:
    """What a head's outputs stand for and what it reads, beside its shape."""
    record, choice = model.tasks[task], model.choices[task]
    own = (record.type, record.inputs, record.order, record.labels, record.score_range, record.unanswerable)
    relation = record.relation
    shown = relation and (relation.names(), relation.masks, relation.overlapping, relation.mask_order or "text")
    return (*own, choice.name, choice.pairs, choice.view, shown)
