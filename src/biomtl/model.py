"""One shared encoder with a head for every task."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, cast

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

import biomtl
from biomtl.encoders import load_encoder, load_processor
from biomtl.encoders.base import Encoded, Encoder
from biomtl.encoders.borrow import Borrowed
from biomtl.encoders.layout import RowLayout
from biomtl.errors import InputError, nearest
from biomtl.heads.base import Head, HeadOutput, RowHead
from biomtl.heads.build import build_head
from biomtl.heads.lora import adapters_of
from biomtl.heads.rows import TaskRows
from biomtl.notebook import html_table
from biomtl.storage import checksums
from biomtl.storage.files import atomic_folder, link, write_json
from biomtl.storage.hub import fetch_model, is_hub
from biomtl.storage.ownership import OWNED
from biomtl.storage.structured import read_json, validated
from biomtl.storage.tensors import disk_errors, refuse_nonfinite, save_tensors
from biomtl.tasks.head import DEFAULT_HEAD, HeadChoice, split_record
from biomtl.tasks.registry import pick
from biomtl.tasks.task import Task
from biomtl.tasks.types.base import type_of
from biomtl.tasks.types.relation import upgraded
from biomtl.text.base import TextProcessor

MANIFEST = "manifest.json"
COPY = "copy the model again"
FORMAT = 2  # of the saved folder; increased when an older biomtl could not read it


class MultiTaskModel(nn.Module):
    """An encoder, its text processor, and a head for every task.

    Args:
        encoder: the shared encoder.
        processor: turns text into its inputs.
        tasks: the tasks to build fresh heads for.
        heads: the choice of head for each; default the encoder family's own.
    """

    def __init__(
        self,
        encoder: Encoder,
        processor: TextProcessor,
        tasks: Iterable[Task] | Mapping[str, Task] = (),
        heads: Mapping[str, HeadChoice] | None = None,
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.processor = processor
        self.tasks: dict[str, Task] = {}
        self.choices: dict[str, HeadChoice] = {}  # the choice of head for each task
        self.heads = nn.ModuleDict()
        self.provenance: dict[str, Any] = {}
        self.source: str | None = None
        """The source of the encoder, as in a recipe's ``encoder``; ``None`` if it was made in Python."""
        self.trained_heads: set[str] = set()
        """The tasks whose heads are from the same source."""
        self.borrowed: Borrowed | None = None  # what the encoder has from another one, by `encoders.borrow`
        for task in tasks.values() if isinstance(tasks, Mapping) else tasks:
            self.add_task(task, (heads or {}).get(task.name, DEFAULT_HEAD))

    def __repr__(self) -> str:
        heads = ", ".join(self.tasks) or "no heads"
        return f"MultiTaskModel({type(self.encoder).__name__}, {self.encoder.dim} dimensions, {heads})"

    def _repr_html_(self) -> str:
        """A table of encoder and heads with their numbers of parameters."""
        heads = [(name, task.type, len(task.labels) or "", _size(self.head(name))) for name, task in self.tasks.items()]
        parts = [("encoder", type(self.encoder).__name__, "", _size(self.encoder)), *heads]
        return html_table(("part", "type", "labels", "parameters"), parts, caption="MultiTaskModel")

    @classmethod
    def from_encoder(
        cls,
        name: str | Path,
        tasks: Iterable[Task] | Mapping[str, Task],
        *,
        heads: Mapping[str, HeadChoice] | None = None,
        max_length: int | None = None,
        stride: int | None = None,
        layers: int | None = None,
    ) -> MultiTaskModel:
        """Fresh heads on the encoder of a folder or hub name.

        Args:
            name: an encoder in ``save_pretrained`` form (or a biomtl model, whose heads are left out).
            tasks: the tasks to learn, such as ``suite.tasks``.
            heads: the choice of head for each, such as ``suite.heads``; default the encoder family's own.
            max_length: maximum positions per row, including special ones.
            stride: positions that neighbouring windows of a long text share.
            layers: keep only so many of the encoder's first layers.

        Raises:
            InputError: no encoder or tokenizer, or ``max_length`` is more than the encoder allows.
        """
        model = cls(*_load(model_folder(name), max_length, stride, layers), tasks, heads)
        model.source = str(name)
        return model

    def add_task(self, task: Task, head: HeadChoice = DEFAULT_HEAD) -> None:
        """Build a fresh head for a task; an existing head of that name is replaced."""
        task_type = type_of(task)
        if task.inputs not in task_type.inputs:
            expected = " or ".join(task_type.inputs)
            raise InputError(f"task {task.name}: inputs {task.inputs!r} for type {task.type}", expected=expected)
        self.tasks[task.name] = task
        self.trained_heads.discard(task.name)
        self.choices[task.name] = task_type.settled(head)
        self.heads[_key(task.name)] = build_head(task, self.encoder, self.choices[task.name])

    def put_head(self, task: Task, head: Head, choice: HeadChoice = DEFAULT_HEAD) -> None:
        """Add a task whose head was built elsewhere."""
        self.tasks[task.name], self.choices[task.name] = task, choice
        self.heads[_key(task.name)] = head

    def drop_calibration(self) -> None:
        """Take outputs as they are, without temperatures and thresholds."""
        for name, choice in self.choices.items():
            self.choices[name] = choice.model_copy(update={"calibration": None})

    def keep_tasks(self, names: Iterable[str]) -> None:
        """Drop every other head."""
        for name in self.tasks.keys() - set(names):
            del self.tasks[name], self.choices[name], self.heads[_key(name)]

    def head(self, task: str) -> Head:
        """A task's head.

        Raises:
            InputError: the model has no such task.
        """
        if task not in self.tasks:
            raise InputError(f"the model has no task {task!r}", fix=nearest(task, self.tasks))
        return cast(Head, self.heads[_key(task)])

    def forward(
        self, inputs: Mapping[str, Tensor], tasks: Mapping[str, TaskRows], rows_at_once: int | None = None
    ) -> dict[str, HeadOutput]:
        """One encoder pass, then every task's head on its own rows; a pass more for each task with its own adapters.

        Args:
            inputs: the encoder's named inputs, ``[rows, positions, …]``.
            tasks: what each task reads of them.
            rows_at_once: encode at most so many rows at a time, for prediction; of each the heads keep only what they
                need.

        Returns:
            Task name to outputs ``[outputs, labels]`` and, if the rows have targets, their mean loss.
        """
        common = {name: rows for name, rows in tasks.items() if self.head(name).lora is None}
        found = self._encoded(inputs, common, rows_at_once) if common else {}
        for name, rows in tasks.items():
            if name not in common:
                with adapters_of(self.head(name), self.encoder):
                    found |= self._encoded(rows.cut(inputs), {name: rows.alone()}, rows_at_once)
        return {name: found[name] for name in tasks}

    @property
    def one_pass(self) -> bool:
        """Whether all tasks read the same states, as none has adapters of its own in the encoder."""
        return all(self.head(name).lora is None for name in self.tasks)

    def answers(self, encoded: Encoded, tasks: Mapping[str, TaskRows]) -> dict[str, HeadOutput]:
        """Every task's head on its own rows of a batch that has been encoded."""
        return {name: self.head(name).answer(encoded, rows) for name, rows in tasks.items()}

    def _encoded(
        self, inputs: Mapping[str, Tensor], tasks: Mapping[str, TaskRows], size: int | None
    ) -> dict[str, HeadOutput]:
        count = len(next(iter(inputs.values())))
        if size is None or size >= count:
            return self.answers(self.encoder(inputs), tasks)
        heads = {name: self.head(name) for name in tasks}
        by_row = {name: cast(RowHead, head) for name, head in heads.items() if head.by_row}
        # Room for all rows at once: many small pieces would lie between the freed hidden states, which stay unusable.
        kept: dict[str, Tensor] = {}
        whole: list[Encoded] = []  # for heads that want all hidden states of their rows together
        layouts = [RowLayout.of(mask) for mask in inputs["attention_mask"].split(size)]  # before the device is busy
        for start, layout in zip(range(0, count, size), layouts, strict=True):
            encoded = self.encoder({name: values[start : start + size] for name, values in inputs.items()})
            encoded.layout = layout
            for name, head in by_row.items():
                values = head.each_row(encoded)
                if name not in kept:
                    kept[name] = values.new_empty(count, *values.shape[1:])
                kept[name][start : start + size] = values
            if len(by_row) < len(heads):
                whole.append(encoded)
        joined = Encoded.concatenate(whole) if whole else None
        answers = {}
        for name, rows in tasks.items():
            if name in by_row:
                own = kept[name] if rows.every_row else kept[name][rows.rows]
                answers[name] = by_row[name].judge(by_row[name].join(own, rows), rows)
            else:
                assert joined is not None
                answers[name] = heads[name].answer(joined, rows)
        return answers

    def logits(self, task: str, **inputs: Tensor) -> Tensor:
        """A task's raw head outputs for encoder inputs made by a tokenizer.

        Returns:
            ``[rows, labels]``; for tagging ``[rows, positions, labels]``.

        Raises:
            InputError: no such task, or its pairs are encoded separately, so that single rows have no logits.
        """
        network = self.head(task).row_network(task)
        given = {name: value for name, value in inputs.items() if value is not None}
        if "attention_mask" not in given and "input_ids" in given:
            given["attention_mask"] = torch.ones_like(given["input_ids"])
        with adapters_of(self.head(task), self.encoder):
            return network(self.encoder(given))

    def head_record(self, task: str) -> dict[str, Any]:
        """The content of ``head.json``: the task and its choice of head."""
        unset = set() if self.tasks[task].unanswerable else {"unanswerable"}  # so that older versions can read it
        record = self.tasks[task].model_dump(mode="json", exclude={"catalogue", "files", *unset})
        return {"task": record, "head": self.choices[task].dump()}

    def save_pretrained(
        self, folder: str | Path, *, overwrite: bool = False, encoder_from: str | Path | None = None
    ) -> None:
        """Write a plain folder: encoder and tokenizer in their own forms, ``heads/<task>/``, ``manifest.json``.

        The folder appears only when complete.

        Args:
            folder: where.
            overwrite: replace an existing folder.
            encoder_from: a saved model (``folder`` itself, too) with this very encoder and tokenizer, whose files are
                linked instead of written again.

        Raises:
            InputError: the folder exists and may not be replaced.
        """
        with disk_errors(folder), atomic_folder(folder, "model", overwrite=overwrite) as work:
            self.write(work, encoder_from=encoder_from)

    def write(self, work: Path, *, encoder_from: str | Path | None = None) -> None:
        """The same into an empty folder, for those who see to it themselves that it appears whole or not at all."""
        linked: dict[str, str] = {}
        if encoder_from is None:
            self.encoder.save(work)
            self.processor.save(work)
        else:
            for path in Path(encoder_from).iterdir():
                if path.is_file() and path.name not in (MANIFEST, OWNED):
                    link(path, work / path.name)
            written = read_manifest(Path(encoder_from)).get("files", {}).items()
            linked = {name: digest for name, digest in written if "/" not in name}
        for name in self.tasks:
            place = work / "heads" / name
            place.mkdir(parents=True)
            save_tensors(self.head(name).state_dict(), place / "head.safetensors")
            write_json(place / "head.json", self.head_record(name))
        manifest = {
            "format": FORMAT,
            "biomtl": biomtl.__version__,
            "encoder": self.encoder.kind,
            "max_length": self.processor.max_length,
            "tasks": {
                name: {"type": task.type, "inputs": task.inputs, "labels": list(task.labels)}
                for name, task in self.tasks.items()
            },
            "provenance": self.provenance,
            "files": checksums.take(work, known=linked),
        }
        write_json(work / MANIFEST, checksums.sealed(manifest))

    @classmethod
    def from_pretrained(
        cls,
        folder: str | Path,
        *,
        tasks: Iterable[str] | None = None,
        max_length: int | None = None,
        stride: int | None = None,
    ) -> MultiTaskModel:
        """Load a model written by ``save_pretrained``.

        Args:
            folder: the saved folder, a run folder with ``model/`` in it, or ``hub:OWNER/NAME[@REVISION]``.
            tasks: only these heads, by name or alias.
            max_length: overrides the saved length of a row.
            stride: overrides the saved overlap of windows.

        Raises:
            InputError: not a saved model, a missing or broken file, an unknown task, or too great a ``max_length``.
        """
        source, folder = str(folder), model_folder(folder)
        manifest = read_manifest(folder)
        model = cls(*_load(folder, max_length, stride))
        model.source = source
        model.provenance = manifest.get("provenance", {})
        wanted = list(manifest["tasks"]) if tasks is None else [pick(name, manifest["tasks"], folder) for name in tasks]
        for name in wanted:
            place, digests = folder / "heads" / name, manifest.get("files", {})
            checksums.verify(
                folder, {file: value for file, value in digests.items() if file.startswith(f"heads/{name}/")}
            )
            record = read_json(place / "head.json", "the task of a head", COPY)
            try:
                model.add_task(*read_head(record, place / "head.json"))
                weights = load_file(place / "head.safetensors")
                refuse_nonfinite(weights.items(), place / "head.safetensors")
                model.head(name).load_state_dict(weights)
            except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
                reason = next(iter(str(error).splitlines()), type(error).__name__)
                raise InputError(f"the head can't be loaded ({reason})", path=place, fix=COPY) from error
        model.trained_heads = set(wanted)
        return model.eval()


def read_head(record: Mapping[str, Any], path: Path) -> tuple[Task, HeadChoice]:
    """The task and the head of a ``head.json``; in format 1 the task's record held its head.

    Args:
        record: the file's content.
        path: the file, for messages.

    Raises:
        InputError: fields that no task or head can have.
    """
    today = isinstance(record.get("task"), dict)
    own, given = (record["task"], record.get("head", {})) if today else split_record(record)
    task = validated(Task, own, path, "the task of a head", COPY)
    return upgraded(task, validated(HeadChoice, given, path, "a choice of head", COPY))


def model_folder(folder: str | Path) -> Path:
    """The model's own folder: the given one, a run's (of stages: its joint run's), or `hub:OWNER/NAME`'s, fetched."""
    folder = fetch_model(folder) if is_hub(folder) else Path(folder)
    inner = ["model", "joint/model"] if (folder / "recipe.yaml").is_file() else ["model"]
    return next((place for place in (folder, *map(folder.joinpath, inner)) if (place / MANIFEST).is_file()), folder)


def read_manifest(folder: Path) -> dict[str, Any]:
    """The ``manifest.json`` of a saved model.

    Raises:
        InputError: missing, unreadable, or of a newer format.
    """
    path = folder / MANIFEST
    if not path.exists():
        fix = "give a run folder or its model/ folder; an encoder alone is trained by `biomtl train RECIPE encoder=…`"
        if folder.suffix == ".onnx" or any(folder.glob("*.onnx")):
            fix = "give the model of which this is an ONNX graph; in Python, `Predictor(OnnxEngine(FOLDER))` opens it"
        raise InputError("not a biomtl model", path=folder, expected=MANIFEST, fix=fix)
    manifest = read_json(path, "a model's manifest", COPY)
    checksums.verify_seal(manifest, path, fix=COPY)
    version = manifest.get("format")
    if not (isinstance(version, int) and isinstance(manifest.get("tasks"), dict)):
        raise InputError("not a model's manifest", path=path, fix=COPY)
    if version > FORMAT:
        raise InputError(f"a model of format {version}", path=path, expected=f"{FORMAT} or older", fix="update biomtl")
    provenance, length = manifest.setdefault("provenance", {}), manifest.get("max_length")
    if not (isinstance(provenance, dict) and isinstance(manifest.setdefault("files", {}), dict)):
        raise InputError("not a model's manifest (provenance or files)", path=path, fix=COPY)
    if not (type(length) is int and length > 0):
        raise InputError("not a model's manifest (max_length)", path=path, fix=COPY)
    return manifest


def _load(
    name: str | Path, max_length: int | None, stride: int | None, layers: int | None = None
) -> tuple[Encoder, TextProcessor]:
    encoder = load_encoder(name, layers)
    processor = load_processor(name, max_length, stride)
    limit = getattr(encoder, "max_positions", None)
    if limit is not None and processor.max_length > limit:
        if max_length is not None:
            problem = f"max_length {max_length}"
            raise InputError(problem, path=name, expected=f"at most the encoder's {limit} positions")
        processor = load_processor(name, limit, stride)
    return encoder, processor


def _size(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def _key(task: str) -> str:
    """A task's name as a module's name, which may hold no dot and be none of a module's own (``type``, ``train``)."""
    key = task.replace(".", "__dot__")
    return f"{key}__task" if hasattr(nn.ModuleDict, key) or key == "training" else key
