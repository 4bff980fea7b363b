"""Whatever a file contains, a reader raises only InputError, in one line that names the file."""

from __future__ import annotations

import io
import zipfile

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fuzz import targets

SIGNS = (
    "\0",
    "|",
    "||",
    '"',
    "<",
    "&",
    ";",
    "-1",
    "99999999999",
    "0",
    "٣",
    "{",
    "[",
    "null",
    "\\ud800",
    "O",
    "#",
    "\u2028",
)
RARE = [sign.encode() for sign in SIGNS]
RARE += [b"\xff", b"\xed\xa0\x80", b"\xef\xbb\xbf", b"\r\n", b"\r", b"\n\n", b"\t", b"\t\t", b" "]


@st.composite
def changed(draw: st.DrawFn, sample: bytes) -> bytes:
    """The sample with a few pieces cut out, doubled or replaced."""
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(sample)))
        end = min(len(sample), start + draw(st.integers(0, 12)))
        piece = draw(st.sampled_from(RARE) | st.binary(max_size=6) | st.just(sample[start:end] * 2))
        sample = sample[:start] + piece + sample[end:]
    return sample


@pytest.mark.parametrize("name", targets.READERS)
def test_samples_are_good(name: str) -> None:
    for sample in targets.samples(name):
        targets.TARGETS[name](sample)


@pytest.mark.parametrize("name", [name for name in targets.READERS if name != "zip"])
@given(data=st.data())
@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_readers(name: str, data: st.DataObject) -> None:
    sample = data.draw(st.sampled_from(targets.samples(name)))
    targets.run(name, data.draw(changed(sample) | st.binary(max_size=60).map(lambda content: sample[:1] + content)))


@given(
    st.lists(
        st.tuples(
            st.text(st.sampled_from("ab./\\:~\0é"), min_size=1, max_size=8) | st.just("x.zip"),
            st.binary(max_size=8),
        ),
        max_size=4,
    ),
    st.data(),
)
@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_zip(members: list[tuple[str, bytes]], data: st.DataObject) -> None:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, content in members:
            info = zipfile.ZipInfo("x")
            info.filename = name  # the constructor would tidy it up
            archive.writestr(info, content)
    targets.run("zip", data.draw(changed(stream.getvalue()) | st.just(stream.getvalue())))


@pytest.mark.parametrize(
    "name", [name for name in targets.READERS if name not in ("zip", "bioc-xml", "bioc-json", "brat", "ddi2013")]
)
def test_a_line_of_a_hundred_megabytes(name: str) -> None:
    start = targets.samples(name)[0][:1]
    with pytest.raises(targets.BiomtlError, match=r"(a (line|text) of|json:) over"):
        targets.TARGETS[name](start + b"x" * 100_000_000)


def test_an_xml_document_of_a_hundred_megabytes() -> None:
    with pytest.raises(targets.BiomtlError, match=r"a <document> of over 33,554,432 characters"):
        targets.TARGETS["ddi2013"](b'\0<document id="a">' + b"x" * 100_000_000)
