"""Good inputs of the targets in ``stored``, made when they are asked for: checkpoints need torch and h5py."""

from __future__ import annotations

import gzip
import io
import json
from collections.abc import Callable

import yaml

from fuzz.stored import OPTIONS, TASKS, checkpoint, rows

RECIPE = b"""encoder: bert
suite: prepared
tasks:
  - {name: a, weight: 2}
  - name: b
    type: classification
    labels: [x, y]
    files: {train: [a.tsv, b.tsv]}
    columns: {text: 1, label: gold}
learning_rate: 1e-4
batch_tokens: 1024
max_steps: 10
"""
DEFINITION = b"""tasks:
  - name: mine
    type: classification
    labels: [no, yes]
    files: {train: own.tsv}
    columns: {text: text, label: label}
"""
SETTINGS = b"""{"vocab_size": 4, "hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2,
"intermediate_size": 12, "max_position_embeddings": 16, "type_vocab_size": 2, "hidden_act": "gelu"}"""
MANIFEST = b"""{"format": 1, "biomtl": "0.1.0", "encoder": "transformer", "max_length": 64, "tasks": {"a": {}},
"provenance": {}}"""
LOG = b'{"step": 1, "epoch": 0, "loss": 0.5}\n{"step": 2, "split": "dev", "scores": {}}\n{"step": 3}\n'


def lines_of(kind: str) -> bytes:
    """Three good records as JSON lines."""
    return "".join(json.dumps(row) + "\n" for row in rows(kind)).encode()


def _index_samples() -> list[bytes]:
    from biomtl.checkpoints.tensorflow.protos import Entry, Header, encode_entry, encode_header
    from biomtl.checkpoints.tensorflow.table import write_table

    return [write_table([(b"", encode_header(Header())), (b"v", encode_entry(Entry(1, (2, 2), size=16)))])]


def _entry_samples() -> list[bytes]:
    from biomtl.checkpoints.tensorflow.crc32c import masked
    from biomtl.checkpoints.tensorflow.protos import Entry, Header, encode_entry, encode_header

    plain = Entry(1, (2, 2), size=16, crc=masked(bytes(range(16))))
    sliced = Entry(1, (2, 2), slices=[((0, 1), (0, -1)), ((1, 1), (0, -1))])
    return [encode_header(Header()) + b"====" + encode_entry(entry) for entry in (plain, sliced)]


def _pt_samples() -> list[bytes]:
    import torch

    found = []
    for zipped in (True, False):
        stream = io.BytesIO()
        whole = {"state": {"w": torch.ones(2, 2), "b": torch.zeros(2)}, "config": {"hidden_size": 2, "act": "gelu"}}
        torch.save(whole, stream, _use_new_zipfile_serialization=zipped)
        found.append(stream.getvalue())
    return found


def _hdf5_samples() -> list[bytes]:
    import h5py
    import numpy as np

    from biomtl.encoders.elmo.names import dataset_shapes
    from biomtl.encoders.elmo.options import ElmoOptions

    stream = io.BytesIO()
    with h5py.File(stream, "w") as file:
        for name, shape in dataset_shapes(ElmoOptions.parse(json.loads(OPTIONS))).items():
            file[name] = np.ones(shape, np.float32)
    return [stream.getvalue()]


def _tensor_samples() -> list[bytes]:
    files = checkpoint()
    return [bytes([i]) + files[name] for i, name in enumerate(sorted(files))]


_TABLE = b'text,label\n"Milo, ""he"" sat.",yes\nNo.,no\n'
_TAGGED = b"Milo\tB-X\nsat\tO\n.\tO\n\nNo\tO\n"

SAMPLES: dict[str, Callable[[], list[bytes]]] = {
    "recipe": lambda: [RECIPE],
    "override": lambda: [b"learning_rate=1e-4", b"tasks=[a, c]", b"tasks.a.weight=2", b"head={a: 1}"],
    "task.yaml": lambda: [yaml.safe_dump({"name": kind, "type": kind, **TASKS[kind]}).encode() for kind in TASKS],
    "own-task": lambda: [DEFINITION],
    **{f"records-{kind}": (lambda kind=kind: [lines_of(kind)]) for kind in TASKS},
    **{
        f"score-{side}-{kind}": (lambda kind=kind: [lines_of(kind)]) for kind in TASKS for side in ("gold", "predicted")
    },
    "check-tsv": lambda: [b"text\tlabel\nMilo sat.\tyes\nNo.\tno\n"],
    "check-csv": lambda: [_TABLE],
    "check-jsonl": lambda: [lines_of("tagging")],
    "check-conll": lambda: [_TAGGED],
    "check-unknown": lambda: [_TAGGED, lines_of("tagging")],
    "check-gz": lambda: [gzip.compress(b"text\tlabel\nMilo sat.\tyes\nNo.\tno\n", mtime=0)],
    "predict-lines": lambda: [b"Milo sat.\nOne.\tTwo.\n"],
    "predict-records": lambda: [lines_of("tagging"), lines_of("regression"), lines_of("classification")],
    "documents-text": lambda: ["Milo sat.\n\nθ-zorin rose.\n".encode()],
    "documents-jsonl": lambda: [
        b'{"id": "1", "text": "Milo sat.", "mentions": [{"start": 0, "end": 4, "type": "X"}]}\n'
    ],
    "words-and-sentences": lambda: [
        "Dr. Milo (b. 1900) sat on 3.5 mg/dl, e.g. θ-zorin.\n\n It rose! \r\nNF-κB".encode()
    ],
    "log.jsonl": lambda: [LOG],
    "manifest": lambda: [MANIFEST],
    "options.json": lambda: [OPTIONS],
    "bert_config.json": lambda: [SETTINGS],
    "vocab.txt": lambda: [b"[PAD]\n[UNK]\n[CLS]\n[SEP]\n"],
    "checkpoint": _tensor_samples,
    "tf-index": _index_samples,
    "tf-entries": _entry_samples,
    "pt": _pt_samples,
    "hdf5": _hdf5_samples,
}
