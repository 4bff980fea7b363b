"""The user's own relations: from a table, from records and from annotated documents, and what is refused."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from biomtl.batch import encode_examples
from biomtl.corpora.relations import document_units
from biomtl.custom import Files, TaskDefinition
from biomtl.custom.relations import Coverage, DocumentPairs
from biomtl.encoders import load_processor
from biomtl.errors import InputError
from biomtl.formats import bioc, jsonl, pubtator
from biomtl.formats.model import Document, Mention, Relation, covered
from biomtl.suite import load_suite
from biomtl.tasks.head import HeadChoice
from biomtl.tasks.relation import RelationArguments
from own_relations import ARGUMENTS, DATA, PAIR, document, fault, lines, own, triples


def test_a_table_has_columns_for_both_arguments() -> None:
    data = own(DATA / "relation.tsv")
    assert triples(data)[0] == ("Tavrixan", "nausea", "causes")
    assert triples(data)[3] == ("brentolol", "rash", "none")
    assert (data.task.labels, data.task.negative) == (("causes", "cures", "none"), "none")
    arguments = RelationArguments(**ARGUMENTS, mask_order="arguments")
    assert (data.task.metric, data.task.relation) == ("micro_f1_positive", arguments)
    assert [entity["id"] for entity in data.records("train")[0]["entities"]] == ["e1", "e2"]


def test_concepts_of_records_are_texts_in_a_list(write) -> None:
    """A single one and numbers become that; neither was counted by `concept_pair_f1`."""
    row = {"text": "Tavrixan caused nausea.", "label": "causes"}
    first, second = {"type": "Drug", "start": 0, "end": 8}, {"type": "Illness", "start": 16, "end": 22}
    sides = [{**first, "identifiers": "D1"}, {**second, "identifiers": [672, "D3"]}]
    other = {**row, "label": "none", "text": "Tavrixan caused Nausea."}
    records = own(write("a.jsonl", lines({**row, "entities": sides}, {**other, "entities": [first, second]}))).records(
        "train"
    )
    assert [entity.get("identifiers") for entity in records[0]["entities"]] == [["D1"], ["672", "D3"]]
    bad = {**other, "entities": [first, {**second, "identifiers": {"MESH": "D1"}}]}
    said = fault(write("a.jsonl", lines({**row, "entities": sides}, bad)))
    assert ":2: entity 'e2': identifiers [{'MESH': 'D1'}], expected a list of texts" in said


def test_columns_may_have_other_names_and_types_may_follow(write) -> None:
    path = write("a.csv", "s,e,x,y,t,gold,idb\n0,1,2,3,a b,yes,C7|C8\n0,1,4,5,a b c,none,\n")
    columns = {"text": "t", "label": "gold", "start_a": "s", "end_a": "e", "start_b": "x", "end_b": "y"}
    data = own(path, columns={**columns, "identifiers_b": "idb"})
    assert triples(data) == [("a", "b", "yes"), ("a", "c", "none")]
    one, other = data.records("train")[0]["entities"]
    assert (one["type"], other["type"], other["identifiers"]) == ("drug", "illness", ["C7", "C8"])
    assert "identifiers" not in data.records("train")[1]["entities"][1]


def test_records_hold_their_mentions(write) -> None:
    entities = [{"type": "Drug", "start": 0, "end": 4}, {"type": "Illness", "start": 11, "end": 15, "id": "T9"}]
    rows = [{"text": "Kava cures rash.", "entities": entities, "label": label} for label in ("cures", "none")]
    data = own(write("a.jsonl", lines(*rows)))
    assert triples(data) == [("Kava", "rash", "cures"), ("Kava", "rash", "none")]
    assert [entity["id"] for entity in data.records("train")[0]["entities"]] == ["e1", "T9"]


def test_documents_give_every_candidate_pair() -> None:
    data = own(DATA / "trial")
    assert triples(data) == [("Brentolol", "asthma", "cures"), ("brentolol", "tremor", "none")]
    (note,) = [note for note in data.notes if "not covered" in note]
    assert note.endswith("1 of 2 relations are not covered: 1 between mentions in different units (unit: sentence)")
    data = own(DATA / "trial", {**ARGUMENTS, "unit": "passage"})
    assert len(triples(data)) == 8
    assert ("Brentolol", "tremor", "causes") in triples(data)
    assert not any("not covered" in note for note in data.notes)
    assert all("\n" not in record["text"] for record in data.records("train"))
    near = own(DATA / "trial", {**ARGUMENTS, "unit": "document", "window": 6})
    assert triples(near) == [("Brentolol", "asthma", "cures"), *[("brentolol", "tremor", "none")] * 2]


def test_relations_between_concepts_label_every_pair_of_their_mentions(write) -> None:
    text = "7|t|Kava and rash\n7|a|Kava cures rash and redness, says kava.\n"
    places = [(0, 4, "Drug", "D1"), (9, 13, "Illness", "C1"), (14, 18, "Drug", "D1"), (25, 29, "Illness", "C1")]
    places += [(34, 41, "Illness", "C2|C3"), (48, 52, "Drug", "D1")]
    flat = "Kava and rash Kava cures rash and redness, says kava."
    rows = [f"7\t{start}\t{end}\t{flat[start:end]}\t{of}\t{concept}" for start, end, of, concept in places]
    path = write("a.pubtator", text + "\n".join([*rows, "7\tcures\tD1\tC1", "7\tcures\tC3\tD1"]) + "\n")
    expected = [
        ("Kava", "rash", "cures"),
        ("Kava", "rash", "cures"),
        ("Kava", "redness", "cures"),
        ("kava", "rash", "cures"),
        ("kava", "redness", "cures"),
    ]
    data = own(path, labels=["cures"])
    assert triples(data) == expected
    assert data.task.labels == ("cures", "none")
    (document,) = pubtator.read(path)
    bioc.write([document], path.with_name("b.xml"))
    assert triples(own(path.with_name("b.xml"))) == expected
    jsonl.write([document], path.with_name("c.jsonl"))
    assert triples(own(path.with_name("c.jsonl"))) == expected


def test_variants_and_composite_mentions_are_arguments(write) -> None:
    """A variant's notation has the separator of composite mentions; a composite argument is a mention of all of it."""
    text = "V12 of GENA and GENB with ague, or GENA with dropsy."
    places = [(0, 3, "Gene", "p|SUB|R|12|Q"), (7, 20, "Gene", "61,62"), (26, 30, "Ill", "D1"), (35, 39, "Gene", "61")]
    rows = [f"7\t{start}\t{end}\t{text[start:end]}\t{of}\t{concept}" for start, end, of, concept in places]
    relations = ["7\tAssociation\tp|SUB|R|12|Q\tD1\tNovel", "7\tBind\t61|62\tD1\tNo"]
    path = write("x.pubtator", "\n".join((f"7|t|{text}", "7|a|", *rows, *relations)) + "\n")
    data = own(path, {"first": "gene", "second": "ill"})
    expected = [("V12", "ague", "Association"), ("GENA and GENB", "ague", "Bind"), ("GENA", "ague", "none")]
    assert triples(data) == expected


def test_a_concept_related_to_itself_needs_two_mentions(write) -> None:
    text = "7|t|Kava with kava\n7|a|\n"
    rows = ["7\t0\t4\tKava\tDrug\tD1", "7\t10\t14\tkava\tDrug\tD1", "7\tbinds\tD1\tD1", ""]
    both = {"first": "drug", "second": "drug", "directed": False}
    two = own(write("a.pubtator", text + "\n".join(rows)), both, labels=["binds"])
    assert triples(two) == [("Kava", "kava", "binds")]
    one = write(
        "b.pubtator", text + "\n".join([rows[0], *rows[2:]]) + "\n" + (text + "\n".join(rows)).replace("7", "8")
    )
    assert triples(own(one, both, labels=["binds"])) == [("Kava", "kava", "binds")]


def test_pairs_of_one_type_come_once_or_both_ways(write) -> None:
    drugs = document(
        "Kava, tavrixan, kava.", ("Drug", "Kava"), ("Chemical", "tavrixan"), relations=(("raises", "T1", "T0"),)
    )
    path = write("a.jsonl", lines(drugs))
    arguments = {"first": "drug", "second": "drug", "types": {"Chemical": "drug"}}
    assert triples(own(path, arguments, labels=["raises"])) == [
        ("Kava", "tavrixan", "none"),
        ("tavrixan", "Kava", "raises"),
    ]
    undirected = own(path, {**arguments, "directed": False}, labels=["raises"])
    assert triples(undirected) == [("Kava", "tavrixan", "raises")]


def test_a_pair_with_two_labels_is_two_records(write) -> None:
    value = {**PAIR, "relations": [*PAIR["relations"], {**PAIR["relations"][0], "id": "R9", "type": "eases"}]}
    data = own(write("a.jsonl", lines(value)), labels=["cures", "eases"])
    assert [(r["id"], r["label"]) for r in data.records("train")] == [("d1.T0.T1", "cures"), ("d1.T0.T1#2", "eases")]


def related(*relations: tuple[str, str, str]) -> str:
    named = [
        {"id": f"R{i}", "type": label, "arguments": [{"role": "a", "id": one}, {"role": "b", "id": other}]}
        for i, (label, one, other) in enumerate(relations)
    ]
    return lines({**PAIR, "relations": named})


TWICE = lines({**PAIR, "mentions": [*PAIR["mentions"][:2], {**PAIR["mentions"][2], "id": "T1"}]})
SAME = {"first": ["drug", "illness"], "second": ["drug", "illness"]}
FAULTS: list[tuple[str, dict[str, Any], str]] = [
    (related(("cures", "T0", "T7")), {}, "document d1, relation R0 (cures): no mention 'T7', expected an id of a"),
    (TWICE, {}, "relation R0 (cures): two mentions with the id 'T1', expected one"),
    (related(("cures", "T0", "T2")), {}, "none of 1 relations is covered (1 between mentions in different units"),
    (related(("cures", "T0", "T0")), {"relation": SAME}, "its arguments are the same text, 'Zalpidine', expected two"),
    (related(("cured", "T0", "T1")), {"labels": ["cures"]}, "relation R0 (cured): label 'cured', expected cures"),
    (related((" ", "T0", "T1")), {}, "no type, expected the label of its pair"),
    (
        related(("cures", "T0", "T1"), ("eases", "T1", "T0")),
        {"relation": {**SAME, "directed": False}},
        "relation R1 (eases): it is R0 with its arguments the other way round, expected one of them",
    ),
    (
        lines(PAIR),
        {"relation": {"first": "gene", "second": "illness"}},
        "no mention of the first argument's types (gene), expected one of those in the data: Drug, Illness, name them",
    ),
]


@pytest.mark.parametrize(("text", "given", "said"), FAULTS)
def test_documents_that_are_refused(write, text: str, given: dict[str, Any], said: str) -> None:
    path = write("a.jsonl", text)
    message = fault(path, **given)
    assert message.startswith(str(path))
    assert said in message


def test_masked_texts_are_read_as_such_and_only_by_the_view_mask(write, bert: Path) -> None:
    data = own(write("a.tsv", "text\tlabel\n@drug$ cures @illness$.\tcures\n@drug$, @illness$.\tnone\n"))
    assert data.notes[0] == "task mine: train: no mentions, so its texts are read as masked already (view: mask)"
    processor, records = load_processor(bert, 32, None), {"mine": data.records("train")}
    heads = {view: {"mine": HeadChoice(view=view)} for view in ("mask", "spans")}
    assert len(encode_examples(processor, {"mine": data.task}, records, targets=True, choices=heads["mask"])) == 2
    with pytest.raises(InputError, match=r"record 'a.tsv:2' has no entities, expected two mentions for view: spans"):
        encode_examples(processor, {"mine": data.task}, records, targets=True, choices=heads["spans"])


def test_without_arguments_or_with_impossible_ones() -> None:
    definition = TaskDefinition(type="relation", files=Files(train=str(DATA / "relation.tsv")))
    with pytest.raises(InputError, match="type relation without its arguments, add `relation:"):
        load_suite("nowhere", ["mine"], {"mine": definition})
    definition = TaskDefinition(
        type="classification", files=Files(train=str(DATA / "relation.tsv")), relation=ARGUMENTS
    )
    with pytest.raises(InputError, match="relation for type classification, which has no arguments, remove it"):
        load_suite("nowhere", ["mine"], {"mine": definition})


HEAD = "text\tstart_a\tend_a\ttype_a\tstart_b\tend_b\ttype_b\tlabel\n"
ROW = "Kava cures rash.\t0\t4\tDrug\t11\t15\tIllness\tcures\n"
NONE = "Kava, rash.\t0\t4\tDrug\t6\t10\tIllness\tnone\n"


@pytest.mark.parametrize(
    ("row", "given", "said"),
    [
        ("Kava.\t0\t4\tDrug\t0\t9\tIllness\tnone\n", {}, ":4: entity 'e2' at [0, 9], expected a span of the text"),
        ("Kava.\t0\tx\tDrug\t0\t4\tIllness\tnone\n", {}, ":4: end_a: 'x', expected a number"),
        (
            "Kava cures rash.\t11\t15\tIllness\t0\t4\tDrug\tcures\n",
            {},
            ":4: first argument of type 'Illness', as if the two were swapped, expected drug",
        ),
        (
            "Kava cures rash.\t0\t4\tGene\t11\t15\tIllness\tcures\n",
            {},
            ":4: first argument of type 'Gene', expected drug",
        ),
        ("Kava cures.\t0\t4\tDrug\t0\t4\tDrug\tcures\n", {"relation": SAME}, ":4: both arguments are 'Kava' at 0"),
        (
            "Kava rash.\t0\t9\tDrug\t5\t9\tIllness\tnone\n",
            {"mentions": "refuse"},
            ":4: overlapping arguments 'Kava rash' and 'rash', refused by `mentions: refuse`",
        ),
        (
            "Kava cures rash.\t11\t15\tIllness\t0\t4\tDrug\tcures\n",
            {"relation": {**SAME, "directed": False}},
            ":4: the pair of a.tsv:2 the other way round, expected it once, as `directed` is false",
        ),
        ("Kava cures rash.\t0\t4\tDrug\t11\t15\tIllness\tcured\n", {"labels": ["cures", "none"]}, ":4: unknown label"),
    ],
)
def test_rows_that_are_refused(write, row: str, given: dict[str, Any], said: str) -> None:
    assert said in fault(write("a.tsv", HEAD + ROW + NONE + row), **given)


def test_arguments_that_are_too_many_or_have_no_type(write) -> None:
    entity = {"type": "Drug", "start": 0, "end": 4}
    record = {"text": "Kava cures rash.", "label": "cures", "entities": [entity] * 3}
    rows = lines(record, {**record, "label": "none"})
    assert "3 entities, expected the two arguments" in fault(write("a.jsonl", rows))
    row = "Kava cures rash.\t0\t4\t\t11\t15\tIllness\tcures\n"
    relation = {"first": ["drug", "gene"], "second": "illness"}
    said = ":3: no type of the first argument, expected drug or gene"
    assert said in fault(write("a.tsv", HEAD + ROW + row), relation)


def test_ends_that_are_the_last_character_are_noticed(write) -> None:
    row = "Kava cures rash.\t0\t{}\tDrug\t11\t{}\tIllness\t{}\n"
    right = write("a.tsv", HEAD + row.format(4, 15, "cures") + NONE)
    assert "inside a word" not in " ".join(own(right).notes)
    rows = HEAD + row.format(3, 14, "cures") + row.format(3, 14, "eases") + NONE
    assert (
        "train: 4 of 6 mentions end inside a word; `end` is the character after" in own(write("b.tsv", rows)).notes[0]
    )


def test_mentions_of_two_types_make_a_pair_each_way(write) -> None:
    twice = (
        HEAD + "Kava, rash.\t0\t4\tDrug\t6\t10\tIllness\tcures\n" + "Kava, rash.\t6\t10\tDrug\t0\t4\tIllness\tnone\n"
    )
    assert len(own(write("a.tsv", twice), {**ARGUMENTS, "directed": False}).records("train")) == 2


def test_a_missing_argument_column(write) -> None:
    path = write("a.tsv", "text\tstart_a\tend_a\tstart_b\tlabel\nKava.\t0\t4\t0\tx\n")
    assert "a.tsv:1: no column 'end_b' for an argument" in fault(path)
    rows = [{"text": "Kava.", "label": "x"}, {"text": "Kava.", "label": "none", "entities": []}]
    assert "a.jsonl:2: 'entities', which the first row lacks" in fault(write("a.jsonl", lines(*rows)))


def test_overlapping_mentions_are_paired_unless_the_policy_drops_one(write) -> None:
    value = document("Kava rash is here.", ("Drug", "Kava rash"), ("Illness", "rash"), relations=(("is", "T0", "T1"),))
    path = write("a.jsonl", lines(value, {**PAIR, "id": "d2"}))
    assert triples(own(path))[0] == ("Kava rash", "rash", "is")
    flat = own(path, mentions="flatten", labels=["cures"])
    assert len(flat.records("train")) == 1
    assert "1 of 2 relations are not covered: 1 between mentions that `mentions: flatten` dropped" in flat.notes[0]
    assert "mention T1 'rash' is nested" in fault(path, mentions="refuse")
    block = "{0}|t|Kava rash, pain.\n{0}\t0\t9\tKava rash\tDrug\tC1\n{0}\t5\t9\trash\tIllness\tD1\n"
    block += "{0}\t11\t15\tpain\tIllness\tD2\n{0}\tis\tC1\tD1\n{0}\tis\tC1\tD2\n"
    flat = own(write("a.pubtator", block.format(1)), mentions="flatten", labels=["is"])
    assert triples(flat) == [("Kava rash", "pain", "is")]
    assert "1 of 2 relations are not covered: 1 between mentions that" in flat.notes[0]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 9) | st.sampled_from(["", "Drug", "Illness", "T1", "Kava rash"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["id", "type", "start", "end", "text", "arguments", "identifiers"]), inner)
    ),
    max_leaves=12,
)


@settings(max_examples=150, deadline=None)
@given(
    rows=st.lists(
        st.fixed_dictionaries(
            {"text": st.just("Kava rash")},
            optional=dict.fromkeys(("label", "entities", "mentions", "relations", "passages", "doc_id"), JSON),
        ),
        min_size=1,
        max_size=3,
    )
)
def test_hostile_lines_raise_only_input_errors(tmp_path_factory: pytest.TempPathFactory, rows: list) -> None:
    path = tmp_path_factory.mktemp("fuzz") / "a.jsonl"
    path.write_text(lines(*rows), encoding="utf-8")
    with contextlib.suppress(InputError):
        own(path).records("train")


TEXT = "Ab cd ef. Gh ij kl mn. Op qr.\n\nSt uv wx yz. Ab cd."


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_every_candidate_pair_comes_once_with_its_offsets(data: st.DataObject) -> None:
    places = st.tuples(st.integers(0, len(TEXT) - 1), st.integers(1, 6), st.sampled_from("abc"))
    drawn = data.draw(st.lists(places, max_size=6))
    mentions = [
        Mention(f"T{i}", of, ((start, end),), covered(TEXT, [(start, end)]))
        for i, (start, length, of) in enumerate(drawn)
        for end in [min(start + length, len(TEXT))]
        if not TEXT[start:end].isspace()
    ]
    of = st.lists(st.sampled_from("abc"), min_size=1, max_size=3, unique=True)
    unit = data.draw(st.sampled_from(["sentence", "joined-sentences", "passage", "document"]))
    relation = RelationArguments(
        first=data.draw(of), second=data.draw(of), directed=data.draw(st.booleans()), unit=unit
    )
    ids = [mention.id for mention in mentions]
    relations = ()
    if len(ids) > 1:
        pairs = data.draw(st.lists(st.permutations(ids), max_size=3))
        relations = tuple(Relation(f"R{i}", "x", (("", p[0]), ("", p[1]))) for i, p in enumerate(pairs))
    document = Document("d", TEXT, (), tuple(mentions), relations)
    made = DocumentPairs(document, relation, "file")
    try:
        gold = made.gold(Coverage())
    except InputError:
        gold = {}
    records = list(made.records(gold, "d", "none"))
    found = [tuple(int(entity["id"][1:]) for entity in record["entities"]) for record in records]
    assert len(set(found)) == len(found)
    spans = list(document_units(relation, document))
    by_id = {mention.id: mention for mention in mentions}
    wanted = set()
    for one in mentions:
        for other in mentions:
            together = any(s <= m.start and m.end <= e for s, e in spans for m in [one]) and any(
                s <= min(one.start, other.start) and max(one.end, other.end) <= e for s, e in spans
            )
            if one is other or not together or not relation.fits(one.type, other.type):
                continue
            either = relation.fits(other.type, one.type)
            if either and (one.start, one.end) == (other.start, other.end):
                continue
            wanted.add((one.id, other.id))
    as_ids = {(f"T{i}", f"T{j}") for i, j in found}
    if relation.directed:
        assert as_ids == wanted
    else:
        assert {frozenset(pair) for pair in as_ids} == {frozenset(pair) for pair in wanted}
        assert len(as_ids) == len({frozenset(pair) for pair in as_ids})
    for record in records:
        for entity in record["entities"]:
            mention = by_id[entity["id"]]
            assert record["text"][entity["start"] : entity["end"]] == entity["text"] == mention.text.replace("\n", " ")
