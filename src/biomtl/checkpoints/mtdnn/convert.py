"""An MT-DNN checkpoint's encoder as a BERT, and the whole checkpoint as a ``MultiTaskModel``."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import BertModel

from biomtl.checkpoints.bert import BertCheckpoint, check_settings, match, read_settings, write_hf
from biomtl.checkpoints.mtdnn.family import family_of, write_encoder
from biomtl.checkpoints.mtdnn.heads import Head, find_heads, is_head
from biomtl.checkpoints.mtdnn.settings import is_current
from biomtl.checkpoints.mtdnn.tasks import own_tasks, parse_tasks, suggest
from biomtl.checkpoints.mtdnn.unpickle import load_pt
from biomtl.checkpoints.report import Report
from biomtl.checkpoints.vocabulary import read_vocabulary
from biomtl.encoders.transformer import TransformerEncoder
from biomtl.errors import InputError
from biomtl.model import MultiTaskModel
from biomtl.pretrained import load_tokenizer
from biomtl.storage.tensors import refuse_nonfinite
from biomtl.tasks.task import Task
from biomtl.tasks.types.base import type_of
from biomtl.tasks.types.relation import upgraded
from biomtl.text.transformer import TransformerProcessor


def read_mtdnn(
    path: str | Path,
    *,
    config: str | Path | None = None,
    vocab: str | Path | None = None,
    lower: bool | None = None,
    tasks: str | None = None,
    encoder_only: bool = False,
) -> tuple[BertCheckpoint, list[tuple[Task, Head]]]:
    """Read a ``.pt`` file of MT-DNN or MT-BlueBERT.

    Args:
        path: the file.
        config: the BERT's configuration, if the file holds none.
        vocab: ``vocab.txt``; default the one beside the file, if any (the file itself holds none).
        lower: whether to lower-case text; ``None`` decides from the vocabulary.
        tasks: names and types of the heads, ``NAME=TYPE:COUNT,…``; default the file's own settings, if they fit.
        encoder_only: leave out the heads.

    Returns:
        The encoder (float32) and the heads with their tasks.

    Raises:
        InputError: what is wrong with the file or with the tasks.
    """
    path = Path(path)
    content = load_pt(path)
    state = _weights(content, path)
    own = content.get("config")
    own = own if isinstance(own, Mapping) else {}
    if (family := family_of(own)) != "bert":
        fix = "add --encoder-only to take the encoder, and train heads on it"
        raise InputError(f"heads on a {family}", path=path, expected="a BERT, whose heads are converted", fix=fix)
    settings = read_settings(Path(config)) if config is not None else check_settings(own, path)
    report = Report(path.name, "mtdnn")
    if content.get("ema"):
        report.notes.append("the averaged weights (ema) were used")
    by_hf_name: dict[str, tuple[str, tuple[int, ...]]] = {}
    for key, value in state.items():
        if key.endswith("embeddings.position_ids"):
            report.skipped[key] = "a range of position ids, not a weight"
        elif not is_head(key):
            by_hf_name[_modern(key)] = (key, tuple(value.shape))
    taken, left = match(by_hf_name, settings, "BertModel", path, pooler=not encoder_only)
    if not any(name.startswith("bert.pooler.") for name in taken):
        report.notes.append("no pooler in the file: heads that read one start with a random one")
    report.unused += [by_hf_name[name][0] for name in left]
    report.used = {by_hf_name[name][0]: name for name in taken}
    heads = _heads(state, tasks, own, path, report, encoder_only)
    vocabulary = None
    beside = path.parent / "vocab.txt"
    if vocab is not None or beside.is_file():
        vocab_path = Path(vocab) if vocab is not None else beside
        vocabulary = read_vocabulary(vocab_path, settings.vocab_size, f"vocab_size in {path.name}", lower)
        report.add_files([vocab_path])
    elif heads:
        fix = "add --vocab FILE (the vocab.txt of the BERT it was trained from), or --encoder-only"
        raise InputError("a model without its vocabulary", path=path, expected="vocab.txt beside it", fix=fix)
    else:
        report.notes.append("no vocab.txt: the result has no tokenizer (add one with --vocab FILE)")
    report.add_files([path])
    refuse_nonfinite(((key, state[key].float()) for key in report.used), path)
    weights = {name: state[by_hf_name[name][0]].float().contiguous() for name in taken}
    return BertCheckpoint(settings, "BertModel", weights, vocabulary, report), heads


def write_family(path: Path, folder: Path) -> Report | None:
    """Write the encoder of a checkpoint that isn't a BERT; ``None`` if it is one.

    Raises:
        InputError: what is wrong with the file.
    """
    content = load_pt(path)
    own = content.get("config")
    if not isinstance(own, Mapping) or family_of(own) == "bert":
        return None
    return write_encoder(path, _weights(content, path), own, folder)


def write_model(checkpoint: BertCheckpoint, heads: list[tuple[Task, Head]], folder: Path) -> None:
    """Write encoder and heads as a ``MultiTaskModel`` into ``folder``, which exists and is empty."""

    with tempfile.TemporaryDirectory() as place:
        write_hf(checkpoint, Path(place))
        tokenizer = load_tokenizer(place)
    network = BertModel(checkpoint.config())
    network.load_state_dict({name.removeprefix("bert."): value for name, value in checkpoint.state.items()})
    length = checkpoint.settings.max_position_embeddings
    processor = TransformerProcessor(tokenizer, length)
    upgrades = [upgraded(task, head.choice) for task, head in heads]
    choices = {task.name: choice for task, choice in upgrades}
    model = MultiTaskModel(TransformerEncoder(network), processor, [task for task, _ in upgrades], choices)
    for task, head in heads:
        try:
            model.head(task.name).load_state_dict({name: value.float() for name, value in head.state().items()})
        except RuntimeError as error:
            reason = " ".join(str(error).split())[:160]
            where = checkpoint.report.source
            raise InputError(f"head {head.number} does not fit the encoder ({reason})", path=where) from error
    model.provenance = {"converted": checkpoint.report.files}
    model.write(folder)
    checkpoint.report.result = "MultiTaskModel"
    checkpoint.report.write(folder)


def _weights(content: Mapping[str, Any], path: Path) -> Mapping[str, Tensor]:

    state = content.get("ema") or content.get("state")
    if not isinstance(state, Mapping) or not all(isinstance(value, torch.Tensor) for value in state.values()):
        keys = ", ".join(map(str, list(content)[:5]))
        raise InputError(f"a mapping of {keys}", path=path, expected="the keys state and config of MT-DNN")
    return {str(key): value for key, value in state.items()}


def _modern(key: str) -> str:
    """In early versions LayerNorm's parameters had TensorFlow's names."""
    return key.replace("LayerNorm.gamma", "LayerNorm.weight").replace("LayerNorm.beta", "LayerNorm.bias")


def _heads(
    state: Mapping[str, Tensor],
    tasks: str | None,
    settings: Mapping[str, Any],
    path: Path,
    report: Report,
    encoder_only: bool,
) -> list[tuple[Task, Head]]:
    keys = [key for key in state if is_head(key)]
    heads = [] if encoder_only else find_heads(state)
    if encoder_only or (not heads and tasks is None):
        report.skipped |= dict.fromkeys(keys, "a head; only the encoder was requested")
        return []
    if not heads:
        raise InputError("a checkpoint without heads", path=path, expected="no --tasks")
    chosen: list[Task | None]
    if tasks is not None:
        chosen = [*parse_tasks(tasks, heads, path)]
    elif (own := own_tasks(heads, settings, path)) is not None:
        chosen = own[0]
        shown = ", ".join(f"{task.name} ({task.type})" for task in chosen if task is not None)
        report.notes += [f"the tasks are those of the checkpoint's own settings: {shown}", *own[1]]
    else:
        fix = f'name them, such as --tasks "{suggest(heads)}", or add --encoder-only'
        raise InputError(f"{len(heads)} heads without a name", path=path, fix=fix)
    pairs = [(_ordered(task, settings), head) for task, head in zip(chosen, heads, strict=True) if task is not None]
    for task, head in pairs:
        head.choose(task.type, settings, path)
        report.used |= dict.fromkeys(head.keys.values(), f"heads/{task.name}")
        report.notes += _remarks(task, head)
    for key in keys:
        if key not in report.used:
            report.skipped[key] = "a head without a task"
        elif key.endswith(".alpha"):
            del report.used[key]
            report.skipped[key] = "never read by the reference"
    return pairs


def _ordered(task: Task, settings: Mapping[str, Any]) -> Task:
    """The task with the order in which its pairs were encoded."""
    if task.inputs != "pair" or type_of(task).answer == "other" or is_current(settings):
        return task
    return task.model_copy(update={"order": "ba"})


def _remarks(task: Task, head: Head) -> list[str]:
    """What the user should know about a head."""
    notes = []
    if task.labels:
        notes.append(f"labels of {task.name}, in order: {', '.join(task.labels)}")
    if head.choice.name == "pooler":
        activation = head.choice.options["activation"]
        notes.append(f"{task.name}: the activation of its pooler is {activation}, by the version that wrote the file")
    if task.order == "ba":
        notes.append(
            f"{task.name}: order ba, its pairs were encoded as (second, first); give yours in their normal order"
        )
    return notes
