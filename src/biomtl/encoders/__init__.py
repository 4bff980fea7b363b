"""Encoders by kind, detected from the files in a folder."""

from __future__ import annotations

from pathlib import Path

from biomtl.encoders.base import Encoded, Encoder
from biomtl.encoders.elmo.encoder import ElmoEncoder
from biomtl.encoders.elmo.weights import is_elmo, read_options
from biomtl.encoders.transformer import TransformerEncoder
from biomtl.errors import InputError
from biomtl.packaged import resolve_encoder
from biomtl.storage import checksums
from biomtl.storage.structured import read_json
from biomtl.text.base import TextProcessor
from biomtl.text.elmo import ElmoProcessor
from biomtl.text.transformer import TransformerProcessor

COPY = "copy the model again"
__all__ = ["Encoded", "Encoder", "load_encoder", "load_processor", "verify_encoder"]


def load_encoder(name: str | Path, layers: int | None = None) -> Encoder:
    """The encoder of a folder or hub name; a saved model's files are compared with their checksums.

    Args:
        name: the folder or hub name.
        layers: keep only so many of a transformer's first layers.

    Raises:
        InputError: nothing that can be loaded, or layers that can't be chosen.
    """
    verify_encoder(name)
    if not is_elmo(name):
        return TransformerEncoder.load(resolve_encoder(name), layers)
    if layers is not None:
        fix = "leave it out: heads mix an ELMo's layers"
        raise InputError(f"num_hidden_layers {layers}", path=name, expected="a transformer", fix=fix)
    return ElmoEncoder.load(name)


def verify_encoder(name: str | Path, *, weights: bool = True) -> None:
    """Compare a saved model's manifest and files, those of its heads apart, with their checksums.

    Args:
        name: a folder; one without a manifest, and a hub name, pass.
        weights: whether the weights are among what is about to be read.

    Raises:
        InputError: a file is missing or damaged.
    """
    manifest = Path(name) / "manifest.json"
    if manifest.is_file():
        values = read_json(manifest, "a model's manifest", COPY)
        checksums.verify_seal(values, manifest, fix=COPY)
        left_out = ("heads/",) if weights else ("heads/", "model")  # model.safetensors, or its parts and their index
        checksums.verify(Path(name), values.get("files"), lambda file: not file.startswith(left_out))


def load_processor(name: str | Path, max_length: int | None, stride: int | None) -> TextProcessor:
    """The text processor of the same folder or hub name; a saved model's files are compared with their checksums."""
    verify_encoder(name, weights=False)
    if is_elmo(name):
        size = read_options(name).char_cnn.max_characters_per_token
        return ElmoProcessor.load(name, max_length, stride, size=size)
    return TransformerProcessor.load(resolve_encoder(name), max_length, stride)
