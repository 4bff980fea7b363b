"""Checkpoints as the current MT-DNN trainer writes them."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

from biomtl.checkpoints.convert import convert
from biomtl.errors import InputError
from biomtl.model import MultiTaskModel
from mtdnn_checkpoints import definitions, packages, state, write_current
from old_checkpoints import write_pt

INPUTS = {
    "input_ids": torch.tensor([[2, 5, 6, 3, 11, 3], [2, 9, 3, 5, 3, 0]]),
    "token_type_ids": torch.tensor([[0, 0, 0, 0, 1, 1], [0, 0, 0, 1, 1, 0]]),
    "attention_mask": torch.tensor([[1, 1, 1, 1, 1, 1], [1, 1, 1, 1, 1, 0]]),
}


def expected(layout: str, number: int, hidden: torch.Tensor) -> torch.Tensor:
    """The reference's logits of a head: its pooler over the first position, then its linear layer."""
    weights = state(layout)
    if number == 3:
        x = hidden
    else:
        pooler = f"scoring_list.{number}.0.dense" if layout == "own" else "pooler.dense"
        x = hidden[:, 0] @ weights[f"{pooler}.weight"].T + weights[f"{pooler}.bias"]
        x = x.tanh() if layout == "shared" else x
    last = f"scoring_list.{number}" + (".1" if layout == "own" else "")
    return x @ weights[f"{last}.weight"].T + weights[f"{last}.bias"]


@pytest.mark.parametrize("layout", ["own", "shared"])
def test_heads_and_tasks_are_those_of_the_file(tmp_path: Path, layout: str) -> None:
    report = convert(write_current(tmp_path / "in" / "model.pt", layout), tmp_path / "out")
    assert (report.result, report.unused, report.skipped) == ("MultiTaskModel", [], {})
    assert "data_utils" not in sys.modules
    model = MultiTaskModel.from_pretrained(tmp_path / "out")
    assert {name: (task.type, task.inputs) for name, task in model.tasks.items()} == {
        "nli": ("classification", "pair"),
        "kind": ("classification", "text"),
        "sts": ("regression", "pair"),
        "ner": ("tagging", "tokens"),
        "rank": ("ranking", "candidates"),
    }
    assert model.tasks["nli"].labels == ("no", "yes")
    assert model.tasks["kind"].labels == ("a|b", "c,d", "e")
    assert model.tasks["ner"].labels == ("O", "B-X", "I-X", "X")
    assert [model.tasks[name].metric for name in ("nli", "sts", "ner")] == [
        "micro_f1_positive",
        "spearman",
        "entity_f1_conlleval",
    ]
    with torch.inference_mode():
        hidden = model.encoder(INPUTS).hidden
        for number, name in enumerate(model.tasks):
            found = model.logits(name, **INPUTS)
            torch.testing.assert_close(found, expected(layout, number, hidden), msg=name)


def test_a_linear_tagger_without_dropout(tmp_path: Path) -> None:
    convert(write_current(tmp_path / "in" / "model.pt", dropout=False), tmp_path / "out")
    assert MultiTaskModel.from_pretrained(tmp_path / "out").tasks["ner"].type == "tagging"


def test_since_february_2022_the_pooler_has_no_activation(tmp_path: Path) -> None:
    for layout, activation in (("shared", "tanh"), ("own", "none")):
        report = convert(write_current(tmp_path / layout / "model.pt", layout), tmp_path / f"{layout}-out")
        assert any(f"pooler is {activation}" in note for note in report.notes)


def test_heads_may_be_named_by_hand(tmp_path: Path) -> None:
    names = "a=pair-classification:2,b=classification:x|y|z,c=regression:1,d=tagging:4,e=ranking:1"
    convert(write_current(tmp_path / "in" / "model.pt"), tmp_path / "out", tasks=names)
    model = MultiTaskModel.from_pretrained(tmp_path / "out")
    assert model.tasks["b"].labels == ("x", "y", "z")
    assert model.choices["a"].name == "pooler"


def test_labels_that_do_not_fit_are_not_used(tmp_path: Path) -> None:
    more = {"scoring_list.1.1.weight": torch.randn(5, 8), "scoring_list.1.1.bias": torch.randn(5)}
    report = convert(write_current(tmp_path / "in" / "model.pt", weights=more), tmp_path / "out")
    assert "kind: 3 labels for 5 outputs, so they are not used" in report.notes
    assert MultiTaskModel.from_pretrained(tmp_path / "out").tasks["kind"].labels[0] == "LABEL_0"


def test_a_converted_tagger_is_fine_tuned_on_data_without_marks(tmp_path: Path, command: Callable[..., Any]) -> None:
    """Its labels have an ``X`` for continuation pieces, ours don't."""
    convert(write_current(tmp_path / "in" / "model.pt"), tmp_path / "model")
    rows = 'a.0\t["B-X", "O"]\t["pola", "vono"]\nb.0\t["O"]\t["rimu"]\n'
    (tmp_path / "ner.tsv").write_text(rows)
    (tmp_path / "own.yaml").write_text(
        "tasks: {ner: {type: tagging, format: mtdnn, files: {train: ner.tsv, dev: ner.tsv}}}\n"
    )
    call = ["finetune", tmp_path / "model", "--task", "ner", "--data", tmp_path / "own.yaml", "--out", tmp_path / "run"]
    ended = command(*call, "num_train_epochs=1", "max_length=12")
    assert ended.code == 0, ended.err
    assert MultiTaskModel.from_pretrained(tmp_path / "run").tasks["ner"].labels == ("O", "B-X", "I-X", "X")


def test_a_head_type_without_a_counterpart_is_left_out(tmp_path: Path) -> None:
    with packages() as kinds:
        tasks = definitions(kinds)
        tasks["rank"].loss, tasks["rank"].task_type = kinds.LossCriterion.Mlm, kinds.TaskType.MaskLM
        source = write_current(tmp_path / "in" / "model.pt", kinds=kinds, task_def_list=list(tasks.values()))
    report = convert(source, tmp_path / "out")
    assert "rank: a head without a counterpart here is left out" in report.notes
    assert "scoring_list.4.1.weight" in report.skipped
    assert list(MultiTaskModel.from_pretrained(tmp_path / "out").tasks) == ["nli", "kind", "sts", "ner"]


@pytest.mark.parametrize("names", [["nli"], "nli", ["nli", 3, "a", "b", "c"], None])
def test_settings_without_a_name_for_each_head(tmp_path: Path, names: Any) -> None:
    source = write_current(tmp_path / "in" / "model.pt", train_datasets=names)
    with pytest.raises(InputError, match=r"5 heads without a name.*task0=classification:2"):
        convert(source, tmp_path / "out")
    convert(source, tmp_path / "out", encoder_only=True)


def test_the_encoder_alone(tmp_path: Path) -> None:
    """Whatever the heads are, and even without a pooler."""
    odd = {name: value for name, value in state("own").items() if "bert.pooler" not in name}
    odd["scoring_list.7.decoder.weight"] = torch.zeros(3)
    report = convert(write_pt(tmp_path / "model.pt", state=odd), tmp_path / "out", encoder_only=True)
    assert report.result == "BertModel"
    assert any("no pooler" in note for note in report.notes)
    assert "scoring_list.7.decoder.weight" in report.skipped


@pytest.mark.parametrize("family", ["roberta", "electra"])
def test_other_encoder_families_are_not_read_as_bert(tmp_path: Path, family: str) -> None:
    """Their tensors have a BERT's names, but they number positions differently, or have embeddings of another width."""
    small = {
        "vocab_size": 20, "hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 12,
        "max_position_embeddings": 18, "type_vocab_size": 1 if family == "roberta" else 2,
    }  # fmt: skip
    small |= {"embedding_size": 8} if family == "electra" else {}
    torch.manual_seed(0)
    network = transformers.AutoModel.from_config(transformers.AutoConfig.for_model(family, **small)).eval()
    weights = {f"bert.{name}": value for name, value in network.state_dict().items()}
    weights |= {"scoring_list.0.0.dense.weight": torch.zeros(8, 8), "scoring_list.0.1.weight": torch.zeros(2, 8)}
    settings = small | {"model_type": family, "encoder_type": 2, "auto_map": {"AutoModel": "x.Y"}, "epochs": 5}
    source = write_pt(tmp_path / "in" / "model.pt", state=weights, config=settings)
    with pytest.raises(InputError, match=rf"heads on a {family}, expected a BERT.*--encoder-only"):
        convert(source, tmp_path / "out")
    report = convert(source, tmp_path / "out", encoder_only=True)
    assert report.result == type(network).__name__
    config = json.loads((tmp_path / "out" / "config.json").read_text())
    assert not config.keys() & {"auto_map", "epochs"}
    again = transformers.AutoModel.from_pretrained(tmp_path / "out").eval()
    with torch.inference_mode():
        ids = torch.tensor([[2, 5, 6, 3]])
        torch.testing.assert_close(again(ids).last_hidden_state, network(ids).last_hidden_state)
    del weights["bert.encoder.layer.1.output.dense.weight"]
    with pytest.raises(InputError, match=r"1 tensors of a .* are missing, first encoder"):
        convert(write_pt(source, state=weights, config=settings), tmp_path / "b", encoder_only=True)
