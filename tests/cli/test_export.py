"""``biomtl export`` as a user calls it."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import transformers

import tiny
from biomtl.cli.main import main
from biomtl.model import MultiTaskModel

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """``run(*arguments)`` in a folder with the run folder ``run`` -> exit code, stdout, stderr."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    model = MultiTaskModel.from_encoder(bert, [tiny.task(name) for name in ("cls-text", "tag-drug")], max_length=40)
    model.save_pretrained("run/model")

    def run_command(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["biomtl", "export", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        captured = capsys.readouterr()
        return int(ended.value.code or 0), captured.out, captured.err

    return run_command


def test_stock_folder(run: Run) -> None:
    code, out, err = run("run", "--task", "tag-drug", "--to", "hf", "out")
    assert (code, err) == (0, "")
    assert "BertForTokenClassification" in out
    network = transformers.AutoModelForTokenClassification.from_pretrained("out")
    assert network.config.id2label == {0: "O", 1: "B-Drug", 2: "I-Drug"}


def test_encoder_only(run: Run) -> None:
    assert run("run/model", "out", "--encoder-only")[0] == 0
    assert transformers.AutoModel.from_pretrained("out").config.hidden_size == 32
    assert not Path("out/heads").exists()


def test_onnx_with_scores(run: Run, small_suite: Path) -> None:
    code, out, _ = run("run", "out", "--to", "onnx", "--int8", "--data", str(small_suite))
    assert code == 0
    assert "cls-text" in out
    scores = json.loads(Path("out/scores.json").read_text())
    assert scores["split"] == "dev"
    row = scores["tasks"]["tag-drug"]
    assert row["loss"] == pytest.approx(row["torch"] - row["onnx"])
    assert Path("out/model.onnx").is_file()


def test_one_onnx_file(run: Run) -> None:
    code, out, _ = run("run", "one.onnx", "--to", "onnx", "--task", "cls-text")
    assert code == 0
    assert "outputs cls-text" in out
    assert sorted(path.name for path in Path().iterdir()) == ["one.onnx", "run"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("run", "out"), "2 tasks, expected one: --task NAME"),
        (("run", "out", "--task", "tag-drugs"), "did you mean 'tag-drug'?"),
        (("run", "run", "--task", "tag-drug"), "run: the output already exists"),
        (("nowhere", "out"), "not a biomtl model"),
        (("run", "out", "--encoder-only", "--task", "cls-text"), "either the encoder or heads"),
        (("run", "out", "--task", "cls-text", "--int8"), "expected --to onnx"),
        (("run", "out", "--to", "onnx", "--task", "cls-text", "--data", "x"), "x: no such folder"),
    ],
)
def test_refusals_are_one_line_and_write_nothing(run: Run, arguments: tuple[str, ...], message: str) -> None:
    before = sorted(str(path) for path in Path().rglob("*"))
    code, _, err = run(*arguments)
    assert code == 2
    assert message in err
    assert err.count("\n") == 1
    assert sorted(str(path) for path in Path().rglob("*")) == before
