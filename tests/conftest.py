"""Fixtures that every test may use."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

os.environ.setdefault("HF_HUB_OFFLINE", "1")  # no test may reach a hub
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder with real corpora and reference fixtures, or a skip that says why."""
    folder = os.environ.get("BIOMTL_SHARED")
    if not folder:
        pytest.skip("needs real corpora and reference fixtures: set BIOMTL_SHARED to their folder")
    return Path(folder)
