"""Models from the hub as sources, against a local stand-in for it."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

import tiny
from biomtl.checkpoints.convert import convert
from biomtl.errors import InputError
from biomtl.storage import hub

COMMIT = "a" * 40


class Hub(BaseHTTPRequestHandler):
    """What the hub's client asks for: the list of files, their heads and their content."""

    root: Path

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def _answer(self, body: bool) -> None:
        parts = self.path.partition("?")[0].strip("/").split("/")
        folder = self.root / "/".join(parts[2:4] if parts[0] == "api" else parts[:2])
        if not folder.is_dir():
            self._send(404, b'{"error": "Repository not found"}', body, {"X-Error-Code": "RepoNotFound"})
        elif "tree" in parts:
            listed = [
                {"type": "file", "path": path, "size": (folder / path).stat().st_size, "oid": "0" * 40}
                for path in _files(folder)
            ]
            self._send(200, json.dumps(listed).encode(), body, {})
        elif parts[0] == "api":
            files = [{"rfilename": path} for path in _files(folder)]
            info = {"id": "/".join(parts[2:4]), "modelId": "/".join(parts[2:4]), "sha": COMMIT, "siblings": files}
            self._send(200, json.dumps(info).encode(), body, {})
        else:
            content = folder.joinpath(*parts[4:]).read_bytes()  # after OWNER/NAME/resolve/REVISION
            headers = {"X-Repo-Commit": COMMIT, "ETag": f'"{hashlib.sha1(content).hexdigest()}"'}
            self._send(200, content, body, headers)

    def _send(self, code: int, content: bytes, body: bool, headers: dict[str, str]) -> None:
        self.send_response(code)
        for name, value in {**headers, "Content-Length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        if body:
            self.wfile.write(content)

    def log_message(self, *_: Any) -> None:
        pass


def _files(folder: Path) -> list[str]:
    return [path.relative_to(folder).as_posix() for path in sorted(folder.rglob("*")) if path.is_file()]


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory: pytest.TempPathFactory, bert: Path) -> Iterator[tuple[str, Path]]:
    """The stand-in's address and its folder of models: pickled weights alone, hostile ones, and a model of biomtl."""
    root = tmp_path_factory.mktemp("hub")
    for name in ("pickled", "hostile"):
        shutil.copytree(bert, root / "lab" / name)
        (root / "lab" / name / "model.safetensors").unlink()
        state = transformers.AutoModel.from_pretrained(bert).state_dict()
        torch.save(state, root / "lab" / name / "pytorch_model.bin")
    (root / "lab" / "hostile" / "pytorch_model.bin").write_bytes(pickle.dumps(Runs(str(root / "MARK")), protocol=2))
    tiny.model(bert, ("cls-text", "tag-drug"), max_length=24).save_pretrained(root / "lab" / "ours")
    (root / "lab" / "ours" / "pytorch_model.bin").write_bytes(pickle.dumps(Runs(str(root / "MARK")), protocol=2))
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Server", (Hub,), {"root": root}))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}", root
    server.shutdown()


class Runs:
    def __init__(self, target: str) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self.target}",)


def biomtl(endpoint: str, cache: Path, *words: object, **environment: str) -> subprocess.CompletedProcess[str]:
    variables = {"HF_ENDPOINT": endpoint, "HF_HOME": str(cache), "HF_HUB_DISABLE_TELEMETRY": "1", **environment}
    clean = {
        key: value
        for key, value in os.environ.items()
        if not key.lower().endswith("_proxy") and key != "HF_HUB_OFFLINE"
    }
    command = [sys.executable, "-m", "biomtl", *map(str, words)]
    return subprocess.run(command, env=clean | variables, capture_output=True, text=True, timeout=120, check=False)


def test_pickled_weights_become_safetensors(endpoint: tuple[str, Path], tmp_path: Path, bert: Path) -> None:
    url, _ = endpoint
    ended = biomtl(url, tmp_path / "cache", "convert", "hub:lab/pickled", tmp_path / "out", HF_HUB_OFFLINE="0")
    assert ended.returncode == 0, ended.stderr
    old, new = (transformers.AutoModel.from_pretrained(path).state_dict() for path in (bert, tmp_path / "out"))
    assert all(torch.equal(value, new[name]) for name, value in old.items())
    assert (tmp_path / "out" / "model.safetensors").is_file()
    assert not (tmp_path / "out" / "pytorch_model.bin").exists()
    report = json.loads((tmp_path / "out" / "conversion.json").read_text())
    assert report["source"] == "hub:lab/pickled"
    assert list(report["files"]) == ["pytorch_model.bin"]
    # What is in the cache is there offline too.
    again = biomtl(url, tmp_path / "cache", "convert", "hub:lab/pickled", tmp_path / "b", HF_HUB_OFFLINE="1")
    assert again.returncode == 0, again.stderr


def test_a_pickle_that_would_run_code_is_refused(endpoint: tuple[str, Path], tmp_path: Path) -> None:
    url, root = endpoint
    ended = biomtl(url, tmp_path / "cache", "convert", "hub:lab/hostile", tmp_path / "out", HF_HUB_OFFLINE="0")
    assert ended.returncode == 2
    assert ended.stderr.count("\n") == 1, ended.stderr
    assert "posix.system" in ended.stderr
    assert not (root / "MARK").exists()
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["hub:lab/none", "hub:", "hub:a/b/c", "hub:lab/pickled@gone"])
def test_offline_and_wrong_names_give_a_one_line_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    with pytest.raises(InputError, match="the model can't be fetched") as caught:
        convert(name, tmp_path / "out")
    assert str(caught.value).startswith(name)
    assert "\n" not in str(caught.value)
    assert hub.is_hub(name)
    assert not (tmp_path / "out").exists()


def test_a_saved_model_by_its_name(endpoint: tuple[str, Path], tmp_path: Path) -> None:
    url, root = endpoint
    texts = tmp_path / "texts.txt"
    texts.write_text("zalpidine rimu korinosis .\n")
    ended = biomtl(url, tmp_path / "cache", "predict", "hub:lab/ours", texts, HF_HUB_OFFLINE="0")
    assert ended.returncode == 0, ended.stderr
    here = biomtl(url, tmp_path / "cache", "predict", root / "lab" / "ours", texts, HF_HUB_OFFLINE="0")
    assert ended.stdout == here.stdout
    assert not list((tmp_path / "cache").rglob("*.bin"))
    ended = biomtl(
        url, tmp_path / "cache", "embed", "hub:lab/ours", texts, "--out", tmp_path / "v.hdf5", HF_HUB_OFFLINE="0"
    )
    assert ended.returncode == 0, ended.stderr
