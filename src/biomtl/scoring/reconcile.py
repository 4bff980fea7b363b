"""Giving gold and predictions in different formats the same ids."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from biomtl.corpora.blue.relations import DOCUMENT_PAIRS
from biomtl.errors import InputError
from biomtl.mtdnn.scores import without_marks
from biomtl.scoring.formats import Loaded, numbered
from biomtl.scoring.table import Record, Table, document_of
from biomtl.tasks.task import Task


def reconcile(task: Task, gold: Loaded, predicted: Loaded) -> tuple[Table, Table, tuple[str, ...]]:
    """The two tables, ready to be matched by id, and notes on what was done."""
    if gold.shape == "probabilities":
        raise InputError("no header", path=gold.table.where, line=1, expected="gold labels with their ids")
    if predicted.shape == "probabilities":
        return (
            gold.table,
            _by_order(gold.table, predicted.table),
            ("predictions matched by row order: they carry no ids",),
        )
    if "relations" in (gold.shape, predicted.shape):
        return _relations(task, gold, predicted)
    if predicted.shape == "pieces":
        return _pieces(gold, predicted)
    if "tokens" in (gold.shape, predicted.shape) and not _ids(gold.table) & _ids(predicted.table):
        return _by_offset(gold.table), _by_offset(predicted.table), ()
    return gold.table, predicted.table, ()


def _pieces(gold: Loaded, predicted: Loaded) -> tuple[Table, Table, tuple[str, ...]]:
    """Tags of MT-DNN's word pieces against those of the same pieces, or predictions for words, as we write them."""
    wanted = {str(record.get("id")): record for record in gold.table.records}
    left, right = {}, []
    for row, record in enumerate(predicted.table.records):
        other = wanted.get(record["id"])
        if other is None:
            right.append(record)
            continue
        tags = list(other.get("tags") or ())
        if len(tags) != len(record["tags"]):
            fix = "give the JSON lines of word pieces that MT-DNN read"
            problem = f"{len(record['tags'])} predicted tags for {len(tags)} gold tags of {record['id']!r}"
            raise predicted.table.error(row, problem, expected="one for each piece of the gold file", fix=fix)
        tags, given = without_marks(tags, record["tags"])
        left[record["id"]] = {**other, "tags": tags}
        right.append({**record, "tags": given})
    records = [left.get(str(record.get("id")), record) for record in gold.table.records]
    return replace(gold.table, records=records), replace(predicted.table, records=right), ()


def unite_documents(gold: Table, predicted: Table) -> tuple[Table, Table, tuple[str, ...]]:
    """If one side has label sets by sentence and the other by document, bring both to documents.

    The document of a sentence is its ``doc_id``, or what precedes the first ``_`` of its id (BLUE's ``PMID_s0``).
    """
    ids, given = _ids(gold), _ids(predicted)
    if not ids & given and given & set(_documents(gold)):
        return _united(gold), predicted, ("gold sentences united by document, as the predictions are by document",)
    if not ids & given and ids & set(_documents(predicted)):
        return gold, _united(predicted), ("predicted sentences united by document, as gold is by document",)
    return gold, predicted, ()


def _by_order(gold: Table, predicted: Table) -> Table:
    if len(gold.records) != len(predicted.records):
        raise InputError(
            f"{len(predicted.records)} rows of probabilities",
            path=predicted.where,
            expected=f"{len(gold.records)}, the rows of {gold.where}",
        )
    rows = [{"id": g.get("id"), **p} for g, p in zip(gold.records, predicted.records, strict=True)]
    return replace(predicted, records=rows)


def _relations(task: Task, gold: Loaded, predicted: Loaded) -> tuple[Table, Table, tuple[str, ...]]:
    """Match BLUE's gold-standard tables, which name pairs by document and arguments.

    The model's input names them ``docid.arg1.arg2`` (or by the pair's id, DDI) and for ChemProt has only pairs within a
    sentence: there a pair without a prediction counts as predicted negative, and the number of such pairs is reported.
    """
    both = gold.shape == predicted.shape
    if both and _ids(gold.table) == _ids(predicted.table):
        _same_arguments(gold.table, predicted.table)
        return gold.table, predicted.table, ()
    left = _named(gold, None if both else _ids(predicted.table))
    right = _named(predicted, None if both else _ids(gold.table))
    if both or gold.shape != "relations" or task.name not in DOCUMENT_PAIRS:
        return left, right, ()
    given = {record["id"]: record for record in right.records}
    filled: list[Record] = []
    twice = 0
    for record in left.records:
        name = record["id"]
        if name not in given:
            first = given.get(name.rpartition("#")[0])
            twice += first is not None
            filled.append({"id": name, "label": first["label"] if first is not None else task.negative})
    negative = len(filled) - twice
    notes = [f"{negative} gold pairs without a prediction count as {task.negative!r}"] if negative else []
    notes += [f"{twice} further rows of pairs with several gold labels take the pair's prediction"] if twice else []
    rows = [*range(len(right.records)), *[0] * len(filled)]
    return left, right.take([*right.records, *filled], rows), tuple(notes)


def _pair(record: Record) -> str:
    return f"{record['doc_id']}.{record['arg1']}.{record['arg2']}"


def _same_arguments(gold: Table, predicted: Table) -> None:
    """BLUE's scorer leaves out, with a warning, a row whose document or arguments differ; here it is an error."""
    pairs = {record["id"]: _pair(record) for record in gold.records}
    for row, record in enumerate(predicted.records):
        if pairs[record["id"]] != _pair(record):
            raise predicted.error(row, f"{record['id']!r} is {_pair(record)}", expected=pairs[record["id"]])


def _named(loaded: Loaded, other: set[str] | None) -> Table:
    """A relation table with the other side's ids; ``other`` is None if that is a relation table too."""
    if loaded.shape != "relations":
        return loaded.table
    pairs = [_pair(record) for record in loaded.table.records]
    own = [record["id"] for record in loaded.table.records]
    if other is None:
        names = numbered(pairs)
    elif len(other.intersection(own)) > len(other.intersection(pairs)):
        names = own
    else:
        # The model's input has the labels of one pair in the reverse order of the gold file.
        names = numbered(pairs[::-1])[::-1]
    records = [{**record, "id": name} for record, name in zip(loaded.table.records, names, strict=True)]
    return replace(loaded.table, records=records)


def _by_offset(table: Table) -> Table:
    """Sentences named by their document and start offset, if the records have both."""
    records = []
    for record in table.records:
        offsets, document = record.get("offsets"), document_of(record)
        if not document or not isinstance(offsets, list) or not offsets:
            return table
        records.append({**record, "id": f"{document}.{offsets[0][0]}"})
    return replace(table, records=records)


def _ids(table: Table) -> set[str]:
    return {str(record.get("id")) for record in table.records}


def _documents(table: Table) -> list[str]:
    return [document_of(record) or str(record.get("id")).partition("_")[0] for record in table.records]


def _united(table: Table) -> Table:
    table.ids()  # a repeated sentence would vanish in the union
    rows: dict[str, int] = {}
    united: dict[str, list[object]] = {}
    for row, (document, record) in enumerate(zip(_documents(table), table.records, strict=True)):
        labels = record.get("labels")
        if not isinstance(labels, list):
            raise table.error(row, "no labels", expected='a list of labels under "labels"')
        rows.setdefault(document, row)
        seen = united.setdefault(document, [])
        seen.extend(label for label in labels if label not in seen)
    records: Sequence[Record] = [{"id": name, "doc_id": name, "labels": labels} for name, labels in united.items()]
    return table.take(records, list(rows.values()))
