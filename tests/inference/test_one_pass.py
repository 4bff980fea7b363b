"""Relations read from the states of their mentions: equal to two passes; and when a second pass is needed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

import elmo_data
import tiny
from annotated import invented, marked
from biomtl.corpora.parts import document_sentences
from biomtl.errors import InputError
from biomtl.formats import Document, Mention, Relation
from biomtl.inference.annotate import Annotator
from biomtl.inference.drafts import Cut, Draft
from biomtl.inference.engines.base import Passes
from biomtl.inference.predictor import Predictor

ONE_PASS = ("tag-drug", "tag-illness", "cls-text", "rel-spans")


def related(encoder: Path, names: tuple[str, ...], **keys: Any) -> Predictor:
    """A predictor whose taggers find mentions everywhere, and whose relation tasks find relations."""
    torch.manual_seed(0)
    model = tiny.model(encoder, names, **keys)
    with torch.no_grad():
        for name in names:
            for parameter in model.head(name).parameters():
                parameter.mul_(1 if name == "rel-spans" else 50)
            if name.startswith(("tag", "rel")):
                labels = model.tasks[name].labels
                count = len(labels)
                bias = [p for p in model.head(name).parameters() if p.shape in ((count,), (2 * count,))][-1]
                bias.view(-1, count)[:, labels.index("O" if name.startswith("tag") else "none")] -= 10
    return Predictor(model)


def assert_same(found: list[Document], others: list[Document]) -> None:
    """The same annotations, probabilities up to rounding."""

    def facts(documents: list[Document]) -> tuple[Any, list[float]]:
        whole = [part for d in documents for part in (*d.mentions, *d.relations)]
        given = [pair for part in whole for pair in part.attributes]
        what = [(m.id, m.type, m.spans) for d in documents for m in d.mentions]
        pairs = [(r.id, r.type, r.arguments) for d in documents for r in d.relations]
        named = [(name, value) for name, value in given if name != "probability"]
        return (what, pairs, named), [float(value) for name, value in given if name == "probability"]

    (one, numbers), (other, likewise) = facts(found), facts(others)
    assert one == other
    assert numbers == pytest.approx(likewise, abs=2e-4)


@pytest.mark.parametrize("kind", ["bert", "elmo"])
def test_one_pass_for_mentions_and_their_relations(bert: Path, kind: str, tmp_path: Path) -> None:
    predictor = related(bert if kind == "bert" else elmo_data.write_bilm(tmp_path / "bilm"), ONE_PASS)
    documents = invented(7, 8)
    once = Annotator(predictor)
    assert once.second_pass == {}
    assert once.plan() == f"one encoder pass for {', '.join(ONE_PASS)}"
    found, first = counted(once, documents)
    sentences = {" ".join(d.text[slice(*span)].split()) for d in documents for span in document_sentences(d)}
    assert first.rows == len(sentences)
    assert sum(len(document.relations) for document in found) > 20
    twice = Annotator(predictor)
    twice.one_pass = []
    again, both = counted(twice, documents)
    assert both.rows > 1.5 * first.rows
    assert both.positions > 1.5 * first.positions
    assert_same(found, again)
    # Whatever is in a batch with it, and in which order.
    assert_same(found, list(Annotator(predictor)(documents[::-1]))[::-1])
    assert_same(found, [document for source in documents for document in Annotator(predictor)([source])])


def counted(annotator: Annotator, documents: list[Document]) -> tuple[list[Document], Passes]:
    """The annotated documents, and the number of rows that the encoder read for them."""
    annotator.predictor.engine.passes = Passes()
    return list(annotator(documents)), annotator.predictor.engine.passes


def test_which_tasks_need_a_second_pass(bert: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    predictor = related(bert, ("tag-drug", "tag-illness", "rel-spans", "rel-markers", "rel-mask", "rel-levitated"))
    annotator = Annotator(predictor)
    assert annotator.one_pass == ["rel-spans"]
    assert annotator.plan() == (
        "one encoder pass for tag-drug, tag-illness, rel-spans"
        " and a second for rel-markers (view markers), rel-mask (view mask), rel-levitated (view levitated)"
    )
    found, _ = counted(annotator, invented(8, 3))
    names = [dict(relation.attributes)["task"] for document in found for relation in document.relations]
    assert set(names) == {"rel-spans", "rel-markers", "rel-mask", "rel-levitated"}
    # Joined sentences: only what is more than a sentence is encoded by itself.
    task = predictor.engine.model.tasks["rel-spans"]
    joined = task.model_copy(update={"relation": task.relation.model_copy(update={"unit": "joined-sentences"})})
    monkeypatch.setitem(predictor.engine.model.tasks, "rel-spans", joined)
    annotator = Annotator(Predictor(predictor.engine, tasks=["tag-drug", "tag-illness", "rel-spans"]))
    assert annotator.plan() == (
        "one encoder pass for tag-drug, tag-illness and a second for"
        " rel-spans (unit joined-sentences, if it is more than a sentence)"
    )
    text = "Zalpidine for korinosis. Brentolol met fenatitis. (zalpidine) for   korinosis."
    (one,), passes = counted(annotator, [Document("d", text)])
    assert passes.rows == 3 + 1
    twice = Annotator(annotator.predictor)
    twice.one_pass = []
    (other,), passes = counted(twice, [Document("d", text)])
    assert passes.rows == 3 + 2
    assert_same([one], [other])


def test_pairs_of_given_mentions_share_the_pass_of_other_tasks(bert: Path) -> None:
    predictor = related(bert, ("cls-text", "rel-spans"))
    text = "Pola  met\nrimu and dasu. Quari teksa hits milo."
    source = marked(text, Pola="DRUG", rimu="illness", dasu="Illness", Quari="Medicine", milo="illness")
    (found,), passes = counted(Annotator(predictor, keep=True), [source])
    assert passes.rows == 2
    names = {mention.id: mention.text for mention in found.mentions}
    pairs = [tuple(names[name] for _, name in relation.arguments) for relation in found.relations]
    assert pairs == [("Pola", "rimu"), ("Pola", "dasu"), ("Quari", "milo")]
    # Without any other task there is no pass to share, and a sentence is still encoded once for all its pairs.
    (alone,), passes = counted(Annotator(Predictor(predictor.engine, tasks=["rel-spans"]), keep=True), [source])
    assert passes.rows == 2
    assert_same([replace(found, mentions=())], [replace(alone, mentions=())])


def test_markers_of_found_mentions_take_one_more_row_for_all_pairs(bert: Path) -> None:
    predictor = related(bert, ("tag-drug", "tag-illness", "rel-levitated"))
    text = "Zalpidine  for korinosis and fenatitis."
    (found,), passes = counted(Annotator(predictor), [Document("d", text)])
    assert passes.rows == 2
    # The row has the words as the taggers read them, whatever the spaces in the document.
    (alike,), _ = counted(Annotator(predictor), [Document("d", text.replace("  ", " "))])
    assert len(found.relations) > 1
    assert found.relations == alike.relations


def test_arguments_that_nothing_provides_are_reported(bert: Path) -> None:
    predictor = related(bert, ("cls-text", "rel-spans"))
    with pytest.raises(InputError, match=r"rel-spans: no tagger of the model finds its arguments \(drug\)"):
        Annotator(Predictor(predictor.engine, tasks=["rel-spans"]))
    annotator = Annotator(predictor, keep=True)
    list(annotator([marked("Pola met rimu.", Pola="drug")]))
    assert annotator.lacking() == {"rel-spans": "illness"}
    list(annotator([marked("Pola met rimu.", Pola="illness")]))
    assert annotator.lacking() == {}


def test_a_text_longer_than_a_batch(bert: Path) -> None:
    """Its rows are encoded a few at a time, once for the taggers and once for its pairs."""
    predictor = related(bert, ("tag-drug", "tag-illness", "rel-spans"), max_length=16)
    annotator = Annotator(predictor)
    source = Document("d", "Zalpidine, brentolol, vono for korinosis " * 12 + ".")
    ask = predictor.ask
    predictor.ask = lambda *given, **named: ask(*given, **named, batch_tokens=64)  # type: ignore[method-assign]
    small, passes = counted(annotator, [source])
    predictor.ask = ask  # type: ignore[method-assign]
    whole, one = counted(annotator, [source])
    assert passes.rows == 2 * one.rows > 8
    assert len(whole[0].relations) > 100
    assert_same(small, whole)


def test_a_unit_of_many_sentences_is_encoded_once_for_all_its_pairs(
    bert: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    predictor = related(bert, ("cls-text", "rel-spans"))
    tasks = predictor.engine.model.tasks  # type: ignore[attr-defined]
    whole = tasks["rel-spans"].relation.model_copy(update={"unit": "document"})
    monkeypatch.setitem(tasks, "rel-spans", tasks["rel-spans"].model_copy(update={"relation": whole}))
    source = marked("Pola met rimu. Dasu met quari.", Pola="drug", rimu="illness", Dasu="drug", quari="illness")
    (found,), passes = counted(Annotator(predictor, keep=True), [source])
    assert passes.rows == 2 + 1
    assert len(found.relations) == 4
    # A text of its own for each pair would be too much of them long before their number is.
    monkeypatch.setattr("biomtl.inference.drafts.MOST_RELATED", 100 * 4)
    annotator = Annotator(predictor, keep=True)
    assert len(next(annotator([source])).relations) == 4
    monkeypatch.setattr("biomtl.inference.drafts.MOST_RELATED", 100 * 4 - 1)
    assert not next(annotator([source])).relations
    assert annotator.unrelated == {"d": 1}
    # The candidates count, not all pairs of mentions: those within the window are fewer.
    near = whole.model_copy(update={"window": 1})
    monkeypatch.setitem(tasks, "rel-spans", tasks["rel-spans"].model_copy(update={"relation": near}))
    annotator = Annotator(predictor, keep=True)
    assert 0 < len(next(annotator([source])).relations) < 4
    assert annotator.unrelated == {}


def test_a_mention_with_blanks_at_its_end_has_no_word_after_them() -> None:
    cut = Cut.of("ab  cd \n ef", (0, 11))
    assert cut.text == "ab cd ef"
    spans = ((0, 2), (0, 3), (0, 4), (2, 6), (4, 8), (4, 9), (4, 10))
    assert [cut.text[slice(*cut.own_span(*span))] for span in spans] == [
        *("ab", "ab ", "ab "),
        *(" cd", "cd ", "cd ", "cd e"),
    ]


def test_new_ids_are_not_those_of_concepts_in_kept_relations() -> None:
    """As codes of ICD-10 may be."""
    mentions = (Mention("a", "Drug", ((0, 2),), "ab", ("T0",)), Mention("b", "Illness", ((3, 5),), "cd", ("R1",)))
    relation = Relation("R0", "x", (("", "T0"), ("", "R1")))
    draft = Draft(Document("d", "ab cd", (), mentions, (relation,)), keep=True)
    assert (next(draft.names["T"]), next(draft.names["R"])) == ("T1", "R2")
