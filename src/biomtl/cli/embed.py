"""``biomtl embed``."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal

import typer

from biomtl.cli.precision import chosen
from biomtl.cli.progress import texts as bar
from biomtl.cli.say import say
from biomtl.cli.verify import NoVerify
from biomtl.errors import InputError
from biomtl.inference.embed import embed as embed_sentences
from biomtl.inference.embed import write_embeddings
from biomtl.inference.embed_texts import embed_texts
from biomtl.storage.files import read_jsonl, read_lines, refuse_existing, suffix_of
from biomtl.text.words import words


class Pooling(StrEnum):
    """How a word's vector is made from those of its pieces."""

    first = "first"
    mean = "mean"


class Of(StrEnum):
    """What a vector stands for."""

    words = "words"
    text = "text"
    pooled = "pooled"


class Words(StrEnum):
    """How a line of text becomes words."""

    blanks = "blanks"
    cut = "cut"


def embed(
    model: Annotated[str, typer.Argument(help="ELMo folder, encoder folder or hub name, or biomtl model or run.")],
    source: Annotated[Path, typer.Argument(metavar="IN", help="Sentences: text, one per line, or JSONL.")],
    out: Annotated[Path, typer.Option("--out", help="HDF5 file to write.")],
    of: Annotated[
        Of, typer.Option(help="Vectors of words, of whole texts or pairs, or the encoder's pooled vector of these.")
    ] = Of.words,
    layers: Annotated[
        str | None, typer.Option(help="Only these layers, such as `-1` or `0,6,12`: 0 the embeddings, -1 the last.")
    ] = None,
    pooling: Annotated[
        Pooling,
        typer.Option(help="Transformers: a word's first piece, or the mean of its pieces; a text's first position …"),
    ] = Pooling.first,
    words: Annotated[
        Words | None,
        typer.Option(
            help="Words of a text: separated by spaces (default for lines), or split as in training, with punctuation "
            "split off (default for `text` in JSONL)."
        ),
    ] = None,
    bf16: Annotated[bool, typer.Option("--bf16", help="Compute in bfloat16.")] = False,
    stateful: Annotated[
        bool, typer.Option("--stateful", help="ELMo: carry the LSTM state over sentences, like bilm-tf's dump.")
    ] = False,
    no_verify: NoVerify = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an existing file.")] = False,
) -> None:
    """Write word vectors from every layer: one dataset per sentence, numbered from 0, layers x words x dim.

    Blank lines are skipped and not counted. JSONL lines have `tokens`, words as given, or `text`; with `--of text` or
    `pooled` also `text_a` and `text_b`. In text, a tab or `|||` separates a pair.

    Example: `biomtl embed elmo/ sentences.txt --out vectors.hdf5`
    """

    refuse_existing(out, overwrite, output="embeddings", inputs=(model, source))
    with bar("embed") as advance:
        numbers, half = _numbers(layers), chosen(bf16)
        way: Literal["first", "mean"] = "mean" if pooling is Pooling.mean else "first"
        if of is Of.words:
            sentences = read_sentences(source, words)
            vectors = embed_sentences(model, sentences, pooling=way, layers=numbers, bf16=half, stateful=stateful)
        else:
            _refuse_of_words(words, stateful, layers if of is Of.pooled else None)
            kind: Literal["text", "pooled"] = "text" if of is Of.text else "pooled"
            vectors = embed_texts(model, read_texts(source), of=kind, pooling=way, layers=numbers, bf16=half)
        count = write_embeddings(out, vectors, overwrite=overwrite, advance=advance)
    say(f"{out}: {count:,} sentences")


def _numbers(text: str | None) -> list[int] | None:
    """``0,-1`` as numbers."""
    if text is None:
        return None
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise InputError(f"--layers {text!r}", expected="numbers, such as -1 or 0,6,12") from None


def _refuse_of_words(words: Words | None, stateful: bool, layers: str | None) -> None:
    """Refuse options that whole texts don't have."""
    for option, given in (("--words", words), ("--stateful", stateful or None), ("--layers", layers)):
        if given is not None:
            what = "the pooled vector, which has one" if option == "--layers" else "whole texts"
            raise InputError(f"{option} for {what}", expected="--of words", fix="leave it out")


def read_texts(source: Path) -> Iterator[tuple[str, ...]]:
    """The one or two texts of every line that isn't blank, or of every JSONL record.

    Raises:
        InputError: an empty text, more than two, or a record without texts.
    """
    if suffix_of(source) in (".jsonl", ".json", ".ndjson"):
        for number, record in read_jsonl(source):
            keys = ("text_a", "text_b") if "text_a" in record else ("text",)
            values = [record.get(key) for key in keys]
            if not all(isinstance(value, str) and value.strip() for value in values):
                raise InputError("no text", path=source, line=number, expected='"text", or "text_a" and "text_b"')
            yield tuple(str(value) for value in values)
        return
    for number, line in read_lines(source):
        if line.strip():
            texts = tuple(part.strip() for part in re.split(r"\t|\|\|\|", line))
            if len(texts) > 2 or not all(texts):
                raise InputError(f"{len(texts)} texts", path=source, line=number, expected="one, or two with a tab")
            yield texts


def read_sentences(source: Path, how: Words | None = None) -> Iterator[Sequence[str]]:
    """The words of every line of text that isn't blank, or of every JSONL record.

    Raises:
        InputError: a record without words, or one without ``tokens`` or ``text``.
    """

    if suffix_of(source) not in (".jsonl", ".json", ".ndjson"):
        yield from (split(line, how or Words.blanks) for _, line in read_lines(source) if line.strip())
        return
    for number, record in read_jsonl(source):
        tokens, text = record.get("tokens"), record.get("text")
        if isinstance(tokens, list) and all(isinstance(token, str) for token in tokens):
            yield _some(tokens, source, number)
        elif tokens is None and isinstance(text, str):
            yield _some(split(text, how or Words.cut), source, number)
        else:
            problem = "tokens that are not a list of strings" if tokens is not None else "no tokens and no text"
            raise InputError(problem, path=source, line=number, expected='"tokens": ["…"] or "text": "…"')


def split(text: str, how: Words) -> list[str]:
    """The words of a text."""

    return text.split() if how is Words.blanks else [text[start:end] for start, end in words(text)]


def _some(words: Sequence[str], source: Path, number: int) -> Sequence[str]:

    if not words:
        fix = "delete the line (rows are numbered without it)"
        raise InputError("a sentence with no words", path=source, line=number, expected="at least one word", fix=fix)
    return words
