"""A small random biLM, written as bilm-tf writes it."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

from biomtl.encoders.elmo import Elmo, load_elmo


def _load(name: str) -> ModuleType:
    """A module beside this file, which pytest's importlib mode doesn't put on the path."""
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


_naive = _load("naive")


@pytest.fixture(scope="session")
def naive() -> ModuleType:
    """The plain implementation and what writes its files."""
    return _naive


@pytest.fixture(scope="session")
def bilm_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ``options.json`` and ``weights.hdf5``."""
    datasets = _naive.random_datasets(_naive.OPTIONS)
    return _naive.write_folder(tmp_path_factory.mktemp("bilm"), _naive.OPTIONS, datasets)


@pytest.fixture
def bilm(bilm_folder: Path) -> Elmo:
    """That folder's model."""
    return load_elmo(bilm_folder)
