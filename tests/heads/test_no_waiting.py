"""No head waits for the device: all run on ``meta``, which has no values, and copy nothing to or from the CPU."""

from __future__ import annotations

import inspect
import pkgutil
from collections.abc import Iterator
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

import biomtl.heads
import elmo_data
import tiny
from biomtl.batch import collate, encode_examples
from biomtl.encoders.base import Encoded, RowNetwork
from biomtl.heads.base import Head
from biomtl.heads.seq2seq import SEQ2SEQ_MODULES, Seq2Seq
from biomtl.heads.seq2vec import SEQ2VEC_MODULES, Seq2Vec
from biomtl.model import MultiTaskModel
from biomtl.tasks.head import HeadChoice
from biomtl.tasks.task import Task

META = torch.device("meta")
# The sizes of their batches stay on the CPU.
PACKED = ("_pack_padded_sequence", "_pad_packed_sequence", "lstm", "gru", "rnn_")
TASKS = {name: tiny.task(name) for name in tiny.TASKS} | {
    "pick": Task(name="pick", type="ranking", inputs="candidates", metric="mean_reciprocal_rank"),
    "find": Task(name="find", type="span", inputs="pair", metric="span_token_f1"),
}
RANKED = {"text": "pola rimu", "candidates": ["vono", "zalpidine milo", "dasu"], "label": 1}
FOUND = {"text_a": "pola zalpidine rimu", "text_b": "teksa vono", "start": 5, "end": 14}
Case = tuple[str, HeadChoice]
CASES: list[Case] = [
    *((name, tiny.head(name)) for name in tiny.TASKS),
    *(("cls-text", tiny.head("cls-text", seq2vec=name, size=4)) for name in SEQ2VEC_MODULES),
    *(("tag-drug", tiny.head("tag-drug", seq2seq=name, size=4)) for name in SEQ2SEQ_MODULES),
    ("tag-drug", tiny.head("tag-drug", crf=True, norm="batch")),
    ("tag-drug", tiny.head("tag-drug", class_weights=[0.5, 2.0, 0.5])),
    ("cls-apart", tiny.head("cls-apart", seq2vec="lstm", class_weights=[1.0, 2.0, 0.5])),
    ("multi-text", tiny.head("multi-text", norm="layer", class_weights=[1.0, 2.0, 0.5])),
    ("reg-text", tiny.head("reg-text", hidden=4)),
    *(("reg-apart", tiny.head("reg-apart", compare=name)) for name in ("distance", "cosine")),
    ("cls-pair", HeadChoice(name="san")),
    ("cls-text", HeadChoice(adapter=8)),
    ("tag-drug", HeadChoice(adapter=8)),
    ("cls-pair", HeadChoice(name="san", options={"cell": "lstm", "attention": "full", "reads": "first"})),
    *((name, HeadChoice(name="pooler")) for name in ("cls-text", "multi-text", "reg-pair", "pick")),
    ("pick", HeadChoice()),
    ("pick", HeadChoice(pairs="apart")),
    ("find", HeadChoice()),
]


class NoWaiting(TorchDispatchMode):
    """Refuses operations on several devices: a copy, or an index that lies elsewhere, waits for one of them."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        given = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
        devices = {leaf.device for leaf in given if leaf.ndim or leaf.device == META}
        if given and kwargs.get("device") is not None:
            devices.add(torch.device(kwargs["device"]))
        name = func.overloadpacket.__name__
        assert len(devices) < 2 or name.startswith(PACKED), f"{func} reads or writes on {sorted(map(str, devices))}"
        return func(*args, **kwargs)


def on_meta(encoded: Encoded) -> Encoded:
    """The same without values, and without a layout: that has to come with the task's rows."""
    values = {name: getattr(encoded, name) for name in ("hidden", "mask", "pooled", "segments")}
    return Encoded(**{name: None if value is None else value.to(META) for name, value in values.items()})


def model_of(encoder: Path, case: Case) -> MultiTaskModel:
    name, choice = case
    return MultiTaskModel.from_encoder(encoder, [TASKS[name]], heads={name: choice}, max_length=24)


def records_of(name: str) -> list[dict[str, Any]]:
    return {"pick": [RANKED] * 3, "find": [FOUND] * 3}.get(name) or tiny.records(name, 6)


@pytest.fixture(scope="module")
def bilm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return elmo_data.write_bilm(tmp_path_factory.mktemp("bilm") / "elmo")


def run(encoder: Path, case: Case) -> None:
    name, _ = case
    model = model_of(encoder, case)
    records = {name: records_of(name)}
    examples = encode_examples(model.processor, model.tasks, records, targets=True, choices=model.choices)
    batch = collate(examples, model.processor)
    with torch.no_grad():
        encoded = on_meta(model.encoder(batch.inputs))
    # An adapter uses the encoder's pooler.
    head, rows = model.to(META).head(name), batch.to(META).tasks[name]
    for training in (True, False):
        with NoWaiting():
            answer = head.train(training).answer(encoded, rows)
            assert answer.loss is not None
            answer.loss.backward()
        assert answer.outputs.device == META


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case[0]} {case[1].name} {case[1].options}")
def test_heads_of_a_transformer(bert: Path, case: Case) -> None:
    run(bert, case)


@pytest.mark.parametrize("name", ["cls-text", "reg-apart", "tag-drug"])
def test_heads_of_a_bilm(bilm: Path, name: str) -> None:
    run(bilm, (name, tiny.head(name)))
    run(bilm, (name, tiny.head(name, **({"seq2seq": "lstm"} if name == "tag-drug" else {"seq2vec": "lstm"}))))


def test_markers_beside_a_text(bert: Path) -> None:
    name = "rel-levitated"
    model = model_of(bert, (name, tiny.head(name)))
    given = {name: records_of(name)}
    examples = encode_examples(model.processor, model.tasks, given, targets=True, choices=model.choices)
    batch = collate(examples, model.processor).to(META)
    model.to(META)
    with NoWaiting():
        model.encoder(batch.inputs)


def test_a_layout_from_the_mask_would_be_noticed(bert: Path) -> None:
    case = ("tag-drug", tiny.head("tag-drug", seq2seq="lstm"))
    model = model_of(bert, case)
    examples = encode_examples(model.processor, model.tasks, {"tag-drug": records_of("tag-drug")}, targets=True)
    batch = collate(examples, model.processor)
    rows = replace(batch.to(META).tasks["tag-drug"], layout=None)
    head = model.head("tag-drug").to(META)
    encoded = on_meta(model.encoder(batch.inputs))
    with NoWaiting(), pytest.raises((AssertionError, NotImplementedError)):
        head.answer(encoded, rows)


def parts() -> Iterator[type]:
    """Every class of heads, of their networks, and of the layers in them."""
    for module in pkgutil.walk_packages(biomtl.heads.__path__, "biomtl.heads."):
        for _, value in inspect.getmembers(import_module(module.name), inspect.isclass):
            if issubclass(value, Head | RowNetwork | Seq2Vec | Seq2Seq) and not inspect.isabstract(value):
                yield value


def test_no_head_is_left_out(bert: Path) -> None:
    seen = {type(module) for case in CASES for module in model_of(bert, case).heads.modules()}
    assert set(parts()) - seen == set(), "add a case of such a head to CASES"
