"""The page in a browser: its script, its filters, its charts, a phone's width."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import shutil
import subprocess
from html import unescape
from pathlib import Path
from typing import Any

import pytest

import invented_run as invented
from biomtl.report.page import write_report
from biomtl.report.scores import Baseline, Tested
from biomtl.results import FILE, Results

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
PROBE = """
const found = { bad: window.bad === undefined };
const form = document.getElementById("filters");
const cases = () => [...document.querySelectorAll(".case")];
const said = () => document.getElementById("found").textContent;
function choose(values) {
  form.reset();
  for (const [name, value] of Object.entries(values)) form.elements[name].value = value;
  const start = performance.now();
  form.dispatchEvent(new Event("change"));
  return { said: said(), drawn: cases().length, first: cases()[0]?.textContent, ms: performance.now() - start };
}
found.all = choose({});
found.marks = cases().filter((one) => one.querySelector("mark")).length;
document.getElementById("more").click();
found.more = cases().length;
found.task = choose({ task: "names" });
const marks = [...cases()[0].querySelectorAll("mark")];
found.texts = marks.map((mark) => [mark.className, mark.firstChild.textContent]);
found.kind = choose({ kind: "score" });
found.split = choose({ split: "test", task: "topics" });
found.label = choose({ task: "kind", label: "pain", kind: "spurious" });
found.search = choose({ search: "TEKSA17 vono" });
found.nothing = choose({ search: "no such words" });
found.sure = choose({ order: "sure" });
found.options = form.elements.label.options.length;
found.elements = document.querySelectorAll("#cases img, #cases script").length;

const chart = document.querySelector("[data-chart=loss]");
const ticks = () => [...chart.querySelectorAll(".y-ticks span")].map((tick) => tick.textContent);
const lines = () => [...chart.querySelectorAll("polyline")].filter((line) => line.style.display !== "none").length;
found.before = { ticks: ticks(), lines: lines() };
chart.querySelectorAll(".legend input").forEach((box, i) => { if (i) box.click(); });
found.one = { ticks: ticks(), lines: lines() };
const area = chart.querySelector(".area");
const frame = area.getBoundingClientRect();
area.dispatchEvent(new PointerEvent("pointermove", { clientX: frame.right - 1, clientY: frame.top + 9 }));
found.tip = [...chart.querySelectorAll(".tip div")].map((row) => row.textContent);
chart.querySelector(".all").click();
found.every = lines();

location.hash = "#task-2";
window.dispatchEvent(new Event("hashchange"));
found.opened = document.getElementById("task-2").open;
location.hash = "#errors=topics";
window.dispatchEvent(new Event("hashchange"));
found.linked = said();
window.dispatchEvent(new Event("beforeprint"));
found.folded = document.querySelectorAll("details:not([open])").length;
document.body.dataset.found = JSON.stringify(found);
"""
PHONE = """
const frame = document.querySelector("iframe");
frame.srcdoc = PAGE;
frame.onload = () => {
  const inner = frame.contentDocument;
  for (const part of inner.querySelectorAll("details")) part.open = true;
  const found = { width: inner.documentElement.scrollWidth, room: inner.documentElement.clientWidth };
  const outside = (one) => one.getBoundingClientRect().right > 361 && !one.closest(".wide");
  found.wide = [...inner.body.querySelectorAll("*")].filter(outside).map((one) => one.className || one.tagName);
  found.cases = inner.querySelectorAll(".case").length;
  frame.style.width = "1200px";
  found.hidden = [...inner.querySelectorAll(".wide")].map((part) => part.scrollWidth - part.clientWidth);
  document.body.dataset.found = JSON.stringify(found);
};
"""


def opened(browser: str, page: Path, profile: Path) -> Any:
    """What a page's script left in ``data-found`` of its body."""
    command = [browser, "--headless", "--disable-gpu", "--disable-dev-shm-usage", f"--user-data-dir={profile}"]
    command += ["--no-sandbox"] if os.geteuid() == 0 else []  # which it demands of root
    done = subprocess.run(
        [*command, "--dump-dom", "--timeout=60000", page.as_uri()], capture_output=True, text=True, timeout=300
    )
    match = re.search(r'data-found="([^"]*)"', done.stdout)
    assert match, done.stdout[-500:] + done.stderr[-2000:]
    return json.loads(unescape(match[1]))


@pytest.fixture(scope="module")
def browser() -> str:
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        pytest.skip(f"needs a browser: one of {', '.join(BROWSERS)}")
    return found


@pytest.fixture(scope="module")
def markup(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A page with ten thousand errors, and a baseline."""
    folder = tmp_path_factory.mktemp("browser")
    suite = invented.write(folder, 3200)
    results = Results.read(folder / "first" / FILE)
    tests = {("test", task): Tested(-0.012, -0.034, 0.056, 0.789) for task in results.tasks}
    baseline = Baseline("a-run-with-a-long-name", results, tests)
    return write_report(folder / "first", suite, baseline=baseline).read_text(encoding="utf-8")


def test_the_page_in_a_browser(browser: str, markup: str, tmp_path: Path) -> None:
    """Everything that a user can do, with the page's own security policy in force."""
    digest = base64.b64encode(hashlib.sha256(PROBE.encode()).digest()).decode()
    allowed = markup.replace("script-src '", f"script-src 'sha256-{digest}' '", 1)
    (tmp_path / "page.html").write_text(allowed.replace("</body>", f"<script>{PROBE}</script></body>"))
    found = opened(browser, tmp_path / "page.html", tmp_path / "profile")
    assert found["bad"], "a user's string ran as a script"
    assert found["elements"] == 0
    assert found["all"]["said"].endswith("in 10,000 of 10,000 records")
    assert found["all"]["drawn"] == 40, "the rest is drawn when it is wanted"
    assert found["more"] == 80
    assert found["task"]["said"].endswith("in 2,500 of 10,000 records")
    assert found["texts"][:2] == [["right", "teksa1"], ["gold", "vono"]], "places after 𝕏 are two units further"
    assert found["kind"]["said"] == "2,500 errors in 2,500 of 10,000 records"
    assert found["split"]["said"] == "5,000 errors in 2,500 of 10,000 records", "one missed and one spurious each"
    assert found["nothing"]["drawn"] == 0
    assert found["label"]["drawn"] == 40
    assert "spurious: none → pain" in found["label"]["first"]
    assert "teksa17" in found["search"]["first"]
    assert found["options"] == 7, "all, Drug, the hostile one, pain, none and two topics, each once"
    slowest = max(found[name]["ms"] for name in ("all", "task", "search", "sure", "label"))
    assert slowest < 1500, f"a filter took {slowest:.0f} ms"
    assert found["before"]["lines"] == 4
    assert found["one"]["lines"] == 1
    assert found["one"]["ticks"] != found["before"]["ticks"], "the axis fits what is shown"
    assert len(found["tip"]) == 2
    assert found["tip"][0] == "step 40"
    assert found["tip"][1].startswith("alike")
    assert found["every"] == 4
    assert found["opened"]
    assert found["linked"] == "5,000 errors in 2,500 of 10,000 records"
    assert found["folded"] == 0, "on paper everything is unfolded"


def test_a_phone_and_a_screen(browser: str, markup: str, tmp_path: Path) -> None:
    page = json.dumps(markup).replace("<", "\\u003c")
    script = PHONE.replace("PAGE", page)
    frame = "<iframe style='border:0;width:360px;height:800px'></iframe>"
    (tmp_path / "frame.html").write_text(f"<!doctype html><body>{frame}<script>{script}</script></body>")
    found = opened(browser, tmp_path / "frame.html", tmp_path / "profile")
    assert found["width"] <= found["room"] <= 360
    assert found["wide"] == []
    assert found["hidden"][0] <= 0, "a screen shows all columns of the scores beside a baseline"
    assert found["cases"] == 40, "under the page's policy its script runs in a frame, too"
