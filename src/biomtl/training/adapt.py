"""Further pre-training of the encoder on the text of its tasks, or on other text, before any task is learned."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import torch
from rich.console import Console

from biomtl.encoders import load_encoder, load_processor
from biomtl.encoders.borrow import borrow
from biomtl.errors import InputError
from biomtl.model import MultiTaskModel, model_folder
from biomtl.report.console import table_console
from biomtl.storage.files import atomic_folder, read_lines
from biomtl.suite import Suite, load_suite
from biomtl.tasks.types.base import type_of
from biomtl.text.transformer import TransformerProcessor
from biomtl.training.accelerator import finish, make_accelerator, on_main_process
from biomtl.training.log import RunLog
from biomtl.training.loop import Hooks, fit
from biomtl.training.masked_words import TASK, MaskedTexts, MaskedWordsHead
from biomtl.training.optimiser import configure
from biomtl.training.options import AdaptOptions
from biomtl.training.progress import DevScores, Progress
from biomtl.training.recipe import Recipe
from biomtl.training.run import claimed, say
from biomtl.training.scored_texts import ScoredTexts
from biomtl.training.splits import training_splits

ENCODER = "model"


def adapt(recipe: Recipe, *, resume: bool = False, overwrite: bool = False, console: Console | None = None) -> Path:
    """Train the recipe's encoder to guess masked words, and write it into ``model/`` of the run folder.

    Raises:
        InputError: an encoder that can't guess words, or a corpus that holds a text that the run scores.
    """
    console = console or table_console()
    options = recipe.adapt or AdaptOptions()
    accelerator = make_accelerator(recipe)
    with claimed(recipe, accelerator, resume=resume, overwrite=overwrite) as folder:
        suite = load_suite(recipe.suite, list(recipe.tasks) or None, recipe.own_tasks)
        texts, left_out = adaptation_texts(suite, recipe, options)
        source = model_folder(recipe.encoder)
        processor = load_processor(source, recipe.max_length, recipe.stride)
        if not isinstance(processor, TransformerProcessor):
            raise InputError("adapt: an encoder that reads no word pieces", path=source, expected="a transformer")
        torch.manual_seed(recipe.seed)
        model = MultiTaskModel(load_encoder(source, recipe.num_hidden_layers), processor)
        if recipe.init_from is not None:
            model.borrowed = borrow(model.encoder, processor, recipe.init_from)
        model.put_head(TASK, MaskedWordsHead(model.encoder))
        configure(model, recipe)
        if recipe.num_threads:
            torch.set_num_threads(recipe.num_threads)
        torch.manual_seed(recipe.seed + accelerator.process_index)
        data = MaskedTexts(processor, texts, recipe, options.mask_share, accelerator.num_processes)
        if accelerator.is_main_process and not resume:
            say(console, f"adapt: {len(texts):,} texts in {len(data.examples):,} rows", left_out)
            say(console, model.borrowed.note() if model.borrowed else None)
        model.to(accelerator.device)
        on_main_process(accelerator, lambda: folder.begin(recipe))
        place = folder.place
        with contextlib.ExitStack() as opened:

            def on_start(progress: Progress, total: int) -> None:
                log = RunLog(place / "log.jsonl", accelerator, total, keep=progress.step)
                opened.callback(log.close)
                steps.append(log)

            def save() -> None:
                if accelerator.is_main_process:
                    with atomic_folder(place / ENCODER, "model", overwrite=True) as work:
                        model.encoder.save(work)
                        processor.save(work)

            steps: list[RunLog] = []
            hooks = Hooks(on_start, lambda step: steps[0].step(step), lambda _: DevScores(0.0), save)
            fit(model, data, recipe, accelerator, hooks, folder.checkpoints, resume=resume)
        finish(accelerator)
        if accelerator.is_main_process:
            folder.settle()
    return folder.output / ENCODER


def is_adapted(folder: Path) -> bool:
    """Whether the encoder is there, which is written last."""
    return (folder / ENCODER / "config.json").is_file()


def adaptation_texts(suite: Suite, recipe: Recipe, options: AdaptOptions) -> tuple[list[str], str | None]:
    """The distinct texts to adapt to, and a note on those that were left out.

    Texts of training splits that hold a scored text are left out; a corpus that holds one is refused.

    Raises:
        InputError: such a corpus, unless it is allowed.
    """
    scored = ScoredTexts(suite, recipe)
    if options.corpus is None:
        texts = dict.fromkeys(training_texts(suite, recipe))
        kept = [text for text in texts if scored.first_in([(1, text)]) is None]
        count = len(texts) - len(kept)
        return kept, f"adapt: {count:,} training texts left out, as they hold a scored text" if count else None
    path = Path(options.corpus)
    numbered = list(read_lines(path))
    if not options.allow_test_text and (found := scored.first_in(numbered)) is not None:
        problem = f"a text of {found.task} {found.split} begins in the line: {' '.join(found.words[:8])} …"
        fix = "remove it, or set adapt.allow_test_text: true and say so with the scores"
        raise InputError(problem, path=path, line=found.line, expected="no scored text", fix=fix)
    lines = dict.fromkeys(text for _, line in numbered if (text := line.strip()))
    if not lines:
        raise InputError("no text", path=path, expected="a passage per line")
    return list(lines), None


def training_texts(suite: Suite, recipe: Recipe) -> Iterator[str]:
    """Every text of the training splits as it stands, also where a view shows it anew for each pair of mentions."""
    for name, entry in suite.data.items():
        kind = type_of(entry.task)
        for split in training_splits(recipe):
            for record in entry.records(split) if split in entry else ():
                if "entities" in record:
                    yield str(record["text"])
                else:
                    yield from kind.text(record, suite.tasks[name]).texts
