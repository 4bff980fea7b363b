"""Weights from bilm-tf's hdf5 and from safetensors, both ways, and what is wrong with broken files."""

from __future__ import annotations

import json
import random
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import h5py
import numpy as np
import pytest
import torch

from biomtl.encoders.elmo import (
    SHAPES,
    Elmo,
    ElmoOptions,
    ScalarMix,
    convert_elmo,
    encode,
    is_elmo,
    load_elmo,
    save_elmo,
    word_batch,
)
from biomtl.encoders.elmo.names import dataset_shapes, to_state
from biomtl.errors import InputError


def test_every_value_of_the_file_has_one_place(naive: ModuleType) -> None:
    options, data = ElmoOptions.parse(naive.OPTIONS), naive.random_datasets(naive.OPTIONS)
    assert {name: value.shape for name, value in data.items()} == dataset_shapes(options)
    state = to_state(data, options)
    assert {name: tuple(v.shape) for name, v in Elmo(options).state_dict().items()} == {
        name: value.shape for name, value in state.items()
    }
    ours = np.concatenate([value.ravel() for value in state.values()])
    theirs = np.concatenate([value.ravel() for value in data.values()])
    np.testing.assert_array_equal(np.sort(ours[ours != 0]), np.sort(theirs[theirs != 0]))


def test_the_released_shapes() -> None:
    """Parameters as published: 93.6, 28.0 and 13.6 million."""
    with torch.device("meta"):
        counts = {name: sum(p.numel() for p in Elmo(options).parameters()) for name, options in SHAPES.items()}
    assert {name: round(count / 1e6, 1) for name, count in counts.items()} == {
        "original": 93.6,
        "medium": 28.0,
        "small": 13.6,
    }


def test_converted_folder_needs_no_h5py(bilm_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    convert_elmo(bilm_folder, tmp_path / "elmo")
    assert is_elmo(bilm_folder)
    assert is_elmo(tmp_path / "elmo")
    wanted = load_elmo(bilm_folder)(word_batch([["a", "word"]]))
    monkeypatch.setitem(sys.modules, "h5py", None)
    assert torch.equal(load_elmo(tmp_path / "elmo")(word_batch([["a", "word"]])), wanted)
    with pytest.raises(InputError, match=r"h5py is not installed, run pip install 'biomtl\[elmo\]'"):
        load_elmo(bilm_folder)


def test_what_is_saved_is_loaded(bilm: Elmo, tmp_path: Path) -> None:
    save_elmo(bilm, tmp_path / "saved")
    again = load_elmo(tmp_path / "saved")
    assert all(torch.equal(value, again.state_dict()[name]) for name, value in bilm.state_dict().items())
    with pytest.raises(InputError, match="already exists"):
        save_elmo(bilm, tmp_path / "saved")


def test_released_file_names_are_found(bilm_folder: Path, tmp_path: Path) -> None:
    shutil.copy(bilm_folder / "options.json", tmp_path / "elmo_2x4096_512_2048cnn_2xhighway_options.json")
    shutil.copy(bilm_folder / "weights.hdf5", tmp_path / "elmo_2x4096_512_2048cnn_2xhighway_weights.hdf5")
    assert is_elmo(tmp_path)
    assert len(list(encode(load_elmo(tmp_path), [["a"]]))) == 1


def change(folder: Path, edit: Callable[[Any], None]) -> None:
    with h5py.File(folder / "weights.hdf5", "r+") as file:
        edit(file)


def delete(name: str) -> Callable[[Path], None]:
    return lambda folder: change(folder, lambda file: file.__delitem__(name))


def put(name: str, value: Any) -> Callable[[Path], None]:
    def edit(file: Any) -> None:
        if name in file:
            del file[name]
        file[name] = value

    return lambda folder: change(folder, edit)


def option(part: str, key: str, value: Any) -> Callable[[Path], None]:
    def edit(folder: Path) -> None:
        options = json.loads((folder / "options.json").read_text())
        options[part][key] = value
        (folder / "options.json").write_text(json.dumps(options))

    return edit


def cut(share: float) -> Callable[[Path], None]:
    def edit(folder: Path) -> None:
        data = (folder / "weights.hdf5").read_bytes()
        (folder / "weights.hdf5").write_bytes(data[: int(share * len(data))])

    return edit


def bomb(folder: Path) -> None:
    """A few kilobytes that would unpack to two gigabytes."""
    with h5py.File(folder / "weights.hdf5", "a") as file:
        group = file["CNN_proj"]
        del group["b_proj"]
        group.create_dataset("b_proj", (5,), "f4", chunks=(2**29,), maxshape=(None,), compression="gzip")


BROKEN: dict[str, tuple[Callable[[Path], None], str]] = {
    "no dataset": (
        delete("CNN/W_cnn_1"),
        r"weights.hdf5: no CNN/W_cnn_1 \(did you mean .*\), expected shape \[1, 2, 4, 4\]",
    ),
    "no characters": (delete("char_embed"), r"weights.hdf5: no char_embed, expected shape \[261, 4\]"),
    "foreign": (put("CNN/W_cnn_9", [1.0]), "weights.hdf5: CNN/W_cnn_9, expected no such name"),
    "shape": (put("CNN_proj/b_proj", np.zeros(7)), r"CNN_proj/b_proj of shape \[7\], expected \[5\]"),
    "type": (put("CNN_proj/b_proj", np.zeros(5, int)), "CNN_proj/b_proj of type int64, expected floating-point"),
    "nan": (put("CNN_proj/b_proj", np.full(5, np.nan)), "CNN_proj/b_proj holds values that are not finite"),
    "cut in half": (cut(0.5), "weights.hdf5: not a complete hdf5 file"),
    "empty": (cut(0), "weights.hdf5: not a complete hdf5 file"),
    "no weights": (
        lambda folder: (folder / "weights.hdf5").unlink(),
        r"no weights.hdf5, expected one \*weights\*",
    ),
    "no options": (
        lambda folder: (folder / "options.json").unlink(),
        r"no options.json, expected one \*options\*",
    ),
    "not json": (lambda folder: (folder / "options.json").write_bytes(b"{]"), "options.json: not JSON"),
    "no char_cnn": (lambda folder: (folder / "options.json").write_text('{"lstm": {}}') and None, "no char_cnn"),
    "cells": (option("lstm", "dim", 10), r"B of shape \[36\], expected \[40\]|W_0 of shape"),
    "filters": (
        option("char_cnn", "filters", [[1, 3], [2, 4], [4, 6]]),
        r"W_cnn_2 of shape \[1, 5, 4, 6\], expected \[1, 4, 4, 6\]",
    ),
    "filter form": (option("char_cnn", "filters", [[1, 3, 4]]), "options.json: char_cnn.filters.0"),
    "wide filter": (option("char_cnn", "filters", [[51, 3]]), "a filter of width 51"),
    "characters": (option("char_cnn", "n_characters", 261), "n_characters is 261, expected 262"),
    "activation": (option("char_cnn", "activation", "gelu"), "char_cnn.activation: .*'relu'"),
    "zero clip": (option("lstm", "cell_clip", 0), "lstm.cell_clip: .*greater than 0"),
    "no values": (put("CNN_proj/b_proj", h5py.Empty("f4")), "CNN_proj/b_proj has no values"),
    "bomb": (bomb, "CNN_proj/b_proj is stored in pieces larger than itself"),
    "endless layers": (option("lstm", "n_layers", 10**9), "lstm.n_layers: .*less than or equal to 1000"),
    "endless highways": (option("char_cnn", "n_highway", 10**30), "char_cnn.n_highway: .*less than or equal to 1000"),
    "endless filters": (option("char_cnn", "filters", [[1, 1]] * 2000), "char_cnn.filters: .*at most 1000"),
    "huge cells": (option("lstm", "dim", 10**18), "lstm.dim: .*less than or equal to 1000000"),
    "a clip that no float holds": (
        option("lstm", "cell_clip", 1e300),
        "lstm.cell_clip: .*less than or equal to 1000000",
    ),
    "wide projection": (option("lstm", "projection_dim", 10), "projection_dim 10 is above dim 9"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_files_are_named_in_one_line(name: str, bilm_folder: Path, tmp_path: Path) -> None:
    spoil, message = BROKEN[name]
    folder = Path(shutil.copytree(bilm_folder, tmp_path / "elmo"))
    spoil(folder)
    with pytest.raises(InputError) as caught:
        load_elmo(folder)
    assert re.search(message, str(caught.value)), str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("share", [0, 0.3, 0.99])
def test_truncated_safetensors(share: float, bilm: Elmo, tmp_path: Path) -> None:
    save_elmo(bilm, tmp_path / "elmo")
    data = (tmp_path / "elmo" / "model.safetensors").read_bytes()
    (tmp_path / "elmo" / "model.safetensors").write_bytes(data[: int(share * len(data))])
    with pytest.raises(InputError, match="not a complete safetensors file"):
        load_elmo(tmp_path / "elmo")


def test_no_such_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such folder, expected the folder of a biLM"):
        load_elmo(tmp_path / "nowhere")
    assert not is_elmo(tmp_path / "nowhere")


def test_scalar_mix(bilm: Elmo) -> None:
    layers = torch.randn(3, 2, 4, 10)
    mask = torch.tensor([[1, 1, 1, 1], [1, 1, 0, 0]])
    mix = ScalarMix(3)
    torch.testing.assert_close(mix(layers), layers.mean(0))
    with torch.no_grad():
        mix.weights.copy_(torch.tensor([50.0, 0.0, 0.0]))
        mix.gamma.fill_(2.0)
    torch.testing.assert_close(mix(layers), 2 * layers[0])
    norm = ScalarMix(3, layer_norm=True)
    kept = mask.bool()
    layers[:, ~kept] = 1e6  # what stands in the padding must not count
    got = norm(layers, mask)[kept]
    rows = layers[:, kept]
    centred = rows - rows.mean((1, 2), keepdim=True)
    wanted = (centred / centred.pow(2).mean((1, 2), keepdim=True).sqrt()).mean(0)
    torch.testing.assert_close(got, wanted)


def test_changed_bytes_of_an_hdf5_file_give_a_one_line_error_or_do_no_harm(bilm_folder: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(bilm_folder, tmp_path / "elmo"))
    whole, said = (folder / "weights.hdf5").read_bytes(), []
    for seed in range(150):
        rng = random.Random(seed)
        content = bytearray(whole)
        for _ in range(3):
            content[rng.randrange(min(len(content), 4000))] = rng.randrange(256)
        (folder / "weights.hdf5").write_bytes(content)
        try:
            load_elmo(folder)
        except InputError as error:
            said.append(str(error))
    assert len(said) > 50
    assert [line for line in said if not line.startswith(str(folder)) or "\n" in line] == []
