"""Feed changed samples to every reader, as fast as one process goes: millions of inputs, slice by slice."""

from __future__ import annotations

import base64
import json
import random
import re
import signal
import time
import traceback
from pathlib import Path
from types import FrameType
from typing import Any

from torture.damage import MOST
from torture.forked import Started
from torture.mutate import mutated

SLICE = 10.0  # seconds that a target has before the next one comes
LONGEST = 20  # seconds for one input
POOL = 400  # inputs from which others are made
TOO_LARGE = 20_000  # bytes; larger ones are not made others from
_DETAIL = re.compile(r"\d+|'[^']*'|\"[^\"]*\"|\(.*\)")


class HungError(Exception):
    """An input takes too long."""


def fuzz_slice(name: str, seed: str, seconds: float, work: Path) -> dict[str, Any]:
    """One target for some seconds in a process of its own: inputs, slowest input, memory, and what went wrong."""
    report = work / "report.json"
    report.unlink(missing_ok=True)
    started = Started(lambda: _fuzz(name, seed, seconds, report), work, work / "scratch")
    ended = started.wait(seconds + 2 * LONGEST)
    facts: dict[str, Any] = {"inputs": 0, "slowest": 0.0, "refused": 0, "problems": []}
    if report.is_file():
        facts |= json.loads(report.read_text(encoding="utf-8"))
    if ended.code or ended.hung:
        facts["problems"].append({"what": "hung" if ended.hung else f"code {ended.code}: {ended.err[-600:]}"})
    if ended.peak > MOST:
        facts["problems"].append({"what": f"{ended.peak >> 20:,} MB of memory"})
    return facts | {"peak": ended.peak}


def _fuzz(name: str, seed: str, seconds: float, report: Path) -> None:
    """The life of a slice. Inputs with an outcome that was not seen before are changed further."""
    from biomtl.errors import BiomtlError
    from fuzz import targets

    rng, target = random.Random(seed), targets.TARGETS[name]
    pool = targets.samples(name)
    outcomes: set[str] = set()
    problems: list[dict[str, str]] = []
    inputs = refused = 0
    slowest = 0.0
    signal.signal(signal.SIGALRM, _too_long)
    now = begun = time.monotonic()
    while now - begun < seconds and len(problems) < 20:
        content = mutated(rng, rng.choice(pool), rng.choice(pool))
        outcome = ""
        signal.setitimer(signal.ITIMER_REAL, LONGEST)
        try:
            target(content)
        except BiomtlError as error:
            outcome = str(error)
            refused += 1
            if targets.WHERE not in outcome or "\n" in outcome:
                problems.append(_problem(f"an error without its file or in two lines: {outcome}", content))
        except Exception as error:
            outcome = f"{type(error).__name__} {error}"
            place = "".join(traceback.format_tb(error.__traceback__)[-3:])
            problems.append(_problem(f"{outcome[:300]}\n{place}", content))
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
        inputs += 1
        before, now = now, time.monotonic()
        slowest = max(slowest, now - before)
        shape = _DETAIL.sub("", outcome)[:200]
        if shape not in outcomes or (not outcome and rng.random() < 0.02):
            outcomes.add(shape)
            if len(content) < TOO_LARGE:
                pool.append(content)
                if len(pool) > POOL:
                    del pool[rng.randrange(POOL)]
    facts = {"inputs": inputs, "refused": refused, "slowest": slowest, "outcomes": len(outcomes), "problems": problems}
    report.write_text(json.dumps(facts), encoding="utf-8")


def _too_long(number: int, frame: FrameType | None) -> None:
    raise HungError(f"over {LONGEST} s")


def _problem(what: str, content: bytes) -> dict[str, str]:
    return {"what": what, "input": base64.b64encode(content[:3000]).decode()}
