"""Every flag of ``elmoft``, listed once: names, defaults and help. The command's signature is built from this list."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from typer import Option

from biomtl.elmoft.data import DEFAULT_TASK


def data(help: str, *names: str) -> Any:
    """A flag for input."""
    return Option(*names, help=help, rich_help_panel="Data and biLM", show_default="default" not in help)


def head(help: str, *names: str) -> Any:
    """A flag for the shape of the head."""
    return Option(*names, help=help, rich_help_panel="Head", show_default="default" not in help)


def training(help: str, *names: str) -> Any:
    """A flag for training."""
    return Option(*names, help=help, rich_help_panel="Training")


def output(help: str, *names: str) -> Any:
    """A flag for output."""
    return Option(*names, help=help, rich_help_panel="Output", show_default="default" not in help)


def old(help: str, *names: str) -> Any:
    """A flag that old scripts may use, with little or no effect."""
    return Option(*names, help=help, rich_help_panel="Accepted for old scripts", show_default=False)


@dataclass(frozen=True)
class Flags:
    """The flags of one call, as given."""

    task: Annotated[str, data("One of the ten tasks.", "--task", "-u")] = DEFAULT_TASK
    data_dir: Annotated[Path | None, data("Folder with the tasks' folders, or a prepared suite.", "--data_dir")] = None
    input: Annotated[Path | None, data("The task's own folder, instead of --data_dir.", "--input", "-i")] = None
    model: Annotated[str, data("Only elmo.", "--model", "-m")] = "elmo"
    options_path: Annotated[Path | None, data("bilm-tf's options.json.", "--options_path")] = None
    weights_path: Annotated[Path | None, data("bilm-tf's weights.hdf5.", "--weights_path")] = None
    pretrained: Annotated[str | None, data("A biLM's folder, instead of the two files.", "--pretrained")] = None
    maxlen: Annotated[int, data("Words per row; longer texts are split into overlapping windows.", "--maxlen")] = 128

    seq2vec: Annotated[
        str | None,
        head(
            "Words to one vector: boe, pytorch-lstm, pytorch-gru, pytorch-rnn, pytorch-agmnlstm, pytorch-stkaltlstm, "
            "cnn, cnn_highway; by default the last word's vector.",
            "--seq2vec",
        ),
    ] = None
    pool: Annotated[str | None, head("max or avg over the words, without --seq2vec.", "--pool")] = None
    seq2seq: Annotated[
        str | None,
        head(
            "Layer over the words of an NER task: pytorch-lstm, pytorch-gru, pytorch-rnn, cnn, isa, qanet, ssae, ff; "
            "by default none.",
            "--seq2seq",
        ),
    ] = None
    fchdim: Annotated[int, head("Width of two hidden layers; 0: only one linear layer.", "--fchdim")] = 0
    pdrop: Annotated[float, head("Dropout before the linear layers.", "--pdrop")] = 0.2
    do_norm: Annotated[bool, head("Normalise the features first.", "--do_norm")] = False
    norm_type: Annotated[str, head("Normalisation: batch or layer.", "--norm_type")] = "batch"
    do_lastdrop: Annotated[bool, head("Dropout on the logits too (not for pairs).", "--do_lastdrop")] = False
    do_crf: Annotated[bool, head("Use a CRF for the tags of an NER task.", "--do_crf")] = False
    initln: Annotated[bool, head("Initialise linear layers from a normal distribution.", "--initln")] = False
    initln_mean: Annotated[float, head("Mean of that distribution.", "--initln_mean")] = 0.0
    initln_std: Annotated[float, head("Standard deviation of that distribution.", "--initln_std")] = 0.02
    ssfunc: Annotated[
        str | None,
        head("Sentence similarity: concat (the default), or dist or sim with contrastive loss.", "--ssfunc"),
    ] = None
    pthrshld: Annotated[float, head("hoc: lowest probability at which a label is predicted.", "--pthrshld")] = 0.5

    epochs: Annotated[int, training("Maximum number of epochs.", "--epochs", "-j")] = 1
    bsize: Annotated[int, training("Texts per batch.", "--bsize", "-z")] = 64
    lr: Annotated[float, training("AdamW's learning rate, constant.", "--lr")] = 1e-3
    wdecay: Annotated[float, training("Weight decay.", "--wdecay")] = 1e-5
    clipmaxn: Annotated[float, training("Gradient clipping norm; 0 turns clipping off.", "--clipmaxn")] = 0.25
    earlystop: Annotated[bool, training("Stop when the dev score no longer improves.", "--earlystop")] = False
    es_patience: Annotated[int, training("Epochs without improvement before stopping.", "--es_patience")] = 5
    es_delta: Annotated[float, training("Smallest gain on dev that counts as improvement.", "--es_delta")] = 5e-3
    rebalance: Annotated[
        str | None,
        training(
            "Balance the classes of train: undersample (the default, except for pairs), oversample, class_weights or "
            "none.",
            "--rebalance",
        ),
    ] = None
    weight_class: Annotated[bool, training("Give rare classes more weight in the loss.", "--weight_class")] = False
    kfold: Annotated[int | None, training("Number of folds for cross-validation on train.", "--kfold", "-k")] = None
    seed: Annotated[int, training("Seed for weights, order and dropout.", "--seed")] = 42
    gpunum: Annotated[int, training("Number of GPUs to use, if any; 0: the CPU.", "--gpunum", "-g")] = 1
    gpuq: Annotated[str | None, training("Which GPUs, such as 0 or 0,1.", "--gpuq", "-q")] = None
    distrb: Annotated[bool, training("Use several processes, see docs/elmoft.md.", "--distrb")] = False

    out: Annotated[Path | None, output("Run folder; by default runs/elmoft-TASK.", "--out")] = None
    overwrite: Annotated[bool, output("Replace an existing run folder.", "--overwrite")] = False
    protocol: Annotated[
        str,
        output("blue, or reference: train as the old program did, and also score by its rules.", "--protocol"),
    ] = "blue"
    resume: Annotated[Path | None, output("Run or model folder to score, without training.", "--resume")] = None
    cache: Annotated[Path, output("Folder for the biLM's layers.", "--cache", "-w")] = Path(".cache")
    activations: Annotated[str, output("Precision of the kept layers: bf16, fp32 or none.", "--activations")] = "bf16"
    verbose: Annotated[bool, output("Also print the recipe.", "--verbose", "-v")] = False

    np: Annotated[int, old("With --distrb: number of processes.", "--np", "-n")] = 1
    droplast: Annotated[bool, old("No effect: all rows are used for training.", "--droplast")] = False
    lm_loss: Annotated[bool, old("No effect: the released weights have no word predictor.", "--lm_loss")] = False
    lmcoef: Annotated[float | None, old("No effect, see --lm_loss.", "--lmcoef")] = None
    fmt: Annotated[str | None, old("No effect: tables are always xlsx and csv.", "--fmt", "-f")] = None
    spfmt: Annotated[str | None, old("No effect: there are no sparse files.", "--spfmt", "-s")] = None
    avg: Annotated[str | None, old("No effect: both averages are in the tables.", "--avg", "-a")] = None
    maxtrial: Annotated[int | None, old("No effect: nothing is tried again.", "--maxtrial")] = None
    pid: Annotated[int | None, old("No effect: a process knows its number.", "--pid", "-p")] = None
    omp: Annotated[bool, old("No effect: torch uses all threads (OMP_NUM_THREADS).", "--omp", "-o")] = False
    gpumem: Annotated[float | None, old("No effect: memory is taken as needed.", "--gpumem")] = None
    crsdev: Annotated[bool, old("No effect: all devices are of one kind.", "--crsdev")] = False
    distbknd: Annotated[str | None, old("No effect: nccl on GPUs, gloo on CPUs.", "--distbknd")] = None
    disturl: Annotated[str | None, old("No effect: the launcher chooses the address.", "--disturl")] = None


NEW = ("out", "overwrite", "protocol", "rebalance", "seed", "activations")
"""The flags that the old program didn't have."""
