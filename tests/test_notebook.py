"""What users see of the library: names, short representations, HTML in notebooks, types in an editor."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace

import pytest
from mypy import api

import biomtl
from biomtl import Document, Mention, MultiTaskModel, Relation, Result, Run, Score
from biomtl.inference.predictor import PredictedMention
from biomtl.notebook import MOST_CHARACTERS, MOST_ROWS, html_table, html_text
from biomtl.results import Results
from biomtl.scoring import MetricResult

ROOT = Path(__file__).resolve().parent.parent
SUITE = biomtl.load_suite("sample", tasks=["bc5cdr-chem", "biosses"])
METRIC = MetricResult("accuracy", "accuracy", 0.5, None, None, 8, 0.25, 0.75)
SCORE = Score("mood", {"accuracy": METRIC}, 8, 8, "row", 0, 1000)
DOCUMENT = Document(
    "7",
    "Aspirin <b> helps.",
    mentions=(
        Mention("T1", "Chemical", ((0, 7),), "Aspirin"),
        Mention("T2", "Sentence", ((0, 18),), "Aspirin <b> helps.", (), (("label", "good"),)),
    ),
    relations=(Relation("R1", "treats", (("Arg1", "T1"), ("Arg2", "D1"))),),
)


@pytest.fixture(scope="module")
def run(bert: Path) -> Run:
    scored = SimpleNamespace(split="dev", scores={"mood": SCORE}, mean=0.5)
    return Run(Path("runs/first"), Results.of([scored], {}), MultiTaskModel.from_encoder(bert, SUITE.tasks))


class Balanced(HTMLParser):
    """Fails at a closing tag that closes another element."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.text = ""
        self.feed(html)
        assert not self.open

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def test_completion_offers_the_public_names_and_no_others() -> None:
    assert dir(biomtl) == biomtl.__all__
    assert {"Annotator", "Document", "Predictor", "load_suite", "train"} <= set(dir(biomtl))
    stub = (ROOT / "src/biomtl/__init__.pyi").read_text(encoding="utf-8")
    assert sorted(re.findall(r" as (\w+)$", stub, re.MULTILINE)) == [n for n in biomtl.__all__ if n != "__version__"]


@pytest.mark.slow
def test_a_type_checker_sees_the_real_types(tmp_path: Path) -> None:
    right, wrong = tmp_path / "right.py", tmp_path / "wrong.py"
    right.write_text(
        "import biomtl\n"
        'suite = biomtl.load_suite("prepared/", tasks=["ddi2013"])\n'
        'model = biomtl.MultiTaskModel.from_encoder("folder", suite.tasks)\n'
        'run: biomtl.Run = biomtl.train({"encoder": "folder"}, model=model, suite=suite)\n'
        'label: str | None = biomtl.Predictor(run.model)("One text.")["ddi2013"].label\n'
        'several: list[dict[str, biomtl.Result]] = biomtl.Predictor("folder")(["One text."])\n'
        'for document in biomtl.Annotator(biomtl.Predictor("folder"))([biomtl.Document("1", "Text.")]):\n'
        "    print(document.mentions[0].start + 1)\n",
        encoding="utf-8",
    )
    wrong.write_text(
        "import biomtl\n"
        "biomtl.Predictor(3, nonsense=4)\n"
        'biomtl.load_suite("prepared/").task\n'
        'text: int = biomtl.Document("1", "text").text\n'
        "biomtl.Nonsense\n",
        encoding="utf-8",
    )
    options = ["--config-file", str(ROOT / "pyproject.toml"), "--cache-dir", str(ROOT / ".mypy_cache")]
    said, errors, _ = api.run([*options, str(right), str(wrong)])
    assert not errors
    found = re.findall(r"(\w+)\.py:(\d+): error: .*\[([\w-]+)\]", said)
    assert [(name, line) for name, line, _ in found if name == "right"] == [], said
    assert {(line, code) for _, line, code in found} >= {
        ("2", "arg-type"), ("2", "call-arg"), ("3", "attr-defined"), ("4", "assignment"), ("5", "attr-defined")
    }  # fmt: skip


def test_representations_are_short(run: Run) -> None:
    said = {
        repr(SUITE): "Suite('sample', 2 tasks: bc5cdr-chem, biosses)",
        repr(SUITE.tasks["biosses"]): "Task('biosses', regression, scores 0 to 4, pearson)",
        repr(SCORE): "Score('mood', accuracy 0.500 [0.250, 0.750], 8 rows)",
        repr(run): "Run('runs/first', 2 tasks, dev 0.500)",
        repr(run.model): "MultiTaskModel(TransformerEncoder, 32 dimensions, bc5cdr-chem, biosses)",
        repr(DOCUMENT): "Document('7', 'Aspirin <b> helps.', 18 characters, 2 mentions, 1 relation)",
        repr(
            Result("mood", label="good", probabilities={"good": 0.9, "bad": 0.1})
        ): "Result('mood', label='good' (0.90))",
    }
    assert list(said) == list(said.values())


def test_views_in_a_notebook_are_escaped_and_complete(run: Run) -> None:
    shown = Balanced(DOCUMENT._repr_html_())
    assert "Aspirin" in shown.text
    assert DOCUMENT._repr_html_().count("<mark ") == 1
    assert "&lt;b&gt;" in DOCUMENT._repr_html_()
    assert "label=good" in shown.text
    assert "Aspirin - D1" in shown.text
    found = Result("chem", mentions=(PredictedMention("Chemical", 0, 7, "Aspirin", 0.9),))
    for thing, expected in (
        (SUITE, "train, dev, test"),
        (SUITE.tasks["biosses"], "pearson"),
        (SCORE, "[0.250, 0.750]"),
        (run, "parameters"),
        (found, "Chemical"),
        (Result("mood", label="good", probabilities={"good": 0.9, "bad": 0.1}), "0.100"),
        (Result("near", score=2.5), "2.500"),
    ):
        assert expected in Balanced(thing._repr_html_()).text


def test_nested_and_overlapping_mentions_name_all_their_types() -> None:
    html = html_text("breast cancer risk", [(0, 13, "Disease"), (0, 6, "Organ"), (7, 18, "Trait")])
    assert Balanced(html).text == "breastOrgan cancerDisease riskTrait"
    assert re.findall(r'title="([^"]*)"[^>]*>([^<]*)', html) == [
        ("Disease; Organ", "breast"),
        ("Disease", " "),
        ("Disease; Trait", "cancer"),
        ("Trait", " risk"),
    ]


def test_long_tables_and_texts_are_cut() -> None:
    assert "… and 5 more" in html_table(("n",), [(i,) for i in range(MOST_ROWS + 5)])
    assert "… and 3 more characters" in html_text("x" * (MOST_CHARACTERS + 3), [])
