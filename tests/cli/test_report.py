"""``biomtl report``."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from biomtl.training.run import train

Command = Callable[..., Any]


@pytest.fixture(scope="module")
def trained(bert: Path, small_suite: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two runs of a few steps over the same data."""
    root = tmp_path_factory.mktemp("runs")
    keys = {"encoder": str(bert), "suite": str(small_suite), "max_length": 24, "batch_size": 8, "num_threads": 1}
    for name, rate in (("plain", 1e-5), ("eager", 3e-3)):
        train({**keys, "output": str(root / name), "max_steps": 4, "learning_rate": rate, "save_strategy": "no"})
    return root


@pytest.fixture
def runs(trained: Path, tmp_path: Path) -> Path:
    shutil.copytree(trained, tmp_path / "runs")
    return tmp_path / "runs"


def data(page: Path) -> Any:
    """What the page's script reads."""
    text = page.read_text(encoding="utf-8")
    return json.loads(text.partition('id="data">')[2].partition("</script>")[0])


def test_training_ends_with_the_same_page(command: Command, runs: Path) -> None:
    first = (runs / "eager" / "report.html").read_text()
    ended = command("report", runs / "eager")
    assert (ended.code, ended.out) == (0, f"written: {runs / 'eager' / 'report.html'}\n"), ended.err
    assert (runs / "eager" / "report.html").read_text() == first
    found = data(runs / "eager" / "report.html")
    assert {case[1] for case in found["cases"]} == {"dev", "test"}
    assert found["texts"]
    facts = json.loads((runs / "eager" / "metrics.json").read_text())["provenance"]
    assert facts["plan"]["max_length"] == 24
    assert {"cpu", "cores"} <= set(facts["hardware"])
    log = [json.loads(line) for line in (runs / "eager" / "log.jsonl").read_text().splitlines()]
    seen = [line["texts"] for line in log if "texts" in line]
    assert len(seen) == 4
    assert set().union(*seen) <= set(facts["plan"]["tasks"])
    assert "mixing" in found["charts"]


def test_beside_a_baseline(command: Command, runs: Path) -> None:
    ended = command("report", runs / "eager", "--against", runs / "plain")
    assert ended.code == 0, ended.err
    page = (runs / "eager" / "report.html").read_text()
    assert '<th class="n whose">plain</th>' in page
    assert "paired over documents, 2,000 resamples" in page
    assert page.count(", p 0.") + page.count(", p 1.") > 3


def test_a_baseline_on_other_data(command: Command, runs: Path, bert: Path, small_suite: Path) -> None:
    path = runs / "plain" / "metrics.json"
    metrics = json.loads(path.read_text())
    task = next(iter(metrics["tasks"]))
    metrics["provenance"]["data"][task]["test"] = "0" * 64
    path.write_text(json.dumps(metrics))
    ended = command("report", runs / "eager", "--against", runs / "plain")
    assert ended.code == 0, ended.err
    page = (runs / "eager" / "report.html").read_text()
    assert f"{task}, test: the two runs were scored on other data, so they are not compared." in page
    for name in metrics["provenance"]["data"]:
        metrics["provenance"]["data"][name] = {"dev": "0", "test": "0"}
    path.write_text(json.dumps(metrics))
    ended = command("report", runs / "eager", "--against", runs / "plain")
    assert ended.code == 2
    assert "were scored on other data" in ended.err


def test_an_evaluate_folder(command: Command, runs: Path, small_suite: Path) -> None:
    out = runs / "scored"
    assert command("evaluate", runs / "eager", "--data", small_suite, "--out", out).code == 0
    assert command("report", out, "--without-texts").code == 0
    found = data(out / "report.html")
    assert found["cases"]
    assert found["texts"] == []
    again = command("evaluate", runs / "eager", "--data", small_suite, "--out", out, "--overwrite")
    assert again.code == 0, "the report is a part of the folder"
    (out / "mine.html").write_text("")
    assert command("evaluate", runs / "eager", "--data", small_suite, "--out", out, "--overwrite").code == 2


def test_a_folder_of_stages_stands_for_its_joint_run(command: Command, runs: Path, tmp_path: Path) -> None:
    staged = tmp_path / "staged"
    staged.mkdir()
    shutil.copy(runs / "eager" / "recipe.yaml", staged)
    (runs / "eager").rename(staged / "joint")
    page = staged / "joint" / "report.html"
    ended = command("report", staged, "--against", runs / "plain")
    assert (ended.code, ended.out) == (0, f"written: {page}\n"), ended.err
    assert "paired over documents" in page.read_text()
    assert command("report", runs / "plain", "--against", staged).code == 0
    ended = command("score", staged, "--task", "cls-text", "--resamples", "0")
    assert ended.code == 0, ended.err
    assert "cls-text: 6 rows" in ended.out


def test_missing_data(command: Command, runs: Path, tmp_path: Path, small_suite: Path) -> None:
    recipe = runs / "eager" / "recipe.yaml"
    recipe.write_text(recipe.read_text().replace(str(small_suite), str(tmp_path / "gone")))
    ended = command("report", runs / "eager")
    assert ended.code == 0, ended.err
    assert "no errors are shown" in ended.out
    assert data(runs / "eager" / "report.html")["cases"] == []
    assert command("report", runs / "eager", "--data", small_suite).code == 0
    assert data(runs / "eager" / "report.html")["cases"]
    assert command("report", runs / "eager", "--data", tmp_path / "gone").code == 2
    assert command("report", tmp_path).code == 2


def test_the_recipe_can_leave_out_texts(command: Command, runs: Path) -> None:
    recipe = runs / "eager" / "recipe.yaml"
    recipe.write_text(recipe.read_text().replace("report_texts: true", "report_texts: false"))
    assert command("report", runs / "eager").code == 0
    assert data(runs / "eager" / "report.html")["texts"] == []


def test_figures_as_files(command: Command, runs: Path) -> None:
    pytest.importorskip("matplotlib")
    ended = command("report", runs / "eager", "--figures")
    assert ended.code == 0, ended.err
    folder = runs / "eager" / "figures"
    names = {path.stem for path in folder.glob("*.svg")}
    assert {"loss", "dev", "mixing"} <= names
    assert names == {path.stem for path in folder.glob("*.png")}
    assert any(name.startswith("confusion-") for name in names)
    first = {path.name: path.read_bytes() for path in folder.glob("*.svg")}
    assert command("report", runs / "eager", "--figures").code == 0
    assert {path.name: path.read_bytes() for path in folder.glob("*.svg")} == first
