"""Flags to recipe, head and notes; and what is refused."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import typer

import elmo_data
from biomtl.cli.main import app
from biomtl.elmoft.abbreviations import in_full
from biomtl.elmoft.checks import IDLE, SEQ2SEQ, SEQ2VEC, check, devices
from biomtl.elmoft.data import FOLDERS, load_data, task_of
from biomtl.elmoft.flags import NEW, Flags
from biomtl.elmoft.plan import Plan, class_weights, make_plan
from biomtl.errors import InputError
from biomtl.heads.mlp import MlpOptions
from biomtl.heads.seq2seq import SEQ2SEQ_MODULES
from biomtl.heads.seq2vec import SEQ2VEC_MODULES, build_seq2vec
from biomtl.tasks import get_task

PAGE = Path(__file__).parents[2] / "docs" / "elmoft.md"


@pytest.fixture(scope="module")
def layout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return elmo_data.write_layout(tmp_path_factory.mktemp("layout"))


def plan_of(layout: Path, task: str, **values: Any) -> Plan:
    files = {"options_path": Path("elmo/options.json"), "weights_path": Path("elmo/weights.hdf5")}
    flags = Flags(**{"task": task, "data_dir": layout, **files, **values})
    check(flags)
    return make_plan(flags, load_data(task_of(task), flags.data_dir, flags.input))


def options_of(plan: Plan) -> MlpOptions:
    return MlpOptions.model_validate(plan.suite.heads[plan.task.name].options)


def test_defaults_are_the_old_ones(layout: Path) -> None:
    plan = plan_of(layout, "ddi")
    recipe = plan.recipe
    assert (recipe.num_train_epochs, recipe.batch_size, recipe.batch_tokens) == (1, 64, None)
    assert (recipe.learning_rate, recipe.lr_scheduler_type, recipe.warmup_steps) == (1e-3, "constant", 0)
    assert (recipe.weight_decay, recipe.max_grad_norm, recipe.max_length) == (1e-5, 0.25, 128)
    assert (recipe.early_stopping_patience, recipe.freeze_encoder, recipe.encoder) == (None, True, "elmo")
    assert recipe.output == "runs/elmoft-ddi"
    assert recipe.activations_folder == ".cache/elmo"
    assert plan.task.name == "ddi2013"
    choice = plan.suite.heads["ddi2013"]
    assert choice.name == "mlp"
    options = options_of(plan)
    assert options.model_dump(exclude_defaults=True) == {"seq2vec": "last", "dropout": 0.2}
    assert (recipe.tasks["ddi2013"].head, recipe.tasks["ddi2013"].head_options) == ("mlp", choice.options)
    (note,) = plan.notes
    assert note.startswith("rows of the most frequent class are undersampled in training, as in elmoft.py (--rebalance")
    assert note.endswith("dev and test are scored on all rows, by BLUE's rules")
    assert Flags().task == "ddi"


@pytest.mark.parametrize("task", FOLDERS)
def test_classes_are_balanced_for_all_but_pairs(task: str, layout: Path) -> None:
    plan = plan_of(layout, task)
    pair = plan.task.inputs == "pair"
    assert plan.recipe.tasks[plan.task.name].rebalance == (None if pair else "undersample")
    assert not (pair and plan.notes)
    assert plan_of(layout, task, rebalance="none").notes == ()
    assert plan_of(layout, task, rebalance="none").recipe.tasks[plan.task.name].rebalance is None


def test_class_weights_are_those_of_the_sampled_rows(layout: Path) -> None:
    balanced = options_of(plan_of(layout, "ddi", weight_class=True)).class_weights
    counted = options_of(plan_of(layout, "ddi", weight_class=True, rebalance="none")).class_weights
    labels = plan_of(layout, "ddi").task.labels
    assert balanced is not None
    assert counted is not None
    assert dict(zip(labels, balanced, strict=True)) == dict.fromkeys(labels, 1.0)  # 4 of each; others never occur
    assert dict(zip(labels, counted, strict=True))["DDI-false"] == 0.75  # 8 of 12


def test_protocol_reference_trains_as_the_old_program(layout: Path) -> None:
    def seq2vec(**values: Any) -> MlpOptions:
        return options_of(plan_of(layout, "ddi", protocol="reference", **values))

    recurrent = seq2vec(seq2vec="pytorch-lstm")
    built = build_seq2vec(recurrent.seq2vec, 8, recurrent.size)
    assert built.dim == 768
    (network,) = built.children()
    assert not network.bidirectional
    assert network.hidden_size == 768
    convolutions = seq2vec(seq2vec="cnn")
    assert build_seq2vec(convolutions.seq2vec, 8, convolutions.size).dim == 3072
    for name in ("boe", "pytorch-agmnlstm"):
        same = seq2vec(seq2vec=name)
        assert same == options_of(plan_of(layout, "ddi", seq2vec=name))
    tags = options_of(plan_of(layout, "bc5cdr-chem", protocol="reference", seq2seq="pytorch-gru"))
    assert tags.seq2seq == "gru-forward"
    stopping = plan_of(layout, "ddi", protocol="reference", earlystop=True).recipe
    assert (stopping.early_stopping_on, stopping.early_stopping_patience) == ("train_loss", 5)
    assert plan_of(layout, "ddi", protocol="reference").recipe.early_stopping_on is None
    assert plan_of(layout, "ddi", earlystop=True).recipe.early_stopping_on is None


def test_every_flag_reaches_recipe_or_head(layout: Path) -> None:
    given = {"maxlen": 256, "fchdim": 500, "lr": 5e-4, "pdrop": 0.5, "do_norm": True, "norm_type": "layer", "bsize": 32}
    given |= {
        "do_lastdrop": True,
        "initln": True,
        "initln_mean": 0.1,
        "initln_std": 0.3,
        "earlystop": True,
        "epochs": 9,
    }
    given |= {"es_patience": 2, "es_delta": 0.1, "wdecay": 0.5, "clipmaxn": 2.0, "seed": 7, "cache": Path("c")}
    given |= {"out": Path("here"), "activations": "fp32"}
    plan = plan_of(layout, "hoc", seq2vec="pytorch-gru", pthrshld=0.3, weight_class=True, **given)
    recipe, options = plan.recipe, options_of(plan)
    assert (recipe.max_length, recipe.stride, recipe.learning_rate, recipe.batch_size) == (256, 64, 5e-4, 32)
    assert (recipe.num_train_epochs, recipe.early_stopping_patience, recipe.early_stopping_threshold) == (9, 2, 0.1)
    assert (recipe.weight_decay, recipe.max_grad_norm, recipe.seed, recipe.output) == (0.5, 2.0, 7, "here")
    assert (recipe.activations, recipe.activations_folder) == ("fp32", "c/elmo")
    assert (options.hidden, options.dropout, options.norm, options.last_dropout) == (500, 0.5, "layer", True)
    assert (options.init_mean, options.init_std, options.seq2vec, options.threshold) == (0.1, 0.3, "gru", 0.3)
    assert options.class_weights is not None
    tags = options_of(plan_of(layout, "bc5cdr-dz", seq2vec="boe", seq2seq="isa", do_crf=True))
    assert (tags.seq2seq, tags.crf) == ("isa", True)
    pair = options_of(plan_of(layout, "biosses", ssfunc="dist", pool="max"))
    assert (pair.compare, pair.seq2vec) == ("distance", "max")


def test_every_name_has_its_module() -> None:
    assert set(SEQ2VEC.values()) <= set(SEQ2VEC_MODULES)
    assert set(SEQ2SEQ.values()) <= set(SEQ2SEQ_MODULES)


@pytest.mark.parametrize("task", FOLDERS)
def test_every_task_has_a_plan(task: str, layout: Path) -> None:
    plan = plan_of(layout, task)
    assert plan.recipe.output == f"runs/elmoft-{task}"
    assert {split: len(plan.suite[plan.task.name].records(split)) for split in elmo_data.ROWS} == elmo_data.ROWS  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("values", "note"),
    [
        ({"droplast": True}, "--droplast has no effect: all rows are used"),
        ({"lm_loss": True}, "--lm_loss has no effect"),
        ({"fmt": "npz"}, "--fmt has no effect"),
        ({"lmcoef": 0.5}, "--lmcoef has no effect"),  # although that is the old default
        ({"distbknd": "nccl"}, "--distbknd has no effect"),
        ({"pid": 0}, "--pid has no effect"),
        ({"omp": True}, "--omp has no effect"),
        ({"seq2seq": "isa"}, "--seq2seq has no effect: ddi is a relation task"),
        ({"ssfunc": "dist"}, "--ssfunc has no effect: ddi"),
        ({"pthrshld": 0.3}, "--pthrshld has no effect: ddi"),
        ({"seq2vec": "boe", "pool": "max"}, "--pool has no effect: --seq2vec"),
    ],
)
def test_flags_without_effect_are_reported(values: dict[str, Any], note: str, layout: Path) -> None:
    (said,) = plan_of(layout, "ddi", rebalance="none", **values).notes
    assert said.startswith(note)


def test_a_flag_without_effect_has_no_default_so_that_any_value_is_noticed() -> None:
    assert {getattr(Flags(), name) for name in IDLE} == {None, False}


def test_the_original_ner_command_needs_no_note(layout: Path) -> None:
    assert plan_of(layout, "bc5cdr-chem", seq2vec="boe", rebalance="none").notes == ()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"rebalance": "under"}, "--rebalance 'under', did you mean 'undersample'"),
        (
            {"task": "biosses", "rebalance": "oversample"},
            "--rebalance oversample with --task biosses",
        ),
        ({"rebalance": "class_weights", "weight_class": True}, "both --weight_class and --rebalance class_weights"),
        ({"task": "dddi"}, "--task 'dddi', did you mean 'ddi'"),
        ({"model": "bert"}, "--model 'bert', known: elmo"),
        ({"seq2vec": "pytorch-lstmm"}, "--seq2vec 'pytorch-lstmm', did you mean 'pytorch-lstm'"),
        ({"seq2vec": "bag"}, "--seq2vec 'bag', known: boe, "),
        ({"seq2seq": "qant"}, "--seq2seq 'qant', did you mean 'qanet'"),
        ({"pool": "min"}, "--pool 'min', known: max, avg"),
        ({"norm_type": "batsh"}, "--norm_type 'batsh', did you mean 'batch'"),
        ({"ssfunc": "cos"}, "--ssfunc 'cos'"),
        ({"protocol": "old"}, "--protocol 'old'"),
        ({"maxlen": 0}, "--maxlen 0, expected 1 or more"),
        ({"epochs": 0}, "--epochs 0, expected 1 or more"),
        ({"bsize": -1}, "--bsize -1, expected 1 or more"),
        ({"pdrop": 1.0}, "--pdrop 1.0, expected at least 0 and below 1"),
        ({"lr": float("nan")}, "--lr nan, expected a number above 0"),
        ({"clipmaxn": float("inf")}, "--clipmaxn inf, expected 0 or more"),
        ({"pthrshld": 1.5}, "--pthrshld 1.5"),
        ({"kfold": 1}, "--kfold 1, expected 2 or more"),
        ({"gpuq": "0,a"}, "--gpuq '0,a', expected device numbers"),
        ({"do_crf": True}, "--do_crf with --task ddi, expected an NER task"),
        ({"task": "bc5cdr-chem", "do_crf": True, "weight_class": True}, "both --do_crf and --weight_class"),
        ({"resume": Path("x"), "kfold": 2}, "both --resume and --kfold"),
        ({"options_path": None}, "no --options_path, expected the biLM's options.json and weights.hdf5"),
        ({"weights_path": None}, "no --weights_path"),
        ({"data_dir": None}, "no --data_dir, expected the folder that holds ddi2013-type/"),
        ({"input": Path("x")}, "both --data_dir and --input"),
    ],
)
def test_bad_flags(values: dict[str, Any], message: str, layout: Path) -> None:
    with pytest.raises(InputError) as caught:
        plan_of(layout, **{"task": "ddi", **values})
    assert str(caught.value).startswith(message)


FLAGS = [f"--{name}" for name in Flags.__dataclass_fields__]


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("--ep 3", "--epochs 3"),
        ("--opt=o.json --weights w.hdf5", "--options_path=o.json --weights_path w.hdf5"),
        ("--r runs/x", "--resume runs/x"),  # and not --rebalance, which the old program did not have
        ("--reb none", "--rebalance none"),
        ("--over -j 2 --do_n --", "--overwrite -j 2 --do_norm --"),
        ("--task ddi --data_dir=--ep", "--task ddi --data_dir=--ep"),
        ("--nonsense", "--nonsense"),
    ],
)
def test_flags_may_be_shortened(given: str, meant: str) -> None:
    assert in_full(given.split(), FLAGS) == meant.split()


def test_an_ambiguous_prefix_is_refused() -> None:
    with pytest.raises(
        InputError, match="flag --dist, expected one of --distbknd, --distrb, --disturl, write it in full"
    ):
        in_full(["--dist"], FLAGS)


def test_devices() -> None:
    assert devices(Flags()) == [0]
    assert devices(Flags(gpunum=0, gpuq="1")) == []
    assert devices(Flags(gpuq="2, 3")) == [2]
    assert devices(Flags(gpunum=2, gpuq="2,3")) == [2, 3]
    assert devices(Flags(gpunum=3, gpuq="all")) == [0, 1, 2]


def test_class_weights_have_mean_one() -> None:
    task = get_task("mednli")
    records = [{"label": label} for label in ["neutral"] * 6 + ["entailment"] * 2]
    assert class_weights(task, records) == [1.0, 2.0, pytest.approx(0.666667)]
    weights = dict(zip(task.labels, class_weights(task, records), strict=True))
    assert sum(weights[record["label"]] for record in records) == pytest.approx(len(records))


def test_biLM_files_in_two_folders_are_named_by_the_weights(layout: Path) -> None:  # noqa: N802
    assert plan_of(layout, "ddi", options_path=Path("a/options.json")).recipe.encoder == "elmo/weights.hdf5"
    assert plan_of(layout, "ddi", pretrained="converted").recipe.encoder == "converted"
    assert plan_of(layout, "ddi", pretrained="true").recipe.encoder == "elmo"


def test_the_page_explains_every_flag() -> None:
    table = PAGE.read_text(encoding="utf-8").partition("## Flags")[2]
    command = typer.main.get_command(app).commands["elmo"]  # type: ignore[attr-defined]
    names = {name for parameter in command.params for name in parameter.opts}
    new = {"--help", *(f"--{name}" for name in NEW)}
    assert len({name for name in names - new if name.startswith("--")}) == 52
    assert {name for name in names - new if f"`{name}`" not in table} == set()
    assert set(re.findall(r"^\| `(--?\w+)`", table, re.MULTILINE)) <= names
