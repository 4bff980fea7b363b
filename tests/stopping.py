"""Runs that stop in the middle, as if their process had been killed."""

from __future__ import annotations

from typing import Any

import pytest

from biomtl.training.log import RunLog


class StoppedError(Exception):
    """The process ends here."""


def stop_after(step: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the run end when it has logged a step."""
    original = RunLog.step

    def stopping(self: RunLog, done: Any) -> None:
        original(self, done)
        if done.step == step:
            raise StoppedError

    monkeypatch.setattr(RunLog, "step", stopping)
