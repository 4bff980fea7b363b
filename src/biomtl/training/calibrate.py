"""After training: temperatures and decision thresholds, fitted on dev and kept in the model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import optimize, special

from biomtl.batch import encode_examples
from biomtl.heads.soft import Candidates, Classes, Labels, soft_of
from biomtl.inference.engines import as_engine
from biomtl.inference.predict import example_outputs
from biomtl.model import MultiTaskModel
from biomtl.report.reliability import reliability_plot
from biomtl.scoring import METRICS, score_records
from biomtl.storage.files import atomic_file
from biomtl.suite import Suite
from biomtl.tasks.calibration import Calibration, Reliability
from biomtl.tasks.head import HeadChoice
from biomtl.tasks.task import Task
from biomtl.tasks.types.base import Record, type_of
from biomtl.tasks.types.span import Span

GRID = [round(0.05 * i, 2) for i in range(1, 20)]
BIASES = [round(0.25 * i, 2) for i in range(-12, 13)]
MOST_BIASES = 100  # that are tried for no answer
LEAST_GAIN = 1e-4  # of the metric, below which a decision stays as it is
Values = NDArray[np.float64]


def calibrate(model: MultiTaskModel, suite: Suite, folder: Path, *, bf16: bool = False) -> None:
    """Fit each task's corrections on dev; write them into ``folder/model`` and figures into ``folder/reliability``.

    Temperature scaling of Guo et al. (2017, arXiv 1706.04599). Thresholds maximise the task's own main metric: of
    several labels one by one (twice through all), of a negative class or ``O`` by a bias of its output. For questions
    that may have no answer the bias is that of no answer.

    Args:
        model: the trained model, whose choices of heads are changed.
        suite: the data; tasks without dev are left as they are.
        folder: the run's folder.
        bf16: compute in bfloat16.
    """
    engine = as_engine(model, bf16=bf16)
    for name, task in suite.tasks.items():
        soft = soft_of(task)
        if "dev" in suite[name] and task.unanswerable:
            records = suite[name].records("dev")
            outputs, _ = dev_outputs(engine, name, records, model)
            found = fit_null(task, model.choices[name], records, outputs)
            model.choices[name] = model.choices[name].model_copy(update={"calibration": found})
            continue
        if "dev" not in suite[name] or not isinstance(soft, Classes | Labels) or isinstance(soft, Candidates):
            continue
        records = suite[name].records("dev")
        outputs, gold = dev_outputs(engine, name, records, model)
        found = fit(task, model.choices[name], records, outputs, gold, decisions=not model.head(name).joint)
        model.choices[name] = model.choices[name].model_copy(update={"calibration": found})
        if found.before is not None and found.after is not None:
            with atomic_file(folder / "reliability" / f"{name}.svg") as stream:
                stream.write(reliability_plot(name, found.before, found.after))
    model.save_pretrained(folder / "model", overwrite=True, encoder_from=folder / "model")


def dev_outputs(
    engine: Any, name: str, records: Sequence[Record], model: MultiTaskModel
) -> tuple[list[NDArray[np.float32]], list[NDArray[Any]]]:
    """The head's outputs for every record, and its gold values, negative where an output reads no piece."""
    examples = encode_examples(
        engine.processor, {name: engine.tasks[name]}, {name: records}, targets=True, choices=model.choices
    )
    outputs: list[Any] = [None] * len(records)
    for _, index, values in example_outputs(engine, examples):
        outputs[index] = values
    gold: list[Any] = [None] * len(records)
    for encoded in examples:
        for example in encoded.task_examples:
            gold[example.index] = example.target
    return outputs, gold


def fit(
    task: Task,
    choice: HeadChoice,
    records: Sequence[Record],
    outputs: Sequence[NDArray[np.float32]],
    targets: Sequence[NDArray[Any]],
    *,
    decisions: bool,
) -> Calibration:
    """The corrections that suit these outputs and gold records.

    Args:
        task: the task.
        choice: its head.
        records: gold.
        outputs: ``[outputs, labels]`` for each of them.
        targets: gold in the form of the type's `target`; outputs whose one is negative don't count.
        decisions: whether to look for thresholds and biases too.
    """
    kind = type_of(task)
    gold = np.concatenate(targets)
    flat = np.concatenate(outputs).astype(np.float64)
    several = isinstance(soft_of(task), Labels)
    loss = _binary_loss if several else _class_loss
    best = optimize.minimize_scalar(lambda t: loss(flat / np.exp(t), gold), bounds=(-3, 3), method="bounded")
    temperature = float(np.exp(best.x))
    reliability = _reliability_of_labels if several else _reliability
    found = Calibration(
        temperature=temperature, before=reliability(flat, gold), after=reliability(flat / temperature, gold)
    )
    if not decisions:
        return found
    value = _scorer(task, choice, records, outputs)
    if several:
        return _thresholds(task, choice, found, value)
    if task.negative is None and kind.answer != "tags":
        return found
    return _bias(found, value)


def fit_null(
    task: Task, choice: HeadChoice, records: Sequence[Record], outputs: Sequence[NDArray[np.float32]]
) -> Calibration:
    """The bias of no answer with the best score: of 0 and of biases between neighbours among the leads of no answer."""
    leads = np.unique([Span().null_lead(values) for values in outputs])
    leads = leads[np.isfinite(leads)]
    edges = [leads[0] - 1, *(leads[1:] + leads[:-1]) / 2, leads[-1] + 1] if len(leads) else []
    tried = np.quantile(edges, np.linspace(0, 1, min(len(edges), MOST_BIASES)), method="nearest") if edges else []
    value = _scorer(task, choice, records, outputs)
    found = Calibration()
    return _bias(found, value, [float(-edge) for edge in tried])


def _scorer(
    task: Task, choice: HeadChoice, records: Sequence[Record], outputs: Sequence[NDArray[np.float32]]
) -> Callable[[Calibration], float]:
    """The main metric, by which more is better, of these outputs with given corrections."""
    kind = type_of(task)

    def value(changed: Calibration) -> float:
        head = choice.model_copy(update={"calibration": changed})
        said = [{"id": r["id"], **kind.predict(o, r, task, head)} for r, o in zip(records, outputs, strict=True)]
        main = score_records(task, records, said, resamples=0).main
        return main.value if METRICS[main.id].higher_is_better else -main.value

    return value


def _thresholds(
    task: Task, choice: HeadChoice, found: Calibration, value: Callable[[Calibration], float]
) -> Calibration:
    plain = choice.options.get("threshold", 0.5)
    start = float(special.expit(special.logit(plain) / found.temperature))  # decides as the head did before
    chosen = dict.fromkeys(task.labels, start)
    best = value(found.model_copy(update={"thresholds": chosen}))
    for _ in range(2):
        for label in task.labels:
            for threshold in GRID:
                tried = {**chosen, label: threshold}
                if (score := value(found.model_copy(update={"thresholds": tried}))) > best + LEAST_GAIN:
                    best, chosen = score, tried
    return found.model_copy(update={"thresholds": chosen})


def _bias(found: Calibration, value: Callable[[Calibration], float], biases: Sequence[float] = BIASES) -> Calibration:
    best, chosen = value(found), found
    for bias in biases:
        tried = found.model_copy(update={"negative_bias": bias})
        if (score := value(tried)) > best + LEAST_GAIN:
            best, chosen = score, tried
    return chosen


def _class_loss(logits: Values, gold: NDArray[Any]) -> float:
    real = gold >= 0
    logs = torch.from_numpy(logits[real]).log_softmax(-1).numpy()
    return float(-logs[np.arange(len(logs)), gold[real]].mean())


def _binary_loss(logits: Values, gold: NDArray[Any]) -> float:
    return float((np.logaddexp(0, logits) - gold * logits).mean())


def _reliability(logits: Values, gold: NDArray[Any]) -> Reliability:
    real = gold >= 0
    probabilities = torch.from_numpy(logits[real]).softmax(-1).numpy()
    return Reliability.of(probabilities.max(-1), probabilities.argmax(-1) == gold[real])


def _reliability_of_labels(logits: Values, gold: NDArray[Any]) -> Reliability:
    """Each label is a prediction of its own, that it is there or that it isn't."""
    probabilities = torch.from_numpy(logits).sigmoid().numpy()
    return Reliability.of(
        np.maximum(probabilities, 1 - probabilities).ravel(), ((probabilities >= 0.5) == (gold > 0.5)).ravel()
    )
