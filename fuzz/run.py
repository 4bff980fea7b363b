"""Fuzz one reader with atheris: ``python -m fuzz.run TARGET [FOLDER] [libFuzzer options]``; see docs/fuzzing.md."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["biomtl"]):
    from fuzz import targets


def main() -> None:
    """Feed the target until it breaks or ``-max_total_time`` is over."""
    if len(sys.argv) < 2 or sys.argv[1] not in targets.TARGETS:
        sys.exit(
            f"usage: python -m fuzz.run TARGET [FOLDER] [-max_total_time=60 …]; targets: {', '.join(targets.TARGETS)}"
        )
    name = sys.argv.pop(1)
    with tempfile.TemporaryDirectory() as folder:
        for i, sample in enumerate(targets.samples(name)):
            (Path(folder) / f"sample{i}").write_bytes(sample)
        atheris.Setup([*sys.argv, folder], lambda content: targets.run(name, content))
        atheris.Fuzz()


if __name__ == "__main__":
    main()
