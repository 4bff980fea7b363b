"""Does batching by length hurt learning? Trains on the same rows in random batches and in ours, and compares.

    python benchmarks/batching.py ddi2013=DDI/dev.tsv --seeds 6

Every arm sees the same rows equally often, in the same number of steps with the same learning rate; only the batches
and their order differ. Reported are fill (real / padded positions), the mean loss per row when it is trained on, and
the loss on held-out rows at the end. Rows come from tables with the columns `index, sentence, label`, or from JSONL
records (`text` and `label`, or `tokens` and `tags`: does the sentence have a mention?). Several files are trained
together, each with a linear head.
"""

from __future__ import annotations

import argparse
import csv
import sys
import time
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from transformers import AutoModel, AutoTokenizer
from transformers.utils import logging

from biomtl.packaged import PACKAGED_ENCODER, resolve_encoder
from biomtl.storage.files import read_jsonl
from biomtl.training.batches import Index, fill, plan_batches
from biomtl.training.mixer import Mixer


def read(path: Path) -> tuple[list[str], list[str], list[str]]:
    """(texts, labels, documents) of a file."""
    if path.suffix == ".jsonl":
        records = [record for _, record in read_jsonl(path)]
        texts = [record.get("text") or " ".join(record["tokens"]) for record in records]
        labels = [record.get("label") or str(any(tag != "O" for tag in record["tags"])) for record in records]
        return texts, labels, [record["doc_id"] for record in records]
    with path.open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream, delimiter="\t", quoting=csv.QUOTE_NONE))
    documents = [
        row["index"].rsplit(".", 2)[0] for row in rows
    ]  # DDI: document.sentence.pair, ChemProt: document.T1.T2
    return [row["sentence"] for row in rows], [row["label"] for row in rows], documents


class Data:
    """Encoded rows of all files; a random fifth of the documents is held out (a sentence's pairs share their text)."""

    def __init__(self, files: list[str], tokenizer: object, max_length: int, max_rows: int) -> None:
        self.ids: list[list[int]] = []
        tasks, labels, documents = [], [], []
        self.names, self.classes = [], []
        for spec in files:
            name, _, path = spec.partition("=")
            texts, found, origin = read(Path(path))
            keep = np.sort(np.random.default_rng(0).permutation(len(texts))[: max_rows or None])
            self.ids += tokenizer([texts[i] for i in keep], truncation=True, max_length=max_length)["input_ids"]
            documents += [origin[i] for i in keep]
            known = sorted(set(found))
            labels += [known.index(found[i]) for i in keep]
            tasks += [len(self.names)] * len(keep)
            self.names.append(name)
            self.classes.append(len(known))
        # Only pieces that occur are kept; otherwise the optimiser would spend most of its time on the others.
        self.pieces = sorted({piece for row in self.ids for piece in row})
        place = {piece: index for index, piece in enumerate(self.pieces)}
        self.ids = [[place[piece] for piece in row] for row in self.ids]
        self.task, self.label = np.array(tasks), np.array(labels)
        self.lengths: Index = np.array([len(row) for row in self.ids], dtype=np.int64)
        names = sorted(set(documents))
        chosen = {names[i] for i in np.random.default_rng(1).permutation(len(names))[: len(names) // 5]}
        held = np.array([document in chosen for document in documents])
        self.train, self.held = np.flatnonzero(~held), np.flatnonzero(held)


def plan(arm: str, data: Data, epoch: int, seed: int, budget: int) -> list[list[Index]]:
    """The steps of one epoch of an arm, each a list of batches.

    Arms: `random`, `sorted` (long to short), `pool<N>` (ours with pools of N batches), `pool<N>x<K>` (the same with
    steps of K batches, each with a K-th of the budget). All have about the same number of steps.
    """
    entries = [frozenset([data.names[data.task[row]]]) for row in data.train]
    order = Mixer(entries, seed=seed).epoch(epoch)
    lengths = data.lengths[data.train]
    pool, _, parts = (arm[4:] if arm.startswith("pool") else "64").partition("x")
    count = int(parts or 1)
    batches = plan_batches(order, lengths, batch_tokens=budget // count, pool_batches=int(pool), seed=[seed, epoch])
    if arm == "random":
        batches = np.array_split(order, len(batches))
    if arm == "sorted":
        batches.sort(key=lambda batch: -int(lengths[batch].max()))
    return [[data.train[batch] for batch in batches[i : i + count]] for i in range(0, len(batches), count)]


class Encoder(torch.nn.Module):
    """The first ``layers`` layers of a pretrained encoder, a mean over positions, and a linear head per task."""

    def __init__(self, args: argparse.Namespace, data: Data) -> None:
        super().__init__()
        self.encoder = load(args.encoder, args.layers, data)
        self.heads = torch.nn.ModuleList(torch.nn.Linear(self.encoder.config.hidden_size, n) for n in data.classes)

    def forward(self, data: Data, batch: Index) -> list[torch.Tensor]:
        """Logits [rows, classes] of every task."""
        longest = int(data.lengths[batch].max())
        ids = torch.zeros(len(batch), longest, dtype=torch.long)
        for place, row in enumerate(batch):
            ids[place, : len(data.ids[row])] = torch.tensor(data.ids[row])
        mask = (torch.arange(longest) < torch.tensor(data.lengths[batch])[:, None]).long()
        hidden = self.encoder(input_ids=ids, attention_mask=mask).last_hidden_state
        mean = (hidden * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)
        return [head(mean) for head in self.heads]


class Bag(torch.nn.Module):
    """A fast model: a perceptron with one hidden layer over fixed features."""

    def __init__(self, features: torch.Tensor, data: Data) -> None:
        super().__init__()
        self.features = features
        self.hidden = torch.nn.Linear(features.shape[1], 128)
        self.dropout = torch.nn.Dropout(0.1)
        self.heads = torch.nn.ModuleList(torch.nn.Linear(128, n) for n in data.classes)

    def forward(self, data: Data, batch: Index) -> list[torch.Tensor]:
        """Logits [rows, classes] of every task."""
        hidden = self.dropout(torch.nn.functional.gelu(self.hidden(self.features[torch.tensor(batch)])))
        return [head(hidden) for head in self.heads]


def bag_features(encoder: str, data: Data) -> torch.Tensor:
    """[rows, features]: mean embedding of a row's word pieces, and hashed counts of its word-piece bigrams."""
    embeddings = load(encoder, 0, data).get_input_embeddings().weight.detach()
    mean = torch.stack([embeddings[torch.tensor(row)].mean(0) for row in data.ids])
    pairs = torch.zeros(len(data.ids), 1024)
    for place, row in enumerate(data.ids):
        for pair in pairwise(row):
            pairs[place, hash(pair) % 1024] += 1
    return torch.cat([(mean - mean.mean(0)) / mean.std(0), 5 * pairs / pairs.norm(dim=1, keepdim=True)], 1)


def load(name: str, layers: int, data: Data) -> torch.nn.Module:
    """A pretrained encoder with this many layers, and embeddings of the pieces that occur in the data."""
    encoder = AutoModel.from_pretrained(name, num_hidden_layers=layers, add_pooling_layer=False)
    weights = encoder.get_input_embeddings().weight[data.pieces].detach().clone()
    encoder.set_input_embeddings(torch.nn.Embedding.from_pretrained(weights, freeze=False))
    return encoder


def row_losses(model: torch.nn.Module, data: Data, batch: Index) -> torch.Tensor:
    """The loss of every row in the batch."""
    losses = torch.zeros(len(batch))
    for task, logits in enumerate(model(data, batch)):
        mine = torch.tensor(np.flatnonzero(data.task[batch] == task))
        gold = torch.tensor(data.label[batch])[mine]
        losses[mine] = torch.nn.functional.cross_entropy(logits[mine], gold, reduction="none")
    return losses


def run(
    arm: str, data: Data, features: torch.Tensor | None, args: argparse.Namespace, seed: int
) -> tuple[float, float, float, float]:
    """(fill, training loss per row, held-out loss, CPU seconds of training) of one run."""
    torch.manual_seed(seed)
    model = (Encoder(args, data) if features is None else Bag(features, data)).train()
    optimiser = torch.optim.AdamW(model.parameters(), lr=args.learning_rate)
    steps = [step for epoch in range(args.epochs) for step in plan(arm, data, epoch, seed, args.batch_tokens)]
    last = len(steps)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimiser, lambda step: min(1, 10 * (step + 1) / last, 1 - step / last)
    )
    # CPU time, because the machine may be shared.
    seen, start = 0.0, time.process_time()
    for step in steps:
        rows = sum(map(len, step))
        for batch in step:
            loss = row_losses(model, data, batch).sum()
            seen += float(loss.detach())
            (loss / rows).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        optimiser.zero_grad()
    seconds = time.process_time() - start
    model.eval()
    held = data.held[np.argsort(data.lengths[data.held])]
    with torch.inference_mode():
        held_loss = sum(
            float(row_losses(model, data, part).sum()) for part in np.array_split(held, -(-len(held) // 64))
        )
    batches = [batch for step in steps for batch in step]
    return fill(batches, data.lengths), seen / sum(map(len, batches)), held_loss / len(held), seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="+", metavar="NAME=FILE")
    parser.add_argument("--arms", default="random,pool64x4,pool64,pool16,sorted", help="see plan()")
    parser.add_argument("--encoder", default=resolve_encoder(PACKAGED_ENCODER))
    parser.add_argument(
        "--layers", type=int, default=0, help="encoder layers to keep; 0 is a bag of embeddings and word-piece bigrams"
    )
    parser.add_argument("--batch-tokens", type=int, default=2048)
    parser.add_argument("--max-length", type=int, default=128)
    parser.add_argument("--max-rows", type=int, default=0, help="rows per file, 0 for all")
    parser.add_argument("--learning-rate", type=float, default=1e-3)
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    logging.set_verbosity_error()  # otherwise the omitted layers would be listed at every start
    logging.disable_progress_bar()
    data = Data(args.files, AutoTokenizer.from_pretrained(args.encoder), args.max_length, args.max_rows)
    print(f"{len(data.train)} rows trained, {len(data.held)} held out, {data.lengths.mean():.1f} pieces per row")
    features = None if args.layers else bag_features(args.encoder, data)
    results: dict[str, list[tuple[float, float, float, float]]] = {arm: [] for arm in args.arms.split(",")}
    for seed in range(args.seeds):  # arms take turns, so that other load on the machine affects all equally
        for arm, runs in results.items():
            runs.append(run(arm, data, features, args, seed))
            print(f"seed {seed} {arm}: " + " ".join(f"{value:.4f}" for value in runs[-1]), file=sys.stderr, flush=True)
    print("| arm | fill | training loss | held-out loss | CPU seconds |\n|---|---|---|---|---|")
    for arm, runs in results.items():
        mean, spread = np.mean(runs, axis=0), np.std(runs, axis=0, ddof=min(1, args.seeds - 1))
        losses = " | ".join(f"{mean[i]:.3f} ± {spread[i]:.3f}" for i in (1, 2))
        print(f"| {arm} | {mean[0]:.3f} | {losses} | {mean[3]:.0f} |")


if __name__ == "__main__":
    main()
