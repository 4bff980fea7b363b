"""Which word piece represents a word."""

from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from biomtl.text.alignment import render_tokens, word_positions
from biomtl.text.base import EncodedRow


def row(*spans: tuple[int, int]) -> EncodedRow:
    """A row of pieces between two special positions."""
    offsets = np.array([(0, 0), *spans, (0, 0)], dtype=np.int32)
    sides = np.array([-1, *[0] * len(spans), -1], dtype=np.int8)
    return EncodedRow({}, offsets, sides)


def test_tokens_as_they_touched() -> None:
    text, spans = render_tokens(["P", "<", "0.01", "in", "rats"], [[5, 6], [6, 7], [9, 13], [20, 22], [22, 26]])
    assert text == "P< 0.01 inrats"
    assert [text[start:end] for start, end in spans] == ["P", "<", "0.01", "in", "rats"]
    assert render_tokens([], []) == ("", [])


@given(st.lists(st.tuples(st.text(min_size=1, max_size=5), st.integers(0, 3)), max_size=8))
def test_rendered_spans_give_the_tokens(parts: list[tuple[str, int]]) -> None:
    offsets, at = [], 7
    for token, gap in parts:
        offsets.append([at + gap, at + gap + len(token)])
        at = offsets[-1][1]
    text, spans = render_tokens([token for token, _ in parts], offsets)
    assert [text[start:end] for start, end in spans] == [token for token, _ in parts]
    assert len(text) <= at


def test_first_pieces() -> None:
    # "zalpidine works ." in pieces zal|pidine, works, .
    words = [(0, 9), (10, 15), (16, 17)]
    assert word_positions([row((0, 3), (3, 9), (10, 15), (16, 17))], words).tolist() == [[0, 1], [0, 3], [0, 4]]


def test_a_piece_over_two_words_represents_both() -> None:
    assert word_positions([row((0, 4))], [(0, 2), (2, 4)]).tolist() == [[0, 1], [0, 1]]


def test_a_word_without_pieces() -> None:
    assert word_positions([row((0, 2), (5, 7))], [(0, 2), (3, 4), (5, 7)]).tolist() == [[0, 1], [-1, -1], [0, 2]]
    assert word_positions([row()], [(0, 2)]).tolist() == [[-1, -1]]
    assert word_positions([row((0, 1))], []).shape == (0, 2)


def test_pieces_that_begin_with_the_blank_before() -> None:
    assert word_positions([row((0, 2), (2, 5), (5, 6))], [(0, 2), (3, 6)]).tolist() == [[0, 1], [0, 2]]


def test_several_pieces_of_one_character() -> None:
    """Byte-level tokenizers cut a character into bytes that all carry its offsets."""
    assert word_positions([row((0, 1), (0, 1), (0, 1), (2, 3))], [(0, 1), (2, 3)]).tolist() == [[0, 1], [0, 4]]


def test_the_window_with_most_context_is_used() -> None:
    words = [(i, i + 1) for i in range(8)]
    first, second = row(*words[:5]), row(*words[3:])
    positions = word_positions([first, second], words).tolist()
    assert positions[:3] == [[0, 1], [0, 2], [0, 3]]
    assert positions[3:] == [[0, 4], [1, 2], [1, 3], [1, 4], [1, 5]]


def test_a_window_that_opens_inside_a_word_has_only_its_rest() -> None:
    word = [(0, 6), (7, 8)]
    first, second = row((0, 2), (2, 4), (4, 6)), row((4, 6), (7, 8))
    assert word_positions([first, second], word).tolist() == [[0, 1], [1, 2]]


@pytest.mark.parametrize("side", [0, 1])
def test_only_the_requested_side(side: int) -> None:
    offsets = np.array([(0, 0), (0, 2), (0, 0), (0, 2), (0, 0)], dtype=np.int32)
    pair = EncodedRow({}, offsets, np.array([-1, 0, -1, 1, -1], dtype=np.int8))
    assert word_positions([pair], [(0, 2)], side=side).tolist() == [[0, 1 + 2 * side]]


def test_the_order_of_words_makes_no_difference_and_time_is_linear() -> None:
    def windows(count: int) -> tuple[list[EncodedRow], list[tuple[int, int]]]:
        words = [(5 * i, 5 * i + 4) for i in range(30 * count)]
        return [row(*words[30 * i : 30 * i + 40]) for i in range(count)], words

    rows, words = windows(20)
    order = np.random.default_rng(0).permutation(len(words))
    shuffled = word_positions(rows, [words[i] for i in order])  # which looks for every word in every window
    assert (shuffled == word_positions(rows, words)[order]).all()

    def seconds(count: int) -> float:
        given, begun = windows(count), time.process_time()
        word_positions(*given)
        return time.process_time() - begun

    assert seconds(4000) < 10 * max(seconds(1000), 0.01), "four times the text, sixteen times the time if quadratic"
