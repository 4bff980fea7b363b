"""Every Python and shell block of README and docs/ runs, on invented data and tiny encoders."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from pages.blocks import left_out, parse, run_page
from pages.commands import served_commands
from pages.setting import train_run, write_encoder, write_setting

ROOT = Path(__file__).resolve().parents[2]
TUTORIAL = sorted((ROOT / "docs/tutorial").glob("*.md"))
PAGES = [page for page in sorted({*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")}) if page not in TUTORIAL]
MOST_LEFT_OUT = 16
"""Blocks that no test can run (licensed data, a network, hours); each has its reason on the page."""


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    with served_commands(tmp_path_factory.mktemp("commands")) as commands:
        path = f"{commands}{os.pathsep}{os.environ['PATH']}"
        yield {**os.environ, "PATH": path, "ELMO_DIR": "elmo_pubmed", "DATASET_DIR": "blue-files"}


@pytest.fixture(scope="module")
def setting(tmp_path_factory: pytest.TempPathFactory, environment: dict[str, str]) -> Path:
    folder = tmp_path_factory.mktemp("setting")
    write_setting(folder)
    train_run(folder, environment)
    return folder


@pytest.mark.parametrize("page", [page for page in PAGES if list(parse(page).examples())], ids=lambda page: page.name)
def test_blocks_run(
    page: Path, setting: Path, environment: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(setting, tmp_path, dirs_exist_ok=True)
    if "--out prepared/" in page.read_text(encoding="utf-8"):  # the page makes it
        shutil.rmtree(tmp_path / "prepared")
    monkeypatch.chdir(tmp_path)
    run_page(page, tmp_path, environment)


@pytest.mark.slow
@pytest.mark.timeout(900)  # it takes a minute; this is for machines that do much else
def test_the_tutorial_runs(environment: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its pages one after the other: each goes on from the files of the one before."""
    write_encoder(tmp_path / "all-MiniLM-L6-v2")
    monkeypatch.chdir(tmp_path)
    for page in TUTORIAL:
        run_page(page, tmp_path, environment)


def test_blocks_that_are_not_run_do_not_grow_in_number() -> None:
    assert sum(map(left_out, [*PAGES, *TUTORIAL])) == MOST_LEFT_OUT


@pytest.mark.parametrize("page", [*PAGES, *TUTORIAL], ids=lambda page: page.name)
def test_no_command_is_in_an_indented_block(page: Path) -> None:
    """Commands in indented blocks would not be run."""
    outside = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    assert re.findall(r"^ {4,}(?:biomtl|elmoft|python|pip|make|torchrun) .*", outside, re.MULTILINE) == []
