"""One task of a model as an ordinary ``transformers`` folder, or its encoder alone."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

from biomtl.checkpoints.card import write_card
from biomtl.encoders.transformer import TransformerEncoder
from biomtl.errors import InputError
from biomtl.model import MultiTaskModel
from biomtl.pretrained import quiet
from biomtl.results import Results
from biomtl.tasks.relation import RelationArguments
from biomtl.tasks.types.base import type_of
from biomtl.tasks.views import VIEWS, Argument, Pair

_PROBLEMS = {
    "classification": "single_label_classification",
    "multilabel": "multi_label_classification",
    "regression": "regression",
}

STOCK_VIEWS = ("mask", "markers")
MARKERS = """from transformers import AutoModelForTokenClassification, AutoTokenizer

tokenizer = AutoTokenizer.from_pretrained("THIS FOLDER")
model = AutoModelForTokenClassification.from_pretrained("THIS FOLDER")
# Both mentions between markers with their types in lower case, the first argument between @, the second between #.
text = "@ * drug * Aspirin @ enhances the effect of # ^ drug ^ warfarin #."
encoded = tokenizer(text, return_tensors="pt")
logits = model(**encoded).logits[0]
first, second = (encoded.char_to_token(0, text.index(mark)) for mark in ("@ * ", "# ^ "))
labels = logits.shape[-1] // 2
# The first half of the outputs at the first marker plus the second half at the second one.
scores = logits[first, :labels] + logits[second, labels:]
print(model.config.id2label[int(scores.argmax())].removeprefix("first:"))"""


def export_hf(model: MultiTaskModel, task: str, folder: Path, results: Results | None = None) -> str:
    """Write encoder and head as the family's own class, with labels, problem type, tokenizer and model card.

    Args:
        model: the model.
        task: the task whose head is exported.
        folder: an existing empty folder.
        results: scores for the model card.

    Returns:
        The class that opens the folder.

    Raises:
        InputError: no such task, or a head or encoder without a stock class.
    """
    head = model.head(task)
    stock = head.stock_model()
    if stock is None or not isinstance(model.encoder, TransformerEncoder):
        if (view := model.choices[task].view) not in (None, *STOCK_VIEWS) and isinstance(
            model.encoder, TransformerEncoder
        ):
            fix = f"train with view: {' or '.join(STOCK_VIEWS)}" + (", or use --to onnx" if head.traceable else "")
            raise InputError(f"task {task}: view {view}", expected="a view that stock transformers has", fix=fix)
        problem = f"task {task}: {type(head.network or head).__name__} on a {model.encoder.kind} encoder"
        fix = "use the folder itself, or --to onnx"
        raise InputError(problem, expected="a head that stock transformers has", fix=fix)
    network = type(stock)(_config(model, task, stock))
    base = network.base_model_prefix
    shared = model.encoder.network
    weights = shared.state_dict() if head.lora is None else head.lora.merged(shared)
    state = {f"{base}.{name}": value for name, value in weights.items()}
    state |= stock.state_dict()
    missing, unexpected = network.load_state_dict(state, strict=False)
    # A stock class may lack the encoder's pooler; any other difference would change its outputs.
    surplus = [name for name in unexpected if not name.startswith(f"{base}.pooler.")]
    if missing or surplus:
        problem = f"{type(network).__name__} does not take the parameter {[*missing, *surplus][0]}"
        raise InputError(problem, fix="export --to onnx, and report it")
    with quiet():
        network.save_pretrained(folder)
        model.processor.tokenizer.save_pretrained(folder)  # type: ignore[attr-defined]
    length = model.processor.max_length
    opening = MARKERS if _by_markers(model, task) else None
    record = model.tasks[task]
    example = _masked(record.relation) if record.relation is not None and opening is None else ""
    facts: dict[str, Any] = {"max_length": length, "results": results, "opening": opening, "example": example}
    write_card(folder, "hf", [record], model.provenance, **facts)
    return type(network).__name__


def _masked(relation: RelationArguments) -> str:
    """Code that asks about a masked text."""
    first, second = Argument(relation.first[0], (0, 7)), Argument(relation.second[0], (31, 39))
    text = VIEWS["mask"].text(Pair("Aspirin enhances the effect of warfarin.", first, second, relation)).texts[0]
    return f"\n# Both mentions are replaced by placeholders.\nprint(pipe({text!r}))"


def _by_markers(model: MultiTaskModel, task: str) -> bool:
    """Whether a task's labels are read at two markers, each of which has an output per label."""
    return model.head(task).reading == "arguments"


def export_encoder(model: MultiTaskModel, folder: Path) -> str:
    """Write the encoder with its tokenizer but no head (the old ``strip``)."""
    with quiet():
        model.encoder.save(folder)
        model.processor.save(folder)
    write_card(folder, "encoder", [], model.provenance, max_length=model.processor.max_length)
    network = getattr(model.encoder, "network", model.encoder)
    return type(network).__name__


def _config(model: MultiTaskModel, task: str, stock: Any) -> Any:
    config = copy.deepcopy(stock.config)
    record = model.tasks[task]
    labels = record.labels or ("score",)
    if _by_markers(model, task):
        labels = tuple(f"{side}:{label}" for side in ("first", "second") for label in labels)
    config.id2label = dict(enumerate(labels))
    config.label2id = {label: i for i, label in enumerate(labels)}
    known = (_PROBLEMS[parent] for parent in type_of(record).family if parent in _PROBLEMS)
    config.problem_type = None if _by_markers(model, task) else next(known, None)
    config.architectures = [type(stock).__name__]
    return config
