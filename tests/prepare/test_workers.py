"""The worker processes of ``prepare`` end with their parent."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

# Spawned workers run the script too, and so have the task that never ends as well.
ENDLESS = """
import os, signal, sys, time
import biomtl.prepare
module = sys.modules["biomtl.prepare.prepare"]
def endless(task, reader, not_used, source, target, options, tick, **more):
    sys.stderr.write(f"{os.getpid()}\\n")
    sys.stderr.flush()
    while True:
        tick()
        time.sleep(0.01)
module.write_task = endless
if __name__ == "__main__":
    os.cpu_count = lambda: 2
    signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored where the tests run in the background
    from biomtl.__main__ import main
    sys.argv = ["biomtl", "prepare", *sys.argv[1:]]
    main()
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_workers_end_with_their_parent(tmp_path: Path, number: signal.Signals) -> None:
    for task, rows in {
        "mednli": "index\tsentence1\tsentence2\tlabel\np1\tHe coughs.\tHe smokes.\tneutral\n",
        "chemprot": "index\tsentence\tlabel\n7.T1.T2\t@CHEMICAL$ blocks @GENE$.\tCPR:4\n",
    }.items():
        (tmp_path / "in" / task).mkdir(parents=True)
        (tmp_path / "in" / task / "dev.tsv").write_text(rows)
    script = tmp_path / "endless.py"
    script.write_text(ENDLESS)
    call = [sys.executable, str(script), str(tmp_path / "in"), "--out", str(tmp_path / "out")]
    with subprocess.Popen(call, stderr=subprocess.PIPE, text=True) as parent:
        assert parent.stderr is not None
        workers = [int(parent.stderr.readline()) for _ in range(2)]
        parent.send_signal(number)
        rest = parent.stderr.read()  # ends when nobody holds standard error any more
        code = parent.wait(60)
    assert code == (-signal.SIGKILL if number == signal.SIGKILL else 128 + number)
    if number != signal.SIGKILL:  # after which Python's tracker of semaphores has its say
        assert rest == {signal.SIGTERM: "biomtl: terminated\n", signal.SIGINT: "biomtl: interrupted\n"}[number]
    deadline = time.monotonic() + 10
    while any(alive(worker) for worker in workers):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    if number != signal.SIGKILL:
        assert sorted(path.name for path in tmp_path.iterdir()) == ["endless.py", "in"]


def alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    # One that nobody has waited for is dead all the same.
    return " Z " not in Path(f"/proc/{process}/stat").read_text() if Path("/proc").is_dir() else True
