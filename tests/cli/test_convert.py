"""``biomtl convert`` as a user calls it: both spellings, the report, and refusals in one line with nothing written."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import transformers

import elmo_data
from biomtl.cli.main import main
from biomtl.encoders.elmo import load_elmo
from biomtl.model import MultiTaskModel
from old_checkpoints import bert_variables, write_pt, write_tf

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """``run(*arguments)`` in a folder with ``tf/`` and ``mt/model.pt`` -> exit code, stdout, stderr."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    write_tf(Path("tf"), bert_variables("mlm", "nsp"))
    write_pt(Path("mt/model.pt"))

    def run_command(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["biomtl", "convert", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        captured = capsys.readouterr()
        return int(ended.value.code or 0), captured.out, captured.err

    return run_command


def test_tensorflow(run: Run) -> None:
    code, out, _ = run("tf/bert_model.ckpt", "new/bert")
    assert code == 0
    assert "BertForPreTraining" in out
    assert "no piece of the vocabulary has a capital letter" in out
    assert transformers.AutoModel.from_pretrained("new/bert")
    assert transformers.AutoTokenizer.from_pretrained("new/bert").tokenize("Rimusa") == ["rimu", "##sa"]
    assert len(json.loads(Path("new/bert/conversion.json").read_text())["used"]) == len(bert_variables("mlm", "nsp"))


def test_the_old_spelling(run: Run) -> None:
    code, _, err = run("--tf_checkpoint_root", "tf", "--pytorch_checkpoint_path", "bert.pt", "--encoder_type", "1")
    assert (code, err) == (0, "")
    assert transformers.AutoModel.from_pretrained("bert.pt")


def test_every_option_of_the_new_spelling(run: Run) -> None:
    Path("tf/vocab.txt").rename("words.txt")
    Path("tf/bert_config.json").rename("settings.json")
    options = ["--from", "tf", "--vocab", "words.txt", "--config", "settings.json", "--cased", "--encoder-only"]
    code, out, err = run("tf", "out", *options)
    assert (code, err) == (0, "")
    assert "BertModel" in out
    assert "cased, as asked" in out
    assert "cls/predictions/output_bias" in out
    assert run("tf", "out", *options)[0] == 2
    assert run("tf", "out", *options, "--overwrite")[0] == 0


def test_mtdnn(run: Run) -> None:
    tasks = "clinicalsts=regression:1,mednli=classification:3,x=tagging:5,nli=san-classification:3"
    code, out, _ = run("mt", "out", "--tasks", tasks)
    assert code == 0
    assert "labels of mednli, in order: contradiction, neutral, entailment" in out
    assert "scoring_list.3.alpha" in out
    assert list(MultiTaskModel.from_pretrained("out").tasks) == ["clinicalsts", "mednli", "x", "nli"]


def test_back_to_tensorflow(run: Run) -> None:
    assert run("mt/model.pt", "out", "--to", "tf")[0] == 0
    assert sorted(path.name for path in Path("out").iterdir()) == [
        ".biomtl.json",
        "bert_config.json",
        "bert_model.ckpt.data-00000-of-00001",
        "bert_model.ckpt.index",
        "conversion.json",
        "vocab.txt",
    ]
    assert run("out", "again", "--to", "hf")[0] == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "no SRC and DEST"),
        (("tf",), "no DEST"),
        (("nowhere", "out"), "nowhere: no such checkpoint"),
        (("tf", "mt"), "mt: the output already exists"),
        (("tf", "out", "--tasks", "a=regression:1"), "--tasks for a checkpoint of format tf"),
        (("mt", "out"), "4 heads without a name"),
        (("--tf_checkpoint_root", "tf"), "a mixture of old and new options"),
        (("tf", "--pytorch_checkpoint_path", "out"), "a mixture of old and new options"),
        (
            ("--tf_checkpoint_root", "tf", "--pytorch_checkpoint_path", "out", "--encoder_type", "2"),
            "--encoder_type 2",
        ),
        (("tf", "out", "--vocab", "none.txt"), "none.txt: no such file"),
    ],
)
def test_refusals_are_one_line_and_write_nothing(run: Run, arguments: tuple[str, ...], message: str) -> None:
    before = sorted(str(path) for path in Path().rglob("*"))
    code, out, err = run(*arguments)
    assert (code, out) == (2, "")
    assert message in err
    assert err.count("\n") == 1
    assert sorted(str(path) for path in Path().rglob("*")) == before


def test_damage_is_named_and_writes_nothing(run: Run) -> None:
    data = Path("tf/bert_model.ckpt.data-00000-of-00001")
    content = bytearray(data.read_bytes())
    content[7] ^= 1
    data.write_bytes(content)
    code, _, err = run("tf", "out")
    assert code == 2
    assert "variable bert/embeddings/LayerNorm/beta: the checksum does not match" in err
    assert sorted(path.name for path in Path().iterdir()) == ["mt", "tf"]


def test_elmo_fixture(shared: Path, run: Run) -> None:
    code, out, err = run(str(shared / "fixtures" / "elmo_bilm"), "out")
    assert (code, err) == (0, "")
    assert "ElmoEncoder" in out
    assert Path("out/model.safetensors").is_file()
    report = json.loads(Path("out/conversion.json").read_text())
    assert report["used"]["CNN_proj/W_proj"] == "token.projection.weight"
    assert len(report["used"]) == 33  # 1 table, 2 x 5 filters, 2 x 4 highway, 2 projection, 2 x 2 cells of 3
    assert set(report["files"]) == {"options.json", "lm_weights.hdf5"}


def test_one_elmo_of_several_in_a_folder(run: Run) -> None:
    bilm = elmo_data.write_bilm(Path("bilm"))
    shutil.copy(bilm / "options.json", "elmo_options.json")
    for name in ("a_weights.hdf5", "b_weights.hdf5"):
        shutil.copy(bilm / "weights.hdf5", name)
    code, _, err = run(".", "out", "--from", "elmo")
    assert (code, err.count("\n")) == (2, 1)
    assert "2 files *weights*.hdf5" in err
    for source, more in (("b_weights.hdf5", []), ("b_weights.hdf5", ["--config", "bilm/options.json"])):
        assert run(source, "out", *more, "--overwrite")[0] == 0
        assert set(json.loads(Path("out/conversion.json").read_text())["files"]) >= {"b_weights.hdf5"}
        assert load_elmo("out").options == load_elmo("bilm").options
    assert run("bilm/options.json", "out", "--overwrite")[0] == 0
