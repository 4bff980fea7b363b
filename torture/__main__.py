"""``python -m torture [kills|damage|fuzz …]``: try what docs/promises.md says; figures go to ``torture/results``."""

from __future__ import annotations

import argparse
import random
import re
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from torture.results import FOLDER, Results
from torture.setting import workplace

COUNTS = {"kills": 1_000, "damage": 5_000, "fuzz": 10_000_000}
SHORT = {"kills": 10, "damage": 30, "fuzz": 3_000}
SHORT_KILLS = "^(finetune|predict|convert-tf|download)$"
SAVE_EVERY = 10.0  # seconds


def main() -> None:
    """Run trials until their count or their time is reached; exit code 1 if anything went wrong."""
    parser = argparse.ArgumentParser(prog="python -m torture", description=__doc__)
    parser.add_argument("what", nargs="*", help="kills, damage, fuzz; default all three")
    parser.add_argument("--count", type=int, help=f"trials in all (of fuzz, inputs), default {COUNTS}")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="stop each kind after this time")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="", help="only scenarios, cases or readers with this pattern in their name")
    parser.add_argument("--results", type=Path, default=FOLDER, help="folder of the counts")
    parser.add_argument("--fresh", action="store_true", help="begin anew instead of going on")
    parser.add_argument("--short", action="store_true", help=f"the form of the test suite: {SHORT}")
    options = parser.parse_args()
    kinds = {"kills": kills, "damage": damage, "fuzz": fuzz}
    if unknown := set(options.what) - set(kinds):
        parser.error(f"unknown: {', '.join(unknown)}")
    bad = False
    with workplace(inputs=options.what != ["fuzz"]) as (work, inputs):
        for what in options.what or kinds:
            results = Results.open(options.results / f"{what}.json", options.seed, options.fresh)
            count, only = COUNTS[what] if options.count is None else options.count, options.only
            if options.short:
                count, only = SHORT[what], only or (SHORT_KILLS if what == "kills" else "")
            wrong, done = results.wrong, kinds[what](results, count, options.seconds, only, work, inputs)
            print(f"{done:,} {what} in {results.seconds:,.0f} s, {results.wrong} wrong: {results.path}", flush=True)
            bad = bad or results.wrong > wrong
    sys.exit(bad)


def repeat(
    results: Results, enough: Callable[[], bool], seconds: float, trial: Callable[[random.Random], None]
) -> None:
    """Number the trials from where the results stand; each has a random stream of its own."""
    start = saved = time.monotonic()
    try:
        while not enough() and time.monotonic() - start < seconds:
            before, known = time.monotonic(), len(results.problems)
            trial(random.Random(f"{results.seed}-{results.trials}"))
            results.trials += 1
            results.seconds += time.monotonic() - before
            for problem in results.problems[known:]:
                print(problem, flush=True)
            if time.monotonic() - saved > SAVE_EVERY:
                results.save()
                saved = time.monotonic()
    finally:
        results.save()


def named(only: str, names: Sequence[str]) -> list[int]:
    """The places of the names that fit the pattern."""
    return [i for i, name in enumerate(names) if re.search(only, name)]


def kills(results: Results, count: int, seconds: float, only: str, work: Path, inputs: Path) -> int:
    """Kill commands."""
    from torture.kills import Killer
    from torture.scenarios import SCENARIOS
    from torture.trees import tree

    chosen = [SCENARIOS[i] for i in named(only, [scenario.name for scenario in SCENARIOS])]
    weights = [scenario.weight for scenario in chosen]
    killer, untouched = Killer(inputs, work), tree(inputs)

    def trial(rng: random.Random) -> None:
        (scenario,) = rng.choices(chosen, weights)
        done = killer.trial(scenario, rng)
        if done.counted:
            results.count(killed=done.scenario, signal=done.signal, moment=done.moment, left=done.left)
        else:
            results.count(over_before_the_kill=done.scenario)
        if done.problem:
            results.problem(scenario=done.scenario, signal=done.signal, moment=done.detail, what=done.problem)

    repeat(results, lambda: results.total("killed") >= count, seconds, trial)
    if tree(inputs) != untouched:
        results.problem(scenario="all", what="an input was changed")
        results.save()
    return results.total("killed")


def damage(results: Results, count: int, seconds: float, only: str, work: Path, inputs: Path) -> int:
    """Damage files."""
    from torture.damage import CASES, Damager

    chosen = [CASES[i] for i in named(only, [case.name for case in CASES])]
    damager = Damager(inputs, work)

    def trial(rng: random.Random) -> None:
        done = damager.trial(chosen, rng)
        results.count(read=done.case, damage=done.damage, outcome=done.outcome)
        results.highest(seconds=done.ended.seconds, megabytes=done.ended.peak / 2**20)
        if done.problem:
            results.problem(command=done.command, file=done.file, damage=done.damage, what=done.problem)

    repeat(results, lambda: results.trials >= count, seconds, trial)
    return results.trials


def fuzz(results: Results, count: int, seconds: float, only: str, work: Path, inputs: Path) -> int:
    """Fuzz readers, each for some seconds at a time."""
    from fuzz.targets import TARGETS
    from torture.fuzzing import SLICE, fuzz_slice

    names = [list(TARGETS)[i] for i in named(only, list(TARGETS))]
    longest = min(SLICE, seconds / len(names), count / len(names) / 500)

    def trial(rng: random.Random) -> None:
        name = names[results.trials % len(names)]
        done = fuzz_slice(name, f"{results.seed}-{results.trials}", longest, work)
        results.count(inputs=name, times=done["inputs"])
        results.count(refused=name, times=done["refused"])
        results.highest(seconds=done["slowest"], megabytes=done["peak"] / 2**20)
        for problem in done["problems"]:
            results.problem(reader=name, **problem)

    repeat(results, lambda: results.total("inputs") >= count, seconds, trial)
    return results.total("inputs")


if __name__ == "__main__":
    main()
