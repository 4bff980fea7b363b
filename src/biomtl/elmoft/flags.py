"""Every flag of ``elmoft``, listed once: names, defaults and help; the command's signature is made of this."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from typer import Option


def data(help: str, *names: str) -> Any:
    """A flag that says what is read."""
    return Option(*names, help=help, rich_help_panel="Data and biLM", show_default="default" not in help)


def head(help: str, *names: str) -> Any:
    """A flag that shapes what is trained."""
    return Option(*names, help=help, rich_help_panel="Head", show_default="default" not in help)


def training(help: str, *names: str) -> Any:
    """A flag that says how."""
    return Option(*names, help=help, rich_help_panel="Training")


def output(help: str, *names: str) -> Any:
    """A flag that says what is written."""
    return Option(*names, help=help, rich_help_panel="Output", show_default="default" not in help)


def old(help: str, *names: str) -> Any:
    """A flag that old scripts may hold, though nothing depends on it."""
    return Option(*names, help=help, rich_help_panel="Taken for old scripts' sake", show_default=False)


@dataclass(frozen=True)
class Flags:
    """The values of a call, as typed."""

    task: Annotated[str | None, data("One of the ten tasks.", "--task", "-u")] = None
    data_dir: Annotated[Path | None, data("Folder of the tasks' folders, or a prepared suite.", "--data_dir")] = None
    input: Annotated[Path | None, data("The task's own folder, instead of --data_dir.", "--input", "-i")] = None
    model: Annotated[str, data("Only elmo.", "--model", "-m")] = "elmo"
    options_path: Annotated[Path | None, data("bilm-tf's options.json.", "--options_path")] = None
    weights_path: Annotated[Path | None, data("bilm-tf's weights.hdf5.", "--weights_path")] = None
    pretrained: Annotated[str | None, data("A biLM's folder, instead of the two files.", "--pretrained")] = None
    maxlen: Annotated[int, data("Words a row; longer texts become overlapping windows.", "--maxlen")] = 128

    seq2vec: Annotated[
        str | None,
        head(
            "Words to one vector: boe, pytorch-lstm, pytorch-gru, pytorch-rnn, pytorch-agmnlstm, pytorch-stkaltlstm, "
            "cnn, cnn_highway; by default the last word's.",
            "--seq2vec",
        ),
    ] = None
    pool: Annotated[str | None, head("max or avg over the words, where there is no --seq2vec.", "--pool")] = None
    seq2seq: Annotated[
        str | None,
        head(
            "Layer over the words of an NER task: pytorch-lstm, pytorch-gru, pytorch-rnn, cnn, isa, qanet, ssae, ff; "
            "by default none.",
            "--seq2seq",
        ),
    ] = None
    fchdim: Annotated[int, head("Width of the two hidden layers; 0: one linear layer alone.", "--fchdim")] = 0
    pdrop: Annotated[float, head("Dropout before the linear layers.", "--pdrop")] = 0.2
    do_norm: Annotated[bool, head("Normalise the features first.", "--do_norm")] = False
    norm_type: Annotated[str, head("batch or layer.", "--norm_type")] = "batch"
    do_lastdrop: Annotated[bool, head("Dropout on the logits too (not of pairs).", "--do_lastdrop")] = False
    do_crf: Annotated[bool, head("A CRF over an NER task's tags.", "--do_crf")] = False
    initln: Annotated[bool, head("Linear layers start from a normal distribution.", "--initln")] = False
    initln_mean: Annotated[float, head("Its mean.", "--initln_mean")] = 0.0
    initln_std: Annotated[float, head("Its deviation.", "--initln_std")] = 0.02
    ssfunc: Annotated[
        str | None,
        head("Sentence similarity: concat (the default), or dist or sim, learned by contrast.", "--ssfunc"),
    ] = None
    pthrshld: Annotated[float, head("hoc: probability from which on a label is predicted.", "--pthrshld")] = 0.5

    epochs: Annotated[int, training("Most epochs.", "--epochs", "-j")] = 1
    bsize: Annotated[int, training("Texts a batch.", "--bsize", "-z")] = 64
    lr: Annotated[float, training("AdamW's learning rate, constant.", "--lr")] = 1e-3
    wdecay: Annotated[float, training("Weight decay.", "--wdecay")] = 1e-5
    clipmaxn: Annotated[float, training("Clip the gradient's norm here; 0 does not.", "--clipmaxn")] = 0.25
    earlystop: Annotated[bool, training("Stop when dev gains no more.", "--earlystop")] = False
    es_patience: Annotated[int, training("Epochs without gain before that.", "--es_patience")] = 5
    es_delta: Annotated[float, training("The gain on dev that counts.", "--es_delta")] = 5e-3
    weight_class: Annotated[bool, training("Weigh rare classes up in the loss.", "--weight_class")] = False
    kfold: Annotated[int | None, training("Cross-validate on so many parts of train.", "--kfold", "-k")] = None
    seed: Annotated[int, training("Of weights, order and dropout.", "--seed")] = 42
    gpunum: Annotated[int, training("GPUs to use if there are any; 0: the CPU.", "--gpunum", "-g")] = 1
    gpuq: Annotated[str | None, training("Which ones, such as 0 or 0,1.", "--gpuq", "-q")] = None
    distrb: Annotated[bool, training("Several processes, see docs/elmoft.md.", "--distrb")] = False

    out: Annotated[Path | None, output("Run folder; by default runs/elmoft-TASK.", "--out")] = None
    overwrite: Annotated[bool, output("Replace an existing run folder.", "--overwrite")] = False
    protocol: Annotated[
        str, output("blue, or reference: score by the old program's rules too, in files that say so.", "--protocol")
    ] = "blue"
    resume: Annotated[Path | None, output("A run or model folder: score it, train nothing.", "--resume")] = None
    cache: Annotated[Path, output("Folder where the biLM's layers are kept.", "--cache", "-w")] = Path(".cache")
    activations: Annotated[str, output("Form in which they are kept: bf16, fp32 or none.", "--activations")] = "bf16"
    verbose: Annotated[bool, output("Also print the recipe.", "--verbose", "-v")] = False

    droplast: Annotated[bool, old("No effect: every row is trained on.", "--droplast")] = False
    lm_loss: Annotated[bool, old("No effect: released weights hold no word predictor.", "--lm_loss")] = False
    lmcoef: Annotated[float, old("No effect, see --lm_loss.", "--lmcoef")] = 0.5
    fmt: Annotated[str | None, old("No effect: tables are always xlsx and csv.", "--fmt", "-f")] = None
    np: Annotated[int, old("With --distrb: how many processes.", "--np", "-n")] = 1
    distbknd: Annotated[str, old("No effect: nccl on GPUs, gloo on CPUs.", "--distbknd")] = "nccl"
