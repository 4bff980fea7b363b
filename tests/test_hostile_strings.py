"""Labels, types, ids and texts that mean something to a terminal, a browser, a template or a table are only text."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import yaml

import tiny
from biomtl.inference.documents import read_documents

Command = Callable[..., Any]
HOSTILE = (
    "[/bold]",
    "\x1b[31mred",
    "\x9b31mred",
    "<script>alert(1)</script>",
    "{{7*7}}",
    "| a |",
    "{% raw %}",
    ":smile:",
    "\u202eevil",
    "--- !!python/object",
    "x" * 10_000,
)
UNSEEN = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]")


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory, bert: Path) -> Path:
    """Own tasks whose strings are hostile, of four types."""
    folder = tmp_path_factory.mktemp("hostile")
    rows: dict[str, list[dict[str, Any]]] = {"kind": [], "topics": [], "names": [], "close": []}
    for number, word in enumerate(HOSTILE * 2):
        shared = {"id": f"{word[:200]}{number}", "doc_id": word}
        other = HOSTILE[number % 3]
        rows["kind"].append({**shared, "text": f"pola {word} rimu", "label": word})
        rows["topics"].append(
            {**shared, "text": f"pola {word} rimu", "labels": [word, other] if word != other else [word]}
        )
        token = "".join(word.split())
        rows["names"].append({**shared, "tokens": ["pola", token, "rimu"], "tags": ["O", f"B-{word}", "O"]})
        rows["close"].append({**shared, "text_a": word, "text_b": "pola", "score": number / 30})
    kinds = {"kind": "classification", "topics": "multilabel", "names": "tagging", "close": "regression"}
    tasks = []
    for name, kind in kinds.items():
        path = tiny.write_rows(folder / f"{name}.jsonl", rows[name])
        tasks.append({"name": name, "type": kind, "files": dict.fromkeys(("train", "dev", "test"), str(path))})
    keys = {"encoder": str(bert), "output": str(folder / "run"), "max_length": 32, "batch_size": 8, "num_threads": 1}
    keys |= {"num_train_epochs": 1, "learning_rate": 1e-3, "save_strategy": "no", "tasks": tasks}
    (folder / "own.yaml").write_text(yaml.safe_dump(keys))
    return folder / "own.yaml"


def assert_plain(ended: Any) -> None:
    assert ended.code == 0, ended.err[-3000:]
    assert "Traceback" not in ended.err
    assert not UNSEEN.search(ended.out), UNSEEN.search(ended.out)
    assert not UNSEEN.search(ended.err), UNSEEN.search(ended.err)


class Tags(HTMLParser):
    """How often each tag occurs in a page."""

    def __init__(self) -> None:
        super().__init__()
        self.names: Counter[str] = Counter()

    def handle_starttag(self, tag: str, attributes: Any) -> None:
        self.names[tag] += 1


@pytest.fixture
def run(command: Command, recipe: Path) -> Path:
    """A run over the tasks; trained once."""
    folder = recipe.parent / "run"
    if not folder.exists():
        trained = command("train", recipe)
        assert_plain(trained)
        for label in ("[/bold]", "\\x1b[31mred", "{{7*7}}"):
            assert label in trained.out
    return folder


def test_every_command(command: Command, recipe: Path, run: Path, tmp_path: Path) -> None:
    for kind in ("kind", "topics", "names", "close"):
        path = recipe.parent / f"{kind}.jsonl"
        record = yaml.safe_load(recipe.read_text())
        (task,) = (task for task in record["tasks"] if task["name"] == kind)
        assert_plain(command("check", path, "--type", task["type"]))
        assert_plain(command("score", recipe, run / "predictions" / kind / "test.jsonl", "--task", kind))
    assert_plain(command("audit", recipe, "--out", tmp_path / "audit"))
    assert_plain(command("evaluate", run, "--data", recipe, "--out", tmp_path / "evaluated", "--with-gold"))
    assert_plain(command("export", run, "--task", "kind", "--to", "hf", tmp_path / "hf"))
    assert_plain(command("export", run, "--task", "names", "--to", "hf", tmp_path / "hf-names"))
    assert_plain(command("predict", run, recipe.parent / "kind.jsonl"))


@pytest.mark.parametrize("form", ["jsonl", "pubtator", "bioc", "brat"])
def test_annotations(command: Command, run: Path, tmp_path: Path, form: str) -> None:
    """A format without a place for such strings says so; what is written can be read again."""
    source, out = tmp_path / "in.jsonl", tmp_path / f"out.{form}"
    record = {"id": HOSTILE[1], "text": "pola zalpidine rimu. fenat milo dasu.", HOSTILE[1]: HOSTILE[2]}
    source.write_text(json.dumps(record))
    ended = command("annotate", run, source, "--to", form, "--out", out)
    assert not UNSEEN.search(ended.out + ended.err)
    if ended.code == 0:
        assert len(list(read_documents(out, form))) == 1
    else:
        assert ended.code == 2
        assert ended.err.splitlines()[-1].startswith(f"biomtl: error: {out}")
        assert not out.exists()


def test_the_page_and_the_card(run: Path) -> None:
    page = (run / "report.html").read_text(encoding="utf-8")
    tags = Tags()
    tags.feed(page)
    assert tags.names["script"] == 2, "the page's data and its own script"
    assert "img" not in tags.names
    assert "\x1b" not in page
    card = (run / "model" / "README.md").read_text(encoding="utf-8")
    assert not UNSEEN.search(card)
    tags = Tags()
    tags.feed(card)
    assert "script" not in tags.names
    body = card.split("---\n", 2)[2]
    for line in body.splitlines():
        if line.startswith("|"):
            assert len(re.findall(r"(?<!\\)\|", line)) in (5, 6), line[:200]
