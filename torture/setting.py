"""Where the trials happen: a folder in memory, one thread, no network, and everything imported once."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

QUIET = {
    "OMP_NUM_THREADS": "1",  # a process with threads can't be forked
    "TOKENIZERS_PARALLELISM": "false",
    "HF_HUB_OFFLINE": "1",
    "PYTHONDONTWRITEBYTECODE": "1",
    "COLUMNS": "200",
}
MEMORY = Path("/dev/shm")


@contextlib.contextmanager
def workplace(inputs: bool = True) -> Iterator[tuple[Path, Path]]:
    """A temporary folder and the folder of ``inputs`` in it, with this process warmed up for all commands."""
    os.environ.update(QUIET)
    from torture import stand_in
    from torture.forked import warm_up
    from torture.inputs import make, make_inputs

    # No TemporaryDirectory: every fork would delete it at its own end.
    work = Path(tempfile.mkdtemp(prefix="torture-", dir=MEMORY if MEMORY.is_dir() else None))
    try:
        for folder in ("scratch", "first", "inputs"):
            (work / folder).mkdir()
        os.environ["TMPDIR"] = str(work / "scratch")
        stand_in.serve()
        import biomtl.cli.main  # noqa: F401

        first = work / "first"
        commands = (
            lambda: make(first),
            ["train", "recipe.yaml"],
            ["annotate", "run", "abstracts.pubtator", "--out", "annotated.xml"],
            ["convert", "tf", "hf"],
            ["embed", "elmo", "texts.txt", "--out", "vectors.hdf5"],
            ["audit", "suite", "--out", "audit"],
            ["prepare", "blue", "--out", "prepared"],
            *(["finetune", "--help"], ["download", "--help"], ["score", "--help"], ["check", "--help"]),
            ["evaluate", "run", "--data", "suite", "--out", "evaluated"],
            ["predict", "run", "rows.jsonl", "--out", "predicted.jsonl"],
            ["export", "run", "--task", "tag-drug", "--to", "hf", "stock"],
            ["convert", "mt/model.pt", "model", "--encoder-only"],
            ["convert", "stock", "again", "--tasks", "tag-drug"],
        )
        warm_up(commands, first, work / "scratch")
        shutil.rmtree(first)
        yield work, make_inputs(work / "inputs", work / "scratch") if inputs else work / "inputs"
    finally:
        shutil.rmtree(work, ignore_errors=True)
