"""PubMedQA's 1000 labelled questions (Jin et al. 2019), from the authors' file or from those of their script."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from biomtl.corpora.blurb.json_file import read_object
from biomtl.corpora.copies import one_copy
from biomtl.corpora.reader import ReadOptions, Record
from biomtl.corpora.source import Source
from biomtl.corpora.splits import ids
from biomtl.errors import InputError, nearest
from biomtl.tasks.task import Split

_TASK = "pubmedqa"
_WHOLE = "ori_pqal.json"
_PARTS: dict[Split, str] = {
    "train": "pqal_fold0/train_set.json",
    "dev": "pqal_fold0/dev_set.json",
    "test": "test_set.json",
}
_LABELS = ("yes", "no", "maybe")


class PubMedQA:
    """One record per question; ``text_b`` is the abstract without its conclusion, id and doc_id the PMID.

    ``ori_pqal.json`` is divided by the lists in the package; the files of the first fold are read as they are.
    """

    name = "PubMedQA, original JSON (ori_pqal.json, or pqal_fold0 and test_set.json)"
    preference = 0

    def detect(self, source: Source) -> Sequence[str]:
        """The task, if the whole set or the first fold is present."""
        return (_TASK,) if source.find(_WHOLE, _PARTS["train"], _PARTS["dev"]) else ()

    def read(self, source: Source, tasks: Sequence[str], options: ReadOptions) -> Iterator[tuple[str, Split, Record]]:
        """Stream the questions in the files' order."""
        if source.find(_PARTS["train"], _PARTS["dev"]):
            for split, file in _PARTS.items():
                name = one_copy(source, source.find(file), file)
                for record in _questions(source, name):
                    yield _TASK, split, record
            return
        name = one_copy(source, source.find(_WHOLE), _WHOLE)
        splits: dict[str, Split] = dict.fromkeys(ids("pubmedqa_dev"), "dev")
        splits |= dict.fromkeys(ids("pubmedqa_test"), "test")
        for record in _questions(source, name):
            yield _TASK, splits.get(record["id"], "train"), record


def _questions(source: Source, name: str) -> Iterator[Record]:
    where = source.where(name)
    for pmid, question in read_object(source, name).items():
        if not isinstance(question, Mapping):
            problem = f"{pmid[:40]!r} is a {type(question).__name__}"
            raise InputError(problem, path=where, expected="a question's fields")
        yield _record(pmid, question, where)


def _record(pmid: str, question: Mapping[str, Any], where: str) -> Record:
    asked, contexts, label = (question.get(key) for key in ("QUESTION", "CONTEXTS", "final_decision"))
    texts = isinstance(contexts, list) and all(isinstance(context, str) for context in contexts)
    if not isinstance(asked, str) or not texts or not isinstance(label, str):
        expected = "the texts QUESTION and final_decision, and a list CONTEXTS of texts"
        raise InputError(f"question {pmid[:40]!r}", path=where, expected=expected)
    if label.strip() not in _LABELS:
        problem = f"question {pmid[:40]!r}: final_decision {label[:40]!r}"
        raise InputError(problem, path=where, fix=nearest(label[:40], _LABELS))
    context = " ".join(context.strip() for context in contexts if context.strip())  # type: ignore[union-attr]
    return {"id": pmid, "doc_id": pmid, "text_a": asked.strip(), "text_b": context, "label": label.strip()}
