"""Every file format that BLUE and its consumers wrote, gold and predictions, alone and mixed; all texts invented."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from biomtl.errors import InputError
from biomtl.scoring import Score, score
from biomtl.tasks import get_task

HOC = get_task("hoc").labels


@pytest.fixture
def write(tmp_path: Path) -> Any:
    def _write(name: str, *lines: str, end: str = "\n") -> Path:
        path = tmp_path / name
        path.write_bytes("".join(line + end for line in lines).encode())
        return path

    return _write


def value(result: Score) -> float:
    return round(result.main.value, 6)


def test_relation_table_against_jsonl(write: Any) -> None:
    gold = write(
        "test.tsv",
        "index\tsentence\tlabel",
        'DDI-X.d0.s0.p0\ta "bare quote about @DRUG$ and @DRUG$\tDDI-int',
        "DDI-X.d0.s1.p0\t@DRUG$ then @DRUG$\tDDI-false",
        "DDI-X.d1.s0.p0\t@DRUG$ or @DRUG$\tDDI-int",
        end="\r\n",
    )
    predicted = write(
        "p.jsonl",
        '{"id":"DDI-X.d1.s0.p0","label":"DDI-false"}',
        '{"id":"DDI-X.d0.s0.p0","label":"DDI-int","probabilities":[0,0,1,0,0]}',
        '{"id":"DDI-X.d0.s1.p0","label":"DDI-false"}',
    )
    result = score("ddi", gold, predicted)
    assert result.metrics["micro_f1_positive"].value == pytest.approx(2 / 3)
    assert (result.units, result.unit) == (2, "document")


def test_jsonl_gold_against_a_prediction_table(write: Any) -> None:
    gold = write("g.jsonl", '{"id":"a","doc_id":"d","text":"t","label":"neutral"}')
    assert value(score("mednli", gold, write("p.tsv", "label\tindex", "neutral\ta"))) == 1


def test_what_predict_prints(write: Any) -> None:
    gold = write("g.jsonl", '{"id":"a","text":"t","label":"neutral"}', '{"id":"b","text":"t","label":"entailment"}')
    other = '{"id":"c","text":"t","tasks":{"ddi2013":{"label":"DDI-int"}}}'
    rows = [
        f'{{"id":"{name}","text_a":"t","tasks":{{"hoc":{{"labels":[]}},"mednli":{{"label":"neutral"}}}}}}'
        for name in "ba"
    ]
    assert value(score("mednli", gold, write("p.jsonl", rows[0], other, rows[1]))) == 0.5
    with pytest.raises(InputError, match=r"p\.jsonl: .*'b'"):
        score("mednli", gold, write("p.jsonl", other, rows[1]))
    with pytest.raises(InputError, match=r"p\.jsonl:1: no result of mednli, expected results of it, not ddi2013$"):
        score("mednli", gold, write("p.jsonl", other))


def test_what_predict_prints_of_a_tagger(write: Any) -> None:
    gold = write("g.jsonl", '{"id":"a","tokens":["Zalpidine","rose"],"tags":["B","O"]}')
    result = '{"mentions":[{"type":"Chemical","start":0,"end":9}],"tags":["B","O"]}'
    tagged = f'{{"id":"a","tokens":["Zalpidine","rose"],"tasks":{{"bc5cdr-chem":{result}}}}}'
    assert value(score("bc5cdr-chem", gold, write("p.jsonl", tagged))) == 1
    with pytest.raises(InputError, match=r"p\.jsonl:1: mentions in a text, expected a tag for each token, predict on"):
        score("bc5cdr-chem", gold, write("p.jsonl", tagged.replace(',"tags":["B","O"]', "")))


def test_malformed_mednli_gold_file_of_blue(write: Any) -> None:
    gold = write("gs.tsv", "index\tlabel", "p1\tOne.\tTwo.\tneutral", "p2\tOne.\tThree.\tentailment")
    predicted = write("p.tsv", "index\tlabel", "p2\tentailment", "p1\tcontradiction")
    assert value(score("mednli", gold, predicted)) == 0.5


def test_blueberts_probabilities_by_row_order(write: Any) -> None:
    gold = write("dev.tsv", "index\tsentence\tlabel", "a.T1.T2\tx\tfalse", "a.T1.T3\ty\tCPR:4")
    predicted = write("test_results.tsv", "0.1\t0.1\t0.1\t0.1\t0.1\t0.5", "0\t1\t0\t0\t0\t1e-07")
    result = score("chemprot", gold, predicted)
    assert value(result) == 1
    assert "row order" in result.notes[0]
    with pytest.raises(InputError, match=r"1 rows of probabilities, expected 2"):
        score("chemprot", gold, write("short.tsv", "0\t1\t0\t0\t0\t0"))
    with pytest.raises(InputError, match=r"wide.tsv:1: 2 numbers 0.5 …, expected 6 probabilities, one per label"):
        score("chemprot", gold, write("wide.tsv", "0.5\t0.5", "0.5\t0.5"))


def test_a_pair_with_two_gold_labels_is_two_rows(write: Any) -> None:
    header = "index\tsentence\tlabel"
    gold = write("g.tsv", header, "a.T1.T2\tx\tCPR:4", "a.T1.T2\tx\tCPR:3", "a.T1.T3\tx\tfalse")
    both = write("p.tsv", "index\tlabel", "a.T1.T2\tCPR:4", "a.T1.T2\tCPR:4", "a.T1.T3\tfalse")
    assert value(score("chemprot", gold, gold)) == 1
    assert value(score("chemprot", gold, both)) == 0.5
    prepared = write(
        "p.jsonl",
        *(json.dumps({"id": i, "label": "CPR:3"}) for i in ("a.T1.T2", "a.T1.T2#2")),
        '{"id":"a.T1.T3","label":"false"}',
    )
    assert value(score("chemprot", gold, prepared)) == 0.5
    once = write("once.tsv", "index\tlabel", "a.T1.T2\tCPR:4", "a.T1.T3\tfalse")
    assert value(score("chemprot", gold, once)) == 0.5  # as `predict` writes one line per pair of a document
    none = write("none.tsv", "index\tlabel", "a.T1.T3\tfalse")
    with pytest.raises(InputError, match=r"2 of 3 gold ids have no prediction, first 'a.T1.T2'"):
        score("chemprot", gold, none)
    thrice = write("p3.tsv", "index\tlabel", *["a.T1.T2\tCPR:4"] * 3, "a.T1.T3\tfalse")
    with pytest.raises(InputError, match=r"p3.tsv:4: id 'a.T1.T2' is predicted more often than gold has it"):
        score("chemprot", gold, thrice)
    same = write("same.tsv", header, "a.T1.T2\tx\tCPR:4", "a.T1.T2\tx\tCPR:4")
    with pytest.raises(InputError, match=r"same.tsv:3: 'a.T1.T2' with label 'CPR:4' a second time"):
        score("chemprot", same, both)


RELATIONS = (
    "id\tdocid\targ1\targ2\tlabel",
    "9.R0\t9\tT1\tT5\tCPR:3",
    "9.R1\t9\tT1\tT6\tfalse",
    "9.R2\t9\tT2\tT5\tCPR:4",
    "9.R3\t9\tT2\tT5\tCPR:9",
    "9.R4\t9\tT2\tT6\tCPR:9",
)


def test_chemprot_gold_standard_lists_all_pairs_of_a_document(write: Any) -> None:
    gold = write("test_gs.tsv", *RELATIONS)
    # The model saw one sentence with T2, T5 (two labels, in BLUE's reverse order) and T1, T5.
    predicted = write("p.tsv", "index\tlabel", "9.T1.T5\tCPR:3", "9.T2.T5\tCPR:9", "9.T2.T5\tCPR:4")
    result = score("chemprot", gold, predicted)
    assert (result.main.support, result.main.precision, result.main.recall) == (4, 1, 3 / 4)
    assert result.notes == ("2 gold pairs without a prediction count as 'false'",)
    once = score("chemprot", gold, write("o.tsv", "index\tlabel", "9.T1.T5\tCPR:3", "9.T2.T5\tCPR:9"))
    assert (once.main.precision, once.main.recall) == (2 / 3, 2 / 4)
    assert "1 further rows of pairs with several gold labels take the pair's prediction" in once.notes
    with pytest.raises(InputError, match=r"unknown id '9.T7.T8'"):
        score("chemprot", gold, write("u.tsv", "index\tlabel", "9.T7.T8\tfalse"))


def test_two_gold_standard_tables_in_any_order(write: Any) -> None:
    gold = write("gs.tsv", *RELATIONS)
    predicted = write("p.tsv", RELATIONS[0], *RELATIONS[:3:-1], *RELATIONS[1:4])
    assert value(score("chemprot", gold, predicted)) == 1
    renamed = write("r.tsv", *(line.replace("9.R", "x") for line in RELATIONS))
    assert value(score("chemprot", gold, renamed)) == 1
    missing = write("m.tsv", *RELATIONS[:-1])
    with pytest.raises(InputError, match=r"1 of 5 gold ids have no prediction, first '9.T2.T6'"):
        score("chemprot", gold, missing)
    other = write("o.tsv", *RELATIONS[:-1], RELATIONS[-1].replace("T6", "T8"))
    with pytest.raises(InputError, match=r"o.tsv:6: '9.R4' is 9.T2.T8, expected 9.T2.T6"):
        score("chemprot", gold, other)


def test_ddi_gold_standard_by_pair_id(write: Any) -> None:
    gold = write("gs.tsv", RELATIONS[0], "D.d0.s0.p0\tD.d0\tD.d0.s0.e0\tD.d0.s0.e1\tDDI-int")
    result = score("ddi2013", gold, write("p.jsonl", '{"id":"D.d0.s0.p0","label":"DDI-int"}'))
    assert result.metrics["micro_f1_positive"].value == 1
    assert result.metrics["macro_f1_positive"].value == 1 / 4  # the other three types don't occur


@pytest.mark.parametrize(
    ("task", "name", "pairs", "label"),
    [
        ("ddi2013", "D.d0.s0.p{}", ["D.d0.s0.e0\tD.d0.s0.e1", "D.d0.s0.e0\tD.d0.s0.e2"], "DDI-int"),
        ("i2b2-2010", "n.n.con.l0.n.con.l{}", ["n.con.l0\tn.con.l0", "n.con.l0\tn.con.l1"], "TeRP"),
    ],
)
def test_gold_standards_of_sentences_require_every_pair_to_be_predicted(
    task: str, name: str, pairs: list[str], label: str, write: Any
) -> None:
    document = name.split(".con")[0].removesuffix(".s0.p{}").removesuffix(".n")
    ids = [name.format(i) if task == "ddi2013" else f"{document}.R{i}" for i in range(2)]
    rows = [f"{own}\t{document}\t{pair}\t{label}" for own, pair in zip(ids, pairs, strict=True)]
    gold = write("gs.tsv", RELATIONS[0], *rows)
    both = [f"{name.format(i)}\t{label}" for i in range(2)]
    assert score(task, gold, write("p.tsv", "index\tlabel", *both)).metrics["micro_f1_positive"].value == 1
    with pytest.raises(InputError, match=f"1 of 2 gold ids have no prediction, first '{name.format(1)}'"):
        score(task, gold, write("p.tsv", "index\tlabel", both[0]))


STS = "index\tgenre\tfilename\tyear\told_index\tsource1\tsource2\tsentence1\tsentence2\tscore"


def test_similarity_in_ten_columns_quoted_or_not(write: Any) -> None:
    gold = write(
        "test.tsv",
        STS,
        '0\tG\tf\t1\t1\tB\tB\tone\t"two\t""cut"""\t2.0',
        "1\tG\tf\t1\t1\tB\tB\tone\ttwo\t4.0",
        "2\tG\tf\t1\t1\tB\tB\tone\ttwo\t0.0",
        end="\r\n",
    )
    predicted = write("p.tsv", "index\tscore", "2\t0.5", "0\t2.5", "1\t4.5")
    result = score("biosses", gold, predicted)
    assert value(result) == 1
    assert result.metrics["mse"].value == pytest.approx(0.25)


CODES = ",".join(f"{i}_{int(i in (6, 8))}" for i in range(10))


def test_hoc_by_sentence_in_codes_and_names(write: Any) -> None:
    codes = write("g.tsv", "labels\tsentence\tindex", f"{CODES}\tx\t7_s0", f"{CODES.replace('_1', '_0')}\ty\t7_s1")
    names = write("p.tsv", "index\tlabels", f"7_s1\t{HOC[6]}", f"7_s0\t{HOC[8]}")
    result = score("hoc", codes, names)
    assert (value(result), result.main.support, result.units) == (1, 1, 1)
    assert result.metrics["micro_f1"].value == pytest.approx(2 * 1 / (2 + 2))


def test_blues_hoc_converter_writes_four_names_over_three_columns(write: Any) -> None:
    gold = write("g.tsv", "index\tsentence1\tsentence2\tlabel", f"7_s0\tx\t{HOC[6]},{HOC[8]}", "7_s1\ty\t")
    assert value(score("hoc", gold, gold)) == 1


def test_hoc_sentences_against_documents_both_ways(write: Any) -> None:
    sentences = write("s.tsv", "index\tlabels", f"7_s0\t{HOC[6]}", f"7_s1\t{HOC[8]}", f"8_s0\t{HOC[0]}")
    documents = write("d.tsv", "pmid\ttext\tlabels", f"7\tx y\t{HOC[8]};{HOC[6]}", f"8\tz\t{HOC[0]};{HOC[1]}")
    one, other = score("hoc", sentences, documents), score("hoc", documents, sentences)
    assert (one.main.precision, one.main.recall) == (other.main.recall, other.main.precision) == (0.75, 1)
    assert "gold sentences united" in one.notes[0]
    assert "predicted sentences united" in other.notes[0]
    prepared = write("s.jsonl", *(f'{{"id":"{i}","doc_id":"{i[0]}","labels":[]}}' for i in ("7_s0", "7_s1", "8_s0")))
    assert value(score("hoc", documents, prepared)) == 0
    with pytest.raises(InputError, match=r"1 of 2 gold ids have no prediction, first '8'"):
        score("hoc", sentences, write("m.tsv", "pmid\ttext\tlabels", f"7\tx\t{HOC[6]}"))


TOKENS = (
    "Aspirin\t11\t0\tB",
    "and\t-\t8\tO",
    '""""\t-\t12\tO',
    "",
    "zinc\t11\t14\tB",
    "",
    "oxide\t11\t19\tI",
    ".\t-\t24\tO",
)


def mention(doc: str, *spans: tuple[int, int], kind: str | None = "Chemical") -> str:
    places = [{"start": start, "end": end, "text": "x"} for start, end in spans]
    return json.dumps({"id": f"{doc}.T0", "docid": doc, "locations": places, "type": kind})


def test_ner_token_files_typed_and_untyped(write: Any) -> None:
    gold = write("test.tsv", *TOKENS)
    typed = write("p.tsv", *(line.replace("\tB", "\tB-Chemical").replace("\tI", "\tO") for line in TOKENS))
    result = score("bc5cdr-chem", gold, typed)
    spans, conlleval = result.metrics.values()
    assert (spans.support, spans.precision, spans.recall) == (2, 1 / 2, 1 / 2)  # zinc oxide is one mention
    assert (conlleval.support, conlleval.precision, conlleval.recall) == (3, 1, 2 / 3)


def test_ner_mentions_against_mentions_tokens_and_jsonl(write: Any) -> None:
    tokens = write("test.tsv", *TOKENS)
    gold = write("gs.jsonl", mention("11", (0, 7)), mention("11", (14, 24)))
    for predicted in (gold, tokens):
        result = score("bc5cdr-chem", gold, predicted)
        assert (value(result), list(result.metrics), result.main.support) == (1, ["entity_f1_spans"], 2)
        assert "no tags for conlleval" in result.notes[0]
    wrong = write("w.jsonl", mention("11", (0, 7), kind=None), mention("11", (0, 7)), mention("11", (1, 7)))
    assert score("bc5cdr-chem", gold, wrong).main.precision == 1 / 2  # the repeated one doesn't count
    assert value(score("bc5cdr-chem", tokens, wrong)) == 0.5
    own = write("p.jsonl", '{"id":"s0","doc_id":"11","offsets":[[0,7],[8,11]],"tags":["B-Chemical","O"]}')
    assert score("bc5cdr-chem", gold, own).main.recall == 1 / 2


def test_a_bracket_begins_a_token_file(write: Any) -> None:
    path = write("test.tsv", "[\tn\t0\tO\n")
    assert score("bc5cdr-chem", path, path).rows == 1


def test_an_empty_file_of_mentions_is_a_prediction_of_none(write: Any) -> None:
    gold = write("gold.jsonl", '{"id":"1.T0","docid":"1","type":"Chemical","locations":[{"start":0,"end":3}]}\n')
    result = score("bc5cdr-chem", gold, write("none.jsonl", "\n"))
    assert (result.main.value, result.main.support) == (0, 1)
    assert any("none.jsonl is empty: no mention is predicted" in note for note in result.notes)
    with pytest.raises(InputError, match="an empty file"):
        score("bc5cdr-chem", write("empty.jsonl", ""), gold)


def test_disjoint_mentions_match_only_whole(write: Any) -> None:
    gold = write(
        "gs.jsonl", mention("n1", (0, 4), (9, 12), kind="Disease_Disorder"), mention("n1", (20, 22), kind="Disease")
    )
    assert value(score("shareclefe", gold, gold)) == 1
    parts = write(
        "p.jsonl", mention("n1", (0, 4), kind=""), mention("n1", (9, 12)[:2], kind=""), mention("n1", (20, 22), kind="")
    )
    assert score("shareclefe", gold, parts).main.recall == 1 / 2
    assert score("shareclefe", gold, parts).main.precision == 1 / 3


def test_ner_files_match_records_by_document_and_offset(write: Any) -> None:
    tokens = write("test.tsv", *TOKENS)
    records = [
        {"id": "a", "doc_id": "11", "offsets": [[0, 7], [8, 11], [12, 13]], "tags": ["B-Chemical", "O", "O"]},
        {"id": "b", "doc_id": "11", "offsets": [[14, 18]], "tags": ["O"]},
        {"id": "c", "doc_id": "11", "offsets": [[19, 24], [24, 25]], "tags": ["O", "O"]},
    ]
    path = write("p.jsonl", *map(json.dumps, records))
    assert score("bc5cdr-chem", tokens, path).main.recall == 1 / 2
    assert score("bc5cdr-chem", path, tokens).main.precision == 1 / 2


def test_two_column_iob_and_gzip(tmp_path: Path) -> None:
    path = tmp_path / "test.tsv.gz"
    path.write_bytes(gzip.compress(b"Aspirin\tB-Chemical\nhelps\tO\n\nZinc\tB-Chemical\n\n"))
    result = score("bc5cdr-chem", path, path)
    assert (value(result), result.main.support) == (1, 2)
