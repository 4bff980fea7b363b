"""Real corpora: gold against itself, and changes whose effect can be counted by hand."""

from __future__ import annotations

import csv
import gzip
from pathlib import Path
from typing import Any

import pytest

from biomtl.scoring import score


def table(path: Path) -> list[dict[str, Any]]:
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream, delimiter="\t"))


@pytest.mark.parametrize(
    ("task", "file", "rows", "support"),
    [
        ("chemprot", "chemprot/blue_format/dev.tsv", 11820, 2416),
        ("ddi2013", "ddi2013/blue_format/dev.tsv", 7244, 1004),
        ("hoc", "hoc/blue_format/dev.tsv", 157, 157),
        ("biosses", "biosses/blue_format/train.tsv", 64, 64),
        ("bc5cdr-chem", "ner_extra/BC5CDR-chem-IOB/devel.tsv.gz", None, 5347),
    ],
)
def test_gold_against_itself(shared: Path, task: str, file: str, rows: int | None, support: int) -> None:
    path = shared / "data" / file
    result = score(task, path, path, resamples=50)
    assert rows in (None, result.rows)
    assert result.main.support == support
    assert result.main.value == pytest.approx(1)
    assert result.main.low == pytest.approx(1)


def test_chemprot_dev_with_counted_errors(shared: Path, tmp_path: Path) -> None:
    gold = shared / "data/chemprot/blue_format/dev.tsv"
    rows = table(gold)
    missed = [at for at, row in enumerate(rows) if row["label"] == "CPR:9"][:57]
    invented = [at for at, row in enumerate(rows) if row["label"] == "false"][:116]
    labels = [row["label"] for row in rows]
    for at in missed:
        labels[at] = "false"
    for at in invented:
        labels[at] = "CPR:5"
    lines = [f"{row['index']}\t{label}\n" for row, label in zip(rows, labels, strict=True)]
    predicted = tmp_path / "p.tsv"
    predicted.write_text("index\tlabel\n" + "".join(lines), encoding="utf-8")
    result = score("chemprot", gold, predicted)
    correct = 2416 - 57
    assert result.main.precision == pytest.approx(correct / (correct + 116))
    assert result.main.recall == pytest.approx(correct / 2416)
    assert result.main.value == pytest.approx(2 * correct / (2416 + correct + 116))
    # CPR:9 finds 400 of 457, CPR:5 is right in 116 of 232; the other three groups are untouched.
    macro = (3 + 2 * 400 / (457 + 400) + 2 * 116 / (116 + 232)) / 5
    assert result.metrics["macro_f1_positive"].value == pytest.approx(macro)
    assert result.main.low is not None
    assert result.main.high is not None
    assert result.main.low < result.main.value < result.main.high
    assert (result.units, result.unit) == (555, "document")


def test_hoc_dev_with_counted_errors(shared: Path, tmp_path: Path) -> None:
    gold = shared / "data/hoc/blue_format/dev.tsv"
    rows = table(gold)
    single = [row["pmid"] for row in rows if ";" not in row["labels"]]
    assert len(single) > 2
    changed = {single[0]: "", single[1]: ""}  # nothing predicted: P = R = 0 for two documents
    extra = next(row for row in rows if row["pmid"] == single[2])
    other = "cellular energetics" if extra["labels"] != "cellular energetics" else "inducing angiogenesis"
    changed[single[2]] = f"{extra['labels']};{other}"  # P = 1/2, R = 1
    predicted = tmp_path / "p.tsv"
    lines = [f"{row['pmid']}\tx\t{changed.get(row['pmid'], row['labels'])}\n" for row in rows]
    predicted.write_text("pmid\ttext\tlabels\n" + "".join(lines), encoding="utf-8")
    main = score("hoc", gold, predicted).main
    precision, recall = (157 - 2.5) / 157, (157 - 2) / 157
    assert (main.precision, main.recall) == (pytest.approx(precision), pytest.approx(recall))
    assert main.value == pytest.approx(2 * precision * recall / (precision + recall))


def test_bc5cdr_iob_with_counted_errors(shared: Path, tmp_path: Path) -> None:
    gold = shared / "data/ner_extra/BC5CDR-disease-IOB/devel.tsv.gz"
    text = gzip.decompress(gold.read_bytes()).decode()
    cut = text.replace("B-Disease", "O", 100)
    predicted = tmp_path / "p.tsv"
    predicted.write_text(cut, encoding="utf-8")
    lines = [line.split("\t") for line in text.split("\n")]
    opened = [at for at, line in enumerate(lines) if line[-1] == "B-Disease"]
    longer = sum(lines[at + 1][-1] == "I-Disease" for at in opened[:100])
    # Every changed mention is lost; what is left of one longer than a token is a wrong chunk, as I after O opens one.
    result = score("bc5cdr-disease", gold, predicted, resamples=0).metrics["entity_f1_conlleval"]
    total = len(opened)
    assert result.support == total
    assert result.recall == pytest.approx((total - 100) / total)
    assert result.precision == pytest.approx((total - 100) / (total - 100 + longer))
