"""Stock Hugging Face folders as sources: a BERT to convert, or a fine-tuned model to adopt as encoder and head."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from biomtl import pretrained
from biomtl.checkpoints.bert import ARCHITECTURES, BertCheckpoint, check_settings
from biomtl.checkpoints.mtdnn.unpickle import load_pt
from biomtl.checkpoints.report import Report
from biomtl.checkpoints.vocabulary import Vocabulary
from biomtl.encoders import load_processor
from biomtl.encoders.transformer import TransformerEncoder
from biomtl.errors import InputError
from biomtl.model import MultiTaskModel
from biomtl.storage.structured import read_json
from biomtl.tasks.task import Task

_SEQUENCE, _TOKEN = "ForSequenceClassification", "ForTokenClassification"
_TOKENIZER_FILES = ("tokenizer.json", "vocab.txt", "vocab.json", "spiece.model", "spm.model", "sentencepiece.bpe.model")
_LONGEST = 512  # maximum positions per row of an adopted model, even if it allows more


def read_bert(folder: Path, *, encoder_only: bool = False) -> BertCheckpoint:
    """The BERT in a folder, with those heads that have names in TensorFlow checkpoints.

    Raises:
        InputError: no BERT, or parameters are missing.
    """
    config = read_config(folder)
    if config.get("model_type") != "bert":
        problem = f"a model of type {config.get('model_type')!r}"
        raise InputError(problem, path=folder, expected="bert: TensorFlow checkpoints are BERT's")
    settings = check_settings(config, folder / "config.json")
    own = _architecture(config)
    architecture = own if own in ARCHITECTURES and not encoder_only else "BertModel"
    network = load_network(architecture, folder)
    prefix = "bert." if architecture == "BertModel" else ""
    state = {
        prefix + name: value.detach().float()
        for name, value in network.named_parameters()
        if not name.startswith("cls.predictions.decoder.")  # tied: the same tensors stand under other names
    }
    report = Report(folder.name, "hf")
    report.used = {name.removeprefix(prefix): name for name in state}
    report.add_files(sorted(folder.glob("*.safetensors")))
    return BertCheckpoint(settings, architecture, state, _vocabulary(folder), report)


def adopt(folder: Path, tasks: str | None) -> tuple[MultiTaskModel, Report]:
    """A stock fine-tuned classifier, regressor or tagger as an encoder with one head.

    Args:
        folder: an ``AutoModelForSequenceClassification`` or ``AutoModelForTokenClassification`` folder.
        tasks: ``NAME`` or ``NAME=pair`` (the task takes two texts) for the head; default the folder's name.

    Raises:
        InputError: no such model, or parameters are missing.
    """

    config = read_config(folder)
    architecture = _architecture(config)
    if not architecture.endswith((_SEQUENCE, _TOKEN)):
        fix = "add --encoder-only to take only the encoder"
        expected = f"a model {_SEQUENCE} or {_TOKEN}"
        raise InputError(f"a {architecture or 'model without architecture'}", path=folder, expected=expected, fix=fix)
    class_suffix = _TOKEN if architecture.endswith(_TOKEN) else _SEQUENCE
    stock = load_network(f"AutoModel{class_suffix}", folder)
    task = _task(folder, tasks, class_suffix, stock.config)
    # The encoder is loaded anew: a stock classifier may hold it without the pooler that other heads want.
    encoder = TransformerEncoder(load_network("AutoModel", folder))
    processor = load_processor(folder, min(encoder.max_positions or _LONGEST, _LONGEST), None)
    model = MultiTaskModel(encoder, processor, [task])
    base = f"{stock.base_model_prefix}."
    head = {name: value for name, value in stock.state_dict().items() if not name.startswith(base)}
    model.head(task.name).load_state_dict({f"network.stock.{name}": value.float() for name, value in head.items()})
    report = Report(folder.name, "hf", "MultiTaskModel")
    report.used = dict.fromkeys(head, f"heads/{task.name}")
    report.notes = [f"encoder: {architecture} without its head", f"labels of {task.name}: {', '.join(task.labels)}"]
    report.add_files(_weight_files(folder))
    model.provenance = {"converted": report.files}
    return model, report


def _weight_files(folder: Path) -> list[Path]:
    """The files that the weights come from."""
    return sorted(folder.glob("*.safetensors")) or sorted(folder.glob("pytorch_model*.bin"))


def _architecture(config: dict[str, Any]) -> str:
    """The first of a configuration's architectures; empty without any."""
    named = config.get("architectures")
    return named[0] if isinstance(named, list) and named and isinstance(named[0], str) else ""


def is_classifier(folder: Path) -> bool:
    """Whether a folder holds a stock classifier, regressor or tagger, which `adopt` takes with its head."""
    return _architecture(read_config(folder)).endswith((_SEQUENCE, _TOKEN))


def copy_encoder(folder: Path, target: Path, name: str | None = None) -> Report:
    """Write the encoder of a stock or biomtl folder alone, with its tokenizer; the report calls it ``name``."""
    network = load_network("AutoModel", folder)
    with pretrained.quiet():
        network.save_pretrained(target)
    report = Report(name or folder.name, "hf", type(network).__name__)
    tokenizer = _tokenizer(folder)
    if tokenizer is None:
        report.notes.append("the source has no tokenizer, so the result has none")
    else:
        tokenizer.save_pretrained(target)
    report.used = {key: key for key, _ in network.named_parameters()}
    report.add_files(_weight_files(folder))
    report.write(target)
    return report


def read_config(folder: Path) -> dict[str, Any]:
    """The folder's ``config.json``.

    Raises:
        InputError: no such file, or not a JSON object.
    """
    path = folder / "config.json"
    if not path.is_file():
        raise InputError("no config.json", path=folder, expected="a model in save_pretrained form")
    return read_json(path, "a model's configuration")


def load_network(class_name: str, folder: Path) -> Any:
    """A stock model in float32, with every parameter from the file.

    Raises:
        InputError: it can't be loaded, parameters are missing, or a ``pytorch_model.bin`` wants to run something.
    """
    pickled = folder / "pytorch_model.bin"
    if pickled.is_file() and not any(folder.glob("*.safetensors")):
        load_pt(pickled)  # says which name a pickle must not have; transformers then reads it as safely
    try:
        network, lacking = pretrained.load_network(folder, class_name, pickled=True, local_files_only=True)
    except InputError:
        raise
    except Exception as error:  # for a broken folder, the underlying libraries may raise anything
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise InputError(f"no {class_name} could be loaded ({reason})", path=folder) from error
    missing = [name for name in lacking if class_name != "AutoModel" or "pooler" not in name]
    if missing:
        raise InputError(f"no parameter {missing[0]}", path=folder, expected=f"all of a {type(network).__name__}")
    return network.eval()


def _task(folder: Path, spelled: str | None, class_suffix: str, config: Any) -> Task:
    own = re.sub(r"[^A-Za-z0-9._-]+", "-", folder.resolve().name).strip("._-")
    name, _, inputs = (spelled or own or "task").partition("=")
    labels = tuple(config.id2label[i] for i in range(config.num_labels))
    if class_suffix == _TOKEN:
        return Task(name=name, type="tagging", inputs="tokens", labels=labels, metric="entity_f1_spans")
    if inputs not in ("", "text", "pair"):
        raise InputError(f"--tasks {spelled!r}", expected="NAME or NAME=pair for a stock model with its one head")
    fields: dict[str, Any] = {"name": name, "inputs": inputs or "text"}
    if config.problem_type == "regression" or (config.problem_type is None and config.num_labels == 1):
        return Task(**fields, type="regression", metric="pearson")
    if config.problem_type == "multi_label_classification":
        return Task(**fields, type="multilabel", labels=labels, metric="micro_f1")
    return Task(**fields, type="classification", labels=labels, metric="accuracy")


def _tokenizer(folder: Path) -> Any:
    """The folder's tokenizer, ``None`` if it has none (transformers would make an empty one)."""
    if not any((folder / name).is_file() for name in _TOKENIZER_FILES):
        return None
    try:
        return pretrained.load_tokenizer(folder)
    except InputError:
        raise
    except Exception as error:  # the tokenizers library raises the bare class for a broken file
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise InputError(f"the tokenizer can't be loaded ({reason})", path=folder) from error


def _vocabulary(folder: Path) -> Vocabulary | None:
    tokenizer = _tokenizer(folder)
    if tokenizer is None:
        return None
    vocabulary = tokenizer.get_vocab()
    lower = bool(getattr(tokenizer, "do_lower_case", True))
    reason = "lower-cased, as the source's tokenizer" if lower else "cased, as the source's tokenizer"
    return Vocabulary(tuple(sorted(vocabulary, key=lambda piece: vocabulary[piece])), lower, reason)
