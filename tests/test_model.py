"""One encoder pass for any tasks, outputs independent of other rows, and the saved folder."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import biomtl
import tiny
from biomtl.batch import collate, encode_examples
from biomtl.errors import InputError
from biomtl.inference.predict import predict_records
from biomtl.model import FORMAT, MultiTaskModel, read_manifest
from biomtl.tasks.head import HeadChoice
from biomtl.tasks.task import Task


@pytest.fixture(scope="module")
def model(bert: Path) -> MultiTaskModel:
    return tiny.model(bert, tiny.TASKS, max_length=16).eval()


@pytest.fixture(scope="module")
def records() -> dict[str, list[dict[str, Any]]]:
    found = {name: tiny.records(name, 6) for name in tiny.TASKS}
    rng = random.Random(1)
    for name in found:
        if "tag" not in name:  # a text that needs several windows
            found[name].append(tiny.record(name, rng, 99))
            key = "text" if name.endswith("text") else "text_b"
            found[name][-1][key] = " ".join(tiny.sentence(rng, 60))
    return found


def counted_calls(model: MultiTaskModel, monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """The shapes of every encoder pass from now on."""
    calls: list[tuple[int, int]] = []
    original = model.encoder.network.forward  # type: ignore[union-attr]

    def forward(**inputs: Any) -> Any:
        calls.append(tuple(inputs["input_ids"].shape))
        return original(**inputs)

    monkeypatch.setattr(model.encoder.network, "forward", forward)
    return calls


def test_one_encoder_pass_per_batch_for_any_tasks(
    model: MultiTaskModel, records: dict[str, list[dict[str, Any]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    examples = encode_examples(model.processor, model.tasks, records, targets=True, choices=model.choices)
    batch = collate(examples, model.processor)
    calls = counted_calls(model, monkeypatch)
    outputs = model(batch.inputs, batch.tasks)
    assert len(calls) == 1
    assert set(outputs) == set(tiny.TASKS)
    assert all(answer.loss.ndim == 0 and torch.isfinite(answer.loss) for answer in outputs.values())
    assert {name: answer.count for name, answer in outputs.items()} == {
        name: batch.loss_denominator(name) for name in outputs
    }


def test_a_text_of_several_tasks_is_encoded_once(model: MultiTaskModel, monkeypatch: pytest.MonkeyPatch) -> None:
    sentences = {name: tiny.records(name, 20) for name in ("tag-drug", "tag-illness")}
    assert [r["tokens"] for r in sentences["tag-drug"]] == [r["tokens"] for r in sentences["tag-illness"]]
    calls = counted_calls(model, monkeypatch)
    predict_records(model, {"tag-drug": sentences["tag-drug"]})
    alone = sum(rows for rows, _ in calls)
    calls.clear()
    predict_records(model, sentences)
    assert sum(rows for rows, _ in calls) == alone


def test_the_same_text_in_different_inputs(model: MultiTaskModel) -> None:
    """A text alone, in a pair, and in a separately encoded pair: three inputs, whatever the tasks."""
    text = "pola zalpidine ."
    pair = {"text_a": text, "text_b": "rimu ."}
    asked = {"cls-text": [{"text": text}] * 2, "reg-text": [{"text": text}]}
    asked |= {"cls-pair": [pair], "multi-pair": [pair], "cls-apart": [pair], "reg-apart": [pair]}
    examples = encode_examples(model.processor, model.tasks, asked, targets=False, choices=model.choices)
    assert [sorted(example.tasks) for example in examples] == [
        ["cls-text", "reg-text"],
        ["cls-pair", "multi-pair"],
        ["cls-apart", "reg-apart"],
    ]
    assert sum(len(example.task_examples) for example in examples) == 7
    assert [len(example.rows) for example in examples] == [1, 1, 2]


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 10_000), budget=st.integers(16, 400))
def test_outputs_do_not_depend_on_other_rows(
    model: MultiTaskModel, records: dict[str, list[dict[str, Any]]], seed: int, budget: int
) -> None:
    alone = outputs_one_by_one(model, records)
    rng = random.Random(seed)
    shuffled = {name: rng.sample(rows, len(rows)) for name, rows in rng.sample(list(records.items()), len(records))}
    examples = encode_examples(model.processor, model.tasks, shuffled, targets=False, choices=model.choices)
    rng.shuffle(examples)
    width = max(1, budget // 16)
    seen = 0
    with torch.inference_mode():
        for start in range(0, len(examples), width):
            batch = collate(examples[start : start + width], model.processor)
            for name, answer in model(batch.inputs, batch.tasks).items():
                parts = answer.outputs.split(batch.tasks[name].output_counts)
                for example, part in zip(batch.examples[name], parts, strict=True):
                    key = (name, shuffled[name][example.index]["id"])
                    np.testing.assert_allclose(part.numpy(), alone[key], atol=1e-5)
                    seen += 1
    assert seen == len(alone)


_ALONE: dict[int, dict[tuple[str, str], np.ndarray]] = {}


def outputs_one_by_one(
    model: MultiTaskModel, records: dict[str, list[dict[str, Any]]]
) -> dict[tuple[str, str], np.ndarray]:
    """Every record's outputs from a batch of its own, computed once."""
    if id(model) not in _ALONE:
        found = {}
        with torch.inference_mode():
            for name, rows in records.items():
                for row in rows:
                    (example,) = encode_examples(
                        model.processor, model.tasks, {name: [row]}, targets=False, choices=model.choices
                    )
                    batch = collate([example], model.processor)
                    found[name, row["id"]] = model(batch.inputs, batch.tasks)[name].outputs.numpy()
        _ALONE[id(model)] = found
    return _ALONE[id(model)]


def test_a_long_text_is_the_mean_of_its_windows(model: MultiTaskModel) -> None:
    text = " ".join(tiny.sentence(random.Random(5), 60))
    (example,) = encode_examples(
        model.processor, model.tasks, {"cls-text": [{"text": text}]}, targets=False, choices=model.choices
    )
    assert len(example.rows) > 3
    batch = collate([example], model.processor)
    with torch.inference_mode():
        whole = model(batch.inputs, batch.tasks)["cls-text"].outputs
        rows = model.logits("cls-text", **batch.inputs)
    torch.testing.assert_close(whole, rows.mean(0, keepdim=True))


def test_separately_encoded_pairs_have_no_logits_per_row(model: MultiTaskModel) -> None:
    ids = torch.ones(2, 4, dtype=torch.long)
    with pytest.raises(InputError, match="compares two texts that are encoded separately"):
        model.logits("reg-apart", input_ids=ids)
    with pytest.raises(InputError, match="no task 'cls-tex', did you mean 'cls-text'"):
        model.logits("cls-tex", input_ids=ids)


def test_logits_without_a_mask(model: MultiTaskModel) -> None:
    ids = torch.randint(5, 100, (2, 7), generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(
        model.logits("cls-text", input_ids=ids, attention_mask=None, token_type_ids=None),
        model.logits("cls-text", input_ids=ids, attention_mask=torch.ones_like(ids)),
    )


def test_the_saved_folder(model: MultiTaskModel, tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "model"
    model.save_pretrained(folder)
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["format"] == FORMAT
    assert manifest["biomtl"] == biomtl.__version__
    assert manifest["encoder"] == "transformer"
    assert manifest["max_length"] == 16
    assert list(manifest["tasks"]) == list(tiny.TASKS)
    assert manifest["tasks"]["cls-text"] == {"type": "classification", "inputs": "text", "labels": ["none", "drug"]}
    for name in tiny.TASKS:
        assert sorted(path.name for path in (folder / "heads" / name).iterdir()) == ["head.json", "head.safetensors"]
        saved = json.loads((folder / "heads" / name / "head.json").read_text())
        assert saved.keys() == {"task", "head"}
        assert Task.model_validate(saved["task"]) == model.tasks[name]
        assert HeadChoice.model_validate(saved["head"]) == model.choices[name]
    assert {path.name for path in folder.iterdir()} >= {"config.json", "model.safetensors", "tokenizer.json", "heads"}
    assert [path.name for path in tmp_path.joinpath("deep").iterdir()] == ["model"]
    with pytest.raises(InputError, match="already exists"):
        model.save_pretrained(folder)
    model.save_pretrained(folder, overwrite=True)


def test_some_heads_of_a_saved_model(model: MultiTaskModel, tmp_path: Path) -> None:
    model.save_pretrained(tmp_path / "run" / "model")
    some = MultiTaskModel.from_pretrained(tmp_path / "run", tasks=["tag-drug"])
    assert list(some.tasks) == ["tag-drug"]
    assert not some.training
    with pytest.raises(InputError, match="no task 'tag-drugs', did you mean 'tag-drug'"):
        MultiTaskModel.from_pretrained(tmp_path / "run", tasks=["tag-drugs"])
    with pytest.raises(InputError, match="max_length 65, expected at most the encoder's 64 positions"):
        MultiTaskModel.from_pretrained(tmp_path / "run", max_length=65)
    other = MultiTaskModel.from_pretrained(tmp_path / "run", max_length=40, stride=7)
    assert (other.processor.max_length, other.processor.stride) == (40, 7)  # type: ignore[attr-defined]


BROKEN = (
    *("", "[]", "{}", '{"format": 1}', '{"format": 99, "tasks": {}}'),
    *(f'{{"format": 2, "tasks": {{}}, "max_length": 8, "files": {files}}}' for files in ("null", "[]", "1")),
)


@pytest.mark.parametrize("content", [*BROKEN, "\x00"])
def test_a_broken_manifest_gives_a_one_line_error(tmp_path: Path, content: str) -> None:
    (tmp_path / "manifest.json").write_text(content)
    with pytest.raises(InputError) as caught:
        read_manifest(tmp_path)
    assert "\n" not in str(caught.value)


def test_no_model(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"not a biomtl model, expected manifest\.json"):
        MultiTaskModel.from_pretrained(tmp_path)
    with pytest.raises(InputError, match="not a biomtl model"):
        MultiTaskModel.from_pretrained(tmp_path / "nothing")


@pytest.mark.parametrize("damage", ["gone", "short", "other", "json"])
def test_a_broken_head_gives_a_one_line_error(model: MultiTaskModel, tmp_path: Path, damage: str) -> None:
    model.save_pretrained(tmp_path / "m")
    manifest = tmp_path / "m" / "manifest.json"
    older = {key: value for key, value in json.loads(manifest.read_text()).items() if key not in ("files", "sha256")}
    manifest.write_text(json.dumps(older))
    place = tmp_path / "m" / "heads" / "cls-text"
    weights = place / "head.safetensors"
    if damage == "gone":
        weights.unlink()
    elif damage == "short":
        weights.write_bytes(weights.read_bytes()[:40])
    elif damage == "other":
        weights.write_bytes((tmp_path / "m" / "heads" / "cls-pair" / "head.safetensors").read_bytes())
    else:
        (place / "head.json").write_text('{"name": "cls-text"')
    with pytest.raises(InputError, match=r"the head can't be loaded|head\.json: not JSON") as caught:
        MultiTaskModel.from_pretrained(tmp_path / "m")
    assert "\n" not in str(caught.value)


def test_heads_come_and_go(bert: Path) -> None:
    model = MultiTaskModel.from_encoder(bert, [tiny.task("cls-text"), tiny.task("tag-drug")])
    dotted = tiny.task("cls-pair").model_copy(update={"name": "my.own.task"})
    model.add_task(dotted)
    assert model.head("my.own.task") is not None
    model.keep_tasks(["my.own.task", "cls-text"])
    assert list(model.tasks) == ["cls-text", "my.own.task"]
    assert not any("tag" in key for key in model.state_dict())
    wrong = tiny.task("cls-text").model_copy(update={"inputs": "tokens"})
    with pytest.raises(InputError, match="inputs 'tokens' for type classification, expected text or pair"):
        model.add_task(wrong)
    unknown = tiny.task("cls-text").model_copy(update={"type": "taging"})
    with pytest.raises(InputError, match="unknown type 'taging', did you mean 'tagging'"):
        model.add_task(unknown)


@pytest.mark.parametrize("name", ["type", "items", "training", "half", "_modules"])
def test_a_task_may_be_named_like_an_attribute_of_a_module(bert: Path, tmp_path: Path, name: str) -> None:
    if name[0] == "_":
        with pytest.raises(ValueError, match="pattern"):
            Task.model_validate({**tiny.TASKS["cls-text"], "name": name})
        return
    task = Task.model_validate({**tiny.TASKS["cls-text"], "name": name})
    model = MultiTaskModel.from_encoder(bert, [task])
    model.save_pretrained(tmp_path / "model")
    again = MultiTaskModel.from_pretrained(tmp_path / "model")
    assert again.state_dict().keys() == model.state_dict().keys()
    again.keep_tasks([])
    assert not again.heads
