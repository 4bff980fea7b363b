"""Downloads one file over HTTP with the standard library: resumable, and with a limit on its size."""

from __future__ import annotations

import errno
import http.client
import re
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import biomtl
from biomtl.errors import InputError

MAX_BYTES = 1 << 30  # far more than any corpus; stops a server that never ends
_BLOCK = 1 << 16
_MAX_REQUESTS = 100  # stops a server that sends a few bytes per request
_OUR_DISK = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EFBIG, errno.EISDIR}
_RANGE = re.compile(r"bytes (\d+)-\d+/(\d+|\*)")

Progress = Callable[[int, int | None], None]
"""Called with the bytes downloaded so far and the total, if the server gives one."""


class _BrokenError(Exception):
    """A temporary fault: try again."""


def fetch(
    url: str,
    partial: Path,
    *,
    progress: Progress | None = None,
    timeout: float = 30,
    attempts: int = 5,
    pause: float = 1,
) -> None:
    """Download ``url`` into ``partial``; a partial file is continued if the server supports it.

    Stalls (no data for ``timeout`` seconds), broken connections and server errors are retried, with growing pauses, as
    long as there is progress or ``attempts`` are left. If all attempts fail, ``partial`` is kept, so that the next call
    continues from there.

    Raises:
        InputError: no such file, no connection, too many faults, over 1 GiB. Only the announced length is checked:
            compare checksums afterwards.
    """
    if urlsplit(url).scheme not in ("http", "https"):
        raise InputError("an address that isn't http or https", path=url)
    try:
        _fetch(url, partial, progress or (lambda *_: None), timeout, attempts, pause)
    except BaseException:
        if partial.is_file() and not partial.stat().st_size:  # on a full disk, for example
            partial.unlink()
        raise


def _fetch(url: str, partial: Path, progress: Progress, timeout: float, attempts: int, pause: float) -> None:
    left, size, validator = attempts, -1, ""
    for _ in range(_MAX_REQUESTS):
        try:
            validator = _transfer(url, partial, validator, timeout, progress)
            return
        except (_BrokenError, OSError, http.client.HTTPException) as error:
            if isinstance(error, OSError) and error.errno in _OUR_DISK:
                raise
            reached = partial.stat().st_size if partial.exists() else 0
            left = attempts if reached > size >= 0 else left - 1
            size = max(size, reached)
            reason = _reason(error)
        if left <= 0:
            break
        time.sleep(pause * 2 ** (attempts - left))
    fix = "run the same command again: it continues from there"
    raise InputError(f"download failed ({reason}) after {max(size, 0):,} bytes", path=url, fix=fix)


def _reason(error: BaseException) -> str:
    reason = getattr(error, "reason", error)
    return "the server stalled" if isinstance(reason, TimeoutError) else str(reason) or type(reason).__name__


def _transfer(url: str, partial: Path, validator: str, timeout: float, progress: Progress) -> str:
    """One request; returns the ETag, which identifies the version of the file."""
    have = partial.stat().st_size if partial.exists() else 0
    headers = {"User-Agent": f"biomtl/{biomtl.__version__}", "Accept-Encoding": "identity"}
    if have:
        headers["Range"] = f"bytes={have}-"
        if validator:
            headers["If-Range"] = validator
    request = urllib.request.Request(url, headers=headers)
    try:
        response = urllib.request.urlopen(request, timeout=timeout)
    except urllib.error.HTTPError as error:
        with error:
            _refused(error, url, partial, have)
            return validator
    with response:
        start, total = _extent(response, have)
        with partial.open("r+b" if start and partial.exists() else "wb") as stream:
            stream.truncate(start)
            stream.seek(start)
            _copy(response, stream, start, total, url, timeout, progress)
        return str(response.headers.get("ETag") or "")


def _refused(error: urllib.error.HTTPError, url: str, partial: Path, have: int) -> None:
    """Return if the file is already complete; otherwise raise a temporary or a final error."""
    if error.code == 416 and have:
        if (error.headers.get("Content-Range") or "").strip() == f"bytes */{have}":
            return
        partial.unlink()  # our part can't belong to the server's file
        raise _BrokenError("the file has changed on the server")
    if error.code == 429 or error.code >= 500:
        raise _BrokenError(f"the server answers {error.code}")
    fix = "the address may have moved: look at the corpus's home page"
    raise InputError(f"the server answers {error.code} ({error.reason})", path=url, fix=fix)


def _extent(response: Any, have: int) -> tuple[int, int | None]:
    """Where the response's bytes start and how many the whole file has; a server may ignore the requested range."""
    length = response.headers.get("Content-Length") or ""
    start = 0
    if response.status == 206:
        match = _RANGE.fullmatch(response.headers.get("Content-Range") or "")
        if not match or int(match[1]) != have:
            raise _BrokenError("the server sent another range than requested")
        if match[2] != "*":
            return have, int(match[2])
        start = have
    return start, start + int(length) if re.fullmatch(r"[0-9]{1,15}", length) else None


def _copy(
    response: Any, stream: Any, start: int, total: int | None, url: str, timeout: float, progress: Progress
) -> None:
    if (total or 0) > MAX_BYTES:
        raise InputError(f"a file of {total:,} bytes", path=url, expected=f"at most {MAX_BYTES:,}")
    have, since = start, time.monotonic()
    progress(have, total)
    while block := response.read1(_BLOCK):
        have += len(block)
        if have > MAX_BYTES or (total is not None and have > total):
            raise InputError(f"more than the {total or MAX_BYTES:,} bytes announced", path=url)
        stream.write(block)
        progress(have, total)
        # A server that sends a byte now and then never triggers the socket's timeout.
        if time.monotonic() - since > 10 * timeout and have - start < 10 * 1024:
            raise _BrokenError("the server is stalling")
    if total is not None and have < total:
        raise _BrokenError(f"the connection ended at {have:,} of {total:,} bytes")
