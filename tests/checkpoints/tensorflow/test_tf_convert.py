"""TensorFlow checkpoints as Hugging Face folders: heads, tokenizer, outputs, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers

from biomtl.checkpoints.convert import convert
from biomtl.checkpoints.tensorflow import Bundle
from biomtl.checkpoints.tensorflow.locate import find_prefix
from biomtl.errors import InputError
from old_checkpoints import PIECES, SETTINGS, bert_variables, write_sharded, write_tf


@pytest.mark.parametrize(
    ("heads", "architecture"),
    [
        ((), "BertModel"),
        (("mlm", "nsp"), "BertForPreTraining"),
        (("mlm",), "BertForMaskedLM"),
        (("nsp",), "BertForNextSentencePrediction"),
        (("classifier",), "BertForSequenceClassification"),
        (("squad",), "BertForQuestionAnswering"),
    ],
)
def test_heads_are_kept_where_a_stock_class_has_them(tmp_path: Path, heads: tuple[str, ...], architecture: str) -> None:
    variables = bert_variables(*heads)
    report = convert(write_tf(tmp_path / "in", variables), tmp_path / "out")
    assert (report.result, report.unused, set(report.used)) == (architecture, [], set(variables))
    network, info = getattr(transformers, architecture).from_pretrained(tmp_path / "out", output_loading_info=True)
    assert not info["missing_keys"]
    encoder, info = transformers.AutoModel.from_pretrained(tmp_path / "out", output_loading_info=True)
    assert not info["missing_keys"]
    kernel = variables["bert/encoder/layer_1/intermediate/dense/kernel"]
    assert torch.equal(encoder.encoder.layer[1].intermediate.dense.weight, torch.from_numpy(kernel.T.copy()))
    query = variables["bert/encoder/layer_0/attention/self/query/kernel"]
    assert torch.equal(encoder.encoder.layer[0].attention.self.query.weight, torch.from_numpy(query.T.copy()))
    if heads == ("classifier",):
        assert torch.equal(network.classifier.weight, torch.from_numpy(variables["output_weights"]))
        assert network.config.num_labels == 3


def test_encoder_only_and_a_second_head_are_listed(tmp_path: Path) -> None:
    source = write_tf(tmp_path / "in", bert_variables("mlm", "classifier"))
    report = convert(source, tmp_path / "one")
    assert report.result == "BertForSequenceClassification"
    assert "cls/predictions/output_bias" in report.unused
    report = convert(source, tmp_path / "two", encoder_only=True)
    assert report.result == "BertModel"
    assert "output_weights" in report.unused


def test_training_variables_are_skipped_by_rule_and_checked(tmp_path: Path) -> None:
    extra = {"global_step": np.array(5), "bert/pooler/dense/bias/adam_m": np.ones(8, dtype=np.float32)}
    source = write_tf(tmp_path / "in", {**bert_variables(), **extra, "other/thing": np.ones(3, dtype=np.float32)})
    report = convert(source, tmp_path / "out")
    assert set(report.skipped) == set(extra)
    assert report.unused == ["other/thing"]
    written = json.loads((tmp_path / "out" / "conversion.json").read_text())
    assert written["unused"] == ["other/thing"]
    assert written["files"]["vocab.txt"]
    data = source / "bert_model.ckpt.data-00000-of-00001"
    content = bytearray(data.read_bytes())
    content[Bundle(source / "bert_model.ckpt")._entries["bert/pooler/dense/bias/adam_m"].offset] ^= 1
    data.write_bytes(content)
    with pytest.raises(InputError, match="variable bert/pooler/dense/bias/adam_m: the checksum"):
        convert(source, tmp_path / "again")


@pytest.mark.parametrize("shards", [1, 3])
def test_shards_and_partitions_give_the_same(tmp_path: Path, shards: int) -> None:
    variables = bert_variables("mlm", "nsp")
    convert(write_tf(tmp_path / "plain", variables), tmp_path / "expected")
    source = write_tf(tmp_path / "in", {})
    for path in source.glob("bert_model*"):
        path.unlink()
    parts = {"bert/embeddings/word_embeddings": (0, 3), "bert/encoder/layer_1/intermediate/dense/kernel": (1, 2)}
    write_sharded(source / "bert_model.ckpt", variables, shards, parts)
    convert(source, tmp_path / "out")
    written = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("expected", "out")]
    assert written[0] == written[1]


def test_object_based_checkpoints_that_keep_the_names(tmp_path: Path) -> None:
    variables = bert_variables()
    keys = {f"model/{name}/.ATTRIBUTES/VARIABLE_VALUE": value for name, value in variables.items()}
    keys["save_counter/.ATTRIBUTES/VARIABLE_VALUE"] = np.array(1)
    report = convert(write_tf(tmp_path / "in", keys), tmp_path / "out")
    assert len(report.used) == len(variables)
    assert report.skipped


def test_other_object_based_checkpoints_are_refused(tmp_path: Path) -> None:
    keys = {"encoder/layer-0/kernel/.ATTRIBUTES/VARIABLE_VALUE": np.ones((2, 2), dtype=np.float32)}
    with pytest.raises(InputError, match="no variable bert/embeddings/word_embeddings"):
        convert(write_tf(tmp_path / "in", keys), tmp_path / "out")


def test_round_trip(tmp_path: Path) -> None:
    variables = bert_variables("mlm", "nsp")
    source = write_tf(tmp_path / "in", variables)
    convert(source, tmp_path / "hf")
    convert(tmp_path / "hf", tmp_path / "tf", target_format="tf")
    bundle = Bundle(tmp_path / "tf" / "bert_model.ckpt")
    assert set(bundle.variables) == set(variables)
    assert all(bundle.read(name).tobytes() == value.tobytes() for name, value in variables.items())
    assert (tmp_path / "tf" / "vocab.txt").read_bytes() == (source / "vocab.txt").read_bytes()
    assert json.loads((tmp_path / "tf" / "bert_config.json").read_text()).items() >= SETTINGS.items()
    convert(tmp_path / "tf", tmp_path / "again")
    written = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("hf", "again")]
    assert written[0] == written[1]


def test_source_is_folder_prefix_or_any_file(tmp_path: Path) -> None:
    source = write_tf(tmp_path / "in", bert_variables())
    prefix = source / "bert_model.ckpt"
    names = ["", "bert_model.ckpt", "bert_model.ckpt.index", "bert_model.ckpt.data-00000-of-00001", "vocab.txt"]
    assert [find_prefix(source / name) for name in names] == [prefix] * 5


def test_the_latest_of_several_is_taken(tmp_path: Path) -> None:
    source = write_tf(tmp_path / "in", bert_variables(), "model.ckpt-50")
    write_tf(source, bert_variables(), "model.ckpt-123")
    with pytest.raises(InputError, match=r"2 checkpoints \(model.ckpt-123, model.ckpt-50\)"):
        find_prefix(source)
    (source / "checkpoint").write_text(
        'model_checkpoint_path: "/somewhere/else/model.ckpt-123"\nall_model_checkpoint_paths: "model.ckpt-50"\n'
    )
    assert find_prefix(source) == source / "model.ckpt-123"


def tokenizer(source: Path, target: Path, lower: bool | None = None) -> transformers.PreTrainedTokenizerBase:
    convert(source, target, lower=lower)
    return transformers.AutoTokenizer.from_pretrained(target)


def test_lower_case_is_decided_from_the_vocabulary(tmp_path: Path) -> None:
    source = write_tf(tmp_path / "in", bert_variables())
    assert tokenizer(source, tmp_path / "lower").tokenize("POLA RIMUSA") == ["pola", "rimu", "##sa"]
    assert tokenizer(source, tmp_path / "asked", lower=False).tokenize("POLA pola") == ["[UNK]", "pola"]
    pieces = [piece if piece != "vono" else "Vono" for piece in PIECES]
    (source / "vocab.txt").write_text("\n".join(pieces) + "\n")
    made = tokenizer(source, tmp_path / "cased")
    assert made.tokenize("Vono vono") == ["Vono", "[UNK]"]
    assert made.model_max_length == 16
    assert made("pola", "rimu")["input_ids"] == [2, 5, 3, 6, 3]


def test_special_tokens_written_in_a_text_are_text(tmp_path: Path) -> None:
    source = write_tf(tmp_path / "in", bert_variables())
    assert 3 not in tokenizer(source, tmp_path / "out")("pola [SEP] rimu", add_special_tokens=False)["input_ids"]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"vocab_size": 12}, "13 pieces, expected 12"),
        ({"hidden_size": 10}, r"word_embeddings: shape \[13, 8\], expected \[13, 10\]"),
        ({"intermediate_size": 13}, r"layer_0/intermediate/dense/kernel: shape \[12, 8\], expected \[13, 8\]"),
        ({"num_hidden_layers": 1}, "layer_1/.*expected 1 encoder layers"),
        ({"num_hidden_layers": 3}, "no variable bert/encoder/layer_2/"),
        ({"num_attention_heads": 3}, "hidden_size 8 for 3 attention heads"),
        ({"hidden_size": "eight"}, "hidden_size: "),
        ({"hidden_act": "wavy"}, "hidden_act 'wavy'"),
        ({"max_position_embeddings": 17}, "position_embeddings: shape"),
    ],
)
def test_a_configuration_that_does_not_fit(tmp_path: Path, settings: dict[str, object], message: str) -> None:
    source = write_tf(tmp_path / "in", bert_variables(), **settings)
    with pytest.raises(InputError, match=message) as caught:
        convert(source, tmp_path / "out")
    assert "\n" not in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("vocab.txt", "pola\n" * 13, "no piece "),
        ("vocab.txt", "\n".join(PIECES[:-1]), "12 pieces, expected 13"),
        ("vocab.txt", b"\xff\xfe", "not UTF-8"),
        ("vocab.txt", None, "vocab.txt: no such file"),
        ("bert_config.json", None, "bert_config.json: no such file"),
        ("bert_config.json", "{", "not JSON"),
        ("bert_config.json", "[]", "a JSON list"),
        ("bert_model.ckpt.index", None, "bert_model.ckpt.index: no such file"),
    ],
)
def test_companion_files(tmp_path: Path, name: str, content: str | bytes | None, message: str) -> None:
    source = write_tf(tmp_path / "in", bert_variables())
    (source / name).unlink()
    if content is not None:
        (source / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(InputError, match=message):
        convert(source, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("name", "text"), [("nothing", None), ("notes.txt", "words"), ("model.ckpt", "words")])
def test_no_checkpoint(tmp_path: Path, name: str, text: str | None) -> None:
    if text is not None:
        (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match=r"no such checkpoint|not a TensorFlow checkpoint"):
        convert(tmp_path / name, tmp_path / "out")


def test_v1_format(tmp_path: Path) -> None:
    from biomtl.checkpoints.tensorflow.table import write_table

    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "bert_model.ckpt").write_bytes(write_table([(b"", b"")]))
    for source in (tmp_path / "in", tmp_path / "in" / "bert_model.ckpt"):
        with pytest.raises(InputError, match="old V1 format"):
            convert(source, tmp_path / "out")


@pytest.mark.parametrize("name", ["plain", "multishard", "partitioned", "classifier", "object_based"])
def test_fixture_outputs(shared: Path, tmp_path: Path, name: str) -> None:
    root = shared / "fixtures" / "tf_bert"
    report = convert(root / name, tmp_path / "out")
    assert report.unused == []
    expected = np.load(root / (name if name in ("partitioned", "classifier") else "plain") / "expected.npz")
    network = getattr(transformers, report.result).from_pretrained(tmp_path / "out").eval()
    encoder = transformers.AutoModel.from_pretrained(tmp_path / "out").eval()
    for batch in sorted({key.partition("/")[0] for key in expected.files}):
        inputs = {
            ours: torch.from_numpy(expected[f"{batch}/{theirs}"]).long()
            for ours, theirs in (
                ("input_ids", "input_ids"),
                ("attention_mask", "input_mask"),
                ("token_type_ids", "segment_ids"),
            )
        }
        with torch.inference_mode():
            outputs = encoder(**inputs, output_hidden_states=True)
            heads = network(**inputs)
        found = {"embedding_output": outputs.hidden_states[0], "pooled_output": outputs.pooler_output}
        found |= {f"encoder_layer_{i}": value for i, value in enumerate(outputs.hidden_states[1:])}
        if name == "classifier":
            found["classifier_logits"] = heads.logits
        else:
            found |= {"mlm_logits": heads.prediction_logits, "nsp_logits": heads.seq_relationship_logits}
        for key, value in found.items():
            np.testing.assert_allclose(value.numpy(), expected[f"{batch}/{key}"], rtol=0, atol=1e-5, err_msg=key)


def test_fixture_tokenizer(shared: Path, tmp_path: Path) -> None:
    root = shared / "fixtures" / "tf_bert"
    made = tokenizer(root / "plain", tmp_path / "out")
    cases = json.loads((root / "tokenizer_expected.json").read_text())["cases"]
    assert len(cases) >= 20
    for case in cases:
        assert made(case["text"], add_special_tokens=False)["input_ids"] == case["ids"], case["text"]


def test_fixture_v1(shared: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="old V1 format"):
        convert(shared / "fixtures" / "tf_bert" / "v1_format", tmp_path / "out")
