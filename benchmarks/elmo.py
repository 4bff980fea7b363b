"""ELMo's speed: ours against the way elmoft calls it, for one pass and 20 epochs; and the effect of bf16 on scores.

    python benchmarks/elmo.py [SENTENCES.txt|.jsonl] [--only passes] [--count 256] [--rounds 3] [--threads 1 --cpu-time]

The model has the original's full size (93.6 million parameters) and random weights; without a file the sentences are
invented, with the lengths of sentences in abstracts. `docs/elmo.md` has the results and says how they were measured.
"""

from __future__ import annotations

import argparse
import copy
import random
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from biomtl.cli.embed import read_sentences
from biomtl.encoders.base import Encoded
from biomtl.encoders.elmo import SHAPES, Elmo, encode, word_ids
from biomtl.encoders.elmo.encoder import ElmoEncoder
from biomtl.encoders.elmo.lstm import BiLstmLayer
from biomtl.heads.mlp import MlpOptions, MlpWords
from biomtl.storage.files import read_jsonl
from biomtl.text.base import EncodedRow, TextInput
from biomtl.text.elmo import ElmoProcessor
from biomtl.text.tags import chunks
from biomtl.training.dropout import FastDropout
from biomtl.training.precision import slow_bf16

Sentences = list[list[str]]
CLOCK = time.perf_counter


class Reference:
    """The same model, run plainly: every word of every padded sentence goes through the convolutions, step by step.

    This is what allennlp does under elmoft: sentences are padded to ``padding`` words with empty strings, which the
    network treats as words.
    """

    def __init__(self, model: Elmo, padding: int, batch: int = 64) -> None:
        self.model, self.padding, self.batch = model, padding, batch

    @torch.inference_mode()
    def __call__(self, sentences: Sentences) -> list[Tensor]:
        """Layers ``[layers, words, dim]`` of every sentence."""
        results = []
        for start in range(0, len(sentences), self.batch):
            part = sentences[start : start + self.batch]
            filled = [[*words, *[""] * (self.padding - len(words))] for words in part]
            ids = torch.tensor(np.array([[word_ids(w) for w in ["<S>", *words, "</S>"]] for words in filled])).long()
            layers = self._run(ids)
            results += [layer[:, 1 : 1 + len(words)] for layer, words in zip(layers, part, strict=True)]
        return results

    def _run(self, ids: Tensor) -> Tensor:
        token = self.model.token
        embedded = token.embedding(ids.flatten(0, 1)).transpose(1, 2)
        values = torch.relu(torch.cat([layer(embedded).amax(2) for layer in token.convolutions], dim=1))
        for highway in token.highways:
            values = highway(values)
        vectors = token.projection(values).unflatten(0, ids.shape[:2])
        layers = [torch.cat([vectors, vectors], dim=-1)]
        forward = backward = vectors
        for number, layer in enumerate(self.model.layers):
            new_forward = self._direction(layer, 0, forward)
            new_backward = self._direction(layer, 1, backward.flip(1)).flip(1)
            forward = new_forward + forward if number else new_forward
            backward = new_backward + backward if number else new_backward
            layers.append(torch.cat([forward, backward], dim=-1))
        return torch.stack(layers, dim=1)

    @staticmethod
    def _direction(layer: BiLstmLayer, d: int, inputs: Tensor) -> Tensor:
        hidden, cell = (state[d] for state in layer.zero_state(len(inputs)))
        outputs = []
        for step in range(inputs.shape[1]):
            gates = nn.functional.linear(inputs[:, step], layer.input_weight[d], layer.bias[d])
            gates = gates + nn.functional.linear(hidden, layer.hidden_weight[d])
            i, j, f, o = gates.chunk(4, dim=1)
            cell = (torch.sigmoid(f + 1) * cell + torch.sigmoid(i) * torch.tanh(j)).clamp(-3, 3)
            hidden = nn.functional.linear(torch.sigmoid(o) * torch.tanh(cell), layer.projection[d]).clamp(-3, 3)
            outputs.append(hidden)
        return torch.stack(outputs, dim=1)


def invented(count: int) -> Sentences:
    """Sentences of invented words, with lengths and repetition like those of abstracts."""
    rng = random.Random(0)
    letters = "etaoinshrdlucmfwypvbgkqjxz"
    words = ["".join(rng.choices(letters, k=max(1, int(rng.gauss(6, 3))))) for _ in range(4000)]
    shares = [1 / (rank + 3) for rank in range(len(words))]
    lengths = [min(120, max(2, int(rng.lognormvariate(3.2, 0.5)))) for _ in range(count)]
    return [rng.choices(words, shares, k=length) for length in lengths]


@dataclass(frozen=True)
class Labelled:
    """Sentences with a tag for every word: the file's own, or from an invented rule."""

    sentences: Sentences
    tags: list[list[str]]
    kind: str

    @property
    def labels(self) -> list[str]:
        """All tags."""
        return sorted({tag for tags in self.tags for tag in tags})

    def first(self, count: int) -> Labelled:
        """The first of them."""
        return Labelled(self.sentences[:count], self.tags[:count], self.kind)

    @classmethod
    def read(cls, source: Path | None, count: int) -> Labelled:
        """Up to ``count`` sentences of a file, or invented ones."""
        if source is not None and source.suffix == ".jsonl":
            records = [record for _, record in islice(read_jsonl(source), count)]
            if all("tags" in record for record in records):
                return cls([r["tokens"] for r in records], [r["tags"] for r in records], "the file's tags")
        sentences = invented(count)
        if source is not None:
            sentences = [list(words) for words in islice(read_sentences(source), count)]
        return cls(sentences, [rule(words) for words in sentences], "tags from an invented rule")


def rule(words: Sequence[str]) -> list[str]:
    """A word in ``e…`` is a mention; a word in ``…t`` after one continues it, so letters and order both count."""
    tags: list[str] = []
    for word in words:
        goes_on = word.endswith("t") and tags and tags[-1] != "O"
        tags.append("I" if goes_on else "B" if word.startswith("e") else "O")
    return tags


def timed(run: Callable[[], object]) -> float:
    start = CLOCK()
    run()
    return CLOCK() - start


def passes(model: Elmo, half: Elmo | None, sentences: Sentences, rounds: int, console: Console) -> None:
    """One pass with every implementation, taking turns; medians of seconds and of the ratios within a round."""
    ways: dict[str, Callable[[], object]] = {
        "as elmoft calls it (padded to 128)": lambda: Reference(model, 128)(sentences),
        "plain, length-sorted": lambda: by_length(model, sentences),
        "biomtl, fp32": lambda: list(encode(model, sentences)),
    }
    if half is not None:
        ways["biomtl, bf16"] = lambda: list(encode(half, sentences))
    words = sum(map(len, sentences))
    seconds = np.zeros((rounds, len(ways)))
    for turn in range(rounds):
        for number, (name, run) in enumerate(ways.items()):
            seconds[turn, number] = timed(run)
            console.print(f"  {name}: {seconds[turn, number]:.2f} s", highlight=False)
    table = Table(
        "implementation", "seconds", "words/s", "times as fast as the first", title="One pass over the sentences"
    )
    for name, column, ratio in zip(ways, seconds.T, (seconds[:, :1] / seconds).T, strict=True):
        table.add_row(name, f"{np.median(column):.2f}", f"{words / np.median(column):,.0f}", f"{np.median(ratio):.2f}")
    console.print(table)


def by_length(model: Elmo, sentences: Sentences, batch: int = 64) -> None:
    """The plain implementation, on batches of similar length."""
    ordered = sorted(sentences, key=len)
    for start in range(0, len(ordered), batch):
        part = ordered[start : start + batch]
        Reference(model, max(map(len, part)), batch)(part)


def differences(model: Elmo, half: Elmo | None, sentences: Sentences, console: Console) -> None:
    """Differences: ours in fp32 from the plain implementation, and the effects of elmoft's padding and of bf16."""
    exact = torch.cat(list(encode(model, sentences)), dim=1)
    alone = torch.cat([Reference(model, len(words))([words])[0] for words in sentences], dim=1)
    filled = torch.cat(Reference(model, 128)(sentences), dim=1)
    console.print(
        f"fp32 against the plain implementation on single sentences: {(exact - alone).abs().max():.1e} at most"
    )
    console.print(f"the plain implementation, padded to 128 words: {(filled - alone).abs().max():.1e} at most")
    if half is None:
        return
    near = torch.cat(list(encode(half, sentences)), dim=1).float()
    errors = ", ".join(f"{(a - b).norm() / a.norm():.2%}" for a, b in zip(exact, near, strict=True))
    console.print(f"bf16 against fp32, relative error of layers 0, 1, 2: {errors}")


def epochs(model: Elmo, data: Labelled, count: int, console: Console) -> None:
    """Frozen training: filling the store, then one and ``count`` epochs from it, against the head's own time."""
    processor = ElmoProcessor()
    rows = rows_of(data.sentences, processor)
    encoder = ElmoEncoder(model)
    with tempfile.TemporaryDirectory() as folder:
        bare = timed(lambda: list(encode(model, data.sentences)))
        encoder.keep_activations(Path(folder))
        filled = timed(lambda: encoder.prepare(rows, console.print))
        batches = [(part, targets) for part, targets in in_batches(rows, data)]
        ready = [(encoder(processor.collate(part)), targets) for part, targets in batches]
        train(encoder, data, 1, ready)  # the imports of a process's first step are not counted
        heads = timed(lambda: train(encoder, data, count, ready))
        one = timed(lambda: train(encoder, data, 1, batches, lambda part: encoder(processor.collate(part))))
        stored = timed(lambda: train(encoder, data, count, batches, lambda part: encoder(processor.collate(part))))
    table = Table("what", "seconds", title=f"{count} epochs with the biLM frozen")
    table.add_row("one pass of the biLM alone", f"{bare:.2f}")
    table.add_row("one pass of the biLM, written to the store", f"{filled:.2f}")
    table.add_row("one epoch from the store", f"{one:.2f}")
    table.add_row(f"{count} epochs from the store", f"{stored:.2f}")
    table.add_row(f"the head's own time, {count} epochs, layers in memory", f"{heads:.2f}")
    table.add_row(
        f"pass and {count} epochs / (one pass alone + the head's own time)", ratio(filled + stored, bare + heads)
    )
    table.add_row(
        f"(pass and {count} epochs - the head's own time) / one pass alone", ratio(filled + stored - heads, bare)
    )
    console.print(table)


def ratio(part: float, whole: float) -> str:
    return f"{part / whole:.3f} times"


def scores(model: Elmo, half: Elmo | None, data: Labelled, count: int, console: Console, seeds: int = 5) -> None:
    """Entity F1 on the last third after training on the rest, with the biLM and its kept layers in fp32 and bf16."""
    processor = ElmoProcessor()
    rows = rows_of(data.sentences, processor)
    ways = {"biLM fp32, kept as fp32": (model, "fp32"), "biLM fp32, kept as bf16": (model, "bf16")}
    if half is not None:
        ways["biLM bf16, kept as bf16"] = (half, "bf16")
    found: list[list[float]] = []
    for network, activations in ways.values():
        encoder = ElmoEncoder(network, activations=activations)
        ready = [(encoder(processor.collate(part)), targets) for part, targets in in_batches(rows, data, 16)]
        cut = len(ready) * 2 // 3
        heads = (train(encoder, data, count, ready[:cut], seed=seed) for seed in range(seeds))
        found.append([entity_f1(head, data, ready[cut:]) for head in heads])
    table = Table(
        "variant", "entity F1", "against the first", title=f"Score after {count} epochs, {seeds} seeds, {data.kind}"
    )
    for name, values in zip(ways, found, strict=True):
        gaps = np.array(values) - np.array(found[0])
        table.add_row(name, f"{np.mean(values):.4f} ± {np.std(values):.4f}", f"{gaps.mean():+.4f} ± {gaps.std():.4f}")
    console.print(table)


def rows_of(sentences: Sentences, processor: ElmoProcessor) -> list[EncodedRow]:
    """One row per sentence."""
    texts = processor.encode([TextInput((" ".join(words),), words=spans(words)) for words in sentences])
    return [text.rows[0] for text in texts]


def in_batches(rows: list[EncodedRow], data: Labelled, size: int = 32) -> Iterator[tuple[list[EncodedRow], Tensor]]:
    """Rows and the labels of their words, ``[rows, words]``, -100 in the padding."""
    for start in range(0, len(rows), size):
        part = rows[start : start + size]
        tags = [
            torch.tensor([data.labels.index(tag) for tag in tags[: len(row)]])
            for row, tags in zip(part, data.tags[start : start + size], strict=True)
        ]
        yield part, pad_sequence(tags, batch_first=True, padding_value=-100)


def spans(words: Sequence[str]) -> tuple[tuple[int, int], ...]:
    ends = np.cumsum([len(word) + 1 for word in words]) - 1
    return tuple((int(end) - len(word), int(end)) for end, word in zip(ends, words, strict=True))


def train(
    encoder: ElmoEncoder,
    data: Labelled,
    count: int,
    batches: Sequence[tuple[Any, Tensor]],
    encoded: Callable[[Any], Encoded] = lambda ready: ready,
    seed: int = 0,
) -> nn.Module:
    """elmoft's tagging head (norm and one linear layer) trained as ``biomtl train`` does."""
    torch.manual_seed(seed)
    head = MlpWords(encoder, len(data.labels), MlpOptions(norm="batch"))
    optimiser = torch.optim.AdamW(head.parameters(), lr=1e-2, fused=True)
    for _ in range(count):
        for batch, targets in batches:
            with FastDropout():
                loss = nn.functional.cross_entropy(head(encoded(batch)).flatten(0, 1), targets.flatten())
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    return head.eval()


@torch.no_grad()
def entity_f1(head: nn.Module, data: Labelled, batches: Sequence[tuple[Encoded, Tensor]]) -> float:
    """F1 over exact chunks, as in conlleval."""
    correct = total = 0
    for encoded, targets in batches:
        for wanted, found in zip(targets, head(encoded).argmax(-1), strict=True):
            real = wanted >= 0
            gold, said = (set(chunks([data.labels[i] for i in row[real]])) for row in (wanted, found))
            correct, total = correct + len(gold & said), total + len(gold) + len(said)
    return 2 * correct / max(total, 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "source", nargs="?", type=Path, help="sentences: text, or JSONL with tokens; invented by default"
    )
    parser.add_argument("--only", choices=("passes", "epochs", "scores"), help="one part; all three by default")
    parser.add_argument("--count", type=int, default=256, help="sentences to time")
    parser.add_argument("--labelled", type=int, default=1024, help="sentences to train and score on")
    parser.add_argument("--rounds", type=int, default=3, help="passes of each implementation, taking turns")
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--shape", choices=sorted(SHAPES), default="original")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--cpu-time", action="store_true", help="count CPU seconds, for one thread on a busy machine")
    options = parser.parse_args()
    if options.cpu_time:
        global CLOCK
        CLOCK = time.process_time
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    console = Console()
    everything = Labelled.read(options.source, max(options.count, options.labelled))
    data = everything.first(options.count)
    sentences = data.sentences
    model = Elmo(SHAPES[options.shape]).requires_grad_(False).eval()
    half = None if slow_bf16() else copy.deepcopy(model).to(torch.bfloat16)
    words = [word for sentence in sentences for word in sentence]
    size = sum(value.numel() for value in model.parameters()) / 1e6
    console.print(f"{len(sentences)} sentences, {len(words):,} words, {len(set(words)):,} distinct")
    clock = "CPU" if options.cpu_time else "wall"
    console.print(f"{size:.1f} M weights, {options.threads} threads, {clock} seconds, torch {torch.__version__}")
    if half is None:
        console.print(f"{slow_bf16()}: it is left out")
    if options.only in (None, "passes"):
        differences(model, half, sentences[:8], console)
        passes(model, half, sentences, options.rounds, console)
    if options.only in (None, "epochs"):
        epochs(model, data, options.epochs, console)
    if options.only in (None, "scores"):
        scores(model, half, everything.first(options.labelled), options.epochs, console)


if __name__ == "__main__":
    main()
