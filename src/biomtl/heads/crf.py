"""A linear-chain conditional random field over tags (Lafferty et al. 2001).

Written here because no maintained library has one: pytorch-crf and torchcrf have had no release since 2019.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

FORBIDDEN = -1e4  # a score that no path chooses, but finite, so that no gradient is NaN


class Transitions(NamedTuple):
    """Constraints on tag sequences.

    Attributes:
        allowed: ``[tags, tags]``, false where the second tag may not follow the first.
        first: ``[tags]``, false where a row may not start with the tag.
        opening: ``[tags]``, the replacement for a tag that isn't allowed at its position.
    """

    allowed: Tensor
    first: Tensor
    opening: Tensor


class Crf(nn.Module):
    """Scores of tag sequences: emissions plus learned scores for the transitions, the start and the end.

    Rows are padded at their end; ``mask`` ``[rows, words]`` is true at real words. Scores are summed in float32
    (or float64), by log-sum-exp throughout, so large emissions neither overflow nor lose the small ones.

    Args:
        tags: number of tags.
        rules: which tags may follow each other; all by default.
    """

    def __init__(self, tags: int, rules: Transitions | None = None) -> None:
        super().__init__()
        self.transitions = nn.Parameter(torch.empty(tags, tags).uniform_(-0.1, 0.1))
        self.start = nn.Parameter(torch.empty(tags).uniform_(-0.1, 0.1))
        self.end = nn.Parameter(torch.empty(tags).uniform_(-0.1, 0.1))
        rules = rules or Transitions(torch.ones(tags, tags), torch.ones(tags), torch.arange(tags))
        self.allowed: Tensor
        self.first: Tensor
        self.opening: Tensor
        for name, value in zip(Transitions._fields, rules, strict=True):
            self.register_buffer(name, value, persistent=False)

    def loss(self, emissions: Tensor, tags: Tensor, mask: Tensor) -> Tensor:
        """Negative log-likelihood of each row's gold tags: ``[rows]``.

        Args:
            emissions: ``[rows, words, tags]``.
            tags: ``[rows, words]`` indices; values in the padding are ignored.
            mask: ``[rows, words]``.
        """
        emissions, mask = _precise(emissions), mask.bool()
        # Subtracting each word's largest emission, which all paths share, keeps the sums small and exact.
        emissions = emissions - emissions.amax(-1, keepdim=True).detach()
        return self.log_partition(emissions, mask) - self.score(emissions, tags, mask)

    def legal(self, tags: Tensor) -> Tensor:
        """Gold tags ``[rows, words]`` that satisfy the rules: an inside tag that continues nothing opens a mention.

        Corpora contain such tags, also after words without pieces, and scoring reads them in this way.
        """
        continues = torch.cat([self.first[tags[:, :1]] != 0, self.allowed[tags[:, :-1], tags[:, 1:]] != 0], dim=1)
        return tags.where(continues, self.opening[tags])

    def score(self, emissions: Tensor, tags: Tensor, mask: Tensor) -> Tensor:
        """The score of given tag sequences: ``[rows]``."""
        start, moves = self._scores()
        tags = tags.masked_fill(~mask, 0)
        emitted = emissions.gather(2, tags.unsqueeze(-1)).squeeze(-1).masked_fill(~mask, 0).sum(1)
        moved = moves[tags[:, :-1], tags[:, 1:]].masked_fill(~mask[:, 1:], 0).sum(1)
        last = tags.gather(1, (mask.sum(1, keepdim=True) - 1).clamp(min=0)).squeeze(1)
        return (emitted + moved + start[tags[:, 0]] + self.end[last]).masked_fill(~mask.any(1), 0)

    def log_partition(self, emissions: Tensor, mask: Tensor) -> Tensor:
        """The logarithm of the sum of ``exp(score)`` over all tag sequences: ``[rows]``."""
        start, moves = self._scores()
        reached = start + emissions[:, 0]
        for step in range(1, emissions.shape[1]):
            further = torch.logsumexp(reached.unsqueeze(2) + moves, dim=1) + emissions[:, step]
            reached = torch.where(mask[:, step].unsqueeze(1), further, reached)
        return torch.logsumexp(reached + self.end, dim=1).masked_fill(~mask.any(1), 0)

    @torch.no_grad()
    def decode(self, emissions: Tensor, mask: Tensor) -> list[list[int]]:
        """The tag sequence with the highest score for each row, exactly (Viterbi)."""
        emissions, mask = _precise(emissions), mask.bool()
        start, moves = self._scores()
        reached = start + emissions[:, 0]
        before = []
        for step in range(1, emissions.shape[1]):
            best, came = (reached.unsqueeze(2) + moves).max(dim=1)
            reached = torch.where(mask[:, step].unsqueeze(1), best + emissions[:, step], reached)
            before.append(came)
        final = (reached + self.end).argmax(dim=1).tolist()
        came_from = torch.stack(before).tolist() if before else []
        return [
            _walk_back(came_from, row, tag, length)
            for row, (tag, length) in enumerate(zip(final, mask.sum(1).tolist(), strict=True))
        ]

    @torch.no_grad()
    def max_marginals(self, emissions: Tensor, mask: Tensor) -> Tensor:
        """The score of the best path through each tag of each word: ``[rows, words, tags]``.

        A word's largest score is that of Viterbi's path; the gap to the others shows how certain the path is there.
        """
        emissions, mask = _precise(emissions), mask.bool()
        start, moves = self._scores()
        reached = [start + emissions[:, 0]]
        for step in range(1, emissions.shape[1]):
            best = (reached[-1].unsqueeze(2) + moves).amax(dim=1) + emissions[:, step]
            reached.append(torch.where(mask[:, step].unsqueeze(1), best, reached[-1]))
        ahead = [self.end.expand_as(reached[0])]
        for step in range(emissions.shape[1] - 1, 0, -1):
            best = (moves + (emissions[:, step] + ahead[-1]).unsqueeze(1)).amax(dim=2)
            ahead.append(torch.where(mask[:, step].unsqueeze(1), best, self.end))
        return torch.stack(reached, dim=1) + torch.stack(ahead[::-1], dim=1)

    def _scores(self) -> tuple[Tensor, Tensor]:
        """Start and transition scores, with forbidden ones set to ``FORBIDDEN``."""
        start = self.start.masked_fill(self.first == 0, FORBIDDEN)
        return start, self.transitions.masked_fill(self.allowed == 0, FORBIDDEN)


def iob_transitions(labels: Sequence[str]) -> Transitions:
    """The rules of IOB2 tags: ``I-X`` follows ``B-X`` or ``I-X`` only, and starts no row.

    An inside tag whose type has no ``B-`` among the labels may stand anywhere.
    """
    prefixes, types = zip(*((label.partition("-")[0], label.partition("-")[2]) for label in labels), strict=True)
    begins = {type: i for i, (prefix, type) in enumerate(zip(prefixes, types, strict=True)) if prefix == "B"}
    bound = [prefix == "I" and type in begins for prefix, type in zip(prefixes, types, strict=True)]
    # The type of the mention that each tag is in; None for a tag outside mentions.
    inside = [type if prefix in ("B", "I") else None for prefix, type in zip(prefixes, types, strict=True)]
    allowed = [[not held or type == before for held, type in zip(bound, types, strict=True)] for before in inside]
    opening = [begins[types[i]] if bound[i] else i for i in range(len(labels))]
    return Transitions(torch.tensor(allowed), ~torch.tensor(bound), torch.tensor(opening))


def _precise(emissions: Tensor) -> Tensor:
    return emissions if emissions.dtype == torch.float64 else emissions.float()


def _walk_back(came_from: list[list[list[int]]], row: int, tag: int, length: int) -> list[int]:
    path = [tag][:length]
    for step in range(length - 2, -1, -1):
        tag = came_from[step][row][tag]
        path.append(tag)
    return path[::-1]
