"""The progress of a run stays readable on a narrow terminal, however many tasks it has."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from biomtl.report.bar import MOST_LINES, TrainingBar, task_losses


def drawn(names: list[str]) -> list[str]:
    console = Console(file=io.StringIO(), width=80, force_terminal=True, color_system=None)
    bar = TrainingBar(console, 12_000, 10)
    bar.get_time = iter(range(100)).__next__  # a second per look at the clock
    for step in range(11, 15):
        bar.step(step, {name: 0.5 + 0.01 * i for i, name in enumerate(names)}, 3.14e-5)
    console.file = io.StringIO()
    for part in bar.get_renderables():
        console.print(part)
    return console.file.getvalue().splitlines()


@pytest.mark.parametrize("count", [1, 3, 10, 100])
def test_the_line_and_every_task_fit(count: int) -> None:
    names = [f"bc5cdr-disease-{i}" for i in range(count)]
    lines = drawn(names)
    assert max(map(len, lines)) <= 80
    assert "14/12000" in lines[0]
    assert f"loss {0.5 + 0.005 * (count - 1):.3f}" in lines[0]
    assert "lr 3.1e-05" in lines[0]
    assert "left" in lines[0]
    assert 1 < len(lines) <= 1 + MOST_LINES
    shown = " ".join(lines[1:])
    left_out = [name for name in names if f"{name} " not in shown]
    assert (f"… {len(left_out)} more in log.jsonl" in shown) == bool(left_out) == (count == 100)


def test_a_name_longer_than_the_terminal_is_folded() -> None:
    console = Console(file=io.StringIO(), width=40)
    console.print(task_losses({"x" * 60: 0.25}, 40))
    assert console.file.getvalue().replace("\n", "").replace(" ", "") == "x" * 60 + "0.250"
