"""bfloat16 where it is slow: one warning, and the computation goes on."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from biomtl.inference.predictor import Predictor
from biomtl.training.precision import slow_bf16

Command = Callable[..., Any]


@pytest.fixture(params=[True, False])
def supported(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """A CPU with instructions for bfloat16, and one without."""
    import torch

    monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: request.param)
    return request.param


def test_only_a_cpu_without_instructions_is_slow(supported: bool) -> None:
    assert (slow_bf16("cpu") is None) == supported
    assert slow_bf16("cuda") is None


def test_predict_says_so_and_computes_in_bfloat16(command: Command, small_model: Path, supported: bool) -> None:
    text = "pola zalpidine rimu ."
    ended = command("predict", small_model, "--bf16", stdin=text.encode())
    assert ended.code == 0
    assert ended.err.count("no instructions for bfloat16") == (not supported)
    found = json.loads(ended.out)["tasks"]
    half, full = (Predictor(small_model, bf16=bf16)([text])[0] for bf16 in (True, False))
    assert found == json.loads(json.dumps({name: result.to_dict() for name, result in half.items()}))
    assert found != json.loads(json.dumps({name: result.to_dict() for name, result in full.items()}))
