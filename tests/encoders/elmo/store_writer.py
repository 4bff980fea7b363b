"""Run by a test as a process of its own: writes small sentences into a store, from ``start`` for ``count`` rounds."""

from __future__ import annotations

import sys
import time

import numpy as np

from biomtl.encoders.elmo import encode, load_elmo, word_ids
from biomtl.encoders.elmo.store import ActivationStore, sentence_key

if __name__ == "__main__":
    root, source, start, count = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    model = load_elmo(source)
    store = ActivationStore(root, model, dtype="fp32")
    for number in range(start, start + count):
        sentences = [[f"w{number}", "x"], ["shared", f"s{number % 7}"]]
        keys = [sentence_key(np.stack([word_ids(word) for word in words])) for words in sentences]
        store.add(list(zip(keys, encode(model, sentences), strict=True)))
        time.sleep(0.01)  # the others' turn
