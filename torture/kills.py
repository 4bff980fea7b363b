"""Kill commands at random moments and just before operations on files, and look at what they leave."""

from __future__ import annotations

import contextlib
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from torture.forked import LONGEST, PATIENCE, Ended, Started, left_behind, run
from torture.inputs import InputsError
from torture.scenarios import Scenario, filled
from torture.trees import Tree, difference, tree

SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
CODES = {signal.SIGKILL: -signal.SIGKILL, signal.SIGTERM: 128 + signal.SIGTERM, signal.SIGINT: 128 + signal.SIGINT}
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
CHANGES = {"os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.link", "os.symlink", "os.truncate", "os.chmod"}
"""Audit events of operations that change a folder; opening for writing and ``fsync`` count too."""
_CHECKPOINT = re.compile(r"out/checkpoints/step-")
MINE = "mine.txt"  # a user's file beside every output
FROM_START = 0.04  # share of the trials that start the program anew instead of forking
STARTING = 1.5  # seconds, within which such a trial is killed


@dataclass(frozen=True)
class Reference:
    """What a scenario does undisturbed."""

    whole: Tree
    loose: frozenset[str]
    """Files that differ between two undisturbed runs."""
    seconds: float
    operations: int
    old: Path | None
    """What another command left under the output's name."""


@dataclass(frozen=True)
class Killed:
    """One trial: ``problem`` is empty if all was well, ``counted`` false if the command was over before the kill."""

    scenario: str
    signal: str
    moment: str
    detail: str
    left: str
    problem: str
    counted: bool = True


def count_operations(act: Callable[[int], None]) -> None:
    """Call ``act`` with 1, 2 … just before each operation of this process that changes files."""
    process, count = os.getpid(), 0
    sync = os.fsync

    def step() -> None:
        nonlocal count
        if os.getpid() == process:
            count += 1
            act(count)

    def hook(event: str, arguments: tuple[object, ...]) -> None:
        if event == "open":
            mode, flags = arguments[1], arguments[2]
            writes = any(sign in mode for sign in "wax+") if isinstance(mode, str) else int(str(flags)) & WRITING
            if writes and not str(arguments[0]).startswith("/dev/"):
                step()
        elif event in CHANGES:
            step()

    def synced(descriptor: int) -> None:
        step()
        sync(descriptor)

    os.fsync = synced
    sys.addaudithook(hook)


class Killer:
    """Runs the scenarios in one trial folder, always the same, so that paths in outputs are equal too."""

    def __init__(self, inputs: Path, work: Path) -> None:
        self.inputs, self.work = inputs, work
        self.folder, self.scratch, self.olds = work / "trial", work / "scratch", work / "old"
        for folder in (self.scratch, self.olds):
            folder.mkdir(parents=True, exist_ok=True)
        self.references: dict[str, Reference] = {}

    def trial(self, scenario: Scenario, rng: random.Random) -> Killed:
        """One command, one kill, one look, one command more."""
        reference = self.reference(scenario)
        number = rng.choice(SIGNALS)
        replacing = reference.old is not None and rng.random() < 0.4
        with self._fresh(scenario, reference if replacing else None):
            words = filled(scenario.words, self.inputs) + ["--overwrite"] * replacing
            if rng.random() < FROM_START and scenario.before is None:  # which can't run in a program of its own
                after = rng.uniform(0, STARTING)
                moment, detail = "while the program starts", f"{after:.3f} s"
                ended, left = self._kill_starting(words, number, after)
            elif rng.random() < 0.5:
                at = rng.randint(1, reference.operations)
                moment, detail = "before an operation", f"operation {at} of {reference.operations}"
                ended, left = self._kill_before(scenario, words, number, at)
            else:
                after = rng.uniform(0, reference.seconds)
                moment, detail = "at random", f"{after:.3f} of {reference.seconds:.3f} s"
                ended, left = self._kill_after(scenario, words, number, after)
            counted = ended.code != 0
            state, torn = self._look(scenario, reference, replacing)
            python = moment == "while the program starts" or state == "new"
            problem = _manners(ended, number, python) if counted else ""
            if left:
                problem = problem or f"{len(left)} processes live on"
            again = "--overwrite" if state == "old" else rng.choice(scenario.again)
            problem = problem or torn or self._again(scenario, reference, again, finished=not counted or state == "new")
            detail += f"{', replacing' * replacing}, then {again or 'the same'}"
        return Killed(scenario.name, signal.Signals(number).name, moment, detail, state, problem, counted)

    def reference(self, scenario: Scenario) -> Reference:
        """What the scenario does when nobody kills it; found once."""
        if scenario.name not in self.references:
            self.references[scenario.name] = self._measure(scenario)
        return self.references[scenario.name]

    def _measure(self, scenario: Scenario) -> Reference:
        counted = self.scratch / "operations"

        def count() -> None:
            if scenario.before:
                scenario.before()
            count_operations(lambda at: os.write(descriptor, b"!") and None)

        trees = []
        for _ in range(2):
            descriptor = os.open(counted, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            with self._fresh(scenario, None):
                ended = Started(filled(scenario.words, self.inputs), self.folder, self.scratch, count).wait()
                self._expect_success(scenario.words, ended)
                trees.append(tree(self.folder))
            os.close(descriptor)
        # A page for people shows times, sometimes the same twice.
        loose = frozenset(n for n in trees[0] if trees[0][n] != trees[1].get(n) or n.endswith(".html"))
        if difference(trees[0], trees[1], loose):
            raise InputsError(f"{scenario.name}: two runs leave other files: {difference(trees[0], trees[1], loose)}")
        old = None
        if scenario.other:
            old = self.olds / scenario.name
            with self._fresh(scenario, None):
                self._expect_success(
                    scenario.other, run(filled(scenario.other, self.inputs), self.folder, self.scratch)
                )
                shutil.copytree(self.folder, old)
        return Reference(trees[0], loose, ended.seconds, counted.stat().st_size, old)

    def _expect_success(self, words: tuple[str, ...], ended: Ended) -> None:
        if ended.code:
            raise InputsError(f"biomtl {' '.join(words)}: code {ended.code}\n{ended.err}")

    @contextlib.contextmanager
    def _fresh(self, scenario: Scenario, reference: Reference | None) -> Iterator[None]:
        """The trial folder with a user's file, and the output that is to be replaced, if any."""
        shutil.rmtree(self.folder, ignore_errors=True)
        if reference is not None and reference.old is not None:
            shutil.copytree(reference.old, self.folder)
        else:
            self.folder.mkdir()
            (self.folder / MINE).write_text("a user's own\n", encoding="utf-8")
        yield
        shutil.rmtree(self.folder)

    def _kill_before(self, scenario: Scenario, words: list[str], number: int, at: int) -> tuple[Ended, list[int]]:
        def act(count: int) -> None:
            if count == at:
                os.kill(os.getpid(), number)

        def before() -> None:
            if scenario.before:
                scenario.before()
            count_operations(act)

        started = Started(words, self.folder, self.scratch, before)
        return started.wait(), left_behind(started.pid)

    def _kill_after(self, scenario: Scenario, words: list[str], number: int, after: float) -> tuple[Ended, list[int]]:
        started = Started(words, self.folder, self.scratch, scenario.before)
        time.sleep(max(0.0, started.begun + after - time.monotonic()))
        with contextlib.suppress(ProcessLookupError):
            started.kill(number)
        return started.wait(), left_behind(started.pid)

    def _kill_starting(self, words: list[str], number: int, after: float) -> tuple[Ended, list[int]]:
        """The same of the installed program, of which nothing is imported yet."""
        outputs = [self.scratch / name for name in ("stdout", "stderr")]
        program = [str(Path(sys.executable).parent / "biomtl"), *words]
        with outputs[0].open("wb") as out, outputs[1].open("wb") as err:
            process = subprocess.Popen(
                program,
                cwd=self.folder,
                stdout=out,
                stderr=err,
                start_new_session=True,
                preexec_fn=_heed_interrupts,
            )
        time.sleep(after)
        process.send_signal(number)
        try:
            code = process.wait(PATIENCE * LONGEST)
        except subprocess.TimeoutExpired:
            process.kill()
            return Ended(process.wait(), "", "", after, 0, hung=True), []
        said = [path.read_text(encoding="utf-8", errors="replace") for path in outputs]
        return Ended(code, said[0], said[1], after, 0), left_behind(process.pid)

    def _look(self, scenario: Scenario, reference: Reference, replacing: bool) -> tuple[str, str]:
        """What stands under the output's name, and what is wrong with it."""
        names = {name.partition("/")[0] for name in reference.whole} - {".", MINE}
        found = {name: value for name, value in tree(self.folder).items() if name.partition("/")[0] in names}
        if scenario.goes_on:  # what a download goes on from is no part of the output
            found = {name: value for name, value in found.items() if not name.startswith("out/.")}
            found = {} if set(found) == {"out"} else found
        whole = {name: value for name, value in reference.whole.items() if name.partition("/")[0] in names}
        if (self.folder / MINE).read_text(encoding="utf-8") != "a user's own\n":
            return "?", "the user's own file is gone"
        if not difference(found, whole, reference.loose):
            return "new", ""
        if replacing and reference.old is not None:
            old = {name: value for name, value in tree(reference.old).items() if name.partition("/")[0] in names}
            if not difference(found, old):
                return "old", ""
        if not found:
            return "absent", "what was to be replaced is gone" if replacing else ""
        if not scenario.run:
            return "torn", f"the output is torn: {difference(found, whole, reference.loose)}"
        torn = [name for name in found if name.endswith(".json") and _is_torn(self.folder / name)]
        if replacing and not any(name.endswith("model/manifest.json") for name in found):
            torn = ["model/manifest.json (the old model is gone, the new one is not there)"]
        return "unfinished", f"torn: {torn[0]}" if torn else ""

    def _again(self, scenario: Scenario, reference: Reference, option: str, finished: bool) -> str:
        """Give the command again; what is wrong with what it makes."""
        words = filled(scenario.words, self.inputs) + [option] * bool(option)
        ended = self._command(scenario, words)
        if option == "--resume" and ended.code == 2 and not finished and "nothing to resume" in ended.err:
            ended = self._command(scenario, [*filled(scenario.words, self.inputs), "--overwrite"])
        if option == "--resume" and ended.code == 2 and finished and "finished" in ended.err:
            return ""
        if ended.code:
            return f"afterwards {option or 'the same'} ends with {ended.code}: {ended.err[-300:]}"
        found, whole = tree(self.folder), reference.whole
        if option == "--resume":  # a signal's checkpoint is one more, and an older one goes for it
            found, whole = ({n: v for n, v in t.items() if not _CHECKPOINT.match(n)} for t in (found, whole))
        if wrong := difference(found, whole, reference.loose):
            return f"afterwards {option or 'the same'} succeeds, but {wrong}"
        return ""

    def _command(self, scenario: Scenario, words: list[str]) -> Ended:
        return Started(words, self.folder, self.scratch, scenario.before).wait()


def _heed_interrupts() -> None:
    """A program that a shell started in the background ignores SIGINT, and so would its children."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def _manners(ended: Ended, number: int, python: bool) -> str:
    """What is wrong with how a killed command ended; ``python`` itself, starting or ending, ends by the signal.

    A traceback without a line of biomtl is Python's own, which was interrupted before it had read one.
    """
    if ended.hung:
        return "hung"
    if ended.code != CODES[signal.Signals(number)] and not (python and ended.code == -number):
        return f"code {ended.code}: {ended.err[-300:]}"
    if "Traceback" in ended.err and not (python and f"{os.sep}biomtl{os.sep}" not in ended.err):
        return f"a traceback: {ended.err[-300:]}"
    return ""


def _is_torn(path: Path) -> bool:
    import json

    try:
        json.loads(path.read_bytes())
    except ValueError:
        return True
    return False
