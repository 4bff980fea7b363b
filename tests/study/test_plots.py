"""Plots of studies: what they say, and that it fits."""

from __future__ import annotations

from xml.etree import ElementTree

from biomtl.study.plots import CELL, bar_plot, matrix_plot

SVG = "{http://www.w3.org/2000/svg}"
NAMES = ["a", "mentions-of-allergies-in-discharge-letters", "<b>&"]


def texts(svg: str) -> list[str | None]:
    return [text.text for text in ElementTree.fromstring(svg).iter(f"{SVG}text")]


def test_a_heat_map_says_what_is_what() -> None:
    gains = {(a, b): 0.0 for a in NAMES for b in NAMES if a != b}
    gains |= {("a", "<b>&"): 0.1, ("<b>&", "a"): -0.2, (NAMES[1], "a"): -0.0001}
    svg = matrix_plot(NAMES, gains, {("<b>&", "a")}, {"a": 0.75}, "Gain on dev")
    said = texts(svg)
    assert said[:2] == ["Gain on dev", "row: the task that is scored; column: the task it was trained with"]
    assert said.count("0.750") == 1, "the score of the task alone"
    assert {"+0.100", "-0.200*"} <= set(said)
    assert said.count("+0.000") == 4, "no zero has a minus"
    cells = [rect for rect in ElementTree.fromstring(svg).iter(f"{SVG}rect") if rect.get("opacity")]
    shown = {(rect.get("class"), float(rect.get("opacity", 0))) for rect in cells}
    assert {("gain", 0.3), ("loss", 0.6)} <= shown, "the strongest is still light enough for its number"
    left = min(float(rect.get("x", 0)) for rect in cells)
    right, bottom = (max(float(rect.get(at, 0)) + CELL for rect in cells) for at in ("x", "y"))
    width, height = (float(ElementTree.fromstring(svg).get(side, 0)) for side in ("width", "height"))
    longest = 6 * len(NAMES[1])
    assert left > longest
    assert right + 0.7 * longest - CELL / 2 < width, "the last name leans out to the right"
    assert bottom <= height
    assert "Holm" not in "".join(filter(None, texts(matrix_plot(NAMES, gains, (), {}, ""))))


def test_bars_begin_after_the_longest_name() -> None:
    svg = bar_plot({"learning_rate": 0.25, NAMES[1]: 0.75}, "Importance")
    assert texts(svg) == ["Importance", NAMES[1], "0.750", "learning_rate", "0.250"]
    bars = [rect for rect in ElementTree.fromstring(svg).iter(f"{SVG}rect") if rect.get("class") == "gain"]
    assert [float(bar.get("width", 0)) for bar in bars] == [330, 110]
    assert all(float(bar.get("x", 0)) > 6 * len(NAMES[1]) for bar in bars)
