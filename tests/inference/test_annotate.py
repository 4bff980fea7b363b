"""Annotated documents: offsets in the document, the same path as in evaluation, one encoder pass per text."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import elmo_data
import tiny
from annotated import document, invented, marked
from biomtl.corpora.parts import document_sentences
from biomtl.errors import InputError
from biomtl.formats import Document, Mention, Relation
from biomtl.formats.model import check_writable
from biomtl.inference.annotate import Annotator
from biomtl.inference.drafts import Draft, Related
from biomtl.inference.predict import predict_records
from biomtl.inference.predictor import Predictor
from biomtl.model import MultiTaskModel
from biomtl.tasks import get_task
from biomtl.tasks.types.base import type_of
from biomtl.text.words import words

RELATIONS = ("ddi2013", "chemprot", "i2b2-2010")
TEXTS = ("cls-text", "multi-text", "reg-text")
TAGGERS = ("tag-drug", "tag-illness")


def wide(encoder: Path, **options: Any) -> MultiTaskModel:
    """Heads wide enough that a fresh tagger finds mentions everywhere."""
    torch.manual_seed(0)
    tasks = [tiny.task(name) for name in (*TAGGERS, *TEXTS, "reg-pair")]
    model = MultiTaskModel.from_encoder(encoder, [*tasks, *map(get_task, RELATIONS)], **options)
    with torch.no_grad():
        for parameter in model.heads.parameters():
            parameter.mul_(50)
    return model


@pytest.fixture(scope="module")
def predictor(bert: Path) -> Predictor:
    return Predictor(wide(bert, max_length=16))


@pytest.fixture(scope="module")
def elmo(tmp_path_factory: pytest.TempPathFactory) -> Predictor:
    return Predictor(wide(elmo_data.write_bilm(tmp_path_factory.mktemp("bilm") / "bilm")))


@contextmanager
def rows_read(model: MultiTaskModel) -> Iterator[list[int]]:
    """How many rows the encoder reads, call by call."""
    counts: list[int] = []
    hook = model.encoder.register_forward_pre_hook(lambda _, given: counts.append(len(given[0]["attention_mask"])))
    yield counts
    hook.remove()


characters = st.characters(codec="utf-8", exclude_characters="\0")
pieces = st.lists(
    st.sampled_from([*tiny.DRUGS, *tiny.ILLNESSES, "Pola", "-", ". ", ", ", "\n", "\n\n", " ", "é", "\u200b"])
)
bodies = st.one_of(st.text(characters, max_size=80), pieces.map("".join), pieces.map(" ".join))


@pytest.mark.parametrize("kind", ["predictor", "elmo"])
@settings(max_examples=25, deadline=None)
@given(given_texts=st.lists(bodies, min_size=1, max_size=3))
def test_offsets_are_those_of_the_document(request: pytest.FixtureRequest, kind: str, given_texts: list[str]) -> None:
    annotator = Annotator(request.getfixturevalue(kind))
    documents = [Document(str(i), text) for i, text in enumerate(given_texts)]
    for source, found in zip(documents, annotator(documents), strict=True):
        check_writable(found, "")  # every span lies in the text and covers what the mention says
        assert (found.id, found.text) == (source.id, source.text)
        sentences = list(document_sentences(source))
        starts, ends = ({span[i] for span in words(source.text)} for i in (0, 1))
        by_id = {mention.id: mention for mention in found.mentions}
        assert list(by_id) == [f"T{i}" for i in range(len(found.mentions))]
        assert [relation.id for relation in found.relations] == [f"R{i}" for i in range(len(found.relations))]
        for mention in found.mentions:
            (span,) = mention.spans
            assert mention.text == source.text[slice(*span)]
            if mention.type == "Sentence":
                assert span in sentences
            else:
                assert mention.type in ("Drug", "Illness")
                assert span[0] in starts
                assert span[1] in ends
                assert sum(start <= span[0] and span[1] <= end for start, end in sentences) == 1
        for relation in found.relations:
            one, other = (by_id[name] for _, name in relation.arguments)
            assert any(start <= one.start and other.end <= end for start, end in sentences)


def test_mentions_are_those_that_evaluation_sees(predictor: Predictor) -> None:
    """The records that a reader makes of a document, predicted as ``evaluate`` does."""
    documents = invented(1)
    seen = 0
    for name in TAGGERS:
        only = Annotator(Predictor(predictor.engine, tasks=[name]))
        for source, found in zip(documents, only(documents), strict=True):
            cut = [list(words(source.text, *span)) for span in document_sentences(source)]
            records = [{"tokens": [source.text[start:end] for start, end in spans], "offsets": spans} for spans in cut]
            task = predictor.engine.model.tasks[name]
            predicted = predict_records(predictor.engine.model, {name: records})[name]
            expected = [
                (m["type"], m["start"], m["end"], f"{m['probability']:.4f}")
                for record, prediction in zip(records, predicted, strict=True)
                for m in type_of(task).describe(record, prediction, task)["mentions"]
            ]
            got = [(m.type, m.start, m.end, dict(m.attributes)["probability"]) for m in found.mentions]
            assert got == expected
            assert all(dict(mention.attributes)["task"] == name for mention in found.mentions)
            seen += len(got)
    assert seen > 5


@pytest.mark.parametrize("kind", ["predictor", "elmo"])
def test_a_text_is_encoded_once_for_all_tasks(request: pytest.FixtureRequest, kind: str) -> None:
    predictor = request.getfixturevalue(kind)
    documents = [document("a", "Pola zalpidine.", "Rimu  korinosis."), document("b", "Rimu korinosis.", "Vono.")]
    annotator = Annotator(Predictor(predictor.engine, tasks=[*TAGGERS, *TEXTS]), whole=["multi-text"])
    with rows_read(predictor.engine.model) as rows:
        found = list(annotator(documents))
    # Two sentences are the same words; the two documents are texts of their own.
    assert sum(rows) == 3 + 2
    assert {m.type for d in found for m in d.mentions} >= {"Sentence", "Document"}


def test_documents_stream(predictor: Predictor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("biomtl.inference.annotate.WINDOW", 8)
    taken: list[str] = []

    def source() -> Iterator[Document]:
        for one in invented(2, 9):
            taken.append(one.id)
            yield one

    counts: list[int] = []
    stream = Annotator(predictor)(source(), advance=counts.append)
    assert next(stream).id == "d0"
    assert len(taken) == 2
    assert [one.id for one in stream] == [f"d{i}" for i in range(1, 9)]
    assert sum(counts) >= 36
    monkeypatch.undo()
    together = list(Annotator(predictor)(invented(2, 9)))
    again = list(Annotator(predictor)(invented(2, 9)))
    assert together == again
    assert list(Annotator(predictor)([])) == []
    assert list(Annotator(predictor)([Document("e", ""), Document("b", " \n")])) == [
        Document("e", ""),
        Document("b", " \n"),
    ]


def test_labels_of_sentences_and_documents(predictor: Predictor) -> None:
    (source,) = invented(3, 1)
    annotator = Annotator(Predictor(predictor.engine, tasks=TEXTS), whole=["reg-text"])
    (found,) = annotator([source])
    direct = Predictor(predictor.engine, tasks=TEXTS)
    expected = []
    for start, end in document_sentences(source):
        (result,) = direct([source.text[start:end]])
        if result["cls-text"].label != "none":
            expected.append(("cls-text", (start, end), result["cls-text"].label))
        expected += [("multi-text", (start, end), label) for label in result["multi-text"].labels or ()]
    labels = [(dict(m.attributes), m) for m in found.mentions]
    sentences = [(a["task"], m.spans[0], a["label"]) for a, m in labels if m.type == "Sentence"]
    assert sorted(sentences) == sorted(expected)
    assert sentences
    (whole,) = [(a, m) for a, m in labels if m.type == "Document"]
    assert whole[1].text == source.text
    (score,) = direct([source.text])
    assert float(whole[0]["score"]) == pytest.approx(score["reg-text"].score, abs=1e-4)


def asked(annotator: Annotator, documents: list[Document], monkeypatch: pytest.MonkeyPatch) -> dict[str, list[str]]:
    """The texts that relation tasks classify, as the view ``mask`` shows them."""
    found: dict[str, list[Any]] = {name: [] for name in annotator.relations}
    ask = annotator.predictor.ask

    def watched(texts: Any, **options: Any) -> Any:
        for name, rows in texts.items():
            found.setdefault(name, []).extend(rows)
        return ask(texts, **options)

    monkeypatch.setattr(annotator.predictor, "ask", watched)
    list(annotator(documents))
    return {
        name: [tiny.masked(name, {"text": str(text), "entities": text.entities}) for text in rows]
        for name, rows in found.items()
        if name in RELATIONS
    }


def test_candidates_are_masked_as_in_training(predictor: Predictor, monkeypatch: pytest.MonkeyPatch) -> None:
    annotator = Annotator(Predictor(predictor.engine, tasks=RELATIONS), keep=True)
    text = "Pola met\nrimu and dasu. Quari α-Teksa hits milo."
    first = marked(text, Pola="drug", rimu="brand", dasu="group", Quari="GENE-Y", Teksa="CHEMICAL", milo="gene")
    assert asked(annotator, [first], monkeypatch) == {
        "ddi2013": ["@DRUG$ met @DRUG$ and dasu.", "@DRUG$ met rimu and @DRUG$.", "Pola met @DRUG$ and @DRUG$."],
        # BLUE's way: the left one is called a chemical, whichever it is, and the text is plain ASCII.
        "chemprot": ["@CHEMICAL$ a-@GENE$ hits milo.", "Quari a-@CHEMICAL$ hits @GENE$."],
        "i2b2-2010": [],
    }
    joined = marked("Pola fits. rimu-type. Vono.", Pola="chemical", rimu="gene", Vono="gene")
    assert asked(annotator, [joined], monkeypatch)["chemprot"] == ["@CHEMICAL$ fits. @GENE$-type."]
    second = marked("Teksa for rimu; dasu", Teksa="Treatment", rimu="problem", dasu="test")
    assert asked(annotator, [second], monkeypatch)["i2b2-2010"] == [
        "@treatment$ for @problem$; dasu",
        "@treatment$ for rimu; @test$",
        "Teksa for @problem$; @test$",
    ]


def test_arguments_that_overlap_share_a_placeholder(predictor: Predictor, monkeypatch: pytest.MonkeyPatch) -> None:
    annotator = Annotator(Predictor(predictor.engine, tasks=["ddi2013"]), keep=True)
    source = Document(
        "d",
        "Pola-rimu now",
        (),
        (Mention("1", "drug", ((0, 9),), "Pola-rimu"), Mention("2", "drug", ((5, 9),), "rimu")),
    )
    assert asked(annotator, [source], monkeypatch) == {"ddi2013": ["@DRUG-DRUG$ now"]}
    twice = Document(
        "d", "Pola now", (), (Mention("1", "drug", ((0, 4),), "Pola"), Mention("2", "Chemical", ((0, 4),), "Pola"))
    )
    assert asked(annotator, [twice], monkeypatch) == {"ddi2013": []}


def test_a_relation_that_is_there_already_is_written_once() -> None:
    one, two = (Mention(name, "drug", ((start, start + 4),), "Pola") for name, start in (("T1", 0), ("T2", 9)))
    kept = Relation("R1", "effect", (("Arg1", "T2"), ("Arg2", "T1")))
    document = Document("d", "Pola and Pola", (), (one, two), (kept,))
    sure = (("probability", "0.9000"),)
    for directed, count in ((False, 1), (True, 2)):
        draft = Draft(document, keep=True)
        draft.relate(Related("effect", one, two, sure), directed=directed)
        assert len(draft.relations) == count
        assert draft.relations[-1].attributes == sure
    draft.relate(Related("advise", two, one, sure), directed=False)
    assert [relation.type for relation in draft.relations] == ["effect", "effect", "advise"]


def test_relations_join_found_mentions(predictor: Predictor) -> None:
    annotator = Annotator(Predictor(predictor.engine, tasks=["tag-drug", "ddi2013"]))
    assert annotator.relations == ["ddi2013"]
    relations = 0
    for found in annotator(invented(4, 6)):
        drugs = {mention.id for mention in found.mentions if mention.type == "Drug"}
        for relation in found.relations:
            assert relation.type in ("DDI-advise", "DDI-effect", "DDI-int", "DDI-mechanism")
            assert [role for role, _ in relation.arguments] == ["Arg1", "Arg2"]
            assert {name for _, name in relation.arguments} <= drugs
            assert dict(relation.attributes)["task"] == "ddi2013"
            relations += 1
    assert relations > 0


def test_many_candidates_are_classified_in_parts_and_far_too_many_left_out(
    predictor: Predictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    def annotated() -> tuple[Annotator, list[Document]]:
        annotator = Annotator(Predictor(predictor.engine, tasks=["tag-drug", "ddi2013"]))
        return annotator, list(annotator(invented(4, 6)))

    annotator, together = annotated()
    assert annotator.unrelated == {}
    monkeypatch.setattr("biomtl.inference.annotate.RELATED", 2)
    assert annotated()[1] == together
    monkeypatch.setattr("biomtl.inference.drafts.MOST_RELATED", 10)
    annotator, without = annotated()
    assert annotator.unrelated
    assert [found.mentions for found in without] == [found.mentions for found in together]
    assert not any(found.relations for found in without)


def test_existing_annotations_are_kept_only_on_request(predictor: Predictor) -> None:
    (source,) = invented(5, 1)
    (found,) = Annotator(Predictor(predictor.engine, tasks=["tag-drug"]))([source])
    assert found.mentions
    same = Mention("T1", "Drug", found.mentions[0].spans, found.mentions[0].text, ("D1",), (("note", "x"),))
    other = Mention("T7", "Gene", ((0, 2),), source.text[:2])
    old = Document(source.id, source.text, source.passages, (same, other), (Relation("R0", "x", (("a", "T1"),)),))
    annotator = Annotator(Predictor(predictor.engine, tasks=["tag-drug"]))
    assert list(annotator([old])) == [found]
    (kept,) = Annotator(Predictor(predictor.engine, tasks=["tag-drug"]), keep=True)([old])
    assert kept.relations == old.relations
    assert kept.mentions[1] == other
    assert kept.mentions[0].identifiers == ("D1",)
    assert kept.mentions[0].attributes == (("note", "x"), *found.mentions[0].attributes)
    assert [(m.type, m.spans) for m in kept.mentions[2:]] == [(m.type, m.spans) for m in found.mentions[1:]]
    assert len({mention.id for mention in kept.mentions}) == len(kept.mentions)


def test_kept_mentions_without_an_id_of_their_own_get_one(bert: Path) -> None:
    torch.manual_seed(0)
    model = tiny.model(bert, ["rel-mask"])
    with torch.no_grad():
        for parameter in model.head("rel-mask").parameters():
            if parameter.shape == (3,):
                parameter.copy_(torch.tensor([100.0, 0.0, 0.0]))  # always "treats"
    text = "pola korinosis zalpidine"
    annotator = Annotator(Predictor(model), keep=True)
    relation = Relation("R0", "x", (("a", "T0"), ("b", "T0")))
    for names, old, wanted in (
        (("", ""), (), ("T0", "T1")),
        (("0", "0"), (), ("0", "T0")),
        (("T0", ""), (relation,), ("T0", "T1")),
    ):
        mentions = (
            Mention(names[0], "Illness", ((5, 14),), "korinosis"),
            Mention(names[1], "Drug", ((15, 24),), "zalpidine"),
        )
        (found,) = annotator([Document("d", text, (), mentions, old)])
        assert tuple(mention.id for mention in found.mentions) == wanted
        assert found.relations[:-1] == old
        assert found.relations[-1].arguments == (("Arg1", wanted[1]), ("Arg2", wanted[0]))
    doubled = tuple(Mention("T0", mention.type, mention.spans, mention.text) for mention in mentions)
    with pytest.raises(InputError, match="document d: a relation of 'T0', the id of two mentions, expected one"):
        list(annotator([Document("d", text, (), doubled, (relation,))]))


def test_a_mention_found_by_two_taggers(bert: Path) -> None:
    torch.manual_seed(1)
    tasks = [tiny.task("tag-drug"), tiny.task("tag-drug").model_copy(update={"name": "again"})]
    model = MultiTaskModel.from_encoder(bert, tasks)
    with torch.no_grad():
        for parameter in model.heads.parameters():
            parameter.mul_(50)
    model.head("again").load_state_dict(model.head("tag-drug").state_dict())
    (found,) = Annotator(Predictor(model))(invented(6, 1))
    assert found.mentions
    for mention in found.mentions:
        names, values = mention.attributes[:2], mention.attributes[2:]
        assert names == (("task", "tag-drug"), ("task", "again"))
        assert values[0] == values[1]


@pytest.mark.parametrize("view", ["rel-mask", "rel-spans"])
def test_a_mention_under_two_names_of_a_type_is_one_argument(bert: Path, view: str) -> None:
    torch.manual_seed(1)
    again = {"name": "tag-medicine", "labels": ("O", "B-Medicine", "I-Medicine")}
    tasks = [*map(tiny.task, ("tag-drug", "tag-illness", view)), tiny.task("tag-drug").model_copy(update=again)]
    model = MultiTaskModel.from_encoder(bert, tasks, heads={view: tiny.head(view)})
    with torch.no_grad():
        for name in model.tasks:
            for parameter in model.head(name).parameters():
                parameter.mul_(50 if name.startswith("tag") else 1)
            labels = model.tasks[name].labels
            bias = next(p for p in model.head(name).parameters() if p.shape == (3,))
            bias[labels.index("O" if name.startswith("tag") else "none")] -= 10
    model.head("tag-medicine").load_state_dict(model.head("tag-drug").state_dict())
    pairs = []
    for found in Annotator(Predictor(model))(invented(6, 3)):
        places = {mention.id: mention.spans for mention in found.mentions}
        assert {mention.type for mention in found.mentions} == {"Drug", "Illness", "Medicine"}
        pairs += [(found.id, *(places[name] for _, name in relation.arguments)) for relation in found.relations]
    assert pairs
    assert len(set(pairs)) == len(pairs)


def test_tasks_that_are_not_applied_are_reported(predictor: Predictor) -> None:
    annotator = Annotator(predictor, labels=False)
    assert annotator.sentences == list(TAGGERS)
    assert annotator.relations == ["ddi2013"]
    assert annotator.skipped["reg-pair"] == "it compares two texts"
    assert annotator.skipped["chemprot"].startswith("no tagger of the model finds its arguments (gene-n, gene-y)")
    assert annotator.skipped["i2b2-2010"].endswith("(problem, test, treatment)")
    assert {annotator.skipped[name] for name in TEXTS} == {"the format can't store labels of texts"}
    assert set(Annotator(predictor, keep=True).skipped) == {"reg-pair"}
    with pytest.raises(InputError, match=r"no task that can annotate documents \(reg-pair: it compares two texts\)"):
        Annotator(Predictor(predictor.engine, tasks=["reg-pair"]))
    for name in ("tag-drug", "reg-pair", "DDI"):
        with pytest.raises(InputError, match="does not label documents, expected a task over single texts"):
            Annotator(predictor, whole=[name])
    with pytest.raises(InputError, match="did you mean 'reg-text'"):
        Annotator(predictor, whole=["reg-texts"])
