"""MT-DNN files in every format, their heads as tasks, and pickles that refer to more than weights."""

from __future__ import annotations

import argparse
import enum
import os
import pickle
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers

from biomtl.checkpoints.convert import convert
from biomtl.checkpoints.mtdnn.unpickle import load_pt
from biomtl.errors import InputError
from biomtl.inference.predict import predict_records
from biomtl.model import MultiTaskModel
from old_checkpoints import PIECES, mtdnn_state, write_pt

TASKS = "sts=regression:1,kind=classification:3,ner=tagging:O|B-Drug|I-Drug|X|SEP,nli=san-classification:3"
INPUTS = {
    "input_ids": torch.tensor([[2, 5, 6, 3, 11, 3], [2, 9, 3, 5, 3, 0]]),
    "token_type_ids": torch.tensor([[0, 0, 0, 0, 1, 1], [0, 0, 0, 1, 1, 0]]),
    "attention_mask": torch.tensor([[1, 1, 1, 1, 1, 1], [1, 1, 1, 1, 1, 0]]),
}


def hidden(folder: Path) -> torch.Tensor:
    with torch.inference_mode():
        return transformers.AutoModel.from_pretrained(folder).eval()(**INPUTS).last_hidden_state


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> torch.Tensor:
    folder = tmp_path_factory.mktemp("expected")
    convert(write_pt(folder / "in" / "model.pt"), folder / "out", encoder_only=True)
    return hidden(folder / "out")


@pytest.mark.parametrize("legacy", [False, True])
def test_heads_become_tasks(tmp_path: Path, legacy: bool) -> None:
    state = mtdnn_state()
    report = convert(write_pt(tmp_path / "in" / "model.pt", legacy=legacy), tmp_path / "out", tasks=TASKS)
    assert (report.result, report.unused, set(report.skipped)) == ("MultiTaskModel", [], {"scoring_list.3.alpha"})
    model = MultiTaskModel.from_pretrained(tmp_path / "out")
    assert list(model.tasks) == ["sts", "kind", "ner", "nli"]
    assert model.tasks["ner"].labels == ("O", "B-Drug", "I-Drug", "X", "SEP")
    assert model.tasks["kind"].labels == ("LABEL_0", "LABEL_1", "LABEL_2")
    assert model.tasks["nli"].inputs == model.tasks["sts"].inputs == "pair"
    with torch.inference_mode():
        encoded = model.encoder(INPUTS)
        for number, (task, source) in enumerate([("sts", "pooled"), ("kind", "pooled"), ("ner", "hidden")]):
            weight, bias = (state[f"scoring_list.{number}.{name}"] for name in ("weight", "bias"))
            assert encoded.pooled is not None
            x = encoded.pooled if source == "pooled" else encoded.hidden
            torch.testing.assert_close(model.logits(task, **INPUTS), x @ weight.T + bias)
        assert model.logits("nli", **INPUTS).exp().sum(-1).tolist() == pytest.approx([1, 1], abs=1e-5)


def test_older_names_and_buffers(tmp_path: Path, expected: torch.Tensor) -> None:
    state: dict[str, Any] = {}
    for name, value in mtdnn_state().items():
        state[name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta")] = value
    state["bert.embeddings.position_ids"] = torch.arange(16)[None]
    report = convert(write_pt(tmp_path / "m.pt", state=state), tmp_path / "out", encoder_only=True)
    assert "bert.embeddings.position_ids" in report.skipped
    assert torch.equal(hidden(tmp_path / "out"), expected)


def test_half_precision_is_widened(tmp_path: Path, expected: torch.Tensor) -> None:
    state = {name: value.half() for name, value in mtdnn_state().items()}
    convert(write_pt(tmp_path / "m.pt", state=state), tmp_path / "out", encoder_only=True)
    found = hidden(tmp_path / "out")
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, expected, rtol=0, atol=0.02)


def test_averaged_weights_are_used_if_present(tmp_path: Path, expected: torch.Tensor) -> None:
    source = write_pt(tmp_path / "m.pt", state=mtdnn_state(seed=1), ema=mtdnn_state())
    report = convert(source, tmp_path / "out", encoder_only=True)
    assert any("ema" in note for note in report.notes)
    assert torch.equal(hidden(tmp_path / "out"), expected)


def test_stripped_files_are_encoders(tmp_path: Path, expected: torch.Tensor) -> None:
    state = {name: value for name, value in mtdnn_state().items() if name.startswith("bert.")}
    report = convert(write_pt(tmp_path / "m.pt", state=state), tmp_path / "out")
    assert report.result == "BertModel"
    assert torch.equal(hidden(tmp_path / "out"), expected)
    assert len(transformers.AutoTokenizer.from_pretrained(tmp_path / "out")) == len(PIECES)


def test_no_vocabulary(tmp_path: Path) -> None:
    source = write_pt(tmp_path / "m.pt")
    (tmp_path / "vocab.txt").unlink()
    with pytest.raises(InputError, match="--vocab FILE"):
        convert(source, tmp_path / "out", tasks=TASKS)
    report = convert(source, tmp_path / "out", encoder_only=True)
    assert any("no tokenizer" in note for note in report.notes)


def test_the_files_own_task_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = types.ModuleType("mt_bluebert.data_utils.task_def")
    kinds = enum.IntEnum("TaskType", {"Classification": 1, "Regression": 2, "SequenceLabeling": 5})
    kinds.__module__ = module.__name__
    kinds.__qualname__ = "TaskType"
    module.TaskType = kinds  # type: ignore[attr-defined]
    for name in ("mt_bluebert", "mt_bluebert.data_utils", module.__name__):
        monkeypatch.setitem(sys.modules, name, module)
    settings = dict(load_pt(write_pt(tmp_path / "plain.pt"))["config"])
    settings |= {
        "train_datasets": ["clinicalsts", "mednli", "ddi2013-type", "snli"],
        "task_types": [kinds.Regression, kinds.Classification, kinds.Classification, kinds.Classification],
        "answer_num_turn": 3,
    }
    source = write_pt(tmp_path / "m.pt", config=settings)
    for name in ("mt_bluebert", "mt_bluebert.data_utils", module.__name__):
        monkeypatch.delitem(sys.modules, name)
    convert(source, tmp_path / "out")
    model = MultiTaskModel.from_pretrained(tmp_path / "out")
    assert list(model.tasks) == ["medsts", "mednli", "ddi2013", "snli"]  # their names in prepared data
    assert model.tasks["medsts"].score_range == (0, 5)
    assert model.tasks["mednli"].labels == ("contradiction", "neutral", "entailment")  # its order, not BLUE's
    assert (model.tasks["ddi2013"].negative, model.tasks["ddi2013"].type) == ("DDI-false", "relation")
    assert model.choices["snli"].options["turns"] == 3
    assert [task.order for task in model.tasks.values()] == ["ba", "ba", "ab", "ba"]


def test_pairs_are_read_in_the_order_of_training(tmp_path: Path) -> None:
    convert(write_pt(tmp_path / "in" / "model.pt"), tmp_path / "out", tasks=TASKS)
    model = MultiTaskModel.from_pretrained(tmp_path / "out").eval()
    records = {"sts": [{"id": "1", "doc_id": "1", "text_a": "pola rimu", "text_b": "vono ."}]}
    found = predict_records(model, records)["sts"][0]["score"]
    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path / "out")
    with torch.inference_mode():
        reversed_pair = model.logits("sts", **tokenizer("vono .", "pola rimu", return_tensors="pt"))
        straight = model.logits("sts", **tokenizer("pola rimu", "vono .", return_tensors="pt"))
    assert found == pytest.approx(reversed_pair.item(), abs=1e-5)
    assert abs(straight.item() - reversed_pair.item()) > 1e-3


class Runs:
    def __init__(self, target: str) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self.target}",)


class Evaluates(Runs):
    def __reduce__(self) -> tuple[Any, ...]:
        return eval, (f"open({self.target!r}, 'w')",)


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize(("kind", "name"), [(Runs, f"{os.name}.system"), (Evaluates, "eval")])
def test_a_pickle_that_would_run_code_is_refused(tmp_path: Path, legacy: bool, kind: type[Runs], name: str) -> None:
    target = tmp_path / "touched"
    source = write_pt(tmp_path / "m.pt", legacy=legacy, extra=kind(str(target)))
    with pytest.raises(InputError, match=f"the pickle refers to {name}, which is not allowed") as caught:
        convert(source, tmp_path / "out")
    assert "\n" not in str(caught.value)
    assert not target.exists()
    assert not (tmp_path / "out").exists()


def test_a_bare_pickle_is_not_run_either(tmp_path: Path) -> None:
    target = tmp_path / "touched"
    (tmp_path / "m.pt").write_bytes(pickle.dumps(Runs(str(target)), protocol=2))
    with pytest.raises(InputError):
        convert(tmp_path / "m.pt", tmp_path / "out")
    assert not target.exists()


def test_other_classes_are_refused_by_name(tmp_path: Path) -> None:
    source = write_pt(tmp_path / "m.pt", config=argparse.Namespace(a=1))
    with pytest.raises(InputError, match=r"argparse\.Namespace"):
        convert(source, tmp_path / "out")


@pytest.mark.parametrize("content", [b"", b"words, no weights", b"PK\x03\x04 cut", b"\x80\x02 cut"])
def test_files_that_are_not_checkpoints(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "m.pt").write_bytes(content)
    with pytest.raises(InputError, match=r"m\.pt: (neither a zip|a damaged torch file)"):
        convert(tmp_path / "m.pt", tmp_path / "out")


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.95])
def test_truncated_files(tmp_path: Path, legacy: bool, share: float) -> None:
    source = write_pt(tmp_path / "m.pt", legacy=legacy)
    source.write_bytes(source.read_bytes()[: int(share * source.stat().st_size)])
    with pytest.raises(InputError, match=r"m\.pt: "):
        convert(source, tmp_path / "out")


@pytest.mark.parametrize(
    ("tasks", "message"),
    [
        (None, "4 heads without a name.*task0=regression:1,task1=classification:3"),
        ("a=regression:1", "1 tasks for 4 heads"),
        (TASKS.replace("kind=classification:3", "kind=classification:4"), "head 1 is a linear head of 3 outputs"),
        (TASKS.replace("kind=classification:3", "kind=san-classification:3"), "head 1 is a linear head"),
        (TASKS.replace("san-classification", "classification"), "head 3 is a SAN head of 3 outputs"),
        (TASKS.replace("tagging", "taging"), "did you mean 'tagging'"),
        (TASKS.replace("kind=", "sts="), "task sts occurs twice"),
        (TASKS.replace("kind=", "kind:"), "--tasks 'kind:classification:3'"),
        (TASKS.replace("I-Drug", "B-Drug"), "a label is listed twice"),
    ],
)
def test_task_lists_that_do_not_fit(tmp_path: Path, tasks: str | None, message: str) -> None:
    source = write_pt(tmp_path / "m.pt")
    with pytest.raises(InputError, match=message):
        convert(source, tmp_path / "out", tasks=tasks)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"state": None}, "expected the keys state and config"),
        ({"state": {"bert.pooler.dense.bias": 3}}, "expected the keys state and config"),
        ({"config": {}}, "vocab_size: Field required"),
        (
            {"state": {k: v for k, v in mtdnn_state().items() if "layer.1.output.dense.bias" not in k}},
            "no variable bert",
        ),
        ({"state": mtdnn_state() | {"scoring_list.1.weight": torch.zeros(3, 9)}}, "head 1 does not fit"),
    ],
)
def test_contents_that_do_not_fit(tmp_path: Path, content: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        convert(write_pt(tmp_path / "m.pt", **content), tmp_path / "out", tasks=TASKS)
    assert "\n" not in str(caught.value)


FIXTURE_TASKS = "sts=regression:1,rel=classification:5,a=tagging:6,b=tagging:6,nli=san-classification:3"


@pytest.mark.parametrize("name", ["model", "model_legacy", "model_ema", "model_enum_config"])
def test_fixture_logits(shared: Path, tmp_path: Path, name: str) -> None:
    folder, vocab = shared / "fixtures" / "mtdnn", shared / "fixtures" / "tf_bert" / "plain" / "vocab.txt"
    convert(folder / f"{name}.pt", tmp_path / "out", vocab=vocab, tasks=FIXTURE_TASKS)
    model = MultiTaskModel.from_pretrained(tmp_path / "out")
    expected = np.load(folder / "expected.npz")
    inputs = {key: torch.from_numpy(expected[key]) for key in ("input_ids", "token_type_ids", "attention_mask")}
    for number, task in enumerate(model.tasks):
        logits = expected[f"task{number}_logits"]
        with torch.inference_mode():
            found = model.logits(task, **inputs).reshape(logits.shape).numpy()
        np.testing.assert_allclose(found, logits, rtol=0, atol=1e-5, err_msg=task)


@pytest.mark.parametrize(
    ("name", "tolerance"),
    [
        ("model", 1e-5),
        ("stripped", 1e-5),
        ("stripped_legacy", 1e-5),
        ("stripped_gamma_beta", 1e-5),
        ("stripped_position_ids", 1e-5),
        ("stripped_fp16", 2e-3),
    ],
)
def test_fixture_encoders(shared: Path, tmp_path: Path, name: str, tolerance: float) -> None:
    folder, vocab = shared / "fixtures" / "mtdnn", shared / "fixtures" / "tf_bert" / "plain" / "vocab.txt"
    convert(folder / f"{name}.pt", tmp_path / "out", vocab=vocab, encoder_only=True)
    expected = np.load(folder / "expected.npz")
    inputs = {key: torch.from_numpy(expected[key]) for key in ("input_ids", "token_type_ids", "attention_mask")}
    with torch.inference_mode():
        outputs = transformers.AutoModel.from_pretrained(tmp_path / "out").eval()(**inputs)
    np.testing.assert_allclose(outputs.pooler_output.numpy(), expected["pooled_output"], rtol=0, atol=tolerance)
    np.testing.assert_allclose(outputs.last_hidden_state.numpy(), expected["encoder_layer_1"], rtol=0, atol=tolerance)


def test_fixture_converted_by_the_old_script(shared: Path, tmp_path: Path) -> None:
    root = shared / "fixtures"
    convert(root / "mtdnn" / "converted_from_tf.pt", tmp_path / "a", vocab=root / "tf_bert" / "plain" / "vocab.txt")
    convert(root / "tf_bert" / "plain", tmp_path / "b", encoder_only=True)
    old, new = (transformers.AutoModel.from_pretrained(tmp_path / name).state_dict() for name in "ab")
    assert old.keys() == new.keys()
    assert all(torch.equal(value, new[name]) for name, value in old.items())
