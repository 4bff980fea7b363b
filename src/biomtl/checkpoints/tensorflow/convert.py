"""BERT from a TensorFlow checkpoint, and back to one."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from biomtl.checkpoints.bert import BertCheckpoint, choose_architecture, match, read_settings
from biomtl.checkpoints.report import Report
from biomtl.checkpoints.tensorflow import names
from biomtl.checkpoints.tensorflow.bundle import Bundle
from biomtl.checkpoints.tensorflow.locate import companion, find_prefix
from biomtl.checkpoints.tensorflow.writer import write_bundle
from biomtl.checkpoints.vocabulary import read_vocabulary
from biomtl.storage.files import write_json
from biomtl.storage.tensors import refuse_nonfinite

PREFIX = "bert_model.ckpt"


def read_tf(
    source: str | Path,
    *,
    config: str | Path | None = None,
    vocab: str | Path | None = None,
    lower: bool | None = None,
    encoder_only: bool = False,
) -> BertCheckpoint:
    """Read a TF1 BERT checkpoint; every variable, even a skipped one, is checked against its checksum.

    Args:
        source: the checkpoint's folder, its prefix, or any of its files.
        config: ``bert_config.json``, if not in the same folder.
        vocab: ``vocab.txt``, if not in the same folder.
        lower: whether to lower-case text; ``None`` decides from the vocabulary.
        encoder_only: leave out the heads.

    Raises:
        InputError: damaged or missing files, a configuration or vocabulary that does not fit.
    """
    bundle = Bundle(find_prefix(source))
    config_path = companion(bundle.prefix, "bert_config.json", config, "--config")
    vocab_path = companion(bundle.prefix, "vocab.txt", vocab, "--vocab")
    settings = read_settings(config_path)
    size_from = f"vocab_size in {config_path.name}"
    vocabulary = read_vocabulary(vocab_path, settings.vocab_size, size_from, lower)
    report = Report(bundle.prefix.name, "tf")
    by_hf_name = {}
    for key, variable in bundle.variables.items():
        if names.is_training_only(key):
            report.skipped[key] = "used only in training"
            bundle.read(key)
            continue
        tf_name = names.tf1_name(key)
        shape = variable.shape[::-1] if names.is_transposed(tf_name) else variable.shape
        by_hf_name[names.to_hf(tf_name)] = (key, shape)
    architecture = "BertModel" if encoder_only else choose_architecture(by_hf_name)
    taken, left = match(by_hf_name, settings, architecture, bundle.index)
    state = {name: _tensor(bundle, by_hf_name[name][0]) for name in taken}
    for name in left:
        bundle.read(by_hf_name[name][0])
        report.unused.append(by_hf_name[name][0])
    report.used = {by_hf_name[name][0]: name for name in taken}
    refuse_nonfinite(((key, state[name]) for key, name in report.used.items()), bundle.prefix)
    report.add_files([bundle.index, *bundle.data_files(), config_path, vocab_path])
    return BertCheckpoint(settings, architecture, state, vocabulary, report)


def write_tf(checkpoint: BertCheckpoint, folder: Path) -> None:
    """Write ``bert_model.ckpt.*``, ``bert_config.json`` and ``vocab.txt`` in Google's format."""
    variables = {}
    for name, value in checkpoint.state.items():
        tf_name = names.to_tf(name)
        variables[tf_name] = (value.T if names.is_transposed(tf_name) else value).float().contiguous().numpy()
    write_bundle(folder / PREFIX, variables)
    write_json(folder / "bert_config.json", checkpoint.settings.model_dump(exclude={"layer_norm_eps"}))
    if checkpoint.vocabulary is not None:
        checkpoint.vocabulary.write(folder)
        checkpoint.report.lower_case = checkpoint.vocabulary.reason
    if checkpoint.settings.layer_norm_eps != 1e-12:
        note = f"layer_norm_eps {checkpoint.settings.layer_norm_eps} is not written: Google's code uses 1e-12"
        checkpoint.report.notes.append(note)
    checkpoint.report.result = PREFIX
    checkpoint.report.write(folder)


def _tensor(bundle: Bundle, key: str) -> Tensor:

    value = torch.from_numpy(bundle.read(key).astype("<f4"))
    return (value.T if names.is_transposed(names.tf1_name(key)) else value).contiguous()
