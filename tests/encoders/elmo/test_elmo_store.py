"""The activation store: kept exactly, shared, bounded, and never trusted when broken."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from biomtl.encoders.elmo import Elmo, encode, load_elmo, word_ids
from biomtl.encoders.elmo import store as store_module
from biomtl.encoders.elmo.store import RECORD, ActivationStore, fingerprint, sentence_key

SENTENCES = [["a", "b"], ["c"], ["a", "word", "longer", "than", "others"]]


def key(words: list[str]) -> bytes:
    return sentence_key(np.stack([word_ids(word) for word in words]))


def fill(store: ActivationStore, model: Elmo, sentences: list[list[str]] = SENTENCES) -> None:
    store.add([(key(words), layers) for words, layers in zip(sentences, encode(model, sentences), strict=True)])


def read(store: ActivationStore, kept: bytes, words: int = 2) -> torch.Tensor | None:
    """A sentence's layers as the store has them, ``[words, layers * dim]``."""
    into = torch.full((words, store.half * 6), torch.nan, dtype=store.dtype)
    return into if store.read(kept, into) else None


def check(store: ActivationStore, model: Elmo, sentences: list[list[str]] = SENTENCES, tolerance: float = 0) -> None:
    for words, layers in zip(sentences, encode(model, sentences), strict=True):
        kept = read(store, key(words), len(words))
        assert kept is not None
        torch.testing.assert_close(kept, layers.to(store.dtype).transpose(0, 1).flatten(1), atol=tolerance, rtol=0)


@pytest.mark.parametrize("dtype", ["fp32", "bf16"])
def test_kept_exactly_and_shared(dtype: str, bilm: Elmo, tmp_path: Path) -> None:
    store = ActivationStore(tmp_path, bilm, dtype=dtype)
    other = ActivationStore(tmp_path, bilm, dtype=dtype)  # opened before anything was written
    assert read(store, key(SENTENCES[0])) is None
    fill(store, bilm)
    check(store, bilm)
    other.plan([])
    check(other, bilm)
    size = store.folder.joinpath("data.bin").stat().st_size
    assert size == 8 * 5 * (1 + 2 * 2) * {"fp32": 4, "bf16": 2}[dtype]  # 8 words; layer 0 once, two layers twice
    fill(other, bilm)
    assert store.folder.joinpath("data.bin").stat().st_size == size
    check(ActivationStore(tmp_path, bilm, dtype=dtype), bilm)


def test_plan_says_the_size_before(bilm: Elmo, tmp_path: Path) -> None:
    store = ActivationStore(tmp_path, bilm)
    sentences = [(key(words), len(words)) for words in SENTENCES]
    plan = store.plan([*sentences, sentences[0]])
    assert (plan.sentences, plan.missing, plan.bytes) == (4, 3, 8 * 25 * 2)
    assert "computing 3 of 4 sentences" in str(plan)
    fill(store, bilm)
    assert store.folder.joinpath("data.bin").stat().st_size == plan.bytes
    assert "all 3 sentences" in str(store.plan(sentences))


def test_bounded(bilm: Elmo, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    store = ActivationStore(tmp_path, bilm, limit=150)  # room for the first two sentences
    assert "only 0.00 MB may be added" in str(store.plan([(key(words), len(words)) for words in SENTENCES]))
    with caplog.at_level(logging.WARNING):
        fill(store, bilm)
        fill(store, bilm, [["d"]])
    assert caplog.text.count("limit") == 1
    assert [key(words) in store for words in SENTENCES] == [True, True, False]
    check(store, bilm, SENTENCES[:2])


def test_a_full_disk_is_no_error(bilm: Elmo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = ActivationStore(tmp_path, bilm)
    fill(store, bilm, SENTENCES[:1])

    def full(stream: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(store_module, "_sync", full)
    fill(store, bilm, SENTENCES[1:])
    monkeypatch.undo()
    again = ActivationStore(tmp_path, bilm)
    assert len(again) == 1
    check(again, bilm, SENTENCES[:1])


def test_each_model_and_precision_has_its_own_store(bilm: Elmo, bilm_folder: Path, tmp_path: Path) -> None:
    other = load_elmo(bilm_folder)
    assert fingerprint(other) == fingerprint(bilm)
    other.token.projection.bias[0] += 1
    folders = {
        ActivationStore(tmp_path, bilm, dtype="bf16").folder,
        ActivationStore(tmp_path, bilm, dtype="fp32").folder,
        ActivationStore(tmp_path, other, dtype="fp32").folder,
        ActivationStore(tmp_path, load_elmo(bilm_folder, dtype=torch.bfloat16), dtype="bf16").folder,
    }
    assert len(folders) == 4


def test_written_by_other_weights(
    bilm: Elmo, bilm_folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    other = load_elmo(bilm_folder)
    other.token.projection.bias[0] += 1
    wrong = ActivationStore(tmp_path / "a", other, dtype="fp32")
    fill(wrong, other)
    right = ActivationStore(tmp_path / "b", bilm, dtype="fp32").folder
    for name in ("store.json", "data.bin", "index.bin"):
        (right / name).write_bytes((wrong.folder / name).read_bytes())
    with caplog.at_level(logging.WARNING):
        store = ActivationStore(tmp_path / "b", bilm, dtype="fp32")
    assert "other weights" in caplog.text
    assert len(store) == 0
    fill(store, bilm)
    check(store, bilm)


def test_data_cut_off(bilm: Elmo, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    store = ActivationStore(tmp_path, bilm)
    fill(store, bilm)
    os.truncate(store.folder / "data.bin", 120)
    with caplog.at_level(logging.WARNING):
        store = ActivationStore(tmp_path, bilm)
    assert "truncated: 2 sentences will be computed again" in caplog.text
    check(store, bilm, SENTENCES[:1])
    fill(store, bilm)
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        check(ActivationStore(tmp_path, bilm), bilm)
    assert not caplog.text


def test_damaged_data(bilm: Elmo, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    store = ActivationStore(tmp_path, bilm)
    fill(store, bilm)
    raw = bytearray((store.folder / "data.bin").read_bytes())
    raw[3] ^= 1  # in the first sentence
    raw[-3] ^= 1  # and in the last
    (store.folder / "data.bin").write_bytes(raw)
    store = ActivationStore(tmp_path, bilm)
    with caplog.at_level(logging.WARNING):
        assert [read(store, key(words), len(words)) is None for words in SENTENCES] == [True, False, True]
    assert caplog.text.count("is damaged") == 1
    fill(store, bilm)
    check(store, bilm)
    check(ActivationStore(tmp_path, bilm), bilm)


@pytest.mark.parametrize("left", [1, RECORD.size - 1, RECORD.size, 2 * RECORD.size + 5])
def test_index_cut_off_anywhere(left: int, bilm: Elmo, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    store = ActivationStore(tmp_path, bilm)
    fill(store, bilm)
    os.truncate(store.folder / "index.bin", left)
    with caplog.at_level(logging.WARNING):
        store = ActivationStore(tmp_path, bilm)
    assert ("broken record" in caplog.text) == bool(left % RECORD.size)
    assert len(store) == left // RECORD.size
    fill(store, bilm)
    check(ActivationStore(tmp_path, bilm), bilm)


def test_a_writer_killed_beside_an_open_store(bilm: Elmo, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    store = ActivationStore(tmp_path, bilm)
    fill(store, bilm, SENTENCES[:1])
    with (store.folder / "index.bin").open("ab") as index:
        index.write(b"half a record")
    with caplog.at_level(logging.WARNING):
        fill(store, bilm, SENTENCES[1:])
    assert caplog.text.count("broken record") == 1
    check(store, bilm)
    check(ActivationStore(tmp_path, bilm), bilm)


@pytest.mark.parametrize("was_read", [False, True])
@pytest.mark.parametrize("how", [lambda path: path.unlink(), lambda path: os.truncate(path, 0)], ids=["gone", "empty"])
def test_data_taken_away_from_an_open_store(how: Any, was_read: bool, bilm: Elmo, tmp_path: Path) -> None:
    store = ActivationStore(tmp_path, bilm)
    fill(store, bilm)
    if was_read:  # and so is mapped and trusted
        check(store, bilm)
    how(store.folder / "data.bin")
    assert all(read(store, key(words), len(words)) is None for words in SENTENCES)
    fill(store, bilm)
    check(store, bilm)
    check(ActivationStore(tmp_path, bilm), bilm)


def test_two_processes_and_a_kill(bilm: Elmo, bilm_folder: Path, tmp_path: Path) -> None:
    def start(first: int, count: int) -> subprocess.Popen[bytes]:
        script = Path(__file__).with_name("store_writer.py")
        return subprocess.Popen([sys.executable, script, tmp_path, bilm_folder, str(first), str(count)])

    killed, others = start(1000, 1_000_000), [start(0, 20)]
    try:
        assert [process.wait(600) for process in others] == [0]
        store = ActivationStore(tmp_path, bilm, dtype="fp32")
        deadline = time.monotonic() + 600
        while key(["w1020", "x"]) not in store and time.monotonic() < deadline:
            time.sleep(0.01)
            store.plan([])
    finally:
        for process in (killed, *others):
            process.kill()
            process.wait()
    store = ActivationStore(tmp_path, bilm, dtype="fp32")
    rounds = [*range(20), *range(1000, 1020)]
    written = [[f"w{number}", "x"] for number in rounds] + [["shared", f"s{i}"] for i in range(7)]
    check(store, bilm, written, tolerance=1e-5)  # other batches, so not to the last bit
    assert all(read(store, kept) is not None for kept in list(store._entries))
