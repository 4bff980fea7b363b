"""``biomtl tasks`` as a user calls it."""

from __future__ import annotations

import json
import re
import sys
from typing import Any

import pytest

from biomtl.cli.main import main
from biomtl.scoring import METRICS
from biomtl.tasks import SUITES, Task, known_tasks


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    def _run(*arguments: str, columns: int = 120) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["biomtl", "tasks", *arguments])
        monkeypatch.setenv("COLUMNS", str(columns))
        with pytest.raises(SystemExit) as stop:
            main()
        out, err = capsys.readouterr()
        return (stop.value.code if isinstance(stop.value.code, int) else 0), out, err

    return _run


def test_overview(run: Any) -> None:
    code, out, err = run()
    assert (code, err) == (0, "")
    for task in known_tasks().values():
        assert task.name in out
    assert "5,203 / 5,347 / 5,385" in out
    assert "Pearson correlation" in out
    assert "suite blue-public: biosses, bc5cdr-chem" in out


def test_the_overview_fits_a_terminal_with_its_words_whole(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    _, out, _ = run(columns=80)
    lines = out.splitlines()
    assert lines[0].startswith("23 tasks, 18 with free data")
    assert max(map(len, lines)) <= 80
    words = set(re.findall(r"[\w/-]+", out))
    titles = [METRICS[task.metric].title.partition(" (")[0] for task in known_tasks().values()]
    assert set(re.findall(r"[\w/-]+", " ".join([*titles, *known_tasks()]))) <= words


def test_only_a_suite(run: Any) -> None:
    _, out, _ = run("--suite", "blue-public")
    assert "ddi2013" in out
    assert "physionet" not in out


def test_one_task_in_detail(run: Any) -> None:
    code, out, _ = run("DDI")
    assert code == 0
    for part in ("Herrero-Zazo", "DDI-mechanism", "15,842", "BlueBERT base P+M", "79.4", "DrugDDI.d21928724"):
        assert part in out
    assert "macro_f1_positive" in out


def test_json_holds_everything(run: Any) -> None:
    _, out, _ = run("--json")
    value = json.loads(out)
    assert [Task.model_validate(task) for task in value["tasks"]] == list(known_tasks().values())
    assert value["suites"] == {name: list(members) for name, members in SUITES.items()}
    assert value["metrics"]["accuracy"] == "accuracy"
    _, out, _ = run("hoc", "--json")
    assert [task["name"] for task in json.loads(out)["tasks"]] == ["hoc"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("mednly",), "unknown task 'mednly', did you mean 'mednli'?"),
        (("--suite", "bleu"), "unknown suite 'bleu', did you mean 'blue'?"),
        (("hoc", "--suite", "blue"), "both a task and a suite, expected one of them, try `biomtl tasks hoc`"),
    ],
)
def test_errors(run: Any, arguments: tuple[str, ...], message: str) -> None:
    assert run(*arguments) == (2, "", f"biomtl: error: {message}\n")
