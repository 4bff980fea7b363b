"""The option ``--bf16`` of the commands that compute."""

from __future__ import annotations

from biomtl.cli.say import say
from biomtl.training.precision import slow_bf16


def chosen(bf16: bool) -> bool:
    """Return the option; warn on standard error if it is slow here."""

    note = slow_bf16() if bf16 else None
    if note:
        say(note, err=True)
    return bf16
