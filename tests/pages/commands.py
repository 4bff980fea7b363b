"""``biomtl`` and ``elmoft`` for the shell blocks of pages, in a fork of a process that has done the imports.

A page has many commands, and each would import torch for seconds. `served_commands` makes files for the shell's path
instead: each hands its words, folder, variables and standard streams to the server and waits for the exit code.
Training ends after an epoch (`SHORT`): what is tested is that commands do what the pages say, not what they learn.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SHORT = ("max_steps=null", "num_train_epochs=1")  # added to a recipe's keys
NEEDED = ("biomtl.training.run", "biomtl.inference.annotate", "biomtl.checkpoints.convert", "scipy.stats")
CLIENT = """#!{python} -ISE
import json, os, socket, sys
server = socket.socket(socket.AF_UNIX)
server.connect({address!r})
request = json.dumps([{name!r}, sys.argv[1:], os.getcwd(), dict(os.environ)]).encode()
socket.send_fds(server, [len(request).to_bytes(4, "big")], [0, 1, 2])
server.sendall(request)
sys.exit(int(server.recv(8) or 70))
"""


@contextmanager
def served_commands(folder: Path) -> Iterator[Path]:
    """A folder for the path of a shell with the commands, as long as their server lives."""
    address = folder / "server"
    server = subprocess.Popen([sys.executable, __file__, str(address)])
    try:
        for name in ("biomtl", "elmoft"):
            script = folder / "bin" / name
            script.parent.mkdir(exist_ok=True)
            script.write_text(CLIENT.format(python=sys.executable, address=str(address), name=name), encoding="utf-8")
            script.chmod(0o755)
        python = folder / "bin" / "python"
        python.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n', encoding="utf-8")
        python.chmod(0o755)
        while not address.exists():
            assert server.poll() is None, "the server of the commands did not start"
            time.sleep(0.02)
        yield folder / "bin"
    finally:
        server.terminate()
        server.wait()


def serve(address: str) -> None:
    """Fork for every request; this process never computes, so its forks are safe."""
    for name in NEEDED:
        importlib.import_module(name)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(f"{address}.new")
    listener.listen()
    os.rename(f"{address}.new", address)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for the forks
    while True:
        connection, _ = listener.accept()
        if os.fork() == 0:
            listener.close()
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            _become(connection)
        connection.close()


def _become(connection: socket.socket) -> None:
    """The life of a fork: the command with the client's streams; its exit code is the reply."""
    code = 70
    try:
        size, streams, _, _ = socket.recv_fds(connection, 4, 3)
        with connection.makefile("rb") as reader:
            name, words, place, variables = json.loads(reader.read(int.from_bytes(size, "big")))
        for number, descriptor in enumerate(streams):
            os.dup2(descriptor, number)
            os.close(descriptor)
        for number, stream in enumerate(("stdin", "stdout", "stderr")):
            setattr(sys, stream, open(number, "w" if number else "r", encoding="utf-8", closefd=False))  # noqa: SIM115
        os.chdir(place)
        os.environ.clear()
        os.environ.update(variables)
        sys.argv = [name, *words, *(SHORT if words and words[0] in ("train", "finetune", "study") else ())]
        module = importlib.import_module("biomtl.__main__")
        (module.main if name == "biomtl" else module.elmoft)()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        connection.sendall(str(code).encode())
        os._exit(code)


if __name__ == "__main__":
    serve(sys.argv[1])
