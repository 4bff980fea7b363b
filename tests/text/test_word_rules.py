"""A corpus's way to split words: learned from its tokens, applied to new text."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import genia
import tiny
from biomtl.tasks.words import WordRule
from biomtl.text.alignment import render_tokens
from biomtl.text.word_rules import BLANKS, OURS, cut_words, describe, learn_words
from biomtl.text.words import words


def cut(text: str, rule: WordRule) -> list[str]:
    return [text[start:end] for start, end in cut_words(text, rule)]


@pytest.mark.parametrize("joined", [False, True])
def test_a_corpus_with_words_of_its_own(joined: bool) -> None:
    rule = learn_words(genia.records(200, joined=joined))
    assert rule.name == "corpus"
    assert rule.agreement["corpus"] > 0.99 > rule.agreement["ours"]
    for record in genia.records(50, seed=1):
        assert cut(" ".join(record["tokens"]), rule) == record["tokens"]
        assert cut(genia.printed(record["tokens"])[0], rule) == record["tokens"]
    assert cut("vs. RI-7/p21 (10.5) gene, 3,4-rimol.", rule) == [
        *("vs.", "RI-7/p21", "(", "10.5", ")", "gene", ",", "3,4-rimol", ".")
    ]


def test_a_corpus_with_our_words() -> None:
    rows: list[dict[str, Any]] = []
    for record in genia.records(60):
        text = genia.printed(record["tokens"])[0]
        spans = list(words(text))
        rows.append({"tokens": [text[start:end] for start, end in spans], "offsets": spans})
    rule = learn_words(rows)
    assert (rule.name, rule.agreement["ours"], describe(rule)) == ("ours", 1.0, [])
    assert learn_words(tiny.records("tag-drug", 30)).name == "ours"


def test_a_corpus_split_at_spaces() -> None:
    texts = ["The pola-gene, (or milo) binds.", "Rimu's vono: 3 x 5% was 'dasu'.", "A (very) quari-suno; fenat."] * 4
    rows = []
    for text in texts:
        tokens = text.split()
        starts = [sum(len(token) + 1 for token in tokens[:i]) for i in range(len(tokens))]
        offsets = [(start, start + len(token)) for start, token in zip(starts, tokens, strict=True)]
        rows.append({"tokens": tokens, "offsets": offsets})
    rule = learn_words(rows)
    assert rule.name == "blanks"
    assert cut("rimu-vono, (milo).", rule) == ["rimu-vono,", "(milo)."]
    assert any("at blanks" in line for line in describe(rule))


def test_words_that_no_rule_gives_are_reported() -> None:
    rows = []
    for number, record in enumerate(genia.records(80)):
        tokens = [token for i, token in enumerate(record["tokens"])]
        if number % 2:  # every second sentence has its hyphens apart
            tokens = [part for token in tokens for part in token.replace("-", " - ").split()]
        text, offsets = render_tokens(tokens, genia.printed(tokens)[1])
        rows.append({"tokens": tokens, "offsets": offsets})
    rule = learn_words(rows)
    assert max(rule.agreement.values()) < 0.99
    assert any("the rule misses" in line for line in describe(rule))


def test_a_rule_survives_json() -> None:
    rule = learn_words(genia.records(100))
    again = WordRule.model_validate_json(rule.model_dump_json())
    assert again == rule
    assert len(rule.split) + len(rule.join) < 60  # small enough to be read


RULES = [OURS, BLANKS, learn_words(genia.records(100))]


@given(text=st.one_of(st.text(), st.lists(st.sampled_from([*"a0.-/,' (é²\u0301\u200b\n"])).map("".join)))
def test_every_visible_character_is_in_one_word(text: str) -> None:
    for rule in RULES:
        end = 0
        for start, stop in cut_words(text, rule):
            assert text[end:start].strip() == ""
            assert start < stop
            assert not any(character.isspace() for character in text[start:stop])
            end = stop
        assert text[end:].strip() == ""
