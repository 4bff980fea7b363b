"""The papers' records, the plan before anything runs, and the verdict on the figures."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from biomtl.elmoft.flags import Flags
from biomtl.elmoft.plan import make_plan
from biomtl.errors import InputError
from biomtl.reproduce.needs import cost, rows_of
from biomtl.reproduce.paper import papers
from biomtl.reproduce.plan import plan, planned_runs
from biomtl.reproduce.verdict import figures, judged
from biomtl.study.published import published_score, systems
from biomtl.study.stage_plan import plan_stages
from biomtl.suite import load_suite
from biomtl.tasks.registry import GROUPS
from biomtl.training.recipe_io import load_recipe
from scored import score, write_run

ENCODER = ["encoder=/no/encoder"]


@pytest.mark.parametrize("name", papers())
def test_a_record_names_systems_and_sources(name: str, tmp_path: Path) -> None:
    paper = papers()[name]
    for group, variant in paper.variants.items():
        planned = plan(name, tmp_path, group=group if len(paper.variants) > 1 else None)
        known = systems(planned.recipe.tasks)
        assert {system for names in variant.systems.values() for system in names} <= set(known)
        assert paper.study == "pairs" or set(planned.recipe.tasks) <= set(paper.tolerance)
        assert len(list(planned_runs(planned))) == {
            ("mt-bluebert", "biomedical"): 9,
            ("mt-bluebert", "clinical"): 9,
            ("mt-bluebert", "all"): 19,
            ("mt-bluebert-pairwise", "all"): 8 + 28,
            ("mt-bluebert-pairwise", "clinical"): 4 + 6,
            ("mt-bluebert-pairwise", "biomedical"): 4 + 6,
        }.get((name, group), 10)


def test_tolerances_follow_from_the_published_spread() -> None:
    for paper in papers().values():
        for task, tolerance in paper.tolerance.items():
            wanted = 0.0
            for system in ("BlueBERT base P", "BlueBERT base P+M"):
                first, again = published_score(task, system), published_score(task, f"{system} (re-run)")
                assert first is not None
                assert again is not None
                wanted = max(wanted, 2 * (again[1].sd or 0))
                if first[0].metric == again[0].metric:
                    wanted = max(wanted, abs(first[1].value - again[1].value))
            assert tolerance == math.ceil(round(2 * wanted, 6)) / 2


def test_single_task_runs_are_trained_like_the_fine_tuned_ones(tmp_path: Path) -> None:
    recipe = plan("mt-bluebert", tmp_path, group="clinical").recipe
    runs = {(run.stage, run.task): run.recipe for run in plan_stages(recipe)}
    for task in GROUPS["clinical"]:
        alone, each = runs["alone", task], runs["each", task]
        assert (alone.learning_rate, alone.num_train_epochs) == (each.learning_rate, each.num_train_epochs)
        assert alone.encoder == recipe.encoder != each.encoder


@pytest.mark.parametrize(
    ("old", "more"),
    [
        ("clnclsts", {"maxlen": 256, "do_lastdrop": True}),
        ("bc5cdr-chem", {"do_lastdrop": True}),
        ("ddi", {}),
        ("hoc", {"epochs": 50}),
        ("mednli", {"lr": 5e-4}),
    ],
)
def test_the_elmo_recipe_is_elmofts_commands(old: str, more: dict[str, Any], tmp_path: Path) -> None:
    task = {"clnclsts": "medsts", "ddi": "ddi2013"}.get(old, old)
    flags: dict[str, Any] = {"seq2vec": "boe", "fchdim": 500, "lr": 1e-3, "pdrop": 0.5, "do_norm": True, "initln": True}
    flags |= {"norm_type": "batch", "earlystop": True, "epochs": 20, "bsize": 64, "pretrained": "bilm", **more}
    wanted = make_plan(Flags(task=old, **flags), load_suite("sample", [task])).recipe
    runs = {run.task: run.recipe for run in plan_stages(load_recipe("blue-elmo"))}
    assert runs[task].tasks[task] == wanted.tasks[task]
    for key in wanted.model_fields_set - {"encoder", "suite", "tasks", "output", "activations_folder", "save_strategy"}:
        assert getattr(runs[task], key) == getattr(wanted, key), key


def test_missing_data_give_a_one_line_error_before_anything_runs(tmp_path: Path, command: Callable[..., Any]) -> None:
    out = tmp_path / "out"
    words = ["reproduce", "mt-bluebert", "--group", "clinical", "--out", out, f"suite={tmp_path / 'none'}", *ENCODER]
    missing = command(*words)
    assert missing.code == 2
    assert missing.err.count("\n") == 1
    assert "missing: data of medsts, mednli, i2b2-2010, shareclefe in" in missing.err
    assert "the encoder /no/encoder: no such folder" in missing.err
    assert "biomtl tasks medsts" in missing.err
    dry = command(*words, "--dry-run")
    assert (dry.code, dry.err) == (0, "")
    assert "missing: biomtl tasks mednli" in dry.out
    assert "joint" in dry.out
    assert "rows trained on" in dry.out
    lacking = command("reproduce", "blue-elmo", "suite=sample", "encoder=elmo", "--out", out)
    assert "the encoder elmo: no folder with options.json and weights.hdf5" in lacking.err
    assert not out.exists()


def test_originals_are_prepared_first(shared: Path, tmp_path: Path, command: Callable[..., Any]) -> None:
    words = ["blue-bert", "--tasks", "biosses", "--corpora", shared / "data/biosses", "--out", tmp_path / "out"]
    dry = command("reproduce", *words, *ENCODER, "--dry-run")
    assert "to be prepared" in dry.out
    failed = command("reproduce", *words, *ENCODER)
    assert (failed.code, "the encoder /no/encoder" in failed.err, (tmp_path / "out").exists()) == (2, True, False)


@pytest.mark.parametrize(
    ("name", "overrides", "options", "message"),
    [
        ("mt-blubert", [], {}, "nothing to reproduce named 'mt-blubert', did you mean 'mt-bluebert'"),
        ("blue-bert", [], {"group": "clinical"}, "blue-bert has no groups"),
        ("mt-bluebert", [], {"group": "clinic"}, "--group clinic, did you mean 'clinical'"),
        ("mt-bluebert", [], {"group": "clinical", "tasks": ["hoc"]}, "--tasks: hoc, expected some of: medsts"),
        ("mt-bluebert", [], {"tasks": ["biosses"]}, "of which the stage joint trains none"),
        ("mt-bluebert", ["stages=[joint]"], {}, "stages: joint, expected alone, joint, each"),
        ("mt-bluebert", ["output=x"], {}, "override 'output=x', use --out"),
        ("blue-bert", [], {"system": "Bert"}, "--system 'Bert', expected one of: ELMo"),
    ],
)
def test_requests_that_do_not_fit(
    name: str, overrides: list[str], options: dict[str, Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=message):
        plan(name, tmp_path, overrides, **options)


def test_figures_on_the_benchmarks_data_are_judged(tmp_path: Path) -> None:
    planned = plan("mt-bluebert", tmp_path, ENCODER, group="biomedical")
    for task in planned.recipe.tasks:
        for stage, value in (("alone", 0.725), ("each", 0.76)):
            write_run(planned.place / stage / task, {task: score(task, value)})
    found = {figure.what: figure for figure in figures(planned)}
    assert found["chemprot alone, BlueBERT base P"].verdict == "as expected"  # 72.5
    assert found["chemprot alone, BlueBERT base P (re-run)"].verdict == "as expected"  # 73.5, 1 point away
    assert found["ddi2013 alone, BlueBERT base P"].verdict == "below"
    assert found["ddi2013 alone, BlueBERT base P (re-run)"].metric == "micro_f1_positive"
    gain = found["mean gain of each over alone, 4 tasks"]
    assert (gain.ours, gain.verdict) == (pytest.approx(3.5), "above")
    assert judged(72.5, 73.5, 1.0, "") == "as expected"
    assert judged(72.4, 73.5, 1.0, "") == "below"
    assert judged(72.4, 73.5, 1.0, "other data") == "not judged"


def test_the_pages_costs_are_those_of_the_dry_run(tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "reproduce.md").read_text(encoding="utf-8")
    for name, paper in papers().items():
        for group in paper.variants:
            planned = plan(name, tmp_path, group=group if len(paper.variants) > 1 else None)
            found = cost(planned, planned_runs(planned), rows_of(None, planned.recipe))
            command = planned.command.removesuffix(" --group all")
            hours, disk = found.operations / 1e14 / 3600, found.disk / 1e9
            cells = f"{found.passes:,} | {found.scored:,} | {found.operations:.1e} | {hours:.1f} h | {disk:.0f} GB"
            assert f"| `{command}` | {cells} |" in page
