"""The run's page, from an invented run folder with hostile strings everywhere."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import re
import time
from collections import Counter
from html.parser import HTMLParser
from importlib.resources import files
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

import invented_run as invented
from biomtl.checkpoints.card import write_card
from biomtl.report import errors
from biomtl.report.page import write_report
from biomtl.report.scores import Baseline
from biomtl.report.tables import score_table
from biomtl.results import FILE, Results
from biomtl.scoring import MetricResult, Score
from biomtl.suite import Suite, TaskData
from biomtl.tasks import suite_tasks


class Page(HTMLParser):
    """A page's elements, the addresses in them, its texts, and the contents of its scripts."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.tags: Counter[str] = Counter()
        self.attributes: list[tuple[str, str, str]] = []
        self.scripts: list[str] = []
        self.words: list[str] = []
        self._inside = ""
        self.markup = path.read_text(encoding="utf-8")
        self.feed(self.markup)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        self._inside = tag
        if tag == "script":
            self.scripts.append("")

    def handle_endtag(self, tag: str) -> None:
        self._inside = ""

    def handle_data(self, data: str) -> None:
        if self._inside == "script":
            self.scripts[-1] += data
        else:
            self.words.append(data.strip())

    @property
    def data(self) -> Any:
        """What the script reads."""
        return json.loads(self.scripts[0])


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Suite]:
    folder = tmp_path_factory.mktemp("page")
    return folder / "first", invented.write(folder)


@pytest.fixture(scope="module")
def page(run: tuple[Path, Suite]) -> Page:
    return Page(write_report(*run, changed=[("learning_rate", "0.001", "0.00005")]))


def test_nothing_is_loaded_and_no_string_becomes_markup(page: Page) -> None:
    assert page.tags["script"] == 2, "the data and our script"
    assert {"img", "link", "iframe", "object", "base"} & set(page.tags) == set()
    assert [entry for entry in page.attributes if entry[1].startswith("on")] == []
    loaded = [entry for entry in page.attributes if entry[1] in ("src", "srcset", "action", "data", "background")]
    assert loaded == []
    addresses = [value for tag, name, value in page.attributes if name == "href"]
    assert [value for value in addresses if not re.match(r"#|https://(arxiv\.org|github\.com)/", value)] == []
    assert "url(" not in page.markup
    assert "@import" not in page.markup
    assert "</script><script>window" not in page.markup.replace(page.scripts[0], "")
    assert invented.HOSTILE in page.data["texts"][0], "in the data it is what it was"


def test_only_our_script_may_run(page: Page) -> None:
    policy = next(v for _, name, v in page.attributes if name == "content" and "script-src" in v)
    digest = base64.b64encode(hashlib.sha256(page.scripts[1].encode()).digest()).decode()
    assert policy.startswith("default-src 'none';")
    assert f"script-src 'sha256-{digest}';" in policy
    assert "innerHTML" not in page.scripts[1]
    assert "insertAdjacentHTML" not in page.scripts[1]


def test_every_part_is_there(page: Page) -> None:
    ids = {value for tag, name, value in page.attributes if (tag, name) == ("section", "id")}
    assert ids == {"scores", "learning", "mixing", "tasks", "errors", "lengths", "provenance"}
    charts = [value for _, name, value in page.attributes if name == "data-chart"]
    assert charts[:4] == ["loss", "dev", "rate", "mixing"]
    assert {"threshold-names-test", "reliability-kind-test", "threshold-topics-test"} <= set(charts)
    assert list(page.data["charts"]) == charts
    text = " ".join(page.words)
    assert "3 of 100 training texts are longer and are read in 8 overlapping windows" in text
    assert "Gold in rows, predicted in columns" in text
    assert "0.00005" in text
    assert "data.names.test" in text
    assert page.tags["noscript"] == 1


def test_all_errors_are_in_the_data(page: Page) -> None:
    cases = page.data["cases"]
    assert Counter(case[0] for case in cases) == {task.name: 8 for task in invented.TASKS}
    kinds = {(case[0], kind) for case in cases for fault in case[4] for kind in fault[0]}
    assert ("names", "spurious") in kinds
    assert ("names", "type") in kinds
    assert ("kind", "missed") in kinds
    assert ("alike", "score") in kinds
    assert len(page.data["texts"]) == len({i for case in cases for i in case[3]}), "each text stands there once"


def test_texts_can_be_left_out(run: tuple[Path, Suite]) -> None:
    page = Page(write_report(*run, texts=False))
    assert page.data["texts"] == []
    assert len(page.data["cases"]) == 32
    assert "teksa" not in page.markup
    assert "holds texts of the data" not in page.markup
    assert "The texts were left out" in " ".join(page.words)


def test_without_gold_the_scores_remain(run: tuple[Path, Suite]) -> None:
    page = Page(write_report(run[0]))
    assert page.data["cases"] == []
    assert "No gold records at hand" in " ".join(page.words)
    assert "Gold in rows, predicted in columns" in " ".join(page.words), "which metrics.json has"


def test_other_data_than_those_scored_are_not_shown(run: tuple[Path, Suite], tmp_path: Path) -> None:
    folder, suite = run
    path = suite["kind"].files["test"]
    (tmp_path / "test.jsonl").write_text(path.read_text().replace("pola", "rimu"))
    changed = Suite([TaskData(suite.tasks["kind"], {"test": tmp_path / "test.jsonl"}), suite["alike"]])
    page = Page(write_report(folder, changed))
    assert {case[0] for case in page.data["cases"]} == {"alike"}
    text = " ".join(page.words)
    assert "kind, test: the data are no longer those that were scored" in text
    assert "names, test: the data have no such records" in text


def test_a_baseline_is_shown_beside_the_scores(run: tuple[Path, Suite]) -> None:
    folder, suite = run
    page = Page(write_report(folder, suite, baseline=Baseline("before<b>", Results.read(folder / FILE))))
    assert "before<b>" in page.words
    assert page.words.count("+0.000") >= len(invented.TASKS)


def blurb_results(folder: Path, left_out: str = "") -> Results:
    """Scores of BLURB's tasks, each 0.5 but for similarity's 0.8."""
    scores = {}
    for task in suite_tasks("blurb"):
        if task.name != left_out:
            value = 0.8 if task.name == "blurb-biosses" else 0.5
            metric = MetricResult(task.metric, task.metric, value, None, None, 100, None, None)
            scores[task.name] = Score(task.name, {task.metric: metric}, 100, 100, "row", 0, 0)
    results = Results.of([SimpleNamespace(split="test", scores=scores, mean=0.5)], {})
    folder.mkdir()
    results.write(folder / FILE)
    return results


def test_the_page_shows_blurbs_score_or_the_missing_tasks(tmp_path: Path) -> None:
    whole = blurb_results(tmp_path / "whole")
    assert whole.suites["blurb"]["test"].value == pytest.approx(0.55)
    page = Page(write_report(tmp_path / "whole", baseline=Baseline("before", whole)))
    assert page.words.count("blurb score on test") == 1
    assert page.words.count("blurb score") == 1
    assert page.words.count("0.550") == 3, "on top, in the table, and the baseline's"
    assert page.words.count("5 of 5") == 1
    assert "blurb score: macro average, the mean over the suite's 6 parts of each part's mean" in " ".join(page.words)

    part = blurb_results(tmp_path / "part", left_out="gad")
    assert part.suites == {}
    page = Page(write_report(tmp_path / "part", baseline=Baseline("before", whole)))
    lacks = "no blurb score: 12 of the suite's 13 tasks have a score by their main metric; missing: gad"
    assert "blurb score" not in page.words
    assert page.words.count("2 of 3") == 1
    assert f"{lacks}." in page.words
    for results, said in ((whole, whole.suites["blurb"]["test"].note), (part, lacks)):
        terminal = io.StringIO()
        Console(file=terminal, width=400).print(score_table(results, "test"))
        write_card(tmp_path, "biomtl", suite_tasks("blurb"), {}, results=results)
        for text in (terminal.getvalue(), (tmp_path / "README.md").read_text()):
            assert said in text
            assert ("0.550" in text) is (results is whole)


def test_ten_thousand_errors_make_a_page_in_a_second(
    run: tuple[Path, Suite], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    suite = invented.write(tmp_path, 3200)
    started = time.process_time()
    page = Page(write_report(tmp_path / "first", suite))
    assert len(page.data["cases"]) == errors.MOST_CASES
    assert "10,000 of 10,240 records with errors" in " ".join(page.words)
    assert time.process_time() - started < 5, "a second on an idle machine"


def test_half_a_surrogate_pair_is_written(run: tuple[Path, Suite]) -> None:
    folder, suite = run
    page = Page(write_report(folder, suite, changed=[("encoder", "a\ud800b", "")]))
    assert "a\\ud800b" in page.words


def test_templates_are_packaged() -> None:
    names = {path.name for path in (files("biomtl.report") / "templates").iterdir()}
    assert names == {"page.html", "macros.html", "page.css", "page.js"}
