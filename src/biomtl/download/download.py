"""Downloads the freely distributable corpora from their publishers: resumable, checked, unpacked."""

from __future__ import annotations

import fnmatch
import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from biomtl.corpora.unpack import unpack
from biomtl.download.addresses import Contents, Corpus, Remote, corpora
from biomtl.download.fetch import fetch
from biomtl.errors import InputError
from biomtl.storage.checksums import sha256
from biomtl.storage.files import atomic_folder, refuse_existing, write_json
from biomtl.tasks.registry import named

RECEIPT = "download.json"  # in every downloaded corpus folder: addresses and checksums

Progress = Callable[[str, int, int | None], None]
"""Called with a file's name, the bytes downloaded so far and the total, if known."""


@dataclass(frozen=True)
class Downloaded:
    """A corpus in ``folder``; ``fresh`` is false if it was downloaded before. ``warnings`` name changed files."""

    name: str
    corpus: Corpus
    folder: Path
    fresh: bool
    warnings: tuple[str, ...] = ()


def wanted(names: Sequence[str]) -> dict[str, Corpus]:
    """Corpora of tasks, their aliases, or suites (``blue``, ``blurb``, ``blue-public``), each once.

    Raises:
        InputError: an unknown name.
    """
    chosen = set(named(names))
    return {name: corpus for name, corpus in corpora().items() if chosen & set(corpus.tasks)}


def download(
    names: Iterable[str],
    out: str | Path,
    *,
    overwrite: bool = False,
    any_version: bool = False,
    progress: Progress | None = None,
    known: Mapping[str, Corpus] | None = None,
    timeout: float = 30,
    pause: float = 1,
) -> list[Downloaded]:
    """Download every free corpus among ``names`` into ``out/NAME``; licensed ones are skipped.

    A corpus that an earlier call completed is checked and left as it is. An interrupted download continues where it
    stopped, also in a later call.

    Args:
        names: tasks or suites.
        out: the folder for all corpora.
        overwrite: replace a folder that this function didn't make, or whose files have changed.
        any_version: keep files whose checksum differs from what biomtl was tested on.
        progress: called with the progress of each file.
        known: addresses to use instead of the package's.
        timeout: seconds without data after which a server counts as stalled.
        pause: seconds before the second attempt; doubled before each further one.

    Raises:
        InputError: an unknown name, a failed download, a wrong checksum, an unsafe archive, an existing folder.
    """
    chosen = wanted(list(names)) if known is None else dict(known)
    return [
        _corpus(name, corpus, Path(out), overwrite, any_version, progress or (lambda *_: None), timeout, pause)
        for name, corpus in chosen.items()
        if corpus.files
    ]


def _corpus(
    name: str,
    corpus: Corpus,
    out: Path,
    overwrite: bool,
    any_version: bool,
    progress: Progress,
    timeout: float,
    pause: float,
) -> Downloaded:
    folder = out / name
    if not overwrite and _intact(folder):
        for partial in out.glob(f".{name}-*.part"):  # left by an earlier call that was killed
            partial.unlink()
        return Downloaded(name, corpus, folder, fresh=False)
    refuse_existing(folder, overwrite, output="download")
    warnings: list[str] = []
    receipt: dict[str, dict[str, str]] = {}
    partials: list[Path] = []
    with atomic_folder(folder, "download", overwrite=overwrite) as work:
        for remote in corpus.files:
            partial, url = _fetch_any(remote, out, name, any_version, progress, timeout, pause)
            partials.append(partial)
            receipt[remote.name] = {"url": url, "sha256": sha256(partial)}
            files = _place(remote, partial, work)
            changed = _changed(remote, partial, files)
            if changed and not any_version:
                partial.unlink()
                fix = "try again; if the publisher has a new edition, keep it with --any-version"
                raise InputError(changed, path=url, expected="the files biomtl was tested on", fix=fix)
            warnings += [changed] if changed else []
        listed = {path.relative_to(work).as_posix(): sha256(path) for path in sorted(work.rglob("*")) if path.is_file()}
        write_json(work / RECEIPT, {"sources": receipt, "files": listed})
    for partial in partials:
        partial.unlink(missing_ok=True)
    return Downloaded(name, corpus, folder, fresh=True, warnings=tuple(warnings))


def _intact(folder: Path) -> bool:
    """Whether an earlier call completed the folder and its files are unchanged."""
    try:
        files = json.loads((folder / RECEIPT).read_text(encoding="utf-8"))["files"]
        return all(sha256(folder / name) == digest for name, digest in files.items())
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False


def _fetch_any(
    remote: Remote, out: Path, corpus: str, any_version: bool, progress: Progress, timeout: float, pause: float
) -> tuple[Path, str]:
    """The file from the first address that has it (with the right checksum, if that is known)."""
    problem: InputError | None = None
    for url in remote.urls:
        # The name depends on the address, so that a file is never continued with another server's bytes.
        partial = out / f".{corpus}-{hashlib.sha256(url.encode()).hexdigest()[:12]}.part"
        try:
            fetch(
                url,
                partial,
                progress=lambda have, total: progress(remote.name, have, total),
                timeout=timeout,
                pause=pause,
            )
            _check_file(remote, partial, url, any_version)
        except InputError as error:
            problem = problem or error
        else:
            return partial, url
    assert problem is not None, "a corpus file without an address"
    raise problem


def _check_file(remote: Remote, fetched: Path, url: str, any_version: bool) -> None:
    """Refuse a file with the wrong checksum, or a web page instead of the file."""
    with fetched.open("rb") as stream:
        page = stream.read(512).lstrip()[:1] == b"<"
    wrong = remote.sha256 is not None and sha256(fetched) != remote.sha256
    if page or (wrong and not any_version):
        problem = "a web page instead of the file" if page else f"a file with sha256 {sha256(fetched)}"
        fetched.unlink()
        fix = (
            "try again later, or look at the corpus's home page" if page else "try again, or keep it with --any-version"
        )
        raise InputError(problem, path=url, expected=f"sha256 {remote.sha256}" if remote.sha256 else None, fix=fix)


def _place(remote: Remote, fetched: Path, work: Path) -> list[Path]:
    """Put the file in place, unpacked if it is a zip; a broken archive is deleted."""
    if not remote.name.endswith(".zip"):
        target = work / remote.name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(fetched.read_bytes())
        return [target]
    try:
        return unpack(fetched, work, remote.name)
    except InputError:
        fetched.unlink()
        raise


def _changed(remote: Remote, fetched: Path, files: list[Path]) -> str:
    """A message on what differs from the files that biomtl was tested on; empty if nothing does."""
    there = {(path.name, sha256(path)) for path in files if path.name in remote.members}
    other = [name for name, digest in remote.members.items() if (name, digest) not in there]
    if remote.sha256 is not None and sha256(fetched) != remote.sha256:
        other.append(remote.name)
    if remote.contents is not None and not _same(remote.contents, files):
        other.append(f"the {remote.contents.files} files {remote.contents.pattern}")
    return f"another version of {', '.join(other)}" if other else ""


def _same(contents: Contents, files: list[Path]) -> bool:
    digests = sorted(sha256(path) for path in files if fnmatch.fnmatchcase(path.name, contents.pattern))
    total = hashlib.sha256("\n".join(digests).encode()).hexdigest()
    return len(digests) == contents.files and total == contents.sha256
