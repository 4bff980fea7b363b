"""Recipes: defaults, spellings, overrides, round trips and one-line errors that name the line."""

from __future__ import annotations

import contextlib
import string
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from biomtl.errors import InputError
from biomtl.training.recipe import Recipe
from biomtl.training.recipe_io import dump_recipe, load_recipe, make_recipe, recipe_from_options
from biomtl.training.recipe_reference import reference
from biomtl.training.recipe_tasks import TaskOptions


@pytest.fixture
def write(tmp_path):
    def write(text: str) -> Path:
        path = tmp_path / "mine.yaml"
        path.write_text(text, encoding="utf-8")
        return path

    return write


def message(write, text: str, *overrides: str) -> str:
    """The error of a recipe, without the folder."""
    path = write(text)
    with pytest.raises(InputError) as caught:
        load_recipe(path, overrides)
    assert "\n" not in str(caught.value)
    return str(caught.value).removeprefix(f"{path.parent}/")


def test_an_empty_recipe_is_complete(write):
    recipe = load_recipe(write("# nothing\n"))
    assert recipe.output == "runs/mine"
    assert (recipe.batch_tokens, recipe.batch_size) == (2048, None)
    assert (recipe.num_train_epochs, recipe.max_steps) == (3, None)
    assert (recipe.warmup_ratio, recipe.warmup_steps) == (0.1, None)
    assert (recipe.eval_strategy, recipe.metric_for_best_model) == ("epoch", "mean")


def test_an_empty_file_is_not_a_recipe(write):
    with pytest.raises(InputError, match="an empty file, expected `key: value` lines"):
        load_recipe(write(""))


def test_values_follow_from_other_keys():
    assert make_recipe({"batch_size": 8}).batch_tokens is None
    assert make_recipe({"max_steps": 8}).num_train_epochs is None
    assert make_recipe({"warmup_steps": 0}).warmup_ratio is None
    assert make_recipe({"eval_steps": 5}).eval_strategy == "steps"
    assert make_recipe({"save_steps": 5}).save_strategy == "steps"
    assert make_recipe({"max_length": 64}).stride == 16
    assert make_recipe({"early_stopping_patience": 2}).early_stopping_threshold == 0
    both = make_recipe({"train_on": "train+dev", "max_steps": 10})
    assert (both.eval_strategy, both.metric_for_best_model) == ("no", None)


@pytest.mark.parametrize(
    "spelling",
    [
        "[hoc, {name: ddi, weight: 2}]",
        "[hoc, {ddi: {weight: 2}}]",
        "{hoc: , ddi: {weight: 2}}",
        "{hoc: {}, ddi: {weight: 2.0}}",
    ],
)
def test_every_spelling_of_tasks_means_the_same(write, spelling):
    tasks = load_recipe(write(f"tasks: {spelling}")).tasks
    assert list(tasks) == ["hoc", "ddi"]
    assert tasks == {"hoc": TaskOptions(), "ddi": TaskOptions(weight=2)}


def test_yaml_1_1_traps(write):
    recipe = load_recipe(write("learning_rate: 1e-4\nmax_steps: 1e3\neval_strategy: no\nreport_to: tensorboard"))
    assert recipe.learning_rate == 1e-4
    assert recipe.max_steps == 1000
    assert recipe.eval_strategy == "no"
    assert recipe.report_to == ("tensorboard",)


def test_overrides_win_and_null_unsets(write):
    path = write("batch_tokens: 512\nlearning_rate: 3\ntasks: [hoc, my.task-2]\n")
    recipe = load_recipe(
        path, ["learning_rate=1e-4", "batch_tokens=null", "batch_size=4", "tasks.my.task-2.weight=2", "output=there"]
    )
    assert (recipe.learning_rate, recipe.batch_tokens, recipe.batch_size) == (1e-4, None, 4)
    assert recipe.tasks["my.task-2"].weight == 2
    assert recipe.output == "there"
    assert list(load_recipe(path, ["learning_rate=1", "tasks=[x, {y: {weight: 2}}]", "tasks.x.weight=3"]).tasks) == [
        "x",
        "y",
    ]
    assert load_recipe(path, ["tasks.hoc.head.dropout=0.3"]).tasks["hoc"].head_options == {"dropout": 0.3}


OWN = "tasks:\n- name: a\n  type: classification\n  files: {train: a.tsv}\n  weight: 2\n- name: b\n  type: x\n"


def test_a_list_of_names_chooses_among_the_recipe_s_tasks_with_their_options(write):
    weighted = write("tasks: {ddi2013: {weight: 4, view: spans}, hoc: }\n")
    recipe = load_recipe(weighted, ["tasks=[ddi2013, chemprot]"])
    assert [(name, task.weight, task.view) for name, task in recipe.tasks.items()] == [
        ("ddi2013", 4, "spans"),
        ("chemprot", 1, None),
    ]
    assert load_recipe(weighted, ["tasks={ddi2013: {weight: 2}}"]).tasks["ddi2013"].view is None


def test_a_list_of_names_chooses_among_the_recipe_s_own_tasks(write):
    recipe = load_recipe(write(OWN), ["tasks=[hoc, a]", "tasks.a.dropout=0.1"])
    assert list(recipe.tasks) == ["hoc", "a"]
    assert list(recipe.own_tasks) == ["a"]
    assert (recipe.tasks["a"].weight, recipe.tasks["a"].dropout) == (2, 0.1)
    assert list(load_recipe(write(OWN), ["tasks=a"]).own_tasks) == ["a"]
    assert message(write, OWN.replace("weight", "weigth"), "tasks=[a]").startswith("mine.yaml:5: unknown key")
    assert message(write, OWN, "tasks=3").startswith("command line: tasks: 3, expected")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("seed: 1\nlearning_rat: 1", "mine.yaml:2: unknown key 'learning_rat', did you mean 'learning_rate'?"),
        ("lr: 1", "mine.yaml:1: unknown key 'lr', did you mean 'learning_rate'?"),
        (
            "tasks:\n- hoc\n- name: ddi\n  weigth: 1",
            "mine.yaml:4: unknown key 'tasks.ddi.weigth', did you mean 'weight'?",
        ),
        ("tasks:\n- hoc\n- ddi:\n    weigth: 1", "mine.yaml:4: unknown key 'tasks.ddi.weigth', did you mean 'weight'?"),
        ("tasks:\n  ddi:\n    weight: -1", "mine.yaml:3: tasks.ddi.weight: -1, expected greater than or equal to 0"),
        ("1: 2", "mine.yaml:1: unknown key '1', known: encoder"),
        ("\nlearning_rate: 0", "mine.yaml:2: learning_rate: 0, expected greater than 0"),
        ("learning_rate: yes", "mine.yaml:1: learning_rate: True, expected a number"),
        ("learning_rate: .nan", "mine.yaml:1: learning_rate: nan, expected a finite number"),
        ("learning_rate: fast", "mine.yaml:1: learning_rate: 'fast', expected a valid number"),
        ("max_steps: 1.5", "mine.yaml:1: max_steps: 1.5, expected a valid integer"),
        ("policy: squared", "mine.yaml:1: policy: 'squared', expected 'proportional', 'sqrt'"),
        ("seed: 1\nseed: 2", "mine.yaml:2: key 'seed' is given twice, remove one"),
        ("- seed", "mine.yaml:1: a YAML list, expected `key: value` lines"),
        ("seed: 1\na: b: c", "mine.yaml:2: not YAML (mapping values are not allowed here)"),
        ("seed: !!python/object:os.system 1", "mine.yaml:1: not YAML (could not determine a constructor"),
        ("seed: 2020-13-45", "mine.yaml:1: seed: '2020-13-45', expected a valid integer"),
        ("seed: &a [*a]", "mine.yaml:1: not YAML (an alias that contains itself)"),
        (f"max_steps: {10**28}", f"mine.yaml:1: max_steps: {10**28}, expected less than {2**53}"),
        (f"warmup_steps: {2**53}", f"mine.yaml:1: warmup_steps: {2**53}, expected less than {2**53}"),
        (f"seed: {10**30}", f"mine.yaml:1: seed: {10**30}, expected less than {2**53}"),
        ("tasks: [a, a]", "mine.yaml:1: task a is listed twice, remove one"),
        ("tasks: [3]", "mine.yaml:1: a task given as 3, write its name"),
        # contradictions
        (
            "batch_size: 3\nseed: 1\nbatch_tokens: 4",
            "mine.yaml:3: both batch_tokens and batch_size are given, choose one",
        ),
        ("num_train_epochs: 3\nmax_steps: 4", "mine.yaml:2: both num_train_epochs and max_steps are given, choose one"),
        ("warmup_steps: 3\nwarmup_ratio: 0.1", "mine.yaml:2: both warmup_ratio and warmup_steps are given, choose one"),
        (
            "eval_strategy: epoch\neval_steps: 3",
            "mine.yaml:2: eval_strategy is epoch but eval_steps is given, choose one",
        ),
        ("save_strategy: steps", "mine.yaml:1: save_strategy is steps but save_steps is not given"),
        (
            "train_on: train+dev\nmax_steps: 9\nearly_stopping_patience: 1",
            "mine.yaml:3: train_on is train+dev but early_stopping_patience is given",
        ),
        (
            "train_on: train+dev\nmax_steps: 9\neval_strategy: epoch",
            "mine.yaml:3: train_on is train+dev but eval_strategy",
        ),
        (
            "eval_strategy: no\nearly_stopping_patience: 3",
            "mine.yaml:2: eval_strategy is no but early_stopping_patience",
        ),
        ("early_stopping_threshold: 3", "mine.yaml:1: early_stopping_threshold without early_stopping_patience"),
        ("tasks: [a]\nmetric_for_best_model: b", "mine.yaml:2: metric_for_best_model is 'b', choose mean or one of"),
        ("policy: temperature", "mine.yaml:1: policy: temperature and a temperature go together"),
        ("temperature: 3", "mine.yaml:1: policy: temperature and a temperature go together"),
        (
            "tasks:\n  a.b:\n    mixing_weight: 3",
            "mine.yaml:3: policy is proportional but task a.b has a mixing_weight",
        ),
        (
            "policy: fixed\ntasks: [a]",
            "mine.yaml:1: policy is fixed, so every task needs a mixing_weight: missing in a",
        ),
        ("max_length: 64\nstride: 32", "mine.yaml:2: stride 32 is not below half of max_length 64"),
        ("max_steps: 5\nwarmup_steps: 5", "mine.yaml:2: warmup_steps is not below max_steps"),
    ],
)
def test_bad_recipes_name_the_line(write, text, expected):
    assert message(write, text).startswith(expected)


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("batch_tokens=4", "command line: both batch_tokens and batch_size are given"),
        ("learning_rte=4", "command line: unknown key 'learning_rte', did you mean 'learning_rate'?"),
        (
            "tasks.ddi.weight=4",
            "command line: tasks.ddi.weight: the recipe lists no task 'ddi', did you mean 'ddi2013'?",
        ),
        ("tasks.ddi2013.weight=-4", "command line: tasks.ddi2013.weight: -4, expected greater than or equal to 0"),
        ("seed.deep=4", "command line: seed: {'deep': 4}, expected a valid integer"),
        ("seed", "command line: override 'seed', expected key=value, such as"),
        ("seed=[", "command line: override 'seed=[':"),
        ("tasks=[3]", "command line: override 'tasks=[3]': a task given as 3"),
    ],
)
def test_bad_overrides_name_the_command_line(write, override, expected):
    assert message(write, "batch_size: 3\ntasks: [ddi2013]", override).startswith(expected)


def test_files_that_are_not_text(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        load_recipe(tmp_path / "absent.yaml")
    (tmp_path / "latin.yaml").write_bytes(b"seed: 1\nencoder: \xe9\n")
    with pytest.raises(InputError, match=r"latin.yaml:2: byte 0xe9"):
        load_recipe(tmp_path / "latin.yaml")


@settings(deadline=None, max_examples=60)
@given(st.text(alphabet="atsk:[]{}&*!-, \n'\"#|>1.<", max_size=40))
def test_any_text_is_a_recipe_or_an_input_error(tmp_path_factory, text):
    path = tmp_path_factory.getbasetemp() / "fuzz.yaml"
    path.write_text(text)
    with contextlib.suppress(InputError):
        load_recipe(path)


def test_a_command_s_task_by_the_recipe_s_alias(write):
    path = write("tasks: {ddi: {max_rows: 5}, hoc: {max_rows: 7}}")
    recipe = recipe_from_options(path, ["tasks.ddi.weight=2"], tasks=["ddi2013"])
    assert recipe.tasks == {"ddi2013": TaskOptions(max_rows=5, weight=2)}
    with pytest.raises(InputError, match=r"mine\.yaml:1: tasks: 3"):
        recipe_from_options(write("tasks: 3"), [], tasks=["ddi2013"])
    balanced = recipe_from_options(None, ["tasks.ddi2013.rebalance=undersample"], tasks=["ddi2013"])
    assert balanced.tasks == {"ddi2013": TaskOptions(rebalance="undersample")}
    with pytest.raises(InputError, match="lists no task 'hoc'"):
        recipe_from_options(None, ["tasks.hoc.weight=2"], tasks=["ddi2013"])


recipes = st.fixed_dictionaries(
    {},
    optional={
        "encoder": st.text(string.printable, min_size=1),
        "tasks": st.dictionaries(
            st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]*", fullmatch=True),
            st.fixed_dictionaries({}, optional={"weight": st.floats(0, 9), "pairs": st.just("apart")}),
        ),
        "seed": st.integers(0, 2**40),
        "learning_rate": st.floats(1e-300, 1),
        "batch_size": st.integers(1, 99),
        "max_steps": st.integers(1, 99),
        "warmup_steps": st.just(0),
        "eval_strategy": st.sampled_from(["no", "epoch"]),
        "report_to": st.lists(st.text(string.printable, max_size=9), max_size=3),
        "freeze_encoder": st.booleans(),
    },
)


@settings(deadline=None, max_examples=60)
@given(recipes)
def test_dumped_recipes_read_back_equal(values):
    recipe = make_recipe(values)
    assert make_recipe(yaml.safe_load(dump_recipe(recipe))) == recipe


def test_no_sample_suite_is_recorded_if_all_tasks_are_the_users_own():
    own = {"mood": {"type": "classification", "files": {"train": "a.tsv"}}}
    assert "suite" not in yaml.safe_load(dump_recipe(make_recipe({"tasks": own})))
    mixed = yaml.safe_load(dump_recipe(make_recipe({"tasks": {**own, "hoc": {}}})))
    assert mixed["suite"] == "sample"


def test_every_key_is_explained_in_a_sentence():
    for model in (Recipe, TaskOptions):
        for name, field in model.model_fields.items():
            assert field.description, name
            assert field.description.endswith("."), name


def test_the_reference_page_is_in_step():
    page = Path(__file__).parents[2] / "docs" / "recipe.md"
    assert page.read_text(encoding="utf-8") == reference(), (
        "run: python -m biomtl.training.recipe_reference > docs/recipe.md"
    )


@pytest.mark.parametrize("name", ["x" * 300, "a/b", "-a", "é"])
def test_a_name_that_no_folder_can_have_is_refused_with_the_recipe(tmp_path: Path, name: str) -> None:
    path = tmp_path / "r.yaml"
    path.write_text(f'tasks:\n  "{name}":\n    type: classification\n    files: {{train: a.tsv}}\n')
    with pytest.raises(InputError, match=r"r\.yaml.*: .*task"):
        load_recipe(path)


def test_no_name_holds_a_nul(tmp_path: Path) -> None:
    for key in ("encoder", "suite", "output"):
        (tmp_path / "r.yaml").write_text(f'seed: 1\n{key}: "a\\0b"\n')
        with pytest.raises(InputError, match=rf"r\.yaml:2: {key} holds a NUL character"):
            load_recipe(tmp_path / "r.yaml")


def test_no_task_is_named_like_the_mean_over_tasks() -> None:
    own = {"type": "classification", "files": {"train": "train.csv"}}
    with pytest.raises(InputError, match="a task named 'mean', which is what tables call the mean over tasks"):
        make_recipe({"tasks": {"mean": own}})


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ("{learning_rat: 1e-4}", "mine.yaml:4: stages: joint: unknown key 'learning_rat', did you mean"),
        (
            "\n      seed: 3\n      bf16: perhaps",
            "mine.yaml:6: stages: joint: bf16: 'perhaps', expected a valid boolean",
        ),
    ],
)
def test_the_line_of_a_stage_key(write, keys: str, expected: str) -> None:
    assert expected in message(write, f"tasks: [hoc]\nstages:\n  - alone\n  - joint: {keys}\n")


def test_keys_of_single_tasks_in_a_stage_are_checked(write) -> None:
    recipe = "tasks: [hoc]\nstages:\n  - alone:\n      by_task:\n        hoc: {sed: 3}\n"
    assert "stages: alone: hoc: unknown key 'sed', did you mean 'seed'?" in message(write, recipe)
    said = message(write, "tasks: [hoc]\n", "stages=[{joint: {seed: x}}]")
    assert said.startswith("command line: stages: joint: seed: 'x'")
    kept = load_recipe(write("tasks: [hoc]\nstages:\n  - joint: {lr_gamma: 0.5}\n"))  # contradicts, which the plan says
    assert kept.stages[0].keys == {"lr_gamma": 0.5}
