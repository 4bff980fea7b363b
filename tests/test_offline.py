"""If encoder and data are on this machine, no other machine is contacted."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import tiny

COMMANDS = """
import sys
asked = []
def hook(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname"):
        asked.append((event, arguments))
sys.addaudithook(hook)
from biomtl.cli.main import main
for line in sys.argv[1:]:
    sys.argv = ["biomtl", *line.split()]
    try:
        main()
    except SystemExit as end:
        assert not end.code, line
assert not asked, asked
"""


def test_local_work_opens_no_connection(bert: Path, small_suite: Path, tmp_path: Path) -> None:
    """No name is looked up and no connection opened, also without ``HF_HUB_OFFLINE``."""
    tiny.write_recipe(tmp_path / "r.yaml", bert, small_suite, num_train_epochs=None, max_steps=2, output="run")
    (tmp_path / "lines.txt").write_text("pola rimu zalpidine .\n", encoding="utf-8")
    lines = (
        "train r.yaml",
        "predict run lines.txt --out out.jsonl --task tag-drug",
        "annotate run lines.txt --out brat",
        "export run --task tag-drug --to hf stock",
        "convert stock model --tasks tag-drug",
        f"embed {bert} lines.txt --out vectors.hdf5",
    )
    environment = {key: value for key, value in os.environ.items() if key != "HF_HUB_OFFLINE"}
    words = [sys.executable, "-c", COMMANDS, *lines]
    done = subprocess.run(words, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
