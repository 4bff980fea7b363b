"""A corpus's server on this machine: slow, so that a download can be killed, and able to go on where one broke off."""

from __future__ import annotations

import hashlib
import os
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

CONTENT = b"12345\n" * 50_000
BLOCK = 16_384
PAUSE = 0.005  # seconds between blocks
_address = ""


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        start = int((self.headers.get("Range") or "bytes=0-").removeprefix("bytes=").partition("-")[0])
        if start >= len(CONTENT):
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{len(CONTENT)}")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(CONTENT) - start))
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(CONTENT) - 1}/{len(CONTENT)}")
        self.end_headers()
        try:
            for at in range(start, len(CONTENT), BLOCK):
                self.wfile.write(CONTENT[at : at + BLOCK])
                time.sleep(PAUSE)
        except OSError:  # whoever asked was killed
            self.close_connection = True

    def log_message(self, format: str, *arguments: object) -> None:
        pass


def serve() -> None:
    """Start the server in a process of its own (threads don't outlive a fork); it ends with this one."""
    global _address
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.daemon_threads = True
    _address = f"http://127.0.0.1:{server.server_port}/corpus.txt"
    parent = os.getpid()
    if os.fork() == 0:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(0)
    server.server_close()


def at_hand() -> None:
    """Let this process find the corpus HoC at the server's address."""
    from biomtl.download.addresses import Corpus, Remote, corpora

    for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
        del os.environ[name]
    remote = Remote(name="hoc.txt", urls=(_address,), sha256=hashlib.sha256(CONTENT).hexdigest())
    known = {"hoc": Corpus(tasks=("hoc",), homepage="http://127.0.0.1", files=(remote,))}
    for module in [module for name, module in sys.modules.items() if name.startswith("biomtl.")]:
        if getattr(module, "corpora", None) is corpora:
            module.corpora = lambda: known  # type: ignore[attr-defined]
    import biomtl.download.addresses
    import biomtl.download.download

    for module in (biomtl.download.addresses, biomtl.download.download):
        module.corpora = lambda: known  # type: ignore[attr-defined,assignment]
