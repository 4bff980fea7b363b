"""Sentences, words, masks and ASCII text: properties of any text, and the cases behind the rules."""

from __future__ import annotations

import time
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from biomtl.text.masking import mask
from biomtl.text.printable import printable
from biomtl.text.sentences import sentences
from biomtl.text.words import words

quiet = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # on a machine with other work to do
PIECES = st.lists(
    st.sampled_from(
        [
            "Rats",
            " ",
            "  ",
            "\n",
            ".",
            "?",
            "!",
            ")",
            '"',
            "'s",
            "'",
            "i.v",
            "e.g",
            "J",
            "PDE3A",
            "nAChRs",
            "1",
            "-",
            "α",
            "±",
        ]
    ),
    max_size=30,
).map("".join)
TEXTS = st.one_of(PIECES, st.text(max_size=60))


def cut(text: str) -> list[str]:
    return [text[start:end] for start, end in sentences(text)]


@quiet
@given(TEXTS)
def test_sentences_cover_the_text_and_nothing_else(text: str) -> None:
    spans = list(sentences(text))
    assert "".join(text[start:end] for start, end in spans).split() == "".join(cut(text)).split()
    assert "".join("".join(cut(text)).split()) == "".join(text.split())
    for start, end in spans:
        assert start < end
        assert text[start:end] == text[start:end].strip()
    for (_, end), (start, _) in pairwise(spans):
        assert end <= start


@quiet
@given(TEXTS, st.data())
def test_sentences_of_a_passage_stay_inside_it(text: str, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, len(text)))
    for begin, stop in sentences(text, start, end):
        assert start <= begin < stop <= end


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("It rose. Rats died? Yes! So.", ["It rose.", "Rats died?", "Yes!", "So."]),
        ("Given i.p. to rats.", ["Given i.p. to rats."]),
        ("Seen (e.g. Zorin) in rats, cf. Fig. 3 and ref. 4.", ["Seen (e.g. Zorin) in rats, cf. Fig. 3 and ref. 4."]),
        ("Work of J. Doe et al. (2003) in E. coli.", ["Work of J. Doe et al. (2003) in E. coli."]),
        ("They had St. Elmo's fire. 5-HT fell.", ["They had St. Elmo's fire.", "5-HT fell."]),
        ("It was open. nAChRs closed. miR-7 rose.", ["It was open.", "nAChRs closed.", "miR-7 rose."]),
        ("Aims. 1. The dose. 2. The rate.", ["Aims.", "1. The dose.", "2. The rate."]),
        ('(It fell.) "It rose." [Then it fell.]', ["(It fell.)", '"It rose."', "[Then it fell.]"]),
        ("A cure for disease.The drug is new.", ["A cure for disease.", "The drug is new."]),
        ("P < 0.01 was found.", ["P < 0.01 was found."]),
        ("Is it? said nobody.", ["Is it? said nobody."]),
        ("  ", []),
    ],
)
def test_sentences_of_abstracts(text: str, expected: list[str]) -> None:
    assert cut(text) == expected


def test_a_line_of_nothing_but_marks_takes_linear_time() -> None:
    begin = time.process_time()
    n = 10**5
    for text in ("." * n, "a. " * n, ".)" * n, " " * n, "'" * n, "a'" * n, "a." * n, "[A." * n):
        assert sum(end - start for start, end in sentences(text)) <= len(text)
        assert sum(1 for _ in words(text)) <= len(text)
    assert time.process_time() - begin < 20


@quiet
@given(TEXTS)
@example("patient's o'clock 5'-AMP ''s 's'")
def test_splitting_into_words_loses_only_whitespace(text: str) -> None:
    spans = list(words(text))
    assert "".join(text[start:end] for start, end in spans) == "".join(text.split())
    assert all(end <= start for (_, end), (start, _) in pairwise(spans))


@quiet
@given(TEXTS, st.data())
def test_words_begin_and_end_where_a_run_of_letters_does(text: str, data: st.DataObject) -> None:
    """A mention that begins and ends at the edge of a run of word characters is made of whole words."""
    edges = [
        i
        for i in range(len(text) + 1)
        if not (0 < i < len(text) and all(c.isalnum() or c in "_'" for c in text[i - 1 : i + 1]))
    ]
    start = data.draw(st.sampled_from(edges))
    assert all(end <= start or begin >= start for begin, end in words(text))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("non-steroidal P<0.01", "non - steroidal P < 0 . 01"),
        ("patient's don't", "patient 's don't"),
        ("5'-AMP 'so' rats'", "5 ' - AMP ' so ' rats '"),
        ("snake_case ±3 µg ≤β2", "snake_case ± 3 µg ≤ β2"),
    ],
)
def test_words_of_abstracts(text: str, expected: str) -> None:
    assert [text[start:end] for start, end in words(text)] == expected.split()


@st.composite
def two_spans(draw: st.DrawFn) -> tuple[str, tuple[int, int], tuple[int, int]]:
    text = draw(st.text(alphabet="ab cd", min_size=1, max_size=20))
    spans = []
    for _ in range(2):
        start = draw(st.integers(0, len(text) - 1))
        spans.append((start, draw(st.integers(start + 1, len(text)))))
    return text, spans[0], spans[1]


@quiet
@given(two_spans())
def test_masks_replace_the_two_mentions_and_nothing_else(case: tuple[str, tuple[int, int], tuple[int, int]]) -> None:
    text, first, second = case
    masked = mask(text, first, second, ("@L$", "@RIGHT$"), "@BOTH$")
    left, right = sorted((first, second))
    assert masked == mask(text, first, second, ("@L$", "@RIGHT$"), "@BOTH$")
    if left[1] < right[0]:
        one, other = (masked.first, masked.second) if first == left else (masked.second, masked.first)
        assert (masked.text[slice(*one)], masked.text[slice(*other)]) == ("@L$", "@RIGHT$")
        assert masked.text == text[: left[0]] + "@L$" + text[left[1] : right[0]] + "@RIGHT$" + text[right[1] :]
    else:
        assert masked.first == masked.second
        assert masked.text[slice(*masked.first)] == "@BOTH$"
        assert masked.text == text[: left[0]] + "@BOTH$" + text[max(first[1], second[1]) :]


@quiet
@given(st.text())
def test_printable_is_ascii_and_leaves_ascii_alone(text: str) -> None:
    done = printable(text)
    assert done.isascii()
    assert printable(done) == done


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("5-HT₂ α1, ≤3 µM", "5-HT2 a1, <3 mM"),
        ("θΘψΨ ΩωΣς", "thTHpsPS wwSs"),
        ("naïve Å × ± → ∞", "naive A * + > ~"),
        ("łódź ﬁt ñ", "odz fit n"),  # outside BLUE's table: base letters, else nothing
        ("a\tb\nc\x00\x7f", "a\tb\nc"),
    ],
)
def test_printable_look_alikes(text: str, expected: str) -> None:
    assert printable(text) == expected
