"""The heads of our task types.

A package that adds a task type registers a head for it under the entry point ``biomtl.heads``: a function like those
here, which makes a ``Head`` from a task, an encoder and a choice of head. A derived type uses its parent's heads unless
it registers its own.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from importlib.metadata import entry_points

from torch import nn

from biomtl.encoders.base import Encoder, RowNetwork
from biomtl.encoders.transformer import MARKED_FAMILIES
from biomtl.errors import InputError, nearest
from biomtl.heads.adapter import adapt_head
from biomtl.heads.base import Head, Loss
from biomtl.heads.crf import Crf, iob_transitions
from biomtl.heads.lora import add_task_lora
from biomtl.heads.losses import (
    SquaredError,
    WeightedBinaryCrossEntropy,
    WeightedCrossEntropy,
    binary_cross_entropy,
    text_cross_entropy,
    word_cross_entropy,
)
from biomtl.heads.mlp import Bounded, ConcatenatedPair, ContrastivePair, MlpOptions, MlpTexts, MlpWords
from biomtl.heads.options import head_options
from biomtl.heads.pairs import ComparisonHead, CosineHead, PairHead, RankingPairHead
from biomtl.heads.pooler import PoolerNetwork, PoolerOptions
from biomtl.heads.relations import LevitatedHead, MarkersHead, SpansHead
from biomtl.heads.san import SanNetwork, SanOptions
from biomtl.heads.seq2vec import build_seq2vec
from biomtl.heads.texts import RankingHead, TextHead
from biomtl.heads.words import CrfHead, SpanHead, TagHead
from biomtl.tasks.head import DEFAULT, HeadChoice
from biomtl.tasks.task import Task
from biomtl.tasks.types.base import type_of
from biomtl.tasks.types.regression import score_range

Builder = Callable[[Task, Encoder, HeadChoice], Head]


def build_head(task: Task, encoder: Encoder, choice: HeadChoice) -> Head:
    """A fresh head for a task over an encoder.

    Raises:
        InputError: the type doesn't have this head or view, the head doesn't take these options, or the type has no
            heads.
    """
    if choice.view is not None and choice.view not in type_of(task).views:
        fix = "leave it out" if not type_of(task).views else nearest(choice.view, type_of(task).views)
        raise InputError(f"task {task.name}: view {choice.view} for type {task.type}, which has no such view", fix=fix)
    head = builder(type_of(task).family)(task, encoder, choice)
    if choice.adapter:
        adapt_head(head, encoder, choice.adapter, task.name)
    if choice.lora:
        add_task_lora(head, encoder, choice.lora, task.name)
    return head


@cache
def builder(family: tuple[str, ...]) -> Builder:
    """The function that builds heads for a task type: its own, or that of the type that it derives from.

    Args:
        family: the type's name, then those of its parents, nearest first.

    Raises:
        InputError: no heads are registered for the type.
    """
    for name in family:
        if name in BUILDERS:
            return BUILDERS[name]
        for entry in entry_points(group="biomtl.heads", name=name):
            return entry.load()
    fix = "register a function for it under the entry point biomtl.heads, see docs/own-tasks.md"
    raise InputError(f"no head for tasks of type {family[0]}", fix=fix)


def classification(task: Task, encoder: Encoder, choice: HeadChoice) -> Head:
    """One of the labels: the family's own head or a named one; for separate texts, a comparison of two vectors."""
    check_choice(task, choice, "mlp", "pooler", "san")
    if choice.name == "mlp":
        options = MlpOptions.of(task, choice, "class_weights")
        weights = options.class_weights
        return mlp_texts(
            task, encoder, choice, options, WeightedCrossEntropy(weights) if weights else text_cross_entropy
        )
    if choice.name == "san":
        return TextHead(san(task, encoder, choice), text_cross_entropy)
    if choice.name == "pooler":
        return TextHead(pooler(task, encoder, choice, len(task.labels)), text_cross_entropy)
    return texts(task, encoder, choice, text_cross_entropy)


def multilabel(task: Task, encoder: Encoder, choice: HeadChoice) -> Head:
    """A sigmoid per label: the family's own head or a named one; for separate texts, a comparison of two vectors."""
    check_choice(task, choice, "mlp", "pooler")
    if choice.name == "mlp":
        options = MlpOptions.of(task, choice, "class_weights")
        weights = options.class_weights
        objective = WeightedBinaryCrossEntropy(weights) if weights else binary_cross_entropy
        return mlp_texts(task, encoder, choice, options, objective)
    if choice.name == "pooler":
        return TextHead(pooler(task, encoder, choice, len(task.labels)), binary_cross_entropy)
    return texts(task, encoder, choice, binary_cross_entropy)


def regression(task: Task, encoder: Encoder, choice: HeadChoice) -> Head:
    """A score: the family's own head or ``pooler``, initialised at the middle of the range, or ``mlp``.

    For separate texts, a head that starts as their cosine.
    """
    check_choice(task, choice, "mlp", "pooler")
    low, high = score_range(task)
    objective = SquaredError(low, high)
    apart = encoded_apart(task, encoder, choice)
    if choice.name == "mlp":
        options = MlpOptions.of(task, choice, *(["compare"] if apart else []))
        if options.compare != "concat":
            seq2vec = build_seq2vec(options.seq2vec, encoder.dim, options.size)
            near = ContrastivePair(seq2vec.dim, options, low, high)
            return PairHead(near, near.loss, encoder.layer_mix(), seq2vec)
        return mlp_texts(task, encoder, choice, options, objective, 1, Bounded(low, high))
    if choice.name == "pooler":
        network = pooler(task, encoder, choice, 1)
    elif apart:
        return PairHead(CosineHead(low, high), objective, encoder.layer_mix())
    else:
        network = encoder.sequence_head(1)
    final = [module for module in network.modules() if isinstance(module, nn.Linear)][-1]
    if final.bias is not None:
        nn.init.constant_(final.bias, (low + high) / 2)
    return TextHead(network, objective)


def tagging(task: Task, encoder: Encoder, choice: HeadChoice) -> Head:
    """One tag per word: the family's own token head, or ``mlp``, optionally with a CRF."""
    check_choice(task, choice, "mlp")
    labels = len(task.labels)
    if choice.name == DEFAULT:
        return TagHead(encoder.token_head(labels), task.o_index)
    options = MlpOptions.of(task, choice, "crf", "seq2seq", "class_weights")
    network = MlpWords(encoder, labels, options)
    if options.crf:
        return CrfHead(network, Crf(labels, iob_transitions(task.labels)), task.o_index)
    weights = options.class_weights
    return TagHead(network, task.o_index, WeightedCrossEntropy(weights) if weights else word_cross_entropy)


def relation(task: Task, encoder: Encoder, choice: HeadChoice) -> Head:
    """One of the labels for a pair of mentions, as its view asks: a classifier of the masked text, or of positions.

    Raises:
        InputError: a named head for a view that has its own, or an encoder without the attention that the view needs.
    """
    types = len(task.relation.names()) if task.relation else 0
    if choice.view == "markers":
        check_choice(task, choice)
        return MarkersHead(encoder.token_head(2 * len(task.labels)))
    if choice.view == "spans":
        check_choice(task, choice)
        return SpansHead(encoder.dim, types, len(task.labels), encoder.layer_mix())
    if choice.view == "levitated":
        check_choice(task, choice)
        if not encoder.takes_markers:
            problem = f"task {task.name}: view levitated over {encoder.family}"
            expected = f"one of the families {', '.join(MARKED_FAMILIES)}"
            raise InputError(problem, expected=expected, fix="use view: spans")
        return LevitatedHead(encoder.dim, types, len(task.labels), 4 + len(type_of(task).markers(choice)))
    return classification(task, encoder, choice)


def ranking(task: Task, encoder: Encoder, choice: HeadChoice) -> Head:
    """A score per candidate: the family's own head or ``pooler``; for separate texts, a comparison of two vectors."""
    check_choice(task, choice, "pooler")
    if choice.name == "pooler":
        return RankingHead(pooler(task, encoder, choice, 1))
    if choice.pairs == "apart" or not encoder.joins_pairs:
        return RankingPairHead(ComparisonHead(encoder.dim, 1), encoder.layer_mix())
    return RankingHead(encoder.sequence_head(1))


def span(task: Task, encoder: Encoder, choice: HeadChoice) -> Head:
    """The answer's first and last word: the family's own token head with two outputs.

    Raises:
        InputError: there is a question, but the encoder can't join it with the text.
    """
    check_choice(task, choice)
    if task.order == "ba":
        problem = f"task {task.name}: order ba for type {task.type}"
        raise InputError(problem, expected="ab: the answer is in the first text", fix="leave it out")
    if encoded_apart(task, encoder, choice):
        fix = "use pairs: together and a transformer, or texts without questions"
        raise InputError(f"task {task.name}: the question would be encoded separately from its text", fix=fix)
    if task.unanswerable and not encoder.joins_pairs:
        problem = f"task {task.name}: questions without an answer over an encoder without special positions"
        raise InputError(problem, expected="a transformer", fix="leave them out of the data")
    return SpanHead(encoder.token_head(2))


def encoded_apart(task: Task, encoder: Encoder, choice: HeadChoice) -> bool:
    """Whether a task's pairs are compared as two rows, by choice or because the encoder can't join them."""
    return task.inputs == "pair" and (choice.pairs == "apart" or not encoder.joins_pairs)


def check_choice(task: Task, choice: HeadChoice, *named: str) -> None:
    """Refuse choices that a task's type would ignore: an unknown head, or options for the default one.

    Args:
        task: the task.
        choice: the requested head.
        named: the type's heads other than the default.

    Raises:
        InputError: such a choice.
    """
    if choice.name not in (DEFAULT, *named):
        problem = f"task {task.name}: no head {choice.name!r} for type {task.type}"
        raise InputError(problem, expected=", ".join((DEFAULT, *named)))
    if choice.name == DEFAULT and choice.options:
        options = ", ".join(choice.options)
        problem = f"task {task.name}: options of the default head ({options})"
        raise InputError(problem, expected="none: it has no options")


def texts(task: Task, encoder: Encoder, choice: HeadChoice, objective: Loss) -> Head:
    """The family's own head for whole texts, or a comparison of two."""
    labels = len(task.labels)
    if encoded_apart(task, encoder, choice):
        return PairHead(ComparisonHead(encoder.dim, labels), objective, encoder.layer_mix())
    return TextHead(encoder.sequence_head(labels), objective)


def mlp_texts(
    task: Task,
    encoder: Encoder,
    choice: HeadChoice,
    options: MlpOptions,
    objective: Loss,
    labels: int | None = None,
    output: nn.Module | None = None,
) -> Head:
    """The ``mlp`` head for whole texts: over one vector, or over the concatenated vectors of both texts.

    Args:
        task: the task.
        encoder: the encoder under the head.
        choice: whether the texts of a pair are encoded separately.
        options: sizes and shapes.
        objective: the loss.
        labels: outputs; default one per label.
        output: a module after the layers, such as a bound on scores.
    """
    labels = len(task.labels) if labels is None else labels
    if not encoded_apart(task, encoder, choice):
        return TextHead(MlpTexts(encoder, labels, options, output), objective)
    seq2vec = build_seq2vec(options.seq2vec, encoder.dim, options.size)
    pair = ConcatenatedPair(seq2vec.dim, labels, options, output)
    return PairHead(pair, objective, encoder.layer_mix(), seq2vec)


def san(task: Task, encoder: Encoder, choice: HeadChoice) -> RowNetwork:
    """A stochastic answer network over two texts in one sequence."""
    if encoded_apart(task, encoder, choice):
        problem = f"task {task.name}: a SAN head over texts that are encoded separately"
        raise InputError(problem, expected="both in one sequence", fix="use pairs: together and a transformer")
    return SanNetwork(encoder.dim, len(task.labels), head_options(SanOptions, task, choice))


def pooler(task: Task, encoder: Encoder, choice: HeadChoice, labels: int) -> RowNetwork:
    """A pooler of the task's own over the first position, for texts in one sequence."""
    if encoded_apart(task, encoder, choice):
        problem = f"task {task.name}: a pooler head over texts that are encoded separately"
        raise InputError(problem, expected="both in one sequence", fix="use pairs: together and a transformer")
    return PoolerNetwork(encoder.dim, labels, head_options(PoolerOptions, task, choice))


BUILDERS: dict[str, Builder] = {
    "classification": classification,
    "multilabel": multilabel,
    "regression": regression,
    "tagging": tagging,
    "ranking": ranking,
    "span": span,
    "relation": relation,
}
