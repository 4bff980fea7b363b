"""Invented checkpoints of other programs: TensorFlow bundles in every layout, MT-DNN files."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from biomtl.checkpoints.tensorflow import slices, write_bundle
from biomtl.checkpoints.tensorflow.bundle import DTYPE_CODES
from biomtl.checkpoints.tensorflow.crc32c import masked
from biomtl.checkpoints.tensorflow.protos import Entry, Header, encode_entry, encode_header
from biomtl.checkpoints.tensorflow.table import write_table

PIECES = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "pola", "rimu", "##sa", "##te", "a", "##b", "vono", ".")
SETTINGS = {
    "vocab_size": len(PIECES),
    "hidden_size": 8,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 12,
    "max_position_embeddings": 16,
    "type_vocab_size": 2,
    "hidden_act": "gelu",
}
Arrays = dict[str, np.ndarray]


def bert_variables(*heads: str, seed: int = 0) -> Arrays:
    """Google's variables of a BERT of ``SETTINGS`` with random values; ``heads`` out of mlm, nsp, classifier, squad."""
    rng = np.random.default_rng(seed)
    hidden, inner, vocabulary = 8, 12, len(PIECES)

    def dense(name: str, wide: int, narrow: int) -> Arrays:
        return {f"{name}/kernel": rng.normal(0, 0.3, (wide, narrow)), f"{name}/bias": rng.normal(0, 0.1, narrow)}

    def norm(name: str) -> Arrays:
        return {
            f"{name}/LayerNorm/gamma": rng.normal(1, 0.2, hidden),
            f"{name}/LayerNorm/beta": rng.normal(0, 0.2, hidden),
        }

    made: Arrays = {
        "bert/embeddings/word_embeddings": rng.normal(0, 1, (vocabulary, hidden)),
        "bert/embeddings/position_embeddings": rng.normal(0, 1, (16, hidden)),
        "bert/embeddings/token_type_embeddings": rng.normal(0, 1, (2, hidden)),
        **norm("bert/embeddings"),
        **dense("bert/pooler/dense", hidden, hidden),
    }
    for number in range(2):
        layer = f"bert/encoder/layer_{number}"
        for part in ("query", "key", "value"):
            made |= dense(f"{layer}/attention/self/{part}", hidden, hidden)
        made |= dense(f"{layer}/attention/output/dense", hidden, hidden) | norm(f"{layer}/attention/output")
        made |= dense(f"{layer}/intermediate/dense", hidden, inner)
        made |= dense(f"{layer}/output/dense", inner, hidden) | norm(f"{layer}/output")
    if "mlm" in heads:
        made |= dense("cls/predictions/transform/dense", hidden, hidden) | norm("cls/predictions/transform")
        made["cls/predictions/output_bias"] = rng.normal(0, 1, vocabulary)
    for head, prefix, labels in (
        ("nsp", "cls/seq_relationship/", 2),
        ("classifier", "", 3),
        ("squad", "cls/squad/", 2),
    ):
        if head in heads:
            made[f"{prefix}output_weights"] = rng.normal(0, 0.3, (labels, hidden))
            made[f"{prefix}output_bias"] = rng.normal(0, 0.1, labels)
    return {name: value.astype(np.float32) for name, value in made.items()}


def write_tf(folder: Path, variables: Mapping[str, Any], prefix: str = "bert_model.ckpt", **settings: Any) -> Path:
    """A TensorFlow folder as Google distributed them."""
    folder.mkdir(parents=True, exist_ok=True)
    write_bundle(folder / prefix, variables)
    (folder / "bert_config.json").write_text(json.dumps(SETTINGS | settings))
    (folder / "vocab.txt").write_text("".join(f"{piece}\n" for piece in PIECES))
    return folder


def write_sharded(
    prefix: Path,
    variables: Mapping[str, np.ndarray],
    shards: int = 1,
    parts: Mapping[str, tuple[int, int]] | None = None,
) -> None:
    """A bundle of several data files; ``parts`` cuts a variable along an axis into so many slices."""
    parts = parts or {}
    data = [bytearray() for _ in range(shards)]
    entries: dict[bytes, bytes] = {b"": encode_header(Header(num_shards=shards))}

    def put(key: bytes, value: np.ndarray) -> None:
        shard = len(entries) % shards
        raw = np.ascontiguousarray(value).tobytes()
        entry = Entry(DTYPE_CODES[value.dtype], value.shape, shard, len(data[shard]), len(raw), masked(raw))
        entries[key] = encode_entry(entry)
        data[shard] += raw

    for name, value in variables.items():
        if name not in parts:
            put(name.encode(), value)
            continue
        axis, count = parts[name]
        extents, start = [], 0
        for piece in np.array_split(value, count, axis=axis):
            spans = [(0, size) for size in value.shape]
            spans[axis] = (start, piece.shape[axis])
            start += piece.shape[axis]
            extents.append(tuple(spans))
            put(slices.encode_key(name, tuple(spans)), piece)
        entries[name.encode()] = encode_entry(Entry(DTYPE_CODES[value.dtype], value.shape, slices=extents))
    for number, content in enumerate(data):
        Path(f"{prefix}.data-{number:05d}-of-{shards:05d}").write_bytes(content)
    Path(f"{prefix}.index").write_bytes(write_table(sorted(entries.items())))


def mtdnn_state(san: bool = True, seed: int = 0) -> dict[str, torch.Tensor]:
    """An MT-DNN state: a BERT of ``SETTINGS`` and heads of 1, 3 and 5 outputs, and one of the answer network."""
    from biomtl.checkpoints.tensorflow.names import is_transposed, to_hf

    state = {}
    for name, value in bert_variables(seed=seed).items():
        state[to_hf(name)] = torch.from_numpy(value.T.copy() if is_transposed(name) else value)
    torch.manual_seed(seed)
    for number, outputs in enumerate((1, 3, 5)):
        state[f"scoring_list.{number}.weight"] = torch.randn(outputs, 8)
        state[f"scoring_list.{number}.bias"] = torch.randn(outputs)
    if san:
        shapes = {
            "alpha": (1, 1), "query_wsum.att.linear.weight": (1, 8), "query_wsum.att.linear.bias": (1,),
            "attn.score_func.linear.weight": (8, 8), "attn.score_func.linear.bias": (8,),
            "rnn.weight_ih": (24, 8), "rnn.weight_hh": (24, 8), "rnn.bias_ih": (24,), "rnn.bias_hh": (24,),
            "classifier.proj.weight": (3, 32), "classifier.proj.bias": (3,),
        }  # fmt: skip
        state |= {f"scoring_list.3.{name}": torch.randn(shape) for name, shape in shapes.items()}
    return state


def write_pt(path: Path, *, legacy: bool = False, **content: Any) -> Path:
    """A ``.pt`` of MT-DNN with vocabulary beside it; ``content`` replaces ``state`` or ``config`` or adds keys."""
    path.parent.mkdir(parents=True, exist_ok=True)
    (path.parent / "vocab.txt").write_text("".join(f"{piece}\n" for piece in PIECES))
    whole = {"state": mtdnn_state(), "config": dict(SETTINGS)} | content
    torch.save(whole, path, _use_new_zipfile_serialization=not legacy)
    return path
