"""Markers beside a text: positions of an encoder's row that read the text without being read by it.

A marker shares the position of the piece that it stands for. It attends to the text and to the other markers of its
output; the text attends to the text alone. So one row serves any number of outputs, each of which the encoder reads at
every layer, and the text's states are those that it has without markers (Zhong and Chen 2021, arXiv 2010.12812; Ye et
al. 2022, arXiv 2109.06067).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from biomtl.text.base import EncodedRow

if TYPE_CHECKING:
    import torch

MARKS = ("@", "#")
"""What stands for the first and the second argument, as in marked texts: every vocabulary knows punctuation."""
MOST_MARKERS = 128
"""Markers of a text that are encoded with one pass over it."""
GROUPS, POSITIONS = "marker_groups", "position_ids"


def place_markers(rows: Sequence[EncodedRow], anchors: NDArray[np.int32]) -> tuple[list[EncodedRow], NDArray[np.int32]]:
    """A text's rows with a marker for each anchor, after the text.

    Args:
        rows: rows without markers.
        anchors: ``[outputs, k, 2]`` row and position of the pieces that each output's markers stand for, those of the
            first argument first; -1 for none.

    Returns:
        The rows, and ``[outputs, k, 2]`` the markers' own rows and positions, -1 for none.
    """
    markers: list[list[tuple[int, int, int]]] = [[] for _ in rows]
    places = np.full_like(anchors, -1)
    for output, own in enumerate(anchors.tolist()):
        for i, (row, position) in enumerate(own):
            if row >= 0:
                places[output, i] = row, len(rows[row]) + len(markers[row])
                markers[row].append((position, len(MARKS) * i // len(own), output + 1))
    marked = [np.array(own, dtype=np.int32).reshape(-1, 3) for own in markers]
    return [replace(row, markers=own) for row, own in zip(rows, marked, strict=True)], places


def add_markers(
    inputs: Mapping[str, torch.Tensor], rows: Sequence[EncodedRow], pieces: Sequence[int]
) -> dict[str, torch.Tensor]:
    """The inputs of rows that have room for their markers, with these markers.

    Args:
        inputs: ``[rows, positions]`` each; ``attention_mask`` stays 0 at markers, which no head takes for text.
        rows: the rows.
        pieces: the pieces that are ``MARKS``.

    Returns:
        The inputs with ``position_ids``, counted from 0, and ``marker_groups``: the number of a marker's output, 0 for
        the text.
    """
    import torch

    ids = inputs["input_ids"].clone()
    groups = torch.zeros_like(ids)
    positions = torch.arange(ids.shape[1]) * inputs["attention_mask"]
    for i, row in enumerate(rows):
        if row.markers is not None:
            own = slice(len(row) - len(row.markers), len(row))
            anchors, sides, outputs = torch.from_numpy(row.markers).long().unbind(1)
            ids[i, own], positions[i, own], groups[i, own] = torch.tensor(pieces)[sides], anchors, outputs
    return {**inputs, "input_ids": ids, POSITIONS: positions, GROUPS: groups}


def attention(mask: torch.Tensor, groups: torch.Tensor) -> torch.Tensor:
    """``[rows, 1, positions, positions]``, true where a position attends: to the text, markers to their group too."""
    own = (groups[:, :, None] == groups[:, None, :]) & (groups[:, :, None] > 0)
    return (mask.bool()[:, None, :] | own)[:, None]
