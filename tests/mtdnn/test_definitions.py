"""Task definitions of MT-DNN as recipes that train."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from biomtl.errors import InputError
from biomtl.mtdnn.definitions import convert_definitions
from biomtl.suite import load_suite
from biomtl.training.recipe_io import load_recipe

COMMON: dict[str, Any] = {"enable_san": False, "kd_loss": "MseCriterion", "adv_loss": "SymKlCriterion"}
DEFINITIONS: dict[str, Any] = {
    "nli": COMMON | {
        "data_format": "PremiseAndOneHypothesis", "task_type": "Classification", "n_class": 2, "labels": ["no", "yes"],
        "metric_meta": ["ACC"], "loss": "CeCriterion", "enable_san": True, "dropout_p": 0.2,
        "split_names": ["train", "matched_dev", "mismatched_dev", "matched_test"],
    },
    "kind": COMMON | {
        "data_format": "PremiseOnly", "task_type": "Classification", "n_class": 2, "metric_meta": ["F1", "CMAT"],
        "loss": "JSCriterion", "adv_loss": "HLCriterion",
    },
    "sts": COMMON | {
        "data_format": "PremiseAndOneHypothesis", "task_type": "Regression", "n_class": 1,
        "metric_meta": ["Pearson", "Spearman"], "loss": "MseCriterion",
    },
    "ner": COMMON | {
        "data_format": "Seqence", "task_type": "SeqenceLabeling", "n_class": 6, "metric_meta": ["SeqEval"],
        "labels": ["O", "B-X", "I-X", "X", "CLS", "SEP"], "loss": "SeqCeCriterion",
    },
    "pick": COMMON | {
        "data_format": "PremiseAndMultiHypothesis", "task_type": "Ranking", "n_class": 1, "metric_meta": ["ACC"],
        "loss": "RankCeCriterion",
    },
    "mlm": COMMON | {"data_format": "MLM", "task_type": "MaskLM", "n_class": 30522, "metric_meta": ["ACC"]},
    "squad": COMMON | {
        "data_format": "CLUE_SPAN", "task_type": "SpanClassification", "n_class": 2, "metric_meta": ["EmF1"],
    },
}  # fmt: skip
ROWS = {
    "nli": "1\tno\tMilo sat.\tHe lay.\n2\tyes\tRimu lay.\tShe sat.\n",
    "kind": "1\t0\tMilo sat.\n2\t1\tRimu lay.\n",
    "sts": "1\t0.5\tMilo sat.\tHe lay.\n2\t4.5\tRimu lay.\tShe sat.\n",
    "ner": 'a.0\t["B-X", "O"]\t["Milo", "sat"]\nb.0\t["O"]\t["No"]\n',
    "pick": "1\t1,2\t0,1\tWho sat?\tRimu.\tMilo.\n2\t1,2\t1,0\tWho lay?\tRimu.\tMilo.\n",
}


@pytest.fixture
def definitions(tmp_path: Path) -> Path:
    folder = tmp_path / "mt-dnn"
    (folder / "canonical_data").mkdir(parents=True)
    for name, rows in ROWS.items():
        for split in DEFINITIONS[name].get("split_names", ("train", "dev", "test")):
            (folder / "canonical_data" / f"{name}_{split}.tsv").write_text(rows)
    (folder / "task_def.yml").write_text(yaml.safe_dump(DEFINITIONS, sort_keys=False))
    return folder / "task_def.yml"


def test_a_recipe_of_every_task_that_has_a_counterpart(definitions: Path, tmp_path: Path) -> None:
    made = convert_definitions(definitions, tmp_path / "recipes" / "mine.yaml")
    recipe = load_recipe(tmp_path / "recipes" / "mine.yaml")
    assert list(recipe.tasks) == ["nli", "kind", "sts", "ner", "pick"]
    assert (recipe.mixing, recipe.batch_size, recipe.num_train_epochs, recipe.optim) == ("batch", 8, 5, "adamax")
    assert recipe.tasks["sts"].loss_scale == "score"
    nli = recipe.tasks["nli"]
    assert (nli.head, nli.dropout, nli.labels, nli.metric) == ("san", 0.2, ("no", "yes"), "accuracy")
    assert (recipe.tasks["kind"].negative, recipe.tasks["kind"].metric) == ("0", "micro_f1_positive")
    remarks = "\n".join(made.remarks)
    for said in (
        "nli: one file per split, so these are left out: mismatched_dev",
        "kind: metrics without a counterpart: CMAT",
        "mlm: left out, MaskLM over MLM has no counterpart",
        "squad: left out, no squad_<split>.tsv or .json",
        "nli: kd_loss MseCriterion: `distill` mixes gold and teachers",
    ):
        assert said in remarks
        assert said in (tmp_path / "recipes" / "mine.yaml").read_text()
    assert (recipe.tasks["sts"].metric, recipe.tasks["sts"].metrics) == ("pearson", ("spearman",))
    assert (nli.loss, nli.divergence) == (None, "sym_kl")
    assert (recipe.tasks["kind"].loss, recipe.tasks["kind"].divergence) == ("js", "hellinger")
    assert "sts: adv_loss SymKlCriterion: the divergence is that of its type" in remarks
    suite = load_suite(str(tmp_path / "recipes" / "mine.yaml"))
    assert {name: len(entry.records("train")) for name, entry in suite.data.items()} == dict.fromkeys(ROWS, 2)
    assert suite.tasks["ner"].labels == ("O", "B-X", "I-X")


def test_the_command_and_a_step_of_training(
    definitions: Path, tmp_path: Path, bert: Path, command: Callable[..., Any]
) -> None:
    recipe = tmp_path / "mine.yaml"
    ended = command("convert", definitions, recipe)
    assert ended.code == 0, ended.err
    assert "5 tasks" in ended.out
    assert command("convert", definitions, recipe).code == 2  # it is there
    settings = [f"encoder={bert}", "max_length=24", "num_train_epochs=null", "max_steps=2", "eval_strategy=no"]
    ended = command("train", recipe, *settings, f"output={tmp_path / 'run'}")
    assert ended.code == 0, ended.err
    assert (tmp_path / "run" / "metrics.json").is_file()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- a\n", "not task definitions of MT-DNN"),
        ("encoder: x\n", "not task definitions of MT-DNN"),
        ("mlm: {task_type: MaskLM, data_format: MLM}\n", "no task with a counterpart"),
        ("kind: {task_type: Classification, data_format: PremiseOnly}\n", "no kind_<split>"),
        ("a b: {task_type: Classification, data_format: PremiseOnly}\n", "a task named 'a b'"),
    ],
)
def test_other_yaml(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "task_def.yml").write_text(text)
    with pytest.raises(InputError, match=message):
        convert_definitions(tmp_path / "task_def.yml", tmp_path / "out.yaml")
    assert not (tmp_path / "out.yaml").exists()


def test_a_folder_is_not_a_recipe(definitions: Path, tmp_path: Path, command: Callable[..., Any]) -> None:
    ended = command("convert", definitions, tmp_path / "folder")
    assert ended.code == 2
    assert "a name that ends with .yaml" in ended.err
    ended = command("convert", tmp_path / "model.pt", tmp_path / "folder", "--data", tmp_path)
    assert "--data for a checkpoint" in ended.err
