"""bilm-tf's dataset names and ours, as one list."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from biomtl.encoders.elmo.options import ElmoOptions

Arrays = Mapping[str, np.ndarray]


Form = Callable[[np.ndarray], np.ndarray]
"""How a dataset's values are turned into a parameter's."""


def same(values: np.ndarray) -> np.ndarray:
    """Values as they are."""
    return values


def transposed(values: np.ndarray) -> np.ndarray:
    """``[in, out]`` to ``[out, in]``."""
    return values.T


def convolution(values: np.ndarray) -> np.ndarray:
    """``[1, width, in, out]`` to Conv1d's ``[out, in, width]``."""
    return values[0].transpose(2, 1, 0)


def characters(values: np.ndarray) -> np.ndarray:
    """The file's 261 rows behind a row of zeros, which is that of "no word"."""
    return np.concatenate([np.zeros_like(values[:1]), values])


@dataclass(frozen=True)
class Entry:
    """The location of one parameter (or one direction of it) in a dataset.

    Attributes:
        dataset: bilm-tf's name.
        parameter: our name.
        shape: the shape of the entry's part of the dataset.
        form: how the values are converted.
        direction: index in the parameter's first dimension, if it holds both directions.
        start: first row of the dataset that belongs to the entry.
    """

    dataset: str
    parameter: str
    shape: tuple[int, ...]
    form: Form = same
    direction: int | None = None
    start: int = 0


def entries(options: ElmoOptions) -> list[Entry]:
    """The whole list for a model with these options; the parts of a dataset are consecutive."""
    return [*_token_entries(options), *_lstm_entries(options)]


def _token_entries(options: ElmoOptions) -> Iterator[Entry]:
    char, out = options.char_cnn, options.lstm.projection_dim
    dim, width = char.embedding.dim, char.width
    yield Entry("char_embed", "token.embedding.weight", (char.n_characters - 1, dim), characters)
    for i, (size, count) in enumerate(char.filters):
        yield Entry(f"CNN/W_cnn_{i}", f"token.convolutions.{i}.weight", (1, size, dim, count), convolution)
        yield Entry(f"CNN/b_cnn_{i}", f"token.convolutions.{i}.bias", (count,))
    for k in range(char.n_highway):
        for gate in ("carry", "transform"):
            yield Entry(f"CNN_high_{k}/W_{gate}", f"token.highways.{k}.{gate}.weight", (width, width), transposed)
            yield Entry(f"CNN_high_{k}/b_{gate}", f"token.highways.{k}.{gate}.bias", (width,))
    if width != out:
        yield Entry("CNN_proj/W_proj", "token.projection.weight", (width, out), transposed)
        yield Entry("CNN_proj/b_proj", "token.projection.bias", (out,))


def _lstm_entries(options: ElmoOptions) -> Iterator[Entry]:
    cells, out = options.lstm.dim, options.lstm.projection_dim
    gates = (out, 4 * cells)
    for layer in range(options.lstm.n_layers):
        for d in range(2):
            cell, ours = f"RNN_{d}/RNN/MultiRNNCell/Cell{layer}/LSTMCell", f"layers.{layer}"
            yield Entry(f"{cell}/W_0", f"{ours}.input_weight", gates, transposed, d)
            yield Entry(f"{cell}/W_0", f"{ours}.hidden_weight", gates, transposed, d, start=out)
            yield Entry(f"{cell}/B", f"{ours}.bias", gates[1:], same, d)
            if options.lstm.projected:
                yield Entry(f"{cell}/W_P_0", f"{ours}.projection", (cells, out), transposed, d)


def dataset_shapes(options: ElmoOptions) -> dict[str, tuple[int, ...]]:
    """Every dataset of a weight file, with its shape."""
    shapes: dict[str, tuple[int, ...]] = {}
    for entry in entries(options):
        rows, *rest = entry.shape
        shapes[entry.dataset] = (entry.start + rows, *rest)
    return shapes


def to_state(datasets: Arrays, options: ElmoOptions) -> dict[str, np.ndarray]:
    """Our parameters from bilm-tf's datasets, which have the shapes of ``dataset_shapes``."""
    state: dict[str, np.ndarray] = {}
    for entry in entries(options):
        value = entry.form(datasets[entry.dataset][entry.start : entry.start + entry.shape[0]])
        if entry.direction is None:
            state[entry.parameter] = np.ascontiguousarray(value)
        else:
            both = state.setdefault(entry.parameter, np.empty((2, *value.shape), value.dtype))
            both[entry.direction] = value
    return state
