"""Merged models: by their formulas, with the heads of all."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from tokenizers.normalizers import Lowercase
from typer.testing import CliRunner

import tiny
from biomtl.checkpoints.merge import largest, merge
from biomtl.cli.main import app
from biomtl.errors import InputError
from biomtl.model import MultiTaskModel
from biomtl.tasks.calibration import Calibration

WEIGHT = "network.encoder.layer.0.output.dense.weight"


@pytest.fixture
def models(bert: Path, tmp_path: Path) -> list[Path]:
    """Three models with randomly changed weights; the last two have a task in common."""
    found = []
    for seed, names in enumerate((["cls-text"], ["tag-drug", "reg-text"], ["tag-drug"])):
        torch.manual_seed(seed)
        model = tiny.model(bert, names, max_length=24)
        with torch.no_grad():
            for weight in model.encoder.parameters():
                weight += 0.1 * torch.randn_like(weight)
        model.save_pretrained(tmp_path / f"m{seed}")
        found.append(tmp_path / f"m{seed}")
    return found


def weights(path: Path) -> torch.Tensor:
    return MultiTaskModel.from_pretrained(path).encoder.state_dict()[WEIGHT]


def test_averages(models: list[Path], bert: Path) -> None:
    merged = merge(models)
    torch.testing.assert_close(merged.encoder.state_dict()[WEIGHT], torch.stack([weights(m) for m in models]).mean(0))
    assert list(merged.tasks) == ["cls-text", "tag-drug", "reg-text"]
    heads = [MultiTaskModel.from_pretrained(m).head("tag-drug").state_dict() for m in models[1:]]
    for name, value in merged.head("tag-drug").state_dict().items():
        torch.testing.assert_close(value, (heads[0][name] + heads[1][name]) / 2)
    added = merge(models, "add", base=bert)
    torch.testing.assert_close(added.encoder.state_dict()[WEIGHT], merged.encoder.state_dict()[WEIGHT])


def test_task_vectors(models: list[Path], bert: Path) -> None:
    start = MultiTaskModel.from_encoder(bert, []).encoder.state_dict()[WEIGHT]
    vectors = torch.stack([weights(m) - start for m in models])
    half = merge(models, "add", base=bert, weight=0.5).encoder.state_dict()[WEIGHT]
    torch.testing.assert_close(half, start + 0.5 * vectors.mean(0))
    ties = merge(models, "ties", base=bert, density=0.3).encoder.state_dict()[WEIGHT] - start
    kept = torch.stack([largest(vector, 0.3) for vector in vectors])
    sign = kept.sum(0).sign()
    for at in ((0, 0), (3, 7), (11, 2), (20, 30)):
        agreeing = [float(v[at]) for v in kept if v[at] != 0 and v[at].sign() == sign[at]]
        expected = sum(agreeing) / len(agreeing) if agreeing else 0.0
        assert float(ties[at]) == pytest.approx(expected, abs=1e-6)
    dare = merge(models, "dare", base=bert, density=0.5).encoder.state_dict()[WEIGHT] - start
    assert float((dare - vectors.mean(0)).mean()) == pytest.approx(0, abs=0.02)
    again = merge(models, "dare", base=bert, density=0.5).encoder.state_dict()[WEIGHT] - start
    assert torch.equal(dare, again)


def test_the_largest_elements() -> None:
    vector = torch.tensor([0.1, -5.0, 2.0, -0.2, 1.0])
    assert largest(vector, 0.4).tolist() == [0, -5.0, 2.0, 0, 0]
    assert torch.equal(largest(vector, 1.0), vector)


def test_a_merged_model_is_a_model(models: list[Path], tmp_path: Path) -> None:
    words = ["merge", str(models[0]), str(models[1]), "--out", str(tmp_path / "merged")]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.output
    model = MultiTaskModel.from_pretrained(tmp_path / "merged")
    assert list(model.tasks) == ["cls-text", "tag-drug", "reg-text"]
    assert model.provenance["merged"]["how"] == "average"


def test_what_cannot_be_merged(models: list[Path], bert: Path, encoders: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(InputError, match="1 model, expected two or more"):
        merge(models[:1])
    with pytest.raises(InputError, match="ties without a base"):
        merge(models, "ties")
    tiny.model(encoders["roberta"], ["cls-text"], max_length=24).save_pretrained(tmp_path / "other")
    with pytest.raises(InputError, match=r"other: another encoder, expected the weights of .*m0, trained further"):
        merge([models[0], tmp_path / "other"])
    for weight in (float("nan"), float("inf")):
        with pytest.raises(InputError, match=r"weight (nan|inf), expected a number"):
            merge(models, "add", base=bert, weight=weight)
    heads = {"tag-drug": tiny.head("tag-drug", hidden=8)}
    MultiTaskModel.from_encoder(bert, [tiny.task("tag-drug")], heads=heads, max_length=24).save_pretrained(
        tmp_path / "head"
    )
    with pytest.raises(InputError, match=r"head: another head of task tag-drug"):
        merge([models[1], tmp_path / "head"])


def test_texts_are_read_in_the_longest_rows(models: list[Path], bert: Path, tmp_path: Path) -> None:
    tiny.model(bert, ["reg-text"], max_length=48).save_pretrained(tmp_path / "long")
    for order in ([models[0], tmp_path / "long"], [tmp_path / "long", models[0]]):
        assert merge(order).processor.max_length == 48


def test_tokenizers_that_cut_texts_otherwise(models: list[Path], tmp_path: Path) -> None:
    model = MultiTaskModel.from_pretrained(models[1])
    tokenizer = model.processor.tokenizer.backend_tokenizer
    tokenizer.normalizer = None if tokenizer.normalizer is not None else Lowercase()
    model.save_pretrained(tmp_path / "other")
    with pytest.raises(InputError, match=r"other: a tokenizer that cuts texts otherwise, expected that of .*m0"):
        merge([models[0], tmp_path / "other"])


def test_corrections_of_other_weights_are_dropped(models: list[Path]) -> None:
    for path in models[:2]:
        model = MultiTaskModel.from_pretrained(path)
        for name, choice in model.choices.items():
            model.choices[name] = choice.model_copy(update={"calibration": Calibration(temperature=2.0)})
        model.save_pretrained(path, overwrite=True)
    assert all(choice.calibration is None for choice in merge(models).choices.values())


def test_heads_and_encoders_that_only_look_alike(bert: Path, models: list[Path], tmp_path: Path) -> None:
    """A head that reads a pair the other way round, and an encoder for another vocabulary of the same size."""
    for order in ("ab", "ba"):
        task = tiny.task("cls-pair").model_copy(update={"order": order})
        MultiTaskModel.from_encoder(bert, [task], max_length=40).save_pretrained(tmp_path / order)
    with pytest.raises(InputError, match=r"ba: another head of task cls-pair, expected the same labels, options"):
        merge([tmp_path / "ab", tmp_path / "ba"])
    shutil.copytree(bert, tmp_path / "bert")
    path = tmp_path / "bert" / "tokenizer.json"
    settings = json.loads(path.read_text())
    pieces = settings["model"]["vocab"]
    one, other = list(pieces)[-2:]
    pieces[one], pieces[other] = pieces[other], pieces[one]
    path.write_text(json.dumps(settings))
    tiny.model(tmp_path / "bert", ["reg-text"], max_length=24).save_pretrained(tmp_path / "swapped")
    with pytest.raises(InputError, match=r"swapped: another vocabulary, expected that of .*m0"):
        merge([models[0], tmp_path / "swapped"])


def test_relation_heads_that_read_other_placeholders_or_types_are_not_averaged(bert: Path, tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = tiny.model(bert, ["rel-mask"], max_length=24)
    model.save_pretrained(tmp_path / "one")
    task = model.tasks["rel-mask"]
    for number, update in enumerate(({"types": {"X": "drug"}}, {"mask_order": "text"}, {"mask_order": "arguments"})):
        model.tasks["rel-mask"] = task.model_copy(update={"relation": task.relation.model_copy(update=update)})
        model.save_pretrained(tmp_path / f"{number}")
    merge([tmp_path / "one", tmp_path / "0", tmp_path / "1"])  # as in models from before there was a choice
    with pytest.raises(InputError, match="another head of task rel-mask"):
        merge([tmp_path / "one", tmp_path / "2"])
