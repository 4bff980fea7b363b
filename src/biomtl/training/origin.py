"""Where scores come from: versions, data, machine, git revision, date and energy."""

from __future__ import annotations

import contextlib
import os
import platform
import sys
import time
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

import biomtl
from biomtl.packaged import hub_name
from biomtl.suite import Suite
from biomtl.training.recipe import Recipe

COUNTERS = Path("/sys/class/powercap")
LONGEST_PAUSE = 60.0  # seconds between two readings of a counter, which starts again from 0 after some minutes


def provenance(suite: Suite, recipe: Recipe, command: str | None) -> dict[str, Any]:
    """The origin of the scores: versions, seed, data checksums, machine; the same for a run that is resumed."""
    packages = {}
    for name in ("torch", "transformers", "accelerate", "numpy", "safetensors"):
        try:
            packages[name] = version(name)
        except PackageNotFoundError:
            continue
    return {
        "biomtl": biomtl.__version__,
        "python": sys.version.split()[0],
        "packages": packages,
        "platform": platform.platform(),
        "threads": torch.get_num_threads(),
        "command": command,
        "encoder": recipe.encoder,
        "base_model": hub_name(recipe.encoder),
        "seed": recipe.seed,
        "selection": "last step" if recipe.eval_strategy == "no" else "dev",
        "data": suite.provenance(),
    }


def circumstances(device: torch.device, energy: Energy) -> dict[str, Any]:
    """When and on what a run was finished, as far as the system tells."""
    facts = {
        "date": date(),
        "hardware": hardware(device),
        "git": git_revision(Path.cwd()),
        "energy_wh": energy.watt_hours(),
    }
    return {key: value for key, value in facts.items() if value is not None}


def date() -> str:
    """The date and time of day, UTC."""
    return datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")


def hardware(device: torch.device) -> dict[str, Any]:
    """Processor, cores, memory and accelerator."""
    facts: dict[str, Any] = {"cpu": _processor(), "cores": len(os.sched_getaffinity(0)) if _LINUX else os.cpu_count()}
    with contextlib.suppress(OSError, ValueError, AttributeError):
        facts["memory_gb"] = round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9)
    if device.type == "cuda":
        facts["gpu"] = torch.cuda.get_device_name(device)
    elif device.type != "cpu":
        facts["accelerator"] = device.type
    return facts


def git_revision(folder: Path) -> str | None:
    """The commit that is checked out in the git repository around a folder; None if there is none.

    Git's own files are read, as running ``git`` in a folder can run what its settings name.
    """
    for place in (folder, *folder.parents):
        git = place / ".git"
        with contextlib.suppress(OSError, ValueError):
            if git.is_file():  # a work tree's, which names its folder
                git = place / git.read_text(encoding="utf-8").removeprefix("gitdir:").strip()
            if (git / "HEAD").is_file():
                return _commit(git)
    return None


def _commit(git: Path) -> str | None:
    head = (git / "HEAD").read_text(encoding="utf-8").strip()
    if not head.startswith("ref: "):
        return head if _is_commit(head) else None
    name = head.removeprefix("ref: ")
    shared = git / (git / "commondir").read_text(encoding="utf-8").strip() if (git / "commondir").is_file() else git
    for place in (git, shared):
        if (place / name).is_file():
            found = (place / name).read_text(encoding="utf-8").strip()
            return found if _is_commit(found) else None
    packed = shared / "packed-refs"
    lines = packed.read_text(encoding="utf-8").splitlines() if packed.is_file() else []
    return next((line.split()[0] for line in lines if line.split()[1:] == [name] and _is_commit(line.split()[0])), None)


def _is_commit(text: str) -> bool:
    return len(text) in (40, 64) and set(text) <= set("0123456789abcdef")


class Energy:
    """What processors and their memory used since it was made, by the counters that Linux shows (mostly to root only).

    They start again from 0 after some minutes at full load, so they have to be read now and then.
    """

    def __init__(self, counters: Path = COUNTERS) -> None:
        self._counters = [path for path in counters.glob("intel-rapl:*") if path.name.count(":") == 1]
        self._last = {path: value for path in self._counters if (value := _number(path / "energy_uj")) is not None}
        self._used = 0.0
        self._read_at = time.monotonic()

    def read(self) -> None:
        """Read the counters, if the last reading is a minute old."""
        if self._last and time.monotonic() - self._read_at >= LONGEST_PAUSE:
            self._add()

    def watt_hours(self) -> float | None:
        """The energy so far; None where the system doesn't tell."""
        if not self._last:
            return None
        self._add()
        return round(self._used / 3.6e9, 3)

    def _add(self) -> None:
        self._read_at = time.monotonic()
        for path, before in self._last.items():
            now = _number(path / "energy_uj")
            if now is not None:
                again = (_number(path / "max_energy_range_uj") or 0) if now < before else 0
                self._used += now - before + again
                self._last[path] = now


_LINUX = hasattr(os, "sched_getaffinity")


def _number(path: Path) -> int | None:
    try:
        return int(path.read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None


def _processor() -> str:
    """The processor's name."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
