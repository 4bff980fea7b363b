"""A biLM written down plainly from the published equations, one word at a time, to compare ours with."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

OPTIONS: dict[str, Any] = {
    "char_cnn": {
        "activation": "relu",
        "embedding": {"dim": 4},
        "filters": [[1, 3], [2, 4], [5, 6]],
        "n_highway": 2,
        "n_characters": 262,
        "max_characters_per_token": 50,
    },
    "lstm": {
        "cell_clip": 0.6,
        "proj_clip": 0.3,
        "dim": 9,
        "projection_dim": 5,
        "n_layers": 2,
        "use_skip_connections": True,
    },
    "dropout": 0.1,
}


def random_datasets(options: dict[str, Any], seed: int = 0) -> dict[str, np.ndarray]:
    """Weights under bilm-tf's names."""
    random = np.random.default_rng(seed)
    char, lstm = options["char_cnn"], options["lstm"]
    width = sum(count for _, count in char["filters"])
    out, cells = lstm["projection_dim"], lstm["dim"]

    def draw(*shape: int) -> np.ndarray:
        return random.normal(0, 0.5, shape).astype(np.float32)

    data = {"char_embed": draw(261, char["embedding"]["dim"])}
    for i, (size, count) in enumerate(char["filters"]):
        data[f"CNN/W_cnn_{i}"] = draw(1, size, char["embedding"]["dim"], count)
        data[f"CNN/b_cnn_{i}"] = draw(count)
    for k in range(char["n_highway"]):
        for part in ("carry", "transform"):
            data[f"CNN_high_{k}/W_{part}"] = draw(width, width)
            data[f"CNN_high_{k}/b_{part}"] = draw(width)
    if width != out:
        data["CNN_proj/W_proj"], data["CNN_proj/b_proj"] = draw(width, out), draw(out)
    for d in range(2):
        for layer in range(lstm["n_layers"]):
            cell = f"RNN_{d}/RNN/MultiRNNCell/Cell{layer}/LSTMCell"
            data[f"{cell}/W_0"], data[f"{cell}/B"] = draw(2 * out, 4 * cells), draw(4 * cells)
            if out < cells:
                data[f"{cell}/W_P_0"] = draw(cells, out)
    return data


def write_folder(folder: Path, options: dict[str, Any], datasets: dict[str, np.ndarray]) -> Path:
    """``options.json`` and ``weights.hdf5`` as bilm-tf leaves them."""
    import h5py

    folder.mkdir(parents=True, exist_ok=True)
    (folder / "options.json").write_text(json.dumps(options))
    with h5py.File(folder / "weights.hdf5", "w") as file:
        for name, value in datasets.items():
            file[name] = value
    return folder


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def word_vector(word: str, options: dict[str, Any], data: dict[str, np.ndarray]) -> np.ndarray:
    char = options["char_cnn"]
    size = char["max_characters_per_token"]
    codes = {"<S>": [256], "</S>": [257]}.get(word) or list(word.encode("utf-8", "ignore")[: size - 2])
    ids = [258, *codes, 259]
    embedded = data["char_embed"][ids + [260] * (size - len(ids))].astype(np.float64)
    maxima: list[float] = []
    for i, (width, _) in enumerate(char["filters"]):
        kernel, bias = data[f"CNN/W_cnn_{i}"][0], data[f"CNN/b_cnn_{i}"]
        windows = [np.einsum("wi,wio->o", embedded[p : p + width], kernel) + bias for p in range(size - width + 1)]
        maxima.extend(np.max(windows, axis=0))
    x = np.array(maxima)
    x = np.maximum(x, 0) if char["activation"] == "relu" else np.tanh(x)
    for k in range(char["n_highway"]):
        gate = sigmoid(x @ data[f"CNN_high_{k}/W_carry"] + data[f"CNN_high_{k}/b_carry"])
        new = np.maximum(x @ data[f"CNN_high_{k}/W_transform"] + data[f"CNN_high_{k}/b_transform"], 0)
        x = gate * new + (1 - gate) * x
    if "CNN_proj/W_proj" in data:
        x = x @ data["CNN_proj/W_proj"] + data["CNN_proj/b_proj"]
    return x


def clip(x: np.ndarray, limit: float | None) -> np.ndarray:
    return x if limit is None else np.clip(x, -limit, limit)


class Naive:
    """Layers of one sentence after another; ``carry`` keeps the state between them."""

    def __init__(self, options: dict[str, Any], data: dict[str, np.ndarray], *, carry: bool = False) -> None:
        self.options, self.data, self.carry = options, data, carry
        self.state: dict[tuple[int, int], tuple[np.ndarray, np.ndarray]] = {}

    def __call__(self, words: list[str]) -> np.ndarray:
        """``[layers, words, 2 * projection_dim]``."""
        vectors = np.stack([word_vector(w, self.options, self.data) for w in ["<S>", *words, "</S>"]])
        directions = [self._direction(0, vectors), [layer[::-1] for layer in self._direction(1, vectors[::-1])]]
        layers = [np.concatenate(pair, axis=1) for pair in zip(*directions, strict=True)]
        return np.stack(layers)[:, 1:-1]

    def _direction(self, d: int, inputs: np.ndarray) -> list[np.ndarray]:
        lstm = self.options["lstm"]
        layers = [inputs]
        for number in range(lstm["n_layers"]):
            name = f"RNN_{d}/RNN/MultiRNNCell/Cell{number}/LSTMCell"
            out = lstm["projection_dim"]
            hidden, cell = self.state.get((d, number), (np.zeros(out), np.zeros(lstm["dim"])))
            outputs = []
            for x in layers[-1]:
                gates = np.concatenate([x, hidden]) @ self.data[f"{name}/W_0"] + self.data[f"{name}/B"]
                i, j, f, o = np.split(gates, 4)
                cell = clip(sigmoid(f + 1) * cell + sigmoid(i) * np.tanh(j), lstm["cell_clip"])
                hidden = sigmoid(o) * np.tanh(cell)
                if f"{name}/W_P_0" in self.data:
                    hidden = clip(hidden @ self.data[f"{name}/W_P_0"], lstm["proj_clip"])
                outputs.append(hidden)
            if self.carry:
                self.state[d, number] = hidden, cell
            skip = lstm["use_skip_connections"] and number > 0
            layers.append(np.stack(outputs) + (layers[-1] if skip else 0))
        return layers
