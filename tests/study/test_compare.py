"""Comparing runs: what is compared, what is refused, and the formats of the table."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from typer.testing import CliRunner

import tiny
from biomtl.cli.main import app
from biomtl.errors import InputError
from biomtl.inference.evaluate import Evaluation
from biomtl.results import Results
from biomtl.scoring import paired, score_records
from biomtl.study.compare import MEAN, Cell, Comparison, compare_runs
from biomtl.study.tables import console_table, notes
from biomtl.suite import load_suite

NAMES = ("cls-text", "tag-drug")


@pytest.fixture
def suite(tmp_path: Path) -> Path:
    return tiny.write_suite(tmp_path / "suite", NAMES, other=40)


def write_run(
    folder: Path, suite: Path, wrong: int, *, tasks: tuple[str, ...] = NAMES, seed: int = 42, **changes: Any
) -> Path:
    """A finished run in which every ``wrong``-th prediction is the negative class; with 0, all are right."""
    loaded = load_suite(suite, tasks)
    predictions = {}
    for name in tasks:
        rows = []
        for number, record in enumerate(loaded[name].records("test")):
            bad = wrong and number % wrong == 0
            if name.startswith("tag"):
                rows.append({"id": record["id"], "tags": ["O"] * len(record["tags"]) if bad else record["tags"]})
            else:
                rows.append({"id": record["id"], "label": "none" if bad else record["label"]})
        predictions[name] = rows
    scores = {
        name: score_records(loaded.tasks[name], loaded[name].records("test"), predictions[name], resamples=0)
        for name in tasks
    }
    evaluation = Evaluation("test", scores, predictions)
    folder.mkdir(parents=True)
    evaluation.write_predictions(folder / "predictions")
    facts = {"seed": seed, "data": loaded.provenance(), **changes}
    Results.of([evaluation], facts).write(folder / "metrics.json")
    tiny.write_recipe(folder / "recipe.yaml", Path("no-encoder"), suite, tasks=list(tasks))
    return folder


def test_a_better_run_wins(tmp_path: Path, suite: Path) -> None:
    base, same, good = (
        write_run(tmp_path / name, suite, wrong) for name, wrong in (("base", 2), ("same", 2), ("good", 0))
    )
    found = compare_runs([str(base), str(same), str(good)], resamples=500)
    assert found.arms == ("base", "same", "good")
    assert found.outcomes("same") == (0, 2, 0)
    assert found.outcomes("good") == (2, 0, 0)
    assert found.ranks == {"base": 2.5, "same": 2.5, "good": 1.0}
    cell = found.cells[MEAN]["good"]
    assert cell.value == 1.0
    assert cell.test is not None
    assert cell.test.difference == pytest.approx(1.0 - found.cells[MEAN]["base"].value)
    worse = compare_runs([str(good), str(base)], resamples=500)
    assert worse.outcomes("base") == (0, 0, 2)


def test_an_arm_of_single_task_runs_and_one_of_seeds(tmp_path: Path, suite: Path) -> None:
    for name in NAMES:
        write_run(tmp_path / "alone" / name, suite, 0, tasks=(name,))
    write_run(tmp_path / "joint", suite, 3)
    found = compare_runs([f"single={tmp_path / 'alone'}", str(tmp_path / "joint")], resamples=200)
    assert found.arms == ("single", "joint")
    assert found.tasks == NAMES
    for arm, wrong in (("a", 2), ("b", 3)):
        for seed in (1, 2, 3):
            write_run(tmp_path / arm / f"seed{seed}", suite, wrong + seed, seed=seed)
    found = compare_runs([str(tmp_path / "a"), str(tmp_path / "b")], resamples=200)
    assert found.runs == 3
    assert found.cells["cls-text"]["a"].spread is not None
    cells = found.cells["cls-text"]
    assert cells["b"].test is not None
    assert cells["b"].test.difference == pytest.approx(cells["b"].value - cells["a"].value)
    with pytest.raises(InputError, match=r"a has 3 runs of cls-text, joint 1, expected as many in each"):
        compare_runs([str(tmp_path / "a"), str(tmp_path / "joint")])


def test_runs_with_other_seeds_are_paired_in_order(tmp_path: Path, suite: Path) -> None:
    for arm, seeds in (("a", (1, 2)), ("b", (2, 3)), ("c", (2, 1))):
        for place, seed in enumerate(seeds):
            write_run(tmp_path / arm / f"{place}", suite, 2 + seed, seed=seed)
    found = compare_runs([str(tmp_path / arm) for arm in "abc"], resamples=100)
    assert found.other_seeds == ("b",)
    assert "b: other seeds than a, so the runs are paired in the order of their seeds." in notes(found)
    same = compare_runs([str(tmp_path / arm) for arm in "ac"], resamples=100)
    assert not same.other_seeds
    assert not any("paired in the order" in note for note in notes(same))


def test_runs_by_a_pattern(tmp_path: Path, suite: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The stages of a recipe that was trained with several seeds."""
    for seed in (1, 2):
        for name in NAMES:
            write_run(tmp_path / f"seed{seed}" / "alone" / name, suite, 2 + seed, tasks=(name,), seed=seed)
        write_run(tmp_path / f"seed{seed}" / "joint", suite, 0, seed=seed)
    monkeypatch.chdir(tmp_path)
    found = compare_runs(["one by one=seed*/alone", "seed*/joint"], resamples=200)
    assert (found.arms, found.runs, found.tasks) == (("one by one", "joint"), 2, NAMES)
    assert found.outcomes("joint")[0] == 2
    (tmp_path / "seed1.log").write_text("not a run")
    assert compare_runs(["seed*/alone", "joint=seed*"], resamples=100).arms == ("alone", "joint")
    with pytest.raises(InputError, match=r"seed\*/each: no such folder"):
        compare_runs(["seed*/alone", "seed*/each"])


def test_a_folder_whose_name_looks_like_a_pattern(tmp_path: Path, suite: Path) -> None:
    one, two = (write_run(tmp_path / f"lr[{i}]=*", suite, i) for i in (2, 3))
    assert compare_runs([str(one), str(two)], resamples=100).arms == ("lr[2]=*", "lr[3]=*")


def test_names_that_could_be_taken_for_others(tmp_path: Path, suite: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder with an equals sign in a pattern, and a name that numbering would give twice."""
    for seed in (1, 2):
        write_run(tmp_path / "lr=1" / f"seed{seed}", suite, 2, seed=seed)
    monkeypatch.chdir(tmp_path)
    found = compare_runs(["a=lr=1/seed*", "lr=1/seed*", "a=lr=1/seed*", "a (3)=lr=1/seed*"], resamples=100)
    assert found.arms == ("a (1)", "lr=1 (2)", "a (3)", "a (3) (4)")
    assert set(found.cells["cls-text"]) == set(found.arms)


def test_too_few_resamples_for_any_difference_to_count(tmp_path: Path, suite: Path) -> None:
    one, two = (write_run(tmp_path / name, suite, wrong) for name, wrong in (("one", 2), ("two", 0)))
    said = "No difference of a task can count: with so few resamples or documents no corrected p is below 0.0396."
    assert said in notes(compare_runs([str(one), str(two)], resamples=100, level=0.03))
    assert said not in notes(compare_runs([str(one), str(two)], resamples=100))


def test_too_few_documents_for_any_difference_to_count(tmp_path: Path) -> None:
    """With five of them, 32 exchanges are all there are."""
    suite = tiny.write_suite(tmp_path / "suite", ("tag-drug",), other=18)
    one, two = (write_run(tmp_path / n, suite, wrong, tasks=("tag-drug",)) for n, wrong in (("one", 1), ("two", 0)))
    said = notes(compare_runs([str(one), str(two)], resamples=500))
    assert (
        "No difference of a task can count: with so few resamples or documents no corrected p is below 0.0625." in said
    )
    assert "Intervals from few documents say little and are usually too narrow: tag-drug has 5." in said


def test_evaluations_of_several_seeds_are_one_arm(tmp_path: Path, suite: Path) -> None:
    """Their own seed is that of the bootstrap."""
    for arm, wrong in (("a", 2), ("b", 3)):
        for seed in (1, 2):
            write_run(tmp_path / arm / str(seed), suite, wrong + seed, seed=0, model_seed=seed)
    assert compare_runs([str(tmp_path / "a"), str(tmp_path / "b")], resamples=100).runs == 2


def test_where_the_data_are_looked_for(tmp_path: Path, suite: Path) -> None:
    one, two = (write_run(tmp_path / name, suite, wrong) for name, wrong in (("one", 2), ("two", 0)))
    suite.rename(tmp_path / "moved")
    with pytest.raises(
        InputError, match=r"the data of cls-text that .*one/recipe.yaml names: no such folder, add --da"
    ):
        compare_runs([str(one), str(two)], resamples=100)
    assert compare_runs([str(one), str(two)], data=str(tmp_path / "moved"), resamples=100).tasks == NAMES


def test_evaluations_say_where_their_data_are(tmp_path: Path, suite: Path) -> None:
    folders = [write_run(tmp_path / name, suite, wrong) for name, wrong in (("one", 2), ("two", 0))]
    for folder in folders:
        (folder / "recipe.yaml").unlink()
        results = Results.read(folder / "metrics.json")
        results.provenance["suite"] = str(suite)
        results.write(folder / "metrics.json")
    assert compare_runs([str(folder) for folder in folders], resamples=100).tasks == NAMES
    suite.rename(tmp_path / "moved")
    with pytest.raises(InputError, match=r"the data of cls-text that .*one/metrics.json names: no such folder"):
        compare_runs([str(folder) for folder in folders], resamples=100)


def test_what_cannot_be_compared(tmp_path: Path, suite: Path) -> None:
    one = write_run(tmp_path / "one", suite, 2)
    with pytest.raises(InputError, match=r"no scores, expected metrics\.json"):
        compare_runs([str(one), str(suite)])
    with pytest.raises(InputError, match="no scores of the dev split"):
        compare_runs([str(one), str(one)], "dev")
    other = write_run(tmp_path / "other", tiny.write_suite(tmp_path / "suite2", NAMES, other=39), 2)
    with pytest.raises(InputError, match=r"cls-text: .*one and .*other were scored on other data \(test\)"):
        compare_runs([str(one), str(other)])
    metric = write_run(tmp_path / "metric", suite, 2)
    content = json.loads((metric / "metrics.json").read_text())
    content["tasks"]["tag-drug"]["test"]["main"] = "entity_f1_conlleval"
    (metric / "metrics.json").write_text(json.dumps(content))
    with pytest.raises(InputError, match=r"one is scored by entity_f1_spans, .*metric by entity_f1_conlleval"):
        compare_runs([str(one), str(metric)])
    changed = write_run(tmp_path / "changed", suite, 2)
    (changed / "predictions/cls-text/test.jsonl").write_bytes((one / "predictions/cls-text/test.jsonl").read_bytes())
    content = json.loads((changed / "metrics.json").read_text())
    content["tasks"]["cls-text"]["test"]["value"] = 0.9
    (changed / "metrics.json").write_text(json.dumps(content))
    with pytest.raises(InputError, match=r"cls-text: the predictions score 0\.\d+ .*, metrics\.json says 0\.900000"):
        compare_runs([str(one), str(changed)])
    (suite / "cls-text" / "test.jsonl").write_bytes((suite / "cls-text" / "dev.jsonl").read_bytes())
    with pytest.raises(InputError, match="was scored on other test data of cls-text than those of today"):
        compare_runs([str(one), str(one)])
    for left in ("cls-text", "tag-drug"):
        write_run(tmp_path / f"only-{left}", suite, 2, tasks=(left,))
    with pytest.raises(InputError, match="no task that all of them scored"):
        compare_runs([str(tmp_path / "only-cls-text"), str(tmp_path / "only-tag-drug")])


def test_the_forms(tmp_path: Path, suite: Path) -> None:
    one, two = (write_run(tmp_path / f"{name}_&", suite, wrong) for name, wrong in (("a", 2), ("b", 0)))

    def said(*words: str) -> str:
        result = CliRunner().invoke(app, ["compare", str(one), str(two), "--resamples", "200", *words])
        assert result.exit_code == 0, result.output
        return result.stdout

    content = json.loads(said("--to", "json"))
    assert content["arms"] == ["a_&", "b_&"]
    assert content["cells"]["cls-text"]["b_&"]["outcome"] == "win"
    rows = list(csv.DictReader(said("--to", "csv").splitlines()))
    assert [(row["task"], row["run"]) for row in rows] == [
        (task, arm) for task in (*NAMES, "mean") for arm in content["arms"]
    ]
    assert float(rows[1]["difference"]) == content["cells"]["cls-text"]["b_&"]["test"]["difference"]
    markdown = said("--to", "md").splitlines()
    assert markdown[0] == "| task | a_& | b_& | difference (95 %) | p |"
    assert all(line.count("|") == 6 for line in markdown[:7])
    latex = said("--to", "latex")
    assert r"task & a\_\& & b\_\& & difference (95 \%) & p \\" in latex
    assert latex.count(r"\begin{tabular}{lrrrr}") == latex.count(r"\end{tabular}") == 1
    assert "mean rank" in said()


def test_a_single_run_cannot_be_compared(tmp_path: Path, suite: Path) -> None:
    result = CliRunner().invoke(app, ["compare", str(write_run(tmp_path / "one", suite, 2))])
    assert isinstance(result.exception, InputError)


def test_names_stay_whole_in_a_terminal_of_80_columns() -> None:
    name = "bc5cdr-disease"
    test = paired.Test(0.053, 0.029, 0.079, 0.001, 0.001, 50)
    cells = {"alone": Cell(0.628, None), "joint": Cell(0.681, None, test, 0.0001, "win")}
    arms, metrics, ranks = ("alone", "joint"), {name: "entity F1"}, {"alone": 2.0, "joint": 1.0}
    found = Comparison("dev", arms, (name,), (), metrics, {name: cells, MEAN: cells}, ranks, 1, (), 100, 0, 0.05)
    shown = io.StringIO()
    Console(file=shown, width=80).print(console_table(found))
    first = [line.split("│")[0].strip() for line in shown.getvalue().splitlines()]
    assert {name, "mean rank", "win/tie/loss"} <= set(first)
    assert "1/0/0" in shown.getvalue()
    assert "win and loss: p < 0.05" in " ".join(shown.getvalue().split())
