"""Downloads against a server on this machine that behaves as badly as servers do."""

from __future__ import annotations

import errno
import hashlib
import io
import json
import os
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from typer.testing import CliRunner

from biomtl.cli.main import app
from biomtl.download.addresses import Contents, Corpus, Remote, corpora
from biomtl.download.download import RECEIPT, download, wanted
from biomtl.download.fetch import fetch
from biomtl.errors import BiomtlError, InputError
from biomtl.tasks import known_tasks

CONTENT = bytes(range(256)) * 800  # 204,800 bytes


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        self.server.asked.append((self.path, self.headers.get("Range")))
        self.server.behave(self)

    def log_message(self, format: str, *arguments: object) -> None:
        pass

    def send(self, body: bytes, status: int = 200, length: int | None = None, **headers: str) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()

    def wanted_start(self) -> int:
        return int((self.headers.get("Range") or "bytes=0-").removeprefix("bytes=").partition("-")[0])

    def send_range(self, content: bytes, upto: int | None = None, **headers: str) -> None:
        """The rest of ``content`` from where the client wants it, announced in full, sent up to ``upto``."""
        start = self.wanted_start()
        if start >= len(content):
            self.send(b"", 416, Content_Range=f"bytes */{len(content)}")
            return
        if start:
            headers["Content_Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        body = content[start : len(content) if upto is None else max(start, upto)]
        self.send(body, 206 if start else 200, len(content) - start, **headers)


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked: list[tuple[str, str | None]] = []
        self.behave: Callable[[Handler], None] = lambda handler: handler.send_range(CONTENT)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/file.bin"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with Server() as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield running
        running.shutdown()
        thread.join()


def get(server: Server, part: Path, attempts: int = 4) -> bytes:
    fetch(server.url, part, timeout=0.3, attempts=attempts, pause=0.001)
    return part.read_bytes()


def test_plain(server: Server, tmp_path: Path) -> None:
    seen: list[tuple[int, int | None]] = []
    fetch(server.url, tmp_path / "x", progress=lambda have, total: seen.append((have, total)))
    assert (tmp_path / "x").read_bytes() == CONTENT
    assert seen[0] == (0, len(CONTENT))
    assert seen[-1] == (len(CONTENT), len(CONTENT))


def test_truncated_answers_are_continued(server: Server, tmp_path: Path) -> None:
    server.behave = lambda handler: handler.send_range(CONTENT, handler.wanted_start() + 50_000)
    assert get(server, tmp_path / "x", attempts=2) == CONTENT
    assert [asked for _, asked in server.asked] == [None, *(f"bytes={n}0000-" for n in (5, 10, 15, 20))]


def test_a_later_call_continues_where_an_earlier_one_broke_off(server: Server, tmp_path: Path) -> None:
    server.behave = lambda handler: handler.send_range(CONTENT, 70_000)
    with pytest.raises(InputError, match=r"ended at 70,000 of 204,800 bytes\) after 70,000 bytes, run the same"):
        get(server, tmp_path / "x")
    server.asked.clear()
    server.behave = lambda handler: handler.send_range(CONTENT)
    assert get(server, tmp_path / "x") == CONTENT
    assert server.asked == [("/file.bin", "bytes=70000-")]


def test_a_stall_is_cut_and_continued(server: Server, tmp_path: Path) -> None:
    def stall(handler: Handler) -> None:
        if len(server.asked) == 1:
            handler.send_range(CONTENT, 1000)
            time.sleep(0.8)
        else:
            handler.send_range(CONTENT)

    server.behave = stall
    assert get(server, tmp_path / "x") == CONTENT
    assert server.asked[1][1] == "bytes=1000-"


def test_a_server_that_never_answers(server: Server, tmp_path: Path) -> None:
    server.behave = lambda handler: time.sleep(0.6)
    with pytest.raises(InputError, match=r"download failed \(the server stalled\) after 0 bytes"):
        get(server, tmp_path / "x", attempts=2)


def test_a_length_that_is_too_small_leaves_a_short_file(server: Server, tmp_path: Path) -> None:
    # HTTP has no way to tell; the checksum does, see below
    server.behave = lambda handler: handler.send(CONTENT, length=1000)
    assert get(server, tmp_path / "x") == CONTENT[:1000]


def test_a_length_that_is_too_big_is_an_error(server: Server, tmp_path: Path) -> None:
    server.behave = lambda handler: handler.send(CONTENT[handler.wanted_start() :], length=len(CONTENT) * 2)
    with pytest.raises(InputError, match="download failed"):
        get(server, tmp_path / "x")


def test_an_absurd_length_is_refused_before_a_byte_is_read(server: Server, tmp_path: Path) -> None:
    server.behave = lambda handler: handler.send(b"x", length=10**12)
    with pytest.raises(InputError, match=r"a file of 1,000,000,000,000 bytes, expected at most"):
        get(server, tmp_path / "x")


def test_a_server_that_ignores_range_starts_again(server: Server, tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"other" * 1000)
    server.behave = lambda handler: handler.send(CONTENT)
    assert get(server, tmp_path / "x") == CONTENT


def test_a_server_that_sends_another_part(server: Server, tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(CONTENT[:100])
    extent = f"bytes 500-{len(CONTENT) - 1}/{len(CONTENT)}"
    server.behave = lambda handler: handler.send(CONTENT[500:], 206, Content_Range=extent)
    with pytest.raises(InputError, match="another range than requested"):
        get(server, tmp_path / "x")


def test_a_complete_part_is_complete(server: Server, tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(CONTENT)
    assert get(server, tmp_path / "x") == CONTENT
    assert len(server.asked) == 1


def test_a_part_longer_than_the_file_starts_again(server: Server, tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(CONTENT + b"more")
    assert get(server, tmp_path / "x") == CONTENT


def test_a_file_that_changes_meanwhile_starts_again(server: Server, tmp_path: Path) -> None:
    def change(handler: Handler) -> None:
        if len(server.asked) < 3:
            handler.send_range(b"old" * 50_000, handler.wanted_start() + 30_000, ETag='"old"')
        else:
            assert handler.headers["If-Range"] in (None, '"old"')
            handler.send(CONTENT, ETag='"new"')

    server.behave = change
    assert get(server, tmp_path / "x") == CONTENT


@pytest.mark.parametrize("status", [403, 404, 410])
def test_no_such_file(server: Server, tmp_path: Path, status: int) -> None:
    server.behave = lambda handler: handler.send(b"gone", status)
    with pytest.raises(InputError, match=f"the server answers {status}"):
        get(server, tmp_path / "x")
    assert len(server.asked) == 1


def test_a_busy_server_is_asked_again(server: Server, tmp_path: Path) -> None:
    server.behave = lambda handler: handler.send(b"busy", 503) if len(server.asked) < 3 else handler.send_range(CONTENT)
    assert get(server, tmp_path / "x") == CONTENT


def test_no_connection(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="download failed"):
        fetch("http://127.0.0.1:9/x", tmp_path / "x", attempts=2, pause=0.001, timeout=0.3)


def test_other_schemes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="isn't http or https"):
        fetch(f"file://{tmp_path}/y", tmp_path / "x")


# Whole corpora


def packed(files: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return stream.getvalue()


INNER = packed({"chem/dev.tsv": b"dev"})
ARCHIVE = packed({"top/train.tsv": b"train", "top/inner.zip": INNER, "__MACOSX/top/._train.tsv": b"x"})
DIGESTS = {
    name: hashlib.sha256(content).hexdigest() for name, content in (("train.tsv", b"train"), ("dev.tsv", b"dev"))
}


def corpus(server: Server, **fields: object) -> dict[str, Corpus]:
    remote = Remote(name="file.zip", urls=(server.url,), **fields)
    return {"mine": Corpus(tasks=("hoc",), homepage="https://example.org", notice="free", files=(remote,))}


def run(server: Server, out: Path, content: bytes, **fields: object) -> None:
    server.behave = lambda handler: handler.send_range(content)
    options = {name: fields.pop(name) for name in ("overwrite", "any_version") if name in fields}
    download([], out, known=corpus(server, **fields), timeout=0.3, pause=0.001, **options)


def test_a_corpus_is_unpacked_with_a_receipt(server: Server, tmp_path: Path) -> None:
    total = hashlib.sha256("\n".join(sorted(DIGESTS.values())).encode()).hexdigest()
    contents = Contents(pattern="*.tsv", files=2, sha256=total)
    run(server, tmp_path, ARCHIVE, members=DIGESTS, contents=contents, sha256=hashlib.sha256(ARCHIVE).hexdigest())
    files = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()}
    assert files == {"mine/top/train.tsv", "mine/top/inner/chem/dev.tsv", f"mine/{RECEIPT}", "mine/.biomtl.json"}
    receipt = json.loads((tmp_path / "mine" / RECEIPT).read_text())
    assert receipt["sources"]["file.zip"] == {"url": server.url, "sha256": hashlib.sha256(ARCHIVE).hexdigest()}


def test_existing_files_are_checked_and_not_downloaded_again(server: Server, tmp_path: Path) -> None:
    run(server, tmp_path, ARCHIVE)
    server.asked.clear()
    run(server, tmp_path, ARCHIVE)
    assert server.asked == []
    (tmp_path / "mine/top/train.tsv").write_text("changed")
    with pytest.raises(InputError, match="already exists"):
        run(server, tmp_path, ARCHIVE)
    run(server, tmp_path, ARCHIVE, overwrite=True)
    assert (tmp_path / "mine/top/train.tsv").read_text() == "train"


@pytest.mark.parametrize(
    ("content", "fields", "message"),
    [
        (b"<!DOCTYPE html><title>Log in</title>", {}, "a web page instead of the file"),
        (ARCHIVE[:-40], {}, "not a readable zip"),
        (b"PK\x03\x04" + b"x" * 500, {}, "not a readable zip"),
        (ARCHIVE, {"sha256": "0" * 64}, "a file with sha256 .*expected sha256 000"),
        (ARCHIVE, {"members": {"train.tsv": "0" * 64}}, "another version of train.tsv"),
        (ARCHIVE, {"members": {"other.tsv": "0" * 64}}, "another version of other.tsv"),
        (ARCHIVE, {"contents": Contents(pattern="*.tsv", files=3, sha256="0")}, "another version of the 3 files"),
        (packed({"../evil.txt": b"x"}), {}, "points outside"),
        (packed({"/evil.txt": b"x"}), {}, "points outside"),
        (packed({"a/..\\..\\evil.txt": b"x"}), {}, "points outside"),
        (packed({"C:\\evil.txt": b"x"}), {}, "points outside"),
        (packed({"inner.zip": packed({"../../evil.txt": b"x"})}), {}, "inner.zip: archive member .*points outside"),
        (packed({"a": b"x", "a/b": b"y"}), {}, "twice"),
        (packed({"a": b"x", "a.zip": INNER}), {}, "both a and a.zip"),
        (packed({"x" * 300: b"x"}), {}, "File name too long"),
    ],
)  # fmt: skip
def test_wrong_content_leaves_nothing_behind(
    server: Server, tmp_path: Path, content: bytes, fields: dict, message: str
) -> None:
    out = tmp_path / "deep" / "out"
    with pytest.raises(InputError, match=message):
        run(server, out, content, **fields)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_links_and_bombs(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        link = zipfile.ZipInfo("link")
        link.external_attr = 0o120777 << 16
        archive.writestr(link, "/etc/passwd")
    with pytest.raises(InputError, match="is a link"):
        run(server, tmp_path, stream.getvalue())
    monkeypatch.setattr("biomtl.corpora.unpack.MAX_UNPACKED", 1_000_000)
    with pytest.raises(InputError, match="over 1,000,000 bytes unpacked"):
        run(server, tmp_path, packed({"a": bytes(600_000), "b": bytes(600_000)}))
    with pytest.raises(InputError, match="over 1,000,000 bytes unpacked"):
        run(server, tmp_path, packed({"inner.zip": packed({"a": bytes(2_000_000)})}))


@pytest.mark.parametrize("out", ["corpora", "new/corpora"])
def test_a_full_disk_leaves_no_empty_folder(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, out: str
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("biomtl.download.fetch._copy", full)
    with pytest.raises(OSError, match="No space left on device") as caught:
        run(server, tmp_path / out, ARCHIVE)
    assert caught.value.filename == str(tmp_path / out / "mine")
    assert not list(tmp_path.iterdir())


def test_any_version_keeps_a_new_edition_and_says_so(server: Server, tmp_path: Path) -> None:
    server.behave = lambda handler: handler.send_range(ARCHIVE)
    known = corpus(server, sha256="0" * 64, members={"train.tsv": "0" * 64})
    (result,) = download([], tmp_path, known=known, any_version=True)
    assert result.warnings == ("another version of train.tsv, file.zip",)


def test_the_second_address_is_a_fallback(server: Server, tmp_path: Path) -> None:
    server.behave = lambda handler: handler.send(b"", 404) if handler.path == "/old" else handler.send_range(ARCHIVE)
    remote = Remote(name="file.zip", urls=(server.url.replace("file.bin", "old"), server.url))
    known = {"mine": Corpus(tasks=("hoc",), homepage="x", files=(remote,))}
    (result,) = download([], tmp_path, known=known)
    assert result.fresh
    assert [path for path, _ in server.asked] == ["/old", "/file.bin"]


# Addresses and the command


def test_every_task_has_an_address_or_someone_to_ask() -> None:
    assert {task for corpus in corpora().values() for task in corpus.tasks} == set(known_tasks())
    for corpus in corpora().values():
        assert bool(corpus.files) != bool(corpus.ask and corpus.layout)
        for task in corpus.tasks:
            assert known_tasks()[task].catalogue.free is corpus.free
            assert corpus.free or not corpus.files
        for remote in corpus.files:
            assert all(url.startswith("https://") for url in remote.urls)
            assert remote.sha256 or remote.members or remote.contents


def test_names() -> None:
    assert list(wanted(["bc5cdr-chem", "bc5cdr-dz"])) == ["bc5cdr"]
    assert len(wanted(["blue"])) == 9
    assert {"bc5cdr", "ncbi-disease", "gad", "bioasq"} <= set(wanted(["blurb"]))
    with pytest.raises(InputError, match="did you mean 'chemprot'"):
        wanted(["chemprott"])


def test_a_free_corpus_without_an_address_says_where_it_is(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["download", "jnlpba", "bioasq", "--out", str(tmp_path)])
    assert isinstance(result.exception, BiomtlError)
    assert "jnlpba: free, to be downloaded by hand. Download Genia4ERtraining.tar.gz" in result.stdout
    assert "bioasq: licensed. Register for the BioASQ challenge" in result.stdout


def test_licensed_corpora_only_explain(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["download", "mednli", "i2b2", "--out", str(tmp_path)])
    assert isinstance(result.exception, BiomtlError)
    for text in ("credentialed user of PhysioNet", "mli_train_v1.jsonl", "DBMI", "{beth,partners}"):
        assert text in result.stdout
    assert list(tmp_path.iterdir()) == []


def test_command(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server.behave = lambda handler: handler.send_range(ARCHIVE)
    known = corpus(server) | {"mednli": corpora()["mednli"]}
    monkeypatch.setattr("biomtl.download.download.corpora", lambda: known)
    result = CliRunner().invoke(app, ["download", "hoc", "mednli", "--out", str(tmp_path)])
    assert result.exit_code == 0, result.output
    assert "mine: free" in result.stdout
    assert "downloaded" in result.stdout
    assert "mednli: licensed" in result.stdout
    result = CliRunner().invoke(app, ["download", "hoc", "--out", str(tmp_path)])
    assert "checksums verified" in result.stdout


def test_real_files_have_the_checksums_of_the_addresses(shared: Path) -> None:
    data = shared / "data"
    for name, digest in corpora()["bc5cdr"].files[0].members.items():
        assert hashlib.sha256((data / "bc5cdr" / name).read_bytes()).hexdigest() == digest
    with zipfile.ZipFile(data / "chemprot/ChemProt_Corpus.zip") as archive:
        digests = {Path(name).name: hashlib.sha256(archive.read(name)).hexdigest() for name in archive.namelist()}
    assert corpora()["chemprot"].files[0].members.items() <= digests.items()
