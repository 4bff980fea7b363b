"""Reading, writing and converting biLM weights: bilm-tf's hdf5, or a folder of safetensors."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import safetensors.numpy
import torch

from biomtl.encoders.elmo.names import dataset_shapes, to_state
from biomtl.encoders.elmo.network import Elmo
from biomtl.encoders.elmo.options import ElmoOptions
from biomtl.errors import InputError, nearest
from biomtl.storage.files import atomic_folder, write_json
from biomtl.storage.tensors import refuse_nonfinite

CONFIG, WEIGHTS = "config.json", "model.safetensors"
MODEL_TYPE = "elmo"
DEEPEST = 20  # groups within groups of an HDF5 file; a biLM has four
LARGEST_CHUNK = 1 << 18  # values of an HDF5 chunk, which is unpacked as a whole, if the dataset has fewer


def load_elmo(
    path: str | Path,
    weights: str | Path | None = None,
    *,
    dtype: torch.dtype = torch.float32,
    stateful: bool = False,
) -> Elmo:
    """A biLM, frozen and in evaluation mode.

    Args:
        path: a folder (converted: ``config.json`` + ``model.safetensors``; bilm-tf's: options and weights), or the
            ``options.json`` when ``weights`` is given.
        weights: the ``weights.hdf5``.
        dtype: type of weights and layers; ``torch.bfloat16`` is two to four times as fast on CPUs that support it.
        stateful: carry the LSTM state from batch to batch, as bilm-tf and allennlp do.

    Raises:
        InputError: files missing or truncated; datasets missing, unknown or with other shapes than the options give.
    """
    options, state = read_weights(path, weights)
    with torch.device("meta"):  # skip random weights, which the file's replace at once
        model = Elmo(options, stateful=stateful)
    tensors = {name: torch.from_numpy(value).to(dtype) for name, value in state.items()}
    model.load_state_dict(tensors, assign=True)
    return model.requires_grad_(False).eval()


def is_elmo(path: str | Path) -> bool:
    """Whether ``path`` looks like a biLM: a converted folder, or one with options and hdf5 weights."""
    path = Path(path)
    if (path / CONFIG).is_file():
        try:
            return json.loads((path / CONFIG).read_text(encoding="utf-8")).get("model_type") == MODEL_TYPE
        except (ValueError, AttributeError, RecursionError):
            return False
    return path.is_dir() and any(path.glob("*options*.json")) and any(path.glob("*weights*.hdf5"))


def read_weights(path: str | Path, weights: str | Path | None = None) -> tuple[ElmoOptions, dict[str, np.ndarray]]:
    """Options and our parameters by name, from either form (arguments and errors as for ``load_elmo``)."""
    path = Path(path)
    if weights is not None:
        options = ElmoOptions.read(path)
        return options, to_state(_read_hdf5(Path(weights), options), options)
    options = read_options(path)
    if (path / CONFIG).is_file():
        return options, _read_safetensors(path / WEIGHTS, options)
    return options, to_state(_read_hdf5(_find(path, "weights", "hdf5"), options), options)


def find_files(source: str | Path, options: str | Path | None = None) -> tuple[Path, Path]:
    """bilm-tf's options and weights files; ``source`` is their folder or one of them.

    Args:
        source: in a folder with several weight files, the one to use.
        options: the options file, if it is elsewhere or one of several.

    Raises:
        InputError: none, or several candidates.
    """
    source = Path(source)
    is_weights, is_options = (source.suffix in kinds for kinds in ((".hdf5", ".h5"), (".json",)))
    folder = source.parent if source.is_file() or is_weights or is_options else source
    weights = source if is_weights else _find(folder, "weights", "hdf5")
    if options is None:
        options = source if is_options else _find(folder, "options", "json")
    return Path(options), weights


def read_options(folder: str | Path) -> ElmoOptions:
    """The options of a biLM's folder, in either form."""
    config = Path(folder) / CONFIG
    return ElmoOptions.read(config if config.is_file() else _find(Path(folder), "options", "json"))


def save_elmo(model: Elmo, folder: str | Path, *, overwrite: bool = False) -> None:
    """Write ``config.json`` and ``model.safetensors`` (float32), which load without h5py."""
    with atomic_folder(folder, "elmo", overwrite=overwrite) as work:
        write_folder(model, work)


def convert_elmo(
    source: str | Path, target: str | Path, *, weights: str | Path | None = None, overwrite: bool = False
) -> ElmoOptions:
    """Convert bilm-tf's files to a folder that loads without h5py; ``source`` and ``weights`` as for ``load_elmo``."""
    model = load_elmo(source, weights)
    save_elmo(model, target, overwrite=overwrite)
    return model.options


def write_folder(model: Elmo, folder: Path, settings: dict[str, Any] | None = None) -> None:
    """``save_elmo`` into an existing folder; ``settings`` are further keys of ``config.json``."""
    write_json(folder / CONFIG, {"model_type": MODEL_TYPE, **model.options.model_dump(mode="json"), **(settings or {})})
    safetensors.numpy.save_file(_arrays(model), folder / WEIGHTS, metadata={"format": "pt"})


def _arrays(model: Elmo) -> dict[str, np.ndarray]:
    return {name: value.detach().float().cpu().numpy() for name, value in model.state_dict().items()}


def _find(folder: Path, word: str, suffix: str) -> Path:
    """``weights.hdf5`` in a folder, or the one file with a similar name."""
    expected = f"one *{word}*.{suffix}"
    if not folder.is_dir():
        problem = "a file" if folder.exists() else "no such folder"
        raise InputError(problem, path=folder, expected="the folder of a biLM, or an options file and a weights file")
    if (folder / f"{word}.{suffix}").is_file():
        return folder / f"{word}.{suffix}"
    files = sorted(folder.glob(f"*{word}*.{suffix}"))
    if len(files) != 1:
        problem = f"{len(files)} files *{word}*.{suffix}" if files else f"no {word}.{suffix}"
        raise InputError(problem, path=folder, expected=expected, fix=f"name the file {word}.{suffix}")
    return files[0]


def _h5py() -> Any:
    try:
        import h5py
    except ImportError as error:
        raise InputError("h5py is not installed", fix="run pip install 'biomtl[elmo]'") from error
    return h5py


def _read_hdf5(path: Path, options: ElmoOptions) -> dict[str, np.ndarray]:
    h5py = _h5py()
    if not path.is_file():
        raise InputError("no such file", path=path, expected="the weights.hdf5 of a biLM")
    try:
        with h5py.File(path, "r") as file:
            names = list(_datasets(file, path))
            _check(path, {name: file[name].shape for name in names}, dataset_shapes(options))
            arrays = {name: _numbers(path, name, file[name].dtype, file[name]) for name in names}
    except (OSError, RuntimeError, KeyError, ValueError, TypeError, AttributeError) as error:  # h5py's, of damage
        # h5py's messages have several clauses; the first says what is wrong ("truncated file", "bad signature").
        reason = re.sub(r"\s+", " ", str(error))
        raise InputError(f"not a complete hdf5 file ({reason})", path=path, fix="download it again") from error
    return arrays


def _datasets(group: Any, path: Path) -> Iterator[str]:
    """Names of all datasets, each of which has its values in this very file.

    HDF5 can also point at other files, whose bytes would then end up in the converted model.

    Raises:
        InputError: a link, or a dataset with its values elsewhere.
    """
    h5py = _h5py()
    for key in group:
        name = f"{group.name.rstrip('/')}/{key}".lstrip("/")
        link = group.get(key, getlink=True)
        if not isinstance(link, h5py.HardLink):
            raise InputError(f"{name} is a link", path=path, expected="values in this file", fix="download it again")
        item = group[key]
        if isinstance(item, h5py.Group):
            if name.count("/") > DEEPEST:
                raise InputError("groups nested without end", path=path, fix="download it again")
            yield from _datasets(item, path)
        elif isinstance(item, h5py.Dataset):
            if item.external or item.is_virtual:
                problem = f"{name} has its values in another file"
                raise InputError(problem, path=path, expected="values in this file", fix="download it again")
            if item.shape is None:
                raise InputError(f"{name} has no values", path=path, fix="download it again")
            if item.chunks and math.prod(item.chunks) > max(item.size, LARGEST_CHUNK):
                problem = f"{name} is stored in pieces larger than itself"
                raise InputError(problem, path=path, fix="download it again")
            yield name


def _read_safetensors(path: Path, options: ElmoOptions) -> dict[str, np.ndarray]:
    with torch.device("meta"):
        expected = {name: tuple(value.shape) for name, value in Elmo(options).state_dict().items()}
    try:
        with safetensors.safe_open(path, framework="numpy") as file:
            names = list(file.keys())
            _check(path, {name: tuple(file.get_slice(name).get_shape()) for name in names}, expected)
            return {name: _numbers(path, name, np.dtype(np.float32), file.get_tensor(name)) for name in names}
    except FileNotFoundError as error:
        raise InputError("no such file", path=path, expected="a converted biLM's weights") from error
    except (safetensors.SafetensorError, OSError, TypeError) as error:
        raise InputError(
            f"not a complete safetensors file ({error})", path=path, fix="convert the model again"
        ) from error


def _check(path: Path, present: dict[str, tuple[int, ...]], expected: dict[str, tuple[int, ...]]) -> None:
    """Compare the names and shapes in a weight file with those given by its options."""
    hint = "are these the options of this weight file?"
    for name, shape in expected.items():
        if name not in present:
            close = nearest(name, present)
            near = f" ({close})" if close.startswith("did you mean") else ""  # all names would fill a page
            raise InputError(
                f"no {name}{near}", path=path, expected=f"shape {list(shape)} according to the options", fix=hint
            )
        if tuple(present[name]) != shape:
            raise InputError(f"{name} of shape {list(present[name])}", path=path, expected=f"{list(shape)}", fix=hint)
    foreign = sorted(set(present) - set(expected))
    if foreign:
        raise InputError(
            f"{foreign[0]} (and {len(foreign) - 1} more)" if foreign[1:] else foreign[0],
            path=path,
            expected="no such name according to the options",
            fix=hint,
        )


def _numbers(path: Path, name: str, dtype: np.dtype, values: Any) -> np.ndarray:
    if dtype.kind != "f":
        raise InputError(f"{name} of type {dtype}", path=path, expected="floating-point numbers")
    array = np.asarray(values, dtype=np.float32)
    refuse_nonfinite([(name, array)], path, fix="download it again")
    return array
