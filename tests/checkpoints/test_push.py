"""Publishing, against a local stand-in for the hub."""

from __future__ import annotations

import base64
import json
import shutil
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from huggingface_hub import ModelCard, constants, hf_api

from biomtl.checkpoints.push import push
from biomtl.errors import InputError


class Hub(ThreadingHTTPServer):
    """Accepts the requests of an upload; every file is part of the commit request."""

    def __init__(self) -> None:
        self.made: dict[str, Any] = {}
        self.files: dict[str, bytes] = {}
        self.status = 200
        super().__init__(("127.0.0.1", 0), Handler)


class Handler(BaseHTTPRequestHandler):
    server: Hub

    def log_message(self, *said: Any) -> None:
        pass

    def do_GET(self) -> None:
        self.answer({"id": "someone/model", "sha": "a" * 40, "siblings": []})

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        address = f"http://{self.headers['Host']}/someone/model"
        if self.path == "/api/repos/create":
            self.server.made = json.loads(body)
            self.answer({"url": address, "id": "someone/model"})
        elif self.path == "/api/validate-yaml":
            ModelCard(json.loads(body)["content"])
            self.answer({"errors": [], "warnings": []})
        elif "/preupload/" in self.path:
            paths = [file["path"] for file in json.loads(body)["files"]]
            modes = [{"path": path, "uploadMode": "regular", "shouldIgnore": False, "oid": None} for path in paths]
            self.answer({"files": modes})
        elif "/commit/" in self.path:
            for line in map(json.loads, body.splitlines()):
                if line["key"] == "file":
                    self.server.files[line["value"]["path"]] = base64.b64decode(line["value"]["content"])
            self.answer({"commitUrl": f"{address}/commit/{'a' * 40}", "commitOid": "a" * 40})
        else:
            self.send_error(404)

    def answer(self, value: Any) -> None:
        content = json.dumps(value).encode()
        self.send_response(self.server.status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    with Hub() as server:
        Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_address[1]}"
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(constants, "ENDPOINT", address)
        monkeypatch.setattr(hf_api.constants, "ENDPOINT", address)
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        monkeypatch.setenv("HF_TOKEN", "hf_invented")
        yield server
        server.shutdown()


def test_the_models_files_and_no_others_are_uploaded(
    hub: Hub, small_model: Path, tmp_path: Path, command: Callable[..., Any]
) -> None:
    folder = tmp_path / "model"
    shutil.copytree(small_model, folder)
    (folder / "notes.txt").write_text("a patient's name")
    said = command("push", folder, "someone/model")
    assert (said.code, said.out.strip()[-13:]) == (0, "someone/model"), said.err
    assert hub.made.get("private") is True or hub.made.get("visibility") == "private", hub.made
    expected = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert set(hub.files) == expected - {"notes.txt", ".biomtl.json"}
    assert all(content == (folder / name).read_bytes() for name, content in hub.files.items())
    card = ModelCard(hub.files["README.md"].decode()).data.to_dict()
    assert (card["license"], card["library_name"]) == ("other", "biomtl")
    assert card["pipeline_tag"] in ("text-classification", "token-classification")


def test_a_refusal_by_the_hub_gives_a_one_line_error(hub: Hub, small_model: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="repository 'a/b/c', expected OWNER/NAME"):
        push(small_model, "a/b/c")
    with pytest.raises(InputError):
        push(tmp_path, "someone/model")
    hub.status = 403
    with pytest.raises(InputError, match="someone/model: the hub refused it"):
        push(small_model, "someone/model")
    assert hub.files == {}
