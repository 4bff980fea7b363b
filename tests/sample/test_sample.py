"""The sample suite: valid, deterministic, honest about what is held out, not to be solved by one word."""

from __future__ import annotations

import hashlib
import json
import re
import statistics
from collections import Counter
from itertools import chain
from pathlib import Path
from typing import Any

import pytest

import tiny
from biomtl.errors import InputError
from biomtl.sample import make_sample, sample_records, sample_task
from biomtl.sample.grammar import grammar
from biomtl.sample.names import lexicons
from biomtl.suite import load_suite
from biomtl.tasks import SUITES, Task, get_task
from biomtl.tasks.task import SPLITS

RECORDS = sample_records()
RELATIONS = ("ddi2013", "chemprot", "i2b2-2010")
TAGGING = ("bc5cdr-chem", "bc5cdr-disease", "shareclefe")
PAIRS = ("medsts", "biosses", "mednli")


def rows(task: str) -> list[dict[str, Any]]:
    return list(chain.from_iterable(RECORDS[task].values()))


def words(record: dict[str, Any]) -> str:
    return " ".join(
        [record.get("text", ""), record.get("text_a", ""), record.get("text_b", ""), *record.get("tokens", [])]
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_sample(tmp_path_factory.mktemp("sample") / "suite")


def test_suite_has_all_ten_tasks_and_splits(folder: Path) -> None:
    assert sorted(RECORDS) == sorted(SUITES["sample"])
    assert sorted(path.name for path in folder.iterdir()) == sorted([".biomtl.json", *SUITES["sample"]])
    for task in SUITES["sample"]:
        files = {path.name for path in (folder / task).iterdir()}
        assert files == {"task.yaml", "train.jsonl", "dev.jsonl", "test.jsonl"}
        written = [json.loads(line) for line in (folder / task / "dev.jsonl").read_text(encoding="utf-8").splitlines()]
        assert written == RECORDS[task]["dev"]


def test_task_records_keep_labels_and_drop_the_corpus(folder: Path) -> None:
    for name in SUITES["sample"]:
        task, original = Task.read(folder / name / "task.yaml"), get_task(name)
        assert task == sample_task(name)
        assert (task.labels, task.type, task.metric) == (original.labels, original.type, original.metric)
        assert task.catalogue is None
        assert task.licence == "invented text, Apache-2.0"


def test_the_suite_loads_as_any_prepared_suite_does() -> None:
    suite = load_suite("sample")
    assert list(suite.tasks) == list(SUITES["sample"])
    for task in suite.tasks:
        assert [record["id"] for record in suite[task].records("test")] == [
            record["id"] for record in RECORDS[task]["test"]
        ]


def test_same_seed_same_bytes(folder: Path, tmp_path: Path) -> None:
    again = make_sample(tmp_path / "again")
    files = sorted(path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    assert files
    assert all((folder / file).read_bytes() == (again / file).read_bytes() for file in files)
    assert sample_records(1)["hoc"] != RECORDS["hoc"]


def test_records_are_those_that_were_published() -> None:
    digest = hashlib.sha256(json.dumps(RECORDS, ensure_ascii=False).encode()).hexdigest()
    assert digest == "00b161feca1b5f407844e6dde3046c987ee74754da162dc8b3d4404a3f6cfb3e", (
        "the suite changed: note it in CHANGELOG.md, for published sample scores change too"
    )


def test_existing_folder_is_refused(folder: Path) -> None:
    with pytest.raises(InputError, match="--overwrite"):
        make_sample(folder)


def test_size(folder: Path) -> None:
    assert sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) < 1_100_000
    for task, splits in RECORDS.items():
        assert 150 <= len(splits["train"]) <= 400, task
        assert all(40 <= len(splits[split]) <= 90 for split in ("dev", "test")), task


@pytest.mark.parametrize("task", SUITES["sample"])
def test_ids_are_unique_and_texts_never_repeat_across_splits(task: str) -> None:
    ids = [record["id"] for record in rows(task)]
    assert len(set(ids)) == len(ids)
    documents = [{record["doc_id"] for record in RECORDS[task][split]} for split in SPLITS]
    texts = [{words(record) for record in RECORDS[task][split]} for split in SPLITS]
    for sets in (documents, texts):
        assert sum(map(len, sets)) == len(set.union(*sets))


def test_names_of_dev_and_test_never_occur_in_train() -> None:
    names = lexicons(0)
    texts = {s: " ".join(words(record).lower() for task in RECORDS for record in RECORDS[task][s]) for s in SPLITS}
    for split in SPLITS:
        others = " ".join(texts[other] for other in SPLITS if other != split)
        stems = [root for root in names[split].roots if len(root) > 4]
        assert sum(root in texts[split] for root in stems) > len(stems) / 2
        assert not [root for root in stems if root in others]


def test_some_templates_are_held_out() -> None:
    train, test = (" ".join(record["text"] for record in RECORDS["ddi2013"][split]) for split in ("train", "test"))
    held_out = (
        "felt far sleepier",
        "prudent to stop",
        "mong the agents",
        "displaced",
        "Never prescribe",
        "well documented",
    )
    assert not any(phrase in train for phrase in held_out)
    assert sum(phrase in test for phrase in held_out) >= 2


@pytest.mark.parametrize("task", [name for name in SUITES["sample"] if get_task(name).labels])
def test_every_label_occurs_in_every_split(task: str) -> None:
    for split in SPLITS:
        found = Counter(
            label
            for record in RECORDS[task][split]
            for label in record.get("labels", record.get("tags", [record.get("label")]))
        )
        assert set(found) == set(get_task(task).labels), split
        assert min(found.values()) >= (2 if split != "train" else 10), split


@pytest.mark.parametrize("task", RELATIONS)
def test_relations_mark_their_two_mentions(task: str) -> None:
    for record in rows(task):
        assert list(record) == ["id", "doc_id", "text", "label", "entities"]
        first, second = record["entities"]
        for entity in (first, second):
            assert record["text"][entity["start"] : entity["end"]] == entity["text"]
        assert first["end"] < second["start"] or second["end"] < first["start"]
        assert "@" not in record["text"]
        assert tiny.masked(task, record).count("@") == 2
    labels = Counter(record["label"] for record in RECORDS[task]["train"])
    assert labels[get_task(task).negative] > len(RECORDS[task]["train"]) / 2


@pytest.mark.parametrize("task", TAGGING)
def test_tags_offsets_and_documents(task: str) -> None:
    ends: dict[str, int] = {}
    sentences: Counter[str] = Counter()
    for record in rows(task):
        assert list(record) == ["id", "doc_id", "tokens", "offsets", "tags"]
        assert len(record["tokens"]) == len(record["offsets"]) == len(record["tags"])
        previous = ends.get(record["doc_id"], -1)
        assert record["offsets"][0][0] == previous + 1  # one blank between the sentences of a document
        last = "O"
        for token, (start, end), tag in zip(record["tokens"], record["offsets"], record["tags"], strict=True):
            assert start >= previous
            assert end - start == len(token)
            assert not (tag.startswith("I-") and last == "O")
            previous, last = end, tag
        ends[record["doc_id"]] = previous
        sentences[record["doc_id"]] += 1
    assert sum(count >= 2 for count in sentences.values()) >= len(sentences) - len(SPLITS)
    assert any(all(tag == "O" for tag in record["tags"]) for record in rows(task))


def test_chemicals_and_diseases_share_their_sentences() -> None:
    for split in SPLITS:
        for chem, disease in zip(RECORDS["bc5cdr-chem"][split], RECORDS["bc5cdr-disease"][split], strict=True):
            assert all(chem[key] == disease[key] for key in ("id", "doc_id", "tokens", "offsets"))
            assert not any(a != "O" and b != "O" for a, b in zip(chem["tags"], disease["tags"], strict=True))


@pytest.mark.parametrize(("task", "top"), [("medsts", 5.0), ("biosses", 4.0)])
def test_scores_cover_their_range(task: str, top: float) -> None:
    scores = [record["score"] for record in rows(task)]
    assert min(scores) < 0.1 * top
    assert max(scores) > 0.95 * top
    assert all(0 <= score <= top for score in scores)
    assert len({int(score) for score in scores}) >= int(top)


def test_documents_of_hallmarks_all_have_a_label() -> None:
    labelled: dict[str, bool] = {}
    for record in rows("hoc"):
        labelled[record["doc_id"]] = labelled.get(record["doc_id"], False) or bool(record["labels"])
    assert all(labelled.values())
    assert {len(record["labels"]) for record in rows("hoc")} == {0, 1, 2}


def test_no_slot_or_choice_is_left_over() -> None:
    for task in RECORDS:
        for record in rows(task):
            text = words(record)
            assert not re.search(r"[{}<>|]", text), text
            assert "  " not in text.strip(), text


@pytest.mark.parametrize("task", [*RELATIONS, "mednli"])
def test_no_single_word_decides_a_label(task: str) -> None:
    """The best one-word rule of train, applied to test, leaves much to learn."""
    splits = {s: [(set(words(r).lower().split()), r["label"]) for r in RECORDS[task][s]] for s in ("train", "test")}
    labels = [label for label in get_task(task).labels if label != get_task(task).negative]
    scores = []
    for label in labels:
        vocabulary = set().union(*(text for text, _ in splits["train"]))
        best = max(sorted(vocabulary), key=lambda word: f1(splits["train"], word, label))
        scores.append(f1(splits["test"], best, label))
    assert sum(scores) / len(scores) < 0.6, scores


def f1(data: list[tuple[set[str], str]], word: str, label: str) -> float:
    hits = sum(word in text and gold == label for text, gold in data)
    return 2 * hits / (sum(word in text for text, _ in data) + sum(gold == label for _, gold in data))


@pytest.mark.parametrize("task", ["medsts", "biosses"])
def test_similarity_is_not_word_overlap(task: str) -> None:
    """Sharing words says something about the score, as in real data, but leaves much to learn."""
    scores, overlaps = [], []
    for record in rows(task):
        a, b = (set(re.findall(r"\w+", record[key].lower())) for key in ("text_a", "text_b"))
        scores.append(record["score"])
        overlaps.append(len(a & b) / len(a | b))
    assert 0.3 < statistics.correlation(scores, overlaps) < 0.8


def test_grammar_has_held_out_templates_for_each_label() -> None:
    for task in RELATIONS:
        templates = grammar(task)["templates"]
        assert set(templates) == set(get_task(task).labels)
        assert all(len(part["known"]) >= 3 and len(part["held_out"]) >= 2 for part in templates.values())
    assert set(grammar("hoc")["claims"]) == set(get_task("hoc").labels)


def test_no_invented_name_is_a_real_one(shared: Path) -> None:
    known = {word.lower() for path in sorted((shared / "data/bc5cdr").glob("*.txt")) for word in corpus_words(path)}
    assert len(known) > 10_000
    invented = {
        token.lower()
        for split, lexicon in lexicons(0).items()
        for name in (*lexicon.drugs, *lexicon.diseases, *lexicon.genes)
        for token in re.findall(r"\w+", name)
        if any(root in token.lower() or token.lower() in root for root in lexicon.roots)
    }
    assert not invented & known


def corpus_words(path: Path) -> set[str]:
    return set(re.findall(r"\w+", path.read_text(encoding="utf-8")))
