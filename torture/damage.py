"""Damage one file and give it to a command that reads it: success, or one line and exit code 2, in time and memory."""

from __future__ import annotations

import fnmatch
import random
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from torture import mutate
from torture.cases import CASES, Case, Reading
from torture.forked import Ended, run
from torture.inputs import InputsError

LONGEST = 20.0  # seconds of processor time
MOST = 1 << 30  # bytes of memory
ODD = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
"""What must not reach a terminal."""
Damage = Callable[[random.Random, bytes], bytes]
ANY: dict[str, Damage] = {
    "bits flipped": mutate.flipped,
    "truncated": lambda rng, content: content[: rng.randrange(len(content))] if content else b"",
    "emptied": lambda rng, content: b"",
    "bytes changed": lambda rng, content: mutate.mutated(rng, content, content),
    "random bytes": lambda rng, content: rng.randbytes(rng.choice((1, 10, 1000))),
    "lengthened": lambda rng, content: content + rng.randbytes(rng.randint(1, 100)),
}
BY_NAME: dict[str, tuple[str, Damage]] = {
    ".json": ("another kind of JSON", mutate.damaged_json),
    ".jsonl": ("another kind of JSON", mutate.damaged_json),
    ".yaml": ("another kind of YAML", mutate.damaged_yaml),
    ".safetensors": ("another header", mutate.damaged_tensors),
}


@dataclass(frozen=True)
class Damaged:
    """One trial; ``problem`` is empty if all was well."""

    case: str
    command: str
    file: str
    damage: str
    outcome: str
    problem: str
    ended: Ended


class Damager:
    """Copies what a case reads into a trial folder, damages one file and runs one command there."""

    def __init__(self, inputs: Path, work: Path) -> None:
        self.inputs, self.folder, self.scratch = inputs, work / "trial", work / "scratch"
        self.known: set[tuple[str, ...]] = set()

    def trial(self, cases: list[Case], rng: random.Random) -> Damaged:
        """One damaged file, one command."""
        (case,) = rng.choices(cases, [case.weight for case in cases])
        reading = rng.choice(case.commands)
        self._copy(case)
        if reading.words not in self.known:
            ended = self._run(reading)
            if ended.code:
                raise InputsError(f"biomtl {' '.join(reading.words)}, undamaged: {ended.err}")
            self.known.add(reading.words)
            self._copy(case)
        names = [path.relative_to(self.folder).as_posix() for path in sorted(self.folder.rglob("*")) if path.is_file()]
        readable = [name for name in names if any(fnmatch.fnmatchcase(name, pattern) for pattern in reading.reads)]
        assert readable, f"{case.name}: no file is any of {reading.reads}"
        chosen = rng.choice(readable)
        damage = self._damage(self.folder / chosen, readable, rng)
        before = set(self.folder.rglob("*"))
        ended = self._run(reading)
        sealed = any(fnmatch.fnmatchcase(chosen, pattern) for pattern in reading.sealed)
        problem = judged(ended, sealed) or self._litter(before, ended, reading.words)
        outcome = {0: "success", 2: "refused"}.get(ended.code, "neither")
        return Damaged(case.name, " ".join(reading.words), chosen, damage, outcome, problem, ended)

    def _copy(self, case: Case) -> None:
        """The trial folder anew, with what the case reads."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir()
        for name in case.copied:
            source, target = self.inputs / name, self.folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copytree(source, target) if source.is_dir() else shutil.copyfile(source, target)

    def _run(self, reading: Reading) -> Ended:
        words = [word.replace("{in}", str(self.inputs)) for word in reading.words]
        return run(words, self.folder, self.scratch, LONGEST)

    def _damage(self, path: Path, names: list[str], rng: random.Random) -> str:
        """Damage one file, so that it differs from before; in words."""
        content = path.read_bytes()
        kinds = {**ANY, "missing": None, "a folder": None, "another file's content": None}
        own = BY_NAME.get(path.suffix)
        while True:
            if own is not None and rng.random() < 0.4:
                kind, damage = own
            elif path.suffix == ".safetensors" and rng.random() < 0.5:
                kind, damage = "bits flipped", mutate.flipped
            else:
                kind, damage = rng.choice(list(kinds.items()))
            if kind in ("missing", "a folder"):
                path.unlink()
                if kind == "a folder":
                    path.mkdir()
                return kind
            other = self.folder / rng.choice(names)
            new = other.read_bytes() if damage is None else damage(rng, content)
            if new != content:
                path.write_bytes(new)
                return kind

    def _litter(self, before: set[Path], ended: Ended, words: tuple[str, ...]) -> str:
        """What a refused command leaves that nobody asked for."""
        new = sorted(path.relative_to(self.folder).as_posix() for path in {*self.folder.rglob("*")} - before)
        hidden = [name for name in new if any(part.startswith(".") for part in name.split("/"))]
        hidden = [name for name in hidden if not name.endswith("/.biomtl.json")]  # what says whose the folder is
        if hidden and words[0] not in ("train", "finetune"):
            return f"it leaves {hidden[0]}"
        return (
            f"refused, it leaves {new[0]}" if ended.code == 2 and new and words[0] not in ("train", "finetune") else ""
        )


def judged(ended: Ended, sealed: bool = False) -> str:
    """What is wrong with how a command ended; ``sealed`` if it had to refuse."""
    if ended.hung:
        return f"hung (over {LONGEST:.0f} s)"
    if ended.peak > MOST:
        return f"{ended.peak >> 20:,} MB of memory"
    if "Traceback" in ended.err or ended.code not in (0, 2):
        return f"code {ended.code}: {ended.err[-700:]}"
    if odd := ODD.search(ended.out + ended.err):
        return f"{odd[0]!r} reaches the terminal"
    errors = [line for line in ended.err.splitlines() if line.startswith("biomtl: error: ")]
    said = ended.out.count("\nBad rows:\n") if ended.code == 2 else 0  # how `check` refuses
    if len(errors) + said != (ended.code == 2):
        return f"{len(errors)} error lines with code {ended.code}: {ended.err[-300:]}"
    if others := [line for line in ended.err.splitlines() if line and not line.startswith("biomtl: ")]:
        return f"others speak too: {others[0][:300]}"
    if sealed and ended.code == 0:
        return "damage that a checksum tells was not seen"
    return ""


__all__ = ["CASES", "Damager", "judged"]
