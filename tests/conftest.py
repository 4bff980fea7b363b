"""Fixtures that every test may use."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import HealthCheck, settings

import tiny

os.environ.setdefault("HF_HUB_OFFLINE", "1")  # no test may reach a hub
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

# A busy machine is no fault of the code under test.
settings.register_profile("biomtl", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("biomtl")


class Ended(NamedTuple):
    """The exit code and the output of a command."""

    code: int
    out: str
    err: str


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Ended]:
    """``biomtl`` with these arguments, in this process."""
    from biomtl.cli.main import main

    def run(*arguments: object, stdin: bytes = b"") -> Ended:
        monkeypatch.setattr(sys, "argv", ["biomtl", *map(str, arguments)])
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        said = capsys.readouterr()
        return Ended(int(ended.value.code or 0), said.out, said.err)

    return run


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder with real corpora and reference fixtures, or a skip that says why."""
    folder = os.environ.get("BIOMTL_SHARED")
    if not folder:
        pytest.skip("needs real corpora and reference fixtures: set BIOMTL_SHARED to their folder")
    return Path(folder)


@pytest.fixture(scope="session")
def encoders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A folder with a tiny random encoder and its tokenizer, for every family."""
    root = tmp_path_factory.mktemp("encoders")
    return {family: tiny.write_encoder(root / family, family) for family in tiny.FAMILIES}


@pytest.fixture(scope="session")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a tiny random BERT."""
    return tiny.write_encoder(tmp_path_factory.mktemp("encoder") / "bert")


@pytest.fixture(scope="session")
def small_suite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A prepared suite with one task of each type."""
    return tiny.write_suite(tmp_path_factory.mktemp("suite") / "four")


@pytest.fixture(scope="session")
def small_model(tmp_path_factory: pytest.TempPathFactory, bert: Path) -> Path:
    """A saved, untrained model with one task of each type and one of separately encoded pairs."""
    folder = tmp_path_factory.mktemp("model") / "five"
    tiny.model(bert, (*tiny.FOUR, "reg-apart"), max_length=24).save_pretrained(folder)
    return folder
