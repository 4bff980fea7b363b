"""Whatever is done to a distribution's bytes, a reader gives records or an `InputError`, never anything else."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from biomtl.errors import InputError

EXAMPLES = 60
NAMES = ("BC5CDR", "DDI2013", "ChemProt", "HoC", "Biosses")
PIECES = rb"""\t \n \r\n | < > & &#0; &#xD800; \x00 \xff \xef\xbb\xbf -1 0 99999999999 -- AND NULL Arg1: CHEMICAL T1
    <!DOCTYPE\x20a\x20[ ]]> \xcc\x81 \xed\xa0\x80 \" """
TOKENS = st.sampled_from([piece.decode("unicode_escape").encode("latin-1") for piece in PIECES.split()])
EDITS = st.lists(
    st.tuples(st.floats(0, 1), st.integers(0, 12), st.one_of(TOKENS, st.binary(max_size=4))), min_size=1, max_size=3
)


def damage(content: bytes, edits: list[tuple[float, int, bytes]]) -> bytes:
    for place, length, new in edits:
        at = int(place * len(content))
        content = content[:at] + new + content[at + length :]
    return content


def check(corpora: Any, name: str, files: dict[str, bytes], packed: list[tuple[float, int, bytes]] | None) -> None:
    """Read the files, in a damaged archive if there are edits for it."""
    with tempfile.TemporaryDirectory() as folder:
        corpora.lay(files, Path(folder), packed is not None)
        if packed is not None:
            archive = Path(folder) / "corpus.zip"
            archive.write_bytes(damage(archive.read_bytes(), packed))
        rows, error = attempt(corpora, name, Path(folder))
        assert error is None or (error.path is not None and "\n" not in str(error))
        for _, _, record in rows:
            for entity in record.get("entities", ()):
                assert record["text"][entity["start"] : entity["end"]] == entity["text"]
            assert len(record.get("tags", ())) == len(record.get("tokens", ())) == len(record.get("offsets", ()))


def attempt(corpora: Any, name: str, folder: Path) -> tuple[Any, InputError | None]:
    try:
        return corpora.read(name, folder), None
    except InputError as error:
        return [], error


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data(), edits=EDITS)
def test_damaged_files(name: str, data: st.DataObject, edits: list[tuple[float, int, bytes]], corpora: Any) -> None:
    files = corpora.files(name)
    victim = data.draw(st.sampled_from(sorted(files)))
    check(corpora, name, files | {victim: damage(files[victim], edits)}, None)


@pytest.mark.parametrize("name", ["DDI2013", "HoC"])
@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
@given(edits=EDITS)
def test_damaged_archives(name: str, edits: list[tuple[float, int, bytes]], corpora: Any) -> None:
    check(corpora, name, corpora.files(name), edits)


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
@given(body=EDITS)
def test_damaged_word_tables(body: list[tuple[float, int, bytes]], corpora: Any) -> None:
    """The XML inside the Word file is damaged, not only the archive around it."""
    rows = [["No", *"ABCDE"], *([str(n), *map(str, marks)] for n, _, _, marks in corpora.biosses_pairs())]
    files = corpora.files("Biosses") | {"raw/Annotator-Scores.docx": corpora.docx(rows, lambda xml: damage(xml, body))}
    check(corpora, "Biosses", files, None)
