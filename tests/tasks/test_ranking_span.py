"""The two types beyond BLUE's: records, outputs, scores by hand, and training through the ordinary loop."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
import torch

import biomtl
from biomtl.batch import collate, encode_examples
from biomtl.custom import Files, TaskDefinition
from biomtl.errors import InputError
from biomtl.inference.predict import predict_records
from biomtl.model import MultiTaskModel
from biomtl.scoring import score_records
from biomtl.storage.files import write_jsonl
from biomtl.suite import load_suite
from biomtl.tasks.head import HeadChoice
from biomtl.tasks.task import Task
from biomtl.tasks.types.base import type_of

RANKING = Task(
    name="pick", type="ranking", inputs="candidates", metric="mean_reciprocal_rank", metrics=("accuracy_at_1",)
)
SPAN = Task(name="find", type="span", inputs="pair", metric="span_token_f1", metrics=("span_exact_match",))
DRUGS = ("zalpidine", "brentolol", "tavrixan", "lemidase")
WORDS = ["pola", "rimu", "teksa", "vono", "zalpid", "korin", "fenat", "milo", "dasu"]


def ranking_rows(count: int, seed: int) -> list[dict]:
    """The right candidate is the one that names a drug."""
    rng, rows = random.Random(seed), []
    for i in range(count):
        others = [" ".join(rng.sample(WORDS, 3)) for _ in range(rng.randint(1, 3))]
        place = rng.randint(0, len(others))
        candidates = [*others[:place], f"{rng.choice(WORDS)} {rng.choice(DRUGS)}", *others[place:]]
        row = {"id": str(i), "doc_id": str(i), "text": " ".join(rng.sample(WORDS, 3))}
        rows.append({**row, "candidates": candidates, "label": place})
    return rows


def span_rows(count: int, seed: int) -> list[dict]:
    """The answer is the drug and the word after it."""
    rng, rows = random.Random(seed), []
    for i in range(count):
        words = rng.sample(WORDS, 6)
        place = rng.randint(0, 5)
        words.insert(place, rng.choice(DRUGS))
        text, answer = " ".join(words), " ".join(words[place : place + 2])
        start = len(" ".join([*words[:place], ""]))
        row = {"id": str(i), "doc_id": str(i), "text_a": text, "text_b": "teksa vono"}
        rows.append({**row, "start": start, "end": start + len(answer)})
    return rows


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"candidates": ["a"]}, "two or more"),
        ({"candidates": ["a", " "]}, "empty"),
        ({"candidates": "ab"}, "a list of two or more"),
        ({"label": 2}, "0 to 1"),
        ({"label": True}, "0 to 1"),
        ({"text": ""}, "text is empty"),
    ],
)
def test_bad_ranking_records(change: dict, problem: str) -> None:
    record = {"id": "1", "doc_id": "1", "text": "q", "candidates": ["a", "b"], "label": 1}
    assert type_of(RANKING).check(record, RANKING) is None
    assert problem in (type_of(RANKING).check({**record, **change}, RANKING) or "")


@pytest.mark.parametrize(
    "change", [{"start": -1}, {"end": 99}, {"start": 3, "end": 3}, {"start": "0"}, {"start": 2, "end": 3}]
)
def test_bad_span_records(change: dict) -> None:
    record = {"id": "1", "doc_id": "1", "text_a": "ab cd", "text_b": "what?", "start": 0, "end": 2}
    assert type_of(SPAN).check(record, SPAN) is None
    assert "span" in (type_of(SPAN).check({**record, **change}, SPAN) or "")


@pytest.mark.parametrize("pairs", ["together", "apart"])
def test_candidates_scores_do_not_depend_on_the_batch(bert: Path, pairs: str) -> None:
    torch.manual_seed(0)
    heads = {"pick": HeadChoice(pairs=pairs)}
    model = MultiTaskModel.from_encoder(bert, [RANKING], heads=heads, max_length=16).eval()
    rows = ranking_rows(7, 0)
    rows[3]["candidates"][0] = " ".join(WORDS * 6)  # in windows
    together = predict_records(model, {"pick": rows}, batch_tokens=4096)["pick"]
    alone = [predict_records(model, {"pick": [row]}, batch_tokens=1)["pick"][0] for row in rows]
    for one, other, row in zip(together, alone, rows, strict=True):
        assert len(one["probabilities"]) == len(row["candidates"])
        np.testing.assert_allclose(one["probabilities"], other["probabilities"], atol=1e-5)
        assert sum(one["probabilities"]) == pytest.approx(1, abs=1e-4)


def test_a_text_stands_beside_each_candidate(bert: Path) -> None:
    model = MultiTaskModel.from_encoder(bert, [RANKING], max_length=16)
    record = {"id": "1", "doc_id": "1", "text": "pola rimu", "candidates": ["vono", "milo", "dasu"], "label": 0}
    (example,) = encode_examples(model.processor, {"pick": RANKING}, {"pick": [record]}, targets=True)
    assert [row.segment_id for row in example.rows] == [0, 1, 2]
    read = [model.processor.tokenizer.decode(row.inputs["input_ids"]) for row in example.rows]
    assert read == [f"[CLS] pola rimu [SEP] {other} [SEP]" for other in record["candidates"]]


def test_span_targets_and_windows(bert: Path) -> None:
    model = MultiTaskModel.from_encoder(bert, [SPAN], max_length=20).eval()
    record = {"id": "1", "doc_id": "1", "text_a": " ".join(WORDS * 5), "text_b": "teksa", "start": 5, "end": 15}
    (example,) = encode_examples(model.processor, {"find": SPAN}, {"find": [record]}, targets=True)
    target = example.task_examples[0].target
    assert target is not None
    assert len(example.rows) > 1
    assert (target[:4].tolist(), target[4:].any()) == ([0, 1, 2, 0], False)
    one_word = type_of(SPAN).target({**record, "end": 9}, SPAN)
    assert one_word[:3].tolist() == [0, 3, 0]
    outputs = model(*[getattr(collate([example], model.processor), name) for name in ("inputs", "tasks")])[
        "find"
    ].outputs
    assert outputs.shape == (45, 2)
    np.testing.assert_allclose(outputs.detach().exp().sum(0), [1, 1], atol=1e-5)


def test_the_likeliest_span_does_not_end_before_it_begins() -> None:
    outputs = np.log(np.array([[0.1, 0.8], [0.7, 0.05], [0.2, 0.15]], dtype=np.float32))
    record = {"text_a": "ab cd ef", "text_b": "?"}
    found = type_of(SPAN).predict(outputs, record, SPAN)
    assert (found["start"], found["end"], found["answer"]) == (3, 8, "cd ef")
    assert found["probability"] == pytest.approx(0.105, abs=1e-5)
    longest = np.zeros((400, 2), dtype=np.float32)
    longest[0, 0] = longest[399, 1] = 9.0
    first, last = type_of(SPAN).decode(longest, SPAN)["words"]
    assert last - first < 50


def test_ranking_scores_by_hand() -> None:
    gold = [{"id": str(i), "label": label} for i, label in enumerate((0, 2, 1))]
    scores = ([0.5, 0.3, 0.2], [0.5, 0.3, 0.2], [0.4, 0.4, 0.2])
    found = [{"id": str(i), "label": 0, "probabilities": list(p)} for i, p in enumerate(scores)]
    score = score_records(RANKING, gold, found)
    assert score.main.value == pytest.approx((1 + 1 / 3 + 1 / 2) / 3)  # of equal scores the right one counts last
    assert score.metrics["accuracy_at_1"].value == pytest.approx(1 / 3)
    assert score.main.title == "mean reciprocal rank of the right candidate"
    assert score.main.low is not None
    assert score.main.low <= score.main.value <= (score.main.high or 0)


def test_span_scores_by_hand() -> None:
    text = "The drug harms the liver."
    gold = [
        {"id": str(i), "text_a": text, "start": s, "end": e} for i, (s, e) in enumerate(((4, 8), (0, 14), (15, 24)))
    ]
    found = [{"id": str(i), "start": s, "end": e} for i, (s, e) in enumerate(((4, 8), (4, 8), (0, 3)))]
    score = score_records(SPAN, gold, found)
    # 1; one word of one, shared with three; "the" of "the liver" against "The"
    assert score.main.value == pytest.approx((1 + 0.5 + 2 / 3) / 3)
    assert score.metrics["span_exact_match"].value == pytest.approx(1 / 3)


@pytest.mark.parametrize(
    ("task", "gold", "found", "problem"),
    [
        (RANKING, {"label": 1}, {"label": 0}, "0 probabilities"),
        (RANKING, {"label": 1}, {"label": "0"}, "predicted:1: label '0'"),
        (RANKING, {"label": 1}, {"label": 0, "probabilities": [1.0]}, "the right candidate is 1"),
        (RANKING, {"label": 1}, {"label": 1, "probabilities": [1.0]}, "a number for every candidate"),
        (SPAN, {"text_a": "ab", "start": 0, "end": 1}, {"start": 1, "end": 0}, "two character offsets"),
        (SPAN, {"start": 0, "end": 1}, {"start": 0, "end": 1}, "no text"),
    ],
)
def test_records_that_cannot_be_scored_are_refused(task: Task, gold: dict, found: dict, problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        score_records(task, [{"id": "1", **gold}], [{"id": "1", **found}])


def test_both_are_learnt_jointly(bert: Path, tmp_path: Path) -> None:
    for split, seed in (("train", 1), ("dev", 2)):
        write_jsonl(tmp_path / f"pick-{split}.jsonl", ranking_rows(160 if split == "train" else 40, seed))
        write_jsonl(tmp_path / f"find-{split}.jsonl", span_rows(160 if split == "train" else 40, seed))
    own = {
        name: TaskDefinition(
            type=type, files=Files(**{s: str(tmp_path / f"{name}-{s}.jsonl") for s in ("train", "dev")})
        )
        for name, type in (("pick", "ranking"), ("find", "span"))
    }
    suite = load_suite("nowhere", list(own), own)
    plan = {"encoder": str(bert), "max_length": 32, "num_train_epochs": 12, "learning_rate": 3e-3, "batch_size": 16}
    plan |= {"output": str(tmp_path / "run"), "save_strategy": "no", "eval_strategy": "no", "predict_test": False}
    torch.manual_seed(0)
    model = MultiTaskModel.from_encoder(bert, suite.tasks.values(), max_length=32)
    run = biomtl.train(plan, model=model, suite=suite)
    gold = {name: suite[name].records("dev") for name in own}
    found = predict_records(MultiTaskModel.from_pretrained(run.folder), gold)
    assert score_records(suite.tasks["pick"], gold["pick"], found["pick"]).main.value > 0.9
    assert score_records(suite.tasks["find"], gold["find"], found["find"]).main.value > 0.7


def test_the_mean_of_a_step_is_over_answers_not_over_words() -> None:
    """A step of several batches weights each batch's mean by its number of answers; long texts have no more of them."""
    kind = type_of(SPAN)
    assert kind.loss_denominator(np.array([0, 1, 0, 2, 0, 0, 0, 3, 0])) == 4
    assert kind.loss_denominator(np.array([-100, 2, 0])) == 1


def test_candidate_scores_beyond_the_range_of_floats() -> None:
    predicted = [{"id": "1", "label": 0, "probabilities": [10**400, 0]}]
    assert score_records(RANKING, [{"id": "1", "label": 0}], predicted).main.value == 1
