"""The yes/no questions of BioASQ 7b (Nentidis et al. 2019) from the challenge's JSON files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from biomtl.corpora.blurb.json_file import read_object
from biomtl.corpora.blurb.lists import drawn, listed, members
from biomtl.corpora.copies import one_copy
from biomtl.corpora.reader import ReadOptions, Record
from biomtl.corpora.source import Source
from biomtl.errors import InputError
from biomtl.tasks.task import Split

_TASK = "bioasq"
_TRAINING = ("trainining7b.json", "training7b.json", "BioASQ-training7b.json")  # the first is the challenge's spelling
_TEST = "7B*_golden.json"
_SIZES: dict[Split, int] = {"train": 670, "dev": 75}


class BioASQ:
    """One record per yes/no question; ``text_b`` has its passages in the file's order, joined by blanks.

    The splits are those of BLURB's lists (``indexing/BioASQ/{train,dev,test}_id.tsv``) if these are present. Otherwise
    test has the questions of the five test batches, and dev is drawn from the training questions.
    """

    name = "BioASQ 7b, original JSON"
    preference = 0

    def detect(self, source: Source) -> Sequence[str]:
        """The task, if the training file or a test batch with answers is present."""
        return (_TASK,) if source.find(*_TRAINING, _TEST) else ()

    def read(self, source: Source, tasks: Sequence[str], options: ReadOptions) -> Iterator[tuple[str, Split, Record]]:
        """Stream the questions, by the lists or in the files' order."""
        training = _questions(source, [one_copy(source, source.find(*_TRAINING), _TRAINING[1])])
        batches = _questions(source, source.find(_TEST))
        if not batches:
            raise InputError(f"no {_TEST}", path=source.path, expected="the five batches of Task7BGoldenEnriched")
        if lists := listed(source, "bioasq", "id"):
            both = training | batches
            for split, name in members(lists, both, source):
                yield _TASK, split, both[name]
            return
        for split, names in drawn(training, _SIZES, options.seed).items():
            for name in names:
                yield _TASK, split, training[name]
        for record in batches.values():
            yield _TASK, "test", record


def _questions(source: Source, names: Sequence[str]) -> dict[str, Record]:
    """The yes/no questions of files by their ids."""
    records: dict[str, Record] = {}
    for name in names:
        where, questions = source.where(name), read_object(source, name).get("questions")
        if not isinstance(questions, list) or not all(isinstance(question, dict) for question in questions):
            raise InputError("no questions", path=where, expected='a list of objects under "questions"')
        for number, question in enumerate(questions, start=1):
            if question.get("type") != "yesno":
                continue
            record = _record(question, f"{where}, question {number}")
            if record["id"] in records:
                raise InputError(f"question {record['id'][:40]!r} again", path=where, fix="keep one copy of each file")
            records[record["id"]] = record
    return records


def _record(question: Mapping[str, Any], where: str) -> Record:
    identifier, body, answer = (question.get(key) for key in ("id", "body", "exact_answer"))
    answer = answer[0] if isinstance(answer, list) and len(answer) == 1 else answer  # as some editions have it
    snippets = question.get("snippets")
    texts = [item.get("text") for item in snippets if isinstance(item, dict)] if isinstance(snippets, list) else []
    if not all(isinstance(text, str) for text in (identifier, body, answer, *texts)) or not texts:
        expected = "the texts id, body and exact_answer, and snippets, each with a text"
        raise InputError("an incomplete yes/no question", path=where, expected=expected)
    label = str(answer).strip().lower()
    if label not in ("yes", "no"):
        raise InputError(f"exact_answer {answer!r:.40}", path=where, expected="yes or no")
    asked, passages = (" ".join(str(text).split("\n")).strip() for text in (body, " ".join(map(str, texts))))
    return {"id": identifier, "doc_id": identifier, "text_a": asked, "text_b": passages, "label": label}
