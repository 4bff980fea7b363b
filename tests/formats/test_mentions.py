from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from biomtl.errors import InputError
from biomtl.formats import Document, Mention, Relation
from biomtl.formats.mentions import apply_policy, iob_tags, special
from biomtl.formats.model import covered
from biomtl.text.words import words

TEXT = "The left and right atrium of the heart muscle are dilated."


def mention(*pieces: str, name: str = "", kind: str = "X") -> Mention:
    spans = tuple((TEXT.index(piece), TEXT.index(piece) + len(piece)) for piece in pieces)
    return Mention(name or " ".join(pieces), kind, spans, covered(TEXT, spans))


def tagged(mentions: tuple[Mention, ...]) -> str:
    offsets = list(words(TEXT))
    tags = iob_tags(offsets, mentions, "here", typed=False)
    return " ".join(f"{TEXT[s:e]}/{tag}" for (s, e), tag in zip(offsets, tags, strict=True) if tag != "O")


def applied(policy: str, *mentions: Mention) -> str:
    document, _ = apply_policy(Document("d", TEXT, (), mentions), policy, "here")
    return tagged(document.mentions)


def test_discontinuous() -> None:
    split = mention("left", "atrium")
    assert special([split]) == {0: ["discontinuous"]}
    assert applied("keep", split) == "left/B atrium/I"
    assert applied("flatten", split) == "left/B and/I right/I atrium/I"


def test_nested() -> None:
    outer, inner = mention("heart muscle"), mention("heart")
    assert special([outer, inner]) == {1: ["nested"]}
    assert special([inner, outer]) == {0: ["nested"]}
    assert applied("keep", outer, inner) == "heart/B muscle/I"
    assert applied("keep", inner, outer) == "heart/B muscle/I"
    assert applied("flatten", inner, outer) == "heart/B muscle/I"
    assert applied("keep", outer, mention("muscle")) == "heart/B muscle/B"
    assert applied("flatten", outer, mention("muscle")) == "heart/B muscle/I"


def test_identical_mentions() -> None:
    assert special([mention("heart"), mention("heart")]) == {1: ["nested"]}
    assert applied("flatten", mention("heart", kind="X"), mention("heart", kind="Y")) == "heart/B"


def test_overlapping() -> None:
    first, second = mention("left and right"), mention("right atrium")
    assert special([first, second]) == {0: ["overlapping"], 1: ["overlapping"]}
    assert applied("keep", first, second) == "left/B and/I right/B atrium/I"
    assert applied("flatten", first, second) == "left/B and/I right/I"
    assert applied("flatten", second, first) == "left/B and/I right/I"


def test_a_mention_in_the_gap_of_another_is_ordinary_unless_flattened() -> None:
    around, inside = mention("left", "atrium"), mention("right")
    assert special([around, inside]) == {0: ["discontinuous"]}
    assert applied("keep", around, inside) == "left/B right/B atrium/I"
    assert applied("flatten", around, inside) == "left/B and/I right/I atrium/I"


def test_refuse_names_the_mention() -> None:
    with pytest.raises(InputError, match=r"^f.ann: document d: mention T7 'left atrium' is discontinuous, choose"):
        apply_policy(Document("d", TEXT, (), (mention("left", "atrium", name="T7"),)), "refuse", "f.ann")
    plain = Document("d", TEXT, (), (mention("left"), mention("heart")))
    assert apply_policy(plain, "refuse", "f.ann") == (plain, {"mentions": 2})


def test_unknown_policy() -> None:
    with pytest.raises(InputError, match="did you mean 'flatten'"):
        apply_policy(Document("d", TEXT), "flaten", "x")


def test_counts_and_relations_of_dropped_mentions() -> None:
    mentions = (
        mention("left", "atrium"),
        mention("right"),
        mention("heart muscle"),
        mention("heart"),
        mention("dilated"),
    )
    relations = (
        Relation("R1", "of", (("a", "right"), ("b", "dilated"))),
        Relation("R2", "of", (("a", "heart muscle"), ("b", "dilated"))),
    )
    document, counts = apply_policy(Document("d", TEXT, (), mentions, relations), "flatten", "x")
    assert counts == {"mentions": 5, "discontinuous": 1, "nested": 1, "dropped": 2, "dropped relations": 1}
    assert [relation.id for relation in document.relations] == ["R2"]
    assert [m.text for m in document.mentions] == ["left and right atrium", "heart muscle", "dilated"]


def test_tags_are_blues() -> None:
    offsets = [(0, 3), (3, 4), (4, 9), (10, 14)]
    inside = Mention("T", "D", ((4, 7),), "xxx")  # a token around the mention counts, as one inside it does
    assert iob_tags(offsets, [inside], "x") == ["O", "O", "B-D", "O"]
    partly = Mention("T", "D", ((2, 9),), "x" * 7)  # the first token is only touched
    assert iob_tags(offsets, [partly], "x") == ["O", "B-D", "I-D", "O"]
    touching = Mention("T", "D", ((8, 12),), "xxxx")  # no token inside or around: those touched
    assert iob_tags(offsets, [touching], "x") == ["O", "O", "B-D", "I-D"]
    with pytest.raises(InputError, match=r"x: mention T 'y' at 9 covers no token"):
        iob_tags(offsets, [Mention("T", "D", ((9, 10),), "y")], "x")


@st.composite
def mentions(draw: st.DrawFn) -> tuple[Mention, ...]:
    found = []
    for i in range(draw(st.integers(0, 8))):
        cuts = sorted(draw(st.lists(st.integers(0, len(TEXT)), min_size=2, max_size=6, unique=True)))
        spans = tuple(zip(cuts[::2], cuts[1::2], strict=False))
        if any(TEXT[s:e].strip() for s, e in spans):
            found.append(Mention(f"T{i}", "X", spans, covered(TEXT, spans)))
    return tuple(found)


@given(mentions())
@settings(max_examples=100, deadline=None)
def test_flatten_leaves_ordinary_mentions_and_drops_only_overlaps(found: tuple[Mention, ...]) -> None:
    document, counts = apply_policy(Document("d", TEXT, (), found), "flatten", "x")
    assert special(document.mentions) == {}
    assert len(document.mentions) + counts["dropped"] == len(found)
    kept = {m.id: (m.start, m.end) for m in document.mentions}
    assert all(a[1] <= b[0] for a, b in pairwise(sorted(kept.values())))
    for lost in found:
        if lost.id not in kept:  # something at least as long is in its way
            assert any(s < lost.end and lost.start < e and e - s >= lost.end - lost.start for s, e in kept.values())


@given(mentions())
@settings(max_examples=100, deadline=None)
def test_keep_tags_every_token_of_every_mention(found: tuple[Mention, ...]) -> None:
    offsets = list(words(TEXT))
    tags = iob_tags(offsets, found, "x")
    for m in found:
        for (start, end), tag in zip(offsets, tags, strict=True):
            if any(s <= start and end <= e for s, e in m.spans):
                assert tag != "O"
    assert sum(tag == "B-X" for tag in tags) <= len(found)
