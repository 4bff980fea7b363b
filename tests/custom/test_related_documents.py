"""Relations of annotated documents: what is one, what its arguments are, and what the view `mask` shows of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from biomtl.batch import encode_examples
from biomtl.custom import Files, TaskDefinition
from biomtl.encoders import load_processor
from biomtl.errors import InputError
from biomtl.suite import load_suite
from own_relations import ARGUMENTS, PAIR, document, fault, lines, own, triples

HEAD = "text\tstart_a\tend_a\ttype_a\tstart_b\tend_b\ttype_b\tlabel\n"


def test_the_mask_view_shows_which_mention_is_which_argument(write, bert: Path) -> None:
    path = write("a.jsonl", lines(document("Kava, kava.", ("Drug", "Kava"), ("Drug", "kava"))))
    for order, count in ((None, 2), ("text", 1)):  # BLUE's order hides the direction
        data = own(path, {"first": "drug", "second": "drug", "mask_order": order}, labels=["raises"])
        records = {"mine": data.records("train")}
        examples = encode_examples(load_processor(bert, 32, None), {"mine": data.task}, records, targets=True)
        assert (len(records["mine"]), len(examples)) == (2, count)


def test_a_trained_model_s_order_of_placeholders_is_kept(write) -> None:
    path = write("a.jsonl", lines(PAIR))
    definition = TaskDefinition(type="relation", files=Files(train=str(path)), relation=ARGUMENTS)
    for order in ("text", "arguments"):
        trained = own(path, {**ARGUMENTS, "mask_order": order}).task
        assert trained.relation is not None
        older = trained.model_copy(update={"relation": trained.relation.model_copy(update={"mask_order": None})})
        for known, wanted in ((trained, order), (older, "text")):
            relation = load_suite("nowhere", ["mine"], {"mine": definition}, {"mine": known}).tasks["mine"].relation
            assert relation is not None
            assert relation.mask_order == wanted


def test_a_document_without_an_id_is_not_that_of_another_file(write) -> None:
    nameless = {key: value for key, value in PAIR.items() if key != "id"}
    train, dev = write("a.jsonl", lines(nameless)), write("b.jsonl", lines({**nameless, "id": None}))
    definition = TaskDefinition(
        type="relation", files=Files(train=str(train), dev=str(dev)), relation=ARGUMENTS, labels=("cures",)
    )
    data = load_suite("nowhere", ["mine"], {"mine": definition})["mine"]
    names = {split: {record["doc_id"] for record in data.records(split)} for split in ("train", "dev")}
    assert len(names["train"]) == 1
    assert names["train"].isdisjoint(names["dev"])


def test_the_negative_class_may_be_written_as_a_relation(write) -> None:
    value = {**PAIR, "relations": [{**PAIR["relations"][0], "type": "none"}]}
    assert triples(own(write("a.jsonl", lines(value)), labels=["cures"])) == [("Zalpidine", "asthma", "none")]


def test_equivalent_mentions_of_brat_are_no_relation(write) -> None:
    write("d/a.txt", "Kava (KVA) raises tavrixan.")
    drugs = "T1\tDrug 0 4\tKava\nT2\tDrug 6 9\tKVA\nT3\tDrug 18 26\ttavrixan\n"
    path = write("d/a.ann", drugs + "*\tEquiv T1 T2\nR1\traises Arg1:T1 Arg2:T3\n").parent
    for labels in (None, ["raises"]):
        data = own(path, {"first": "drug", "second": "drug", "directed": False}, labels=labels)
        assert [label for _, _, label in triples(data)] == ["none", "raises", "none"]
        assert "1 of 2 relations are not covered: 1 between other types, not" in data.notes[0]
    named = own(path, {"first": "drug", "second": "drug", "directed": False}, labels=["raises", "Equiv"])
    assert triples(named)[0] == ("Kava", "KVA", "Equiv")


def test_pubtator_s_arguments_without_a_concept_are_mention_lines(write) -> None:
    block = "1|t|Kava and Kava\n1|a|Rash.\n1\t0\t4\tKava\tDrug\t{}\n1\t9\t13\tKava\tDrug\t\n"
    block += "1\t14\t18\tRash\tIllness\t-1\n"
    relation = {**ARGUMENTS, "unit": "document"}
    path = write("a.pubtator", block.format("-") + "1\tcauses\tT1\tT2\n")
    assert triples(own(path, relation)) == [("Kava", "Rash", "none"), ("Kava", "Rash", "causes")]
    path = write("a.pubtator", block.format("T1") + "1\tcauses\tT1\tT2\n")  # a concept comes first
    assert triples(own(path, relation)) == [("Kava", "Rash", "causes"), ("Kava", "Rash", "none")]
    path = write("a.pubtator", block.format("-") + "1\tcauses\tT7\tT2\n")
    assert "no mention 'T7', expected a mention's concept, or T and the number of a mention's line" in fault(path)


def test_tables_and_documents_together_have_the_types_of_both(write) -> None:
    table = write("a.tsv", f"{HEAD}Kava cures rash.\t0\t4\tDrug\t11\t15\tIllness\tcures\n")
    drugs = write("b.jsonl", lines(document("Kava was given.", ("Drug", "Kava"))))
    for paths in ((table, drugs), (drugs, table)):
        files = Files(train=tuple(map(str, paths)))
        definition = TaskDefinition(type="relation", files=files, relation=ARGUMENTS)
        data = load_suite("nowhere", ["mine"], {"mine": definition})["mine"]
        assert triples(data) == [("Kava", "rash", "cures")]


def test_a_variant_in_a_table_is_one_concept(write) -> None:
    head = HEAD.replace("type_a", "identifiers_a").replace("type_b", "identifiers_b")
    rows = "Kava cures rash.\t0\t4\t{0}\t11\t15\tD1{1}D2\tcures\nKava, rash.\t0\t4\t\t6\t10\t-\tnone\n"
    for separator, given in (("|", {}), ("/", {"separator": "/"})):
        path = write("a.tsv", head + rows.format("p|SUB|R|12|Q", separator))
        one, other = own(path, **given).records("train")[0]["entities"]
        assert (one["identifiers"], other["identifiers"]) == (["p|SUB|R|12|Q"], ["D1", "D2"])


def test_what_is_wrong_in_documents_is_said_of_the_document(write) -> None:
    """Its first line is named, and the record; the number of a document was once shown as if it were that of a line."""
    block = "{0}|t|Kava cures rash.\n{0}\t0\t4\tKava\tDrug\tD1\n{0}\t11\t15\trash\tIllness\tI1\n{0}\t{1}\tD1\tI1\n\n"
    train = write("a.pubtator", block.format(10001, "cures"))
    for third, said in (
        (
            (10004, "causes"),
            "record 10004.T0.T1: unknown label 'causes', expected one of cures, none, did you mean 'cures'?",
        ),
        ((10002, "cures"), "record 10002.T0.T1: id '10002.T0.T1' already occurs in {}"),
    ):
        dev = write("b.pubtator", block.format(10002, "cures") + block.format(10003, "cures") + block.format(*third))
        files = Files(train=str(train), dev=str(dev))
        definition = TaskDefinition(type="relation", files=files, relation=ARGUMENTS)
        data = load_suite("nowhere", ["mine"], {"mine": definition})["mine"]
        with pytest.raises(InputError) as caught:
            data.records("dev")
        assert str(caught.value) == f"{dev}:11: {said.format(dev)}, correct the document"


@pytest.mark.parametrize("names", [("Arg1", "Arg2"), ("arg1", "arg2"), ("role1", "role2")])
def test_numbers_of_roles_say_the_order_of_arguments(write, names: tuple[str, str]) -> None:
    """The order on the line did, so that a directed relation was read the other way round."""
    both = document("Kava, then rash.", ("Gene", "Kava"), ("Gene", "rash"))
    for order in (names, names[::-1]):
        ids = {names[0]: "T1", names[1]: "T0"}
        both["relations"] = [{"type": "raises", "arguments": [{"role": role, "id": ids[role]} for role in order]}]
        found = triples(own(write("a.jsonl", lines(both)), {"first": "gene", "second": "gene"}))
        assert found == [("Kava", "rash", "none"), ("rash", "Kava", "raises")]
    brat = write("b/d.txt", both["text"]).parent
    said = "T1\tGene 0 4\tKava\nT2\tGene 11 15\trash\nR1\traises {1}:T1 {0}:T2\n"
    write("b/d.ann", said.format(*names))
    assert ("rash", "Kava", "raises") in triples(own(brat, {"first": "gene", "second": "gene"}))


def test_records_among_documents_are_not_lost(write) -> None:
    record = {"id": "r", "text": "Kava cures rash.", "label": "cures", "entities": []}
    path = write("a.jsonl", lines(PAIR, {key: value for key, value in record.items() if key != "label"}))
    assert f"{path}:2: entities without mentions, expected mentions, as in the first line" in fault(path)
    assert f"{path}:2: " in fault(write("a.jsonl", lines(PAIR, record)))


def test_a_mention_of_blanks(write) -> None:
    path = write("a.tsv", f"{HEAD}Kava cures rash.\t4\t5\tDrug\t11\t15\tIllness\tcures\n")
    said = fault(path, labels=["cures", "none"])
    assert f"{path}:2: a mention of blanks at 4, expected the characters of a mention" in said
