"""Every family: heads as the stock classes have them, whatever the batch, saved and loaded."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file

import tiny
from biomtl.encoders.transformer import StockHead, TransformerEncoder
from biomtl.errors import InputError
from biomtl.inference.predict import predict_records
from biomtl.model import MultiTaskModel

family = pytest.mark.parametrize("family", tiny.FAMILIES)
TEXTS = ["pola zalpidine rimu .", "korinosis .", "milo dasu brentolol quari fenatitis suno ."]


@pytest.fixture(scope="module")
def models(encoders: dict[str, Path]) -> dict[str, MultiTaskModel]:
    """A model with every task type and way of input on each family, dropout off."""
    tasks = [tiny.task(name) for name in tiny.TASKS]
    torch.manual_seed(0)
    built = {
        name: MultiTaskModel.from_encoder(folder, tasks, max_length=32).eval() for name, folder in encoders.items()
    }
    with torch.no_grad():
        for model in built.values():
            for parameter in model.heads.parameters():
                if parameter.ndim == 2:
                    parameter.mul_(20)  # fresh heads say nearly the same of every text
    return built


def inputs_of(model: MultiTaskModel, pairs: bool) -> dict[str, torch.Tensor]:
    """Tokenized as any user of transformers would."""
    second = [TEXTS[::-1]] if pairs else []
    return dict(model.processor.tokenizer(TEXTS, *second, padding=True, return_tensors="pt"))  # type: ignore[attr-defined]


def stock_model(model: MultiTaskModel, name: str) -> Any:
    """The ordinary class with the encoder's and the head's weights, loaded strictly."""
    head = model.head(name)
    assert isinstance(head.network, StockHead)
    tagging = model.tasks[name].type == "tagging"
    kind = transformers.AutoModelForTokenClassification if tagging else transformers.AutoModelForSequenceClassification
    config = transformers.AutoConfig.for_model(**model.encoder.config.to_dict())  # type: ignore[attr-defined]
    config.num_labels = max(len(model.tasks[name].labels), 1)
    stock = kind.from_config(config)
    prefix = stock.base_model_prefix
    encoder = {f"{prefix}.{k}": v for k, v in model.encoder.network.state_dict().items()}  # type: ignore[union-attr]
    weights = {k: v for k, v in encoder.items() if k in stock.state_dict()}  # token classifiers have no pooler
    weights |= {k.removeprefix("network.stock."): v for k, v in head.state_dict().items()}
    assert weights.keys() == stock.state_dict().keys()
    stock.load_state_dict(weights)
    return stock.eval()


@family
@pytest.mark.parametrize(
    "name", ["cls-text", "cls-pair", "reg-text", "reg-pair", "multi-text", "multi-pair", "tag-drug"]
)
def test_logits_equal_the_stock_class(models: dict[str, MultiTaskModel], family: str, name: str) -> None:
    model = models[family]
    inputs = inputs_of(model, pairs=name.endswith("pair"))
    with torch.no_grad():
        ours = model.logits(name, **inputs)
        theirs = stock_model(model, name)(**inputs).logits
    labels = max(len(model.tasks[name].labels), 1)
    assert ours.shape == ((3, inputs["input_ids"].shape[1], labels) if name == "tag-drug" else (3, labels))
    assert ours.std() > 1e-2  # not a constant, which would equal anything
    torch.testing.assert_close(ours, theirs, atol=1e-6, rtol=1e-5)


@family
def test_fresh_heads_are_initialised_as_the_family_does(encoders: dict[str, Path], family: str) -> None:
    encoder = TransformerEncoder.load(encoders[family])
    config = transformers.AutoConfig.from_pretrained(encoders[family], num_labels=3)
    for head, auto_class in (
        (encoder.sequence_head(3), transformers.AutoModelForSequenceClassification),
        (encoder.token_head(3), transformers.AutoModelForTokenClassification),
    ):
        fresh = auto_class.from_config(config).state_dict()
        for key, value in head.state_dict().items():
            own = fresh[key.removeprefix("stock.")]
            if value.ndim == 2:
                assert own.std() / 1.5 < value.std() < own.std() * 1.5, key
            else:
                assert torch.equal(value, own), key


@family
def test_saved_and_loaded(models: dict[str, MultiTaskModel], family: str, tmp_path: Path) -> None:
    model = models[family]
    model.save_pretrained(tmp_path / "model")
    again = MultiTaskModel.from_pretrained(tmp_path / "model")
    assert again.tasks == model.tasks
    assert again.processor.max_length == 32
    first, second = model.state_dict(), again.state_dict()
    assert first.keys() == second.keys()
    assert all(torch.equal(first[key], second[key]) for key in first)
    inputs = inputs_of(model, pairs=False)
    with torch.no_grad():
        torch.testing.assert_close(
            again.logits("cls-text", **inputs), model.logits("cls-text", **inputs), atol=0, rtol=0
        )
    # The encoder's part is an ordinary folder.
    plain = transformers.AutoModel.from_pretrained(tmp_path / "model").eval()
    with torch.no_grad():
        hidden = model.encoder(inputs).hidden
        torch.testing.assert_close(plain(**inputs).last_hidden_state, hidden, atol=1e-6, rtol=1e-5)
    assert not [path for path in tmp_path.rglob("*") if path.suffix in (".bin", ".pt", ".pkl")]


@pytest.mark.parametrize("name", ["roberta", "modernbert", "deberta"])
def test_a_tokenizer_that_numbers_the_texts_for_an_encoder_that_knows_none(
    models: dict[str, MultiTaskModel], name: str
) -> None:
    inputs = inputs_of(models[name], pairs=True)
    expected = models[name].logits("cls-pair", **inputs)
    inputs["token_type_ids"] = torch.ones_like(inputs["input_ids"])
    torch.testing.assert_close(models[name].logits("cls-pair", **inputs), expected)


@family
def test_longest_row(encoders: dict[str, Path], family: str) -> None:
    MultiTaskModel.from_encoder(encoders[family], [], max_length=64)
    with pytest.raises(InputError, match="max_length 65, expected at most the encoder's 64 positions"):
        MultiTaskModel.from_encoder(encoders[family], [], max_length=65)


@pytest.mark.parametrize("name", ["bert", "roberta"])
def test_the_longest_row_can_be_encoded(encoders: dict[str, Path], name: str) -> None:
    model = MultiTaskModel.from_encoder(encoders[name], [], max_length=64).eval()
    ids = torch.full((1, 64), 7)
    hidden = model.encoder({"input_ids": ids, "attention_mask": torch.ones_like(ids)}).hidden
    assert torch.isfinite(hidden).all()
    assert hidden.shape == (1, 64, 32)


@pytest.mark.parametrize(("kind", "padding", "longest"), [("mpnet", 1, 38), ("xlm-roberta", 3, 36), ("albert", 3, 40)])
def test_longest_row_of_other_families(kind: str, padding: int, longest: int) -> None:
    """Families that number positions from the padding id upwards take fewer."""
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    config = transformers.AutoConfig.for_model(
        kind, vocab_size=20, max_position_embeddings=40, pad_token_id=padding, **sizes
    )
    encoder = TransformerEncoder.from_config(config)
    assert encoder.max_positions == longest
    ids = torch.full((1, longest), 7)
    assert torch.isfinite(encoder({"input_ids": ids, "attention_mask": torch.ones_like(ids)}).hidden).all()


def copy_of(folder: Path, target: Path) -> Path:
    shutil.copytree(folder, target)
    return target


def test_a_folder_without_weights(bert: Path, tmp_path: Path) -> None:
    folder = copy_of(bert, tmp_path / "e")
    (folder / "model.safetensors").unlink()
    with pytest.raises(InputError, match=r"no model.safetensors, expected the weights of this bert encoder"):
        TransformerEncoder.load(folder)
    (folder / "pytorch_model.bin").write_bytes(b"\x80\x04pickle")
    with pytest.raises(InputError, match="only pickled weights"):
        TransformerEncoder.load(folder)
    with pytest.raises(InputError, match=r"no config.json"):
        TransformerEncoder.load(tmp_path)


def test_pickled_weights_are_not_read_beside_other_safetensors(bert: Path, tmp_path: Path) -> None:
    folder = copy_of(bert, tmp_path / "e")
    (folder / "model.safetensors").rename(folder / "adapter.safetensors")
    torch.save(TransformerEncoder.load(bert).network.state_dict(), folder / "pytorch_model.bin")
    with pytest.raises(InputError, match="no encoder could be loaded"):
        TransformerEncoder.load(folder)


@pytest.mark.parametrize("size", [0, 5, 200, 10_000])
def test_a_truncated_weights_file_gives_a_one_line_error(bert: Path, tmp_path: Path, size: int) -> None:
    folder = copy_of(bert, tmp_path / "e")
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:size])
    with pytest.raises(InputError, match="no encoder could be loaded") as caught:
        TransformerEncoder.load(folder)
    assert "\n" not in str(caught.value)


def test_missing_weights_are_not_initialised_at_random(bert: Path, tmp_path: Path) -> None:
    folder = copy_of(bert, tmp_path / "e")
    tensors = load_file(folder / "model.safetensors")
    del tensors["encoder.layer.1.output.dense.weight"]
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(InputError, match=r"lack 1 of the encoder's tensors \(encoder.layer.1.output.dense.weight"):
        TransformerEncoder.load(folder)


def test_a_missing_pooler_is_initialised_at_random(bert: Path, tmp_path: Path) -> None:
    folder = copy_of(bert, tmp_path / "e")
    tensors = load_file(folder / "model.safetensors")
    kept = {key: value for key, value in tensors.items() if "pooler" not in key}
    save_file(kept, folder / "model.safetensors", metadata={"format": "pt"})
    assert len(kept) < len(tensors)
    assert TransformerEncoder.load(folder).dim == 32


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"model_type": "nothing-known"}'])
def test_a_broken_configuration_gives_a_one_line_error(bert: Path, tmp_path: Path, text: str) -> None:
    folder = copy_of(bert, tmp_path / "e")
    (folder / "config.json").write_text(text)
    with pytest.raises(InputError, match="no encoder could be loaded") as caught:
        TransformerEncoder.load(folder)
    assert "\n" not in str(caught.value)


def test_code_in_the_folder_is_not_run(bert: Path, tmp_path: Path) -> None:
    folder = copy_of(bert, tmp_path / "e")
    config = json.loads((folder / "config.json").read_text())
    config |= {"model_type": "evil", "auto_map": {"AutoConfig": "evil.C", "AutoModel": "evil.M"}}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "evil.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w').close()")
    with pytest.raises(InputError, match="Python code of its own"):
        TransformerEncoder.load(folder)
    assert not (tmp_path / "ran").exists()


def test_gradient_checkpointing_gives_equal_gradients(
    models: dict[str, MultiTaskModel], encoders: dict[str, Path]
) -> None:
    gradients = []
    for checkpointing in (False, True):
        encoder = TransformerEncoder.load(encoders["bert"]).train()
        if checkpointing:
            encoder.gradient_checkpointing()
        torch.manual_seed(3)
        encoder(inputs_of(models["bert"], pairs=False)).hidden.pow(2).sum().backward()
        gradients.append([p.grad for p in encoder.parameters() if p.grad is not None])
    assert len(gradients[0]) == len(gradients[1]) > 20
    for first, second in zip(*gradients, strict=True):
        torch.testing.assert_close(first, second)


def test_saving_shows_no_progress_bar(bert: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    encoder = TransformerEncoder.load(bert)
    transformers.logging.enable_progress_bar()
    try:
        encoder.save(tmp_path)
    finally:
        transformers.logging.disable_progress_bar()
    assert capsys.readouterr().err == ""


def test_a_model_with_a_decoder_gives_a_one_line_error(tmp_path: Path) -> None:
    sizes = {f"{side}_{name}": 1 for side in ("encoder", "decoder") for name in ("layers", "attention_heads")}
    config = transformers.BartConfig(vocab_size=20, d_model=8, encoder_ffn_dim=8, decoder_ffn_dim=8, **sizes)
    transformers.BartModel(config).save_pretrained(tmp_path / "bart")
    with pytest.raises(InputError, match="a bart with a decoder, expected an encoder") as caught:
        TransformerEncoder.load(tmp_path / "bart")
    assert "\n" not in str(caught.value)


def test_a_classifier_of_the_last_position_reads_no_padding(tmp_path: Path) -> None:
    torch.manual_seed(0)
    words = tiny.tokenizer("bert")
    sizes = {"vocab_size": len(words), "d_model": 32, "n_layer": 1, "n_head": 2, "d_inner": 48}
    transformers.XLNetModel(transformers.XLNetConfig(**sizes, pad_token_id=3)).save_pretrained(tmp_path / "xlnet")
    words.save_pretrained(tmp_path / "xlnet")
    model = tiny.model(tmp_path / "xlnet", ["cls-text"], max_length=32).eval()
    with torch.no_grad():
        for parameter in model.heads.parameters():
            parameter.mul_(20)
    records = [{"id": str(i), "text": text} for i, text in enumerate(TEXTS)]
    together = predict_records(model, {"cls-text": records})["cls-text"]
    for record, wanted in zip(records, together, strict=True):
        (alone,) = predict_records(model, {"cls-text": [record]})["cls-text"]
        assert alone["probabilities"] == pytest.approx(wanted["probabilities"], abs=1e-5)


def test_settings_that_only_a_head_reads(bert: Path) -> None:
    config = transformers.AutoConfig.from_pretrained(bert)
    config.classifier_dropout = 1e300
    with pytest.raises(InputError, match="no AutoModelForTokenClassification can be made of the encoder"):
        StockHead("AutoModelForTokenClassification", config, 3)
