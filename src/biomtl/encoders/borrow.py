"""Tensors of another encoder in place of an encoder's own, where names and shapes agree."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from biomtl.encoders import load_processor, verify_encoder
from biomtl.encoders.base import Encoder
from biomtl.encoders.transformer import TransformerEncoder
from biomtl.errors import InputError
from biomtl.packaged import resolve_encoder
from biomtl.pretrained import load_network
from biomtl.storage.tensors import refuse_nonfinite
from biomtl.text.base import TextProcessor

MOST_SHOWN = 3  # names for each reason


@dataclass(frozen=True)
class Borrowed:
    """What was taken from another encoder.

    Attributes:
        source: where from.
        taken: the names of the encoder's tensors that are now the other's.
        left: those that stayed as they were, and why.
        unused: the other's tensors that nothing of the encoder corresponds to.
    """

    source: str
    taken: tuple[str, ...]
    left: Mapping[str, str]
    unused: tuple[str, ...]

    def note(self) -> str:
        """The same in one line, with the first names for each reason."""
        line = f"init_from {self.source}: {len(self.taken)} of {len(self.taken) + len(self.left)} tensors taken"
        reasons: dict[str, list[str]] = {}
        for name, reason in self.left.items():
            reasons.setdefault(reason, []).append(name)
        parts = [f"not taken, {reason}: {_some(names)}" for reason, names in reasons.items()]
        parts += [f"unused: {_some(self.unused)}"] * bool(self.unused)
        return "; ".join([line, *parts])

    def facts(self) -> dict[str, Any]:
        """All names, for the provenance."""
        taken, unused = list(self.taken), list(self.unused)
        return {"source": self.source, "taken": taken, "left": dict(self.left), "unused": unused}


def borrow(encoder: Encoder, processor: TextProcessor, source: str) -> Borrowed:
    """Put another encoder's tensors in place of an encoder's own.

    Args:
        encoder: a transformer.
        processor: its text processor, whose vocabulary decides about the word embeddings.
        source: a run or model folder, an encoder's folder, a file of safetensors, or a hub name.

    Raises:
        InputError: no such tensors, none that fits, or an encoder of another kind.
    """
    if not isinstance(encoder, TransformerEncoder):
        raise InputError(
            f"init_from for an {encoder.kind} encoder", expected="a transformer", fix="leave init_from out"
        )
    tensors, place = _tensors(source)
    network = encoder.network
    embeddings = network.get_input_embeddings().weight
    other_words = _other_vocabulary(processor, place)
    taken, left, used = [], {}, set()
    with torch.no_grad():
        for name, own in network.named_parameters():
            theirs = next((n for n in (name, f"{network.base_model_prefix}.{name}") if n in tensors), None)
            if theirs is None:
                left[name] = "not there"
                continue
            used.add(theirs)
            value = tensors[theirs]
            if value.shape != own.shape:
                left[name] = "of another shape"
            elif own is embeddings and other_words:
                left[name] = "of another vocabulary"
            else:
                own.copy_(value)
                taken.append(name)
    if not taken:
        expected = "an encoder of the same family and width"
        raise InputError(f"init_from: none of its {len(tensors)} tensors fits", path=source, expected=expected)
    return Borrowed(source, tuple(taken), left, tuple(name for name in tensors if name not in used))


def _tensors(source: str) -> tuple[dict[str, Tensor], Path | None]:
    """The tensors by name, and the folder where a tokenizer may be."""
    path = Path(source)
    if not path.exists():
        name = resolve_encoder(source)
        with torch.random.fork_rng(devices=[]):  # the seed decides what comes after
            network, _ = load_network(name)
        return network.state_dict(), Path(name)
    folder = path / "model" if (path / "model" / "manifest.json").is_file() else path
    files = [path] if path.is_file() else sorted(folder.glob("model*.safetensors"))
    if path.is_dir():
        verify_encoder(folder)
    if not files or any(file.suffix != ".safetensors" for file in files):
        fix = "convert it first: biomtl convert SOURCE FOLDER --encoder-only"
        raise InputError("init_from: no safetensors", path=source, expected="model.safetensors", fix=fix)
    tensors: dict[str, Tensor] = {}
    for file in files:
        try:
            tensors |= load_file(file)
        except (OSError, SafetensorError) as error:
            raise InputError(f"not safetensors ({error})", path=file, fix="copy the file again") from error
    refuse_nonfinite(tensors.items(), source)
    return tensors, folder if path.is_dir() else None


def _other_vocabulary(processor: TextProcessor, place: Path | None) -> bool:
    """Whether the source has a tokenizer with another vocabulary; without one, equal shapes are all that is known."""
    if place is None:
        return False
    try:
        theirs: Any = load_processor(place, None, None)
    except InputError:
        return False
    ours: Any = processor
    return bool(ours.tokenizer.get_vocab() != theirs.tokenizer.get_vocab())


def _some(names: tuple[str, ...] | list[str]) -> str:
    more = f" and {len(names) - MOST_SHOWN} more" if len(names) > MOST_SHOWN else ""
    return f"{', '.join(names[:MOST_SHOWN])}{more}"
