"""Any JSON value anywhere in any of our files: the command that reads it succeeds or gives a one-line error."""

from __future__ import annotations

import copy
import json
import os
import random
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

import tiny
from biomtl.training.folder import RESULTS

Command = Callable[..., Any]
KINDS: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 3, 1.5, 10**30, 1e300, "", "x", "\x1b[31m", "../..", "9" * 300),
    *([], [None], [[]], ["x", 1], [-1, 3], {}, {"x": None}, {"": {"x": [1]}}),
)
TRIALS = int(os.environ.get("BIOMTL_TRIALS", "8"))
"""Of each command; more find more."""


@dataclass(frozen=True)
class Reading:
    """A command and the files of which one gets a wrong value; it runs in a copy of the material."""

    words: str
    files: tuple[str, ...]
    unfinished: bool = False  # without the run's last file, so that it is taken up again


SHORT = "output=out max_steps=1 num_train_epochs=null predict_test=false eval_strategy=no save_strategy=no"
READINGS = {
    "audit": Reading("audit suite", ("suite/*/task.yaml", "suite/*/*.jsonl")),
    "train": Reading(f"train recipe.yaml {SHORT}", ("suite/*/task.yaml", "suite/*/train.jsonl", "recipe.yaml")),
    "own": Reading(f"train own.yaml {SHORT}", ("own.yaml", "own.jsonl")),
    "check": Reading("check own.jsonl --type classification", ("own.jsonl",)),
    "resume": Reading(
        "train recipe.yaml --resume",
        ("run/metrics.json", "run/log.jsonl", "run/recipe.yaml", "run/model/manifest.json"),
        unfinished=True,
    ),
    "overwrite": Reading("evaluate run --data suite --out old --overwrite", ("old/.biomtl.json", "old/metrics.json")),
    "predict": Reading(
        "predict run rows.jsonl --no-verify",
        ("run/model/manifest.json", "run/model/heads/*/*.json", "run/model/processor.json", "rows.jsonl"),
    ),
    "encoder": Reading("predict run rows.jsonl --no-verify", ("run/model/config.json", "run/model/tokenizer*.json")),
    "evaluate": Reading(
        "evaluate run --data suite --out out --with-gold --no-verify",
        ("suite/*/test.jsonl", "suite/*/task.yaml", "run/model/manifest.json", "run/model/heads/*/*.json"),
    ),
    "score": Reading(
        "score --task suite/TASK/task.yaml suite/TASK/test.jsonl run/predictions/TASK/test.jsonl --resamples 10",
        ("suite/TASK/test.jsonl", "suite/TASK/task.yaml", "run/predictions/TASK/test.jsonl"),
    ),
    "score of a run": Reading("score run --task TASK --resamples 10", ("run/recipe.yaml", "run/metrics.json")),
    "export": Reading("export run out --task TASK --no-verify", ("run/metrics.json", "run/model/*.json")),
    "embed": Reading("embed run rows.jsonl --out out.hdf5 --no-verify", ("rows.jsonl", "run/model/manifest.json")),
    "annotate": Reading(
        "annotate run rows.jsonl --out o.jsonl --no-verify", ("rows.jsonl", "run/model/heads/*/*.json")
    ),
    "bioc": Reading("annotate run doc.json --from bioc --to bioc --out out.json --keep", ("doc.json",)),
}


@pytest.fixture(scope="module")
def material(tmp_path_factory: pytest.TempPathFactory, bert: Path) -> Path:
    """A suite, a run, its scores, own data and rows to label."""
    folder = tmp_path_factory.mktemp("material")
    tiny.write_suite(folder / "suite", train=6, other=4)
    shutil.copytree(bert, folder / "bert")
    tiny.write_rows(folder / "rows.jsonl", [{**row, "text": "pola"} for row in tiny.records("tag-drug", 3)])
    rows = [{"id": str(n), "text": f"pola {n}", "label": "ab"[n % 2]} for n in range(6)]
    tiny.write_rows(folder / "own.jsonl", rows)
    mine = {"name": "mine", "type": "classification", "files": {"train": "own.jsonl", "dev": "own.jsonl"}}
    base = {"encoder": "bert", "max_length": 24, "batch_size": 8, "num_threads": 1, "learning_rate": 1e-3}
    base |= {"output": "run", "max_steps": 2, "save_steps": 1, "eval_steps": 1}
    (folder / "recipe.yaml").write_text(yaml.safe_dump({**base, "suite": "suite"}))
    (folder / "own.yaml").write_text(yaml.safe_dump({**base, "tasks": [mine]}))
    passage = {"offset": 0, "infons": {"type": "title"}, "text": "pola zalpidine rimu.", "annotations": []}
    passage["annotations"] = [
        {"id": "1", "infons": {"type": "Drug"}, "text": "zalpidine", "locations": [{"offset": 5, "length": 9}]}
    ]
    relation = {"id": "R1", "infons": {"type": "x"}, "nodes": [{"refid": "1", "role": "a"}]}
    document = {"id": "d", "infons": {}, "passages": [passage], "relations": [relation]}
    (folder / "doc.json").write_text(json.dumps({"source": "s", "date": "", "key": "", "documents": [document]}))
    return folder


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every place in a JSON value."""
    yield path
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, child in inner:
        yield from places(child, (*path, key))


def replaced(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    """A copy of the value with another at a place."""
    if not path:
        return new
    whole = copy.deepcopy(value)
    at = whole
    for key in path[:-1]:
        at = at[key]
    at[path[-1]] = new
    return whole


def spoil(path: Path, rng: random.Random) -> str:
    """Put a wrong value at some place of a file; returns what was done."""
    text = path.read_text(encoding="utf-8")
    lines = text.splitlines() if path.suffix == ".jsonl" else [text]
    number = rng.randrange(len(lines))
    value = yaml.safe_load(lines[number]) if path.suffix == ".yaml" else json.loads(lines[number])
    # The deep places of a long list, such as a vocabulary, would hide all others.
    place = rng.choice([place for place in places(value) if not any(isinstance(k, int) and k > 3 for k in place)])
    new = rng.choice(KINDS)
    changed = replaced(value, place, new)
    lines[number] = yaml.safe_dump(changed) if path.suffix == ".yaml" else json.dumps(changed)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return f"{path} line {number + 1}: {'.'.join(map(str, place))} = {new!r:.60}"


@pytest.mark.parametrize("name", READINGS)
def test_one_line_or_success(
    command: Command, material: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    reading = READINGS[name]
    if not (material / "run").exists():
        monkeypatch.chdir(material)
        for words in ("train recipe.yaml", "evaluate run --data suite --out old"):
            assert (ended := command(*words.split())).code == 0, ended.err
    for trial in range(TRIALS):
        rng = random.Random(f"{name} {trial}")
        place = tmp_path / str(trial)
        shutil.copytree(material, place, copy_function=os.link)
        monkeypatch.chdir(place)
        task = rng.choice(tiny.FOUR)
        if reading.unfinished:
            (place / "run" / RESULTS[-1]).unlink()
        found = sorted(path for pattern in reading.files for path in place.glob(pattern.replace("TASK", task)))
        chosen = rng.choice(found)
        content = chosen.read_bytes()
        chosen.unlink()  # it is linked
        chosen.write_bytes(content)
        said = spoil(chosen, rng)
        try:
            ended = command(*reading.words.replace("TASK", task).split())
        except Exception as error:
            raise AssertionError(f"{name}, trial {trial}: {said}") from error
        assert ended.code in (0, 2), (said, ended.err[-500:])
        if ended.code and not reading.words.startswith("check"):  # its report is its output
            last = ended.err.splitlines()[-1]
            assert last.startswith("biomtl: error: "), (said, ended.err[-500:])
            assert last.isprintable(), (said, last)
        monkeypatch.chdir(tmp_path)
        shutil.rmtree(place)
