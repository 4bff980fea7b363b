"""Random encoders of a few thousand weights, their tokenizers, and a suite of invented sentences."""

from __future__ import annotations

import json
import random
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml

FAMILIES = ("bert", "roberta", "electra", "deberta", "modernbert")
WORDS = ["pola", "rimu", "teksa", "vono", "zalpid", "korin", "fenat", "milo", "dasu", "brentol", "quari", "suno"]
DRUGS = ("zalpidine", "brentolol", "tavrixan", "lemidase")
ILLNESSES = ("korinosis", "fenatitis", "quariasis")
SPECIAL = {f"{name}_token": f"[{name.upper()}]" for name in ("unk", "cls", "sep", "pad", "mask")}


def sentence(rng: random.Random, length: int | None = None) -> list[str]:
    """Words of an invented sentence, some of them drugs and illnesses."""
    count = length or rng.randint(4, 12)
    chosen = [rng.choice(WORDS) for _ in range(count - 1)]
    for place in rng.sample(range(count - 1), k=min(2, count - 1)):
        chosen[place] = rng.choice(DRUGS if rng.random() < 0.5 else ILLNESSES)
    return [*chosen, "."]


def tokenizer(family: str) -> Any:
    """A fast tokenizer of the kind that the family uses, trained here: WordPiece, byte-level BPE or Unigram."""
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    rng = random.Random(0)
    texts = [" ".join(sentence(rng)) for _ in range(200)]
    special = list(SPECIAL.values())
    segments = ":1"
    if family in ("bert", "electra"):
        core = Tokenizer(models.WordPiece(unk_token="[UNK]"))
        core.normalizer = normalizers.BertNormalizer(lowercase=True)
        core.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        core.decoder = decoders.WordPiece()
        core.train_from_iterator(texts, trainers.WordPieceTrainer(vocab_size=150, special_tokens=special))
    elif family == "deberta":
        core = Tokenizer(models.Unigram())
        core.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Strip()])
        core.pre_tokenizer = pre_tokenizers.Metaspace()
        trainer = trainers.UnigramTrainer(vocab_size=150, special_tokens=special, unk_token="[UNK]")
        core.train_from_iterator(texts, trainer)
    else:
        segments = ":0"
        core = Tokenizer(models.BPE())
        core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        alphabet = pre_tokenizers.ByteLevel.alphabet()
        trainer = trainers.BpeTrainer(vocab_size=320, special_tokens=special, initial_alphabet=alphabet)
        core.train_from_iterator(texts, trainer)
    ids = [(token, core.token_to_id(token)) for token in ("[CLS]", "[SEP]")]
    core.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair=f"[CLS] $A [SEP] $B{segments} [SEP]{segments}", special_tokens=ids
    )
    names = ["input_ids", "attention_mask"] if segments == ":0" else ["input_ids", "token_type_ids", "attention_mask"]
    return PreTrainedTokenizerFast(tokenizer_object=core, model_input_names=names, **SPECIAL)


def config(family: str, vocabulary: int) -> Any:
    """Two layers of 16 to 32 units, with the family's peculiarities switched on."""
    import transformers

    common = {
        "vocab_size": vocabulary,
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 48,
        "max_position_embeddings": 64,
        "pad_token_id": 3,
    }
    if family == "bert":
        return transformers.BertConfig(**common)
    if family == "roberta":
        # Positions are numbered from the padding id on, hence four more than a row may have.
        return transformers.RobertaConfig(**common | {"max_position_embeddings": 68, "type_vocab_size": 1})
    if family == "electra":
        return transformers.ElectraConfig(**common, embedding_size=16)
    if family == "deberta":
        return transformers.DebertaV2Config(
            **common,
            relative_attention=True,
            position_biased_input=False,
            pos_att_type=["p2c", "c2p"],
            position_buckets=16,
            share_att_key=True,
            norm_rel_ebd="layer_norm",
            type_vocab_size=0,
        )
    special = {"cls_token_id": 1, "sep_token_id": 2, "bos_token_id": 1, "eos_token_id": 2}
    return transformers.ModernBertConfig(**common, **special, global_attn_every_n_layers=2, local_attention=16)


def write_encoder(folder: Path, family: str = "bert", seed: int = 0) -> Path:
    """A random encoder with its tokenizer, as ``save_pretrained`` leaves them."""
    import torch
    import transformers

    transformers.logging.disable_progress_bar()
    words = tokenizer(family)
    torch.manual_seed(seed)
    network = transformers.AutoModel.from_config(config(family, len(words)))
    with torch.no_grad():
        # Wider than the families start from, so that unlike texts get clearly unlike outputs.
        for parameter in network.parameters():
            if parameter.ndim >= 2:
                parameter.mul_(4)
    network.save_pretrained(folder)
    words.save_pretrained(folder)
    return folder


def tagging_record(rng: random.Random, number: int, kind: str | None = None) -> dict[str, Any]:
    """A tagged sentence; the tags are of drugs, of illnesses, or of both."""
    tokens = sentence(rng)
    offsets, at = [], 0
    for token in tokens:
        at -= token == "."  # the full stop touches the word before it
        offsets.append([at, at + len(token)])
        at += len(token) + 1
    wanted = {None: (*DRUGS, *ILLNESSES), "drug": DRUGS, "illness": ILLNESSES}[kind]
    names = {**dict.fromkeys(DRUGS, "B-Drug"), **dict.fromkeys(ILLNESSES, "B-Illness")}
    tags = [names[token] if token in wanted else "O" for token in tokens]
    document = f"d{number // 4}"
    return {"id": f"{document}.{number}", "doc_id": document, "tokens": tokens, "offsets": offsets, "tags": tags}


def relation_record(number: int) -> dict[str, Any]:
    """One of the four pairs of a drug and an illness in a sentence; the words between them decide the label."""
    rng = random.Random(number // 4)
    words = sentence(rng)
    drugs, illnesses = rng.sample(DRUGS, 2), rng.sample(ILLNESSES, 2)
    for word in (*drugs, *illnesses):
        words.insert(rng.randrange(len(words)), word)
    text = " ".join(words)
    names = drugs[number % 2], illnesses[number // 2 % 2]
    entities = []
    for i, name in enumerate(names):
        place = words.index(name)
        start = len(" ".join(words[:place])) + (place > 0)
        end = start + len(name)
        entities.append({"id": f"e{i}", "type": ("Drug", "Illness")[i], "start": start, "end": end, "text": name})
    places = [words.index(name) for name in names]
    label = ("treats" if places[0] < places[1] else "worsens") if abs(places[0] - places[1]) < 3 else "none"
    document = f"d{number // 8}"
    return {"id": f"{document}.{number}", "doc_id": document, "text": text, "label": label, "entities": entities}


DOCUMENTS = {"type": "multilabel", "metric": "example_f1_documents"}
SCORES = {"type": "regression", "metric": "pearson", "score_range": [0, 4]}
KINDS = {"metric": "accuracy", "inputs": "pair", "labels": ["same", "other", "part"]}
MENTIONS = {"type": "tagging", "inputs": "tokens", "metric": "entity_f1_spans"}
RELATED = {
    "type": "relation",
    "labels": ["treats", "worsens", "none"],
    "negative": "none",
    "metric": "micro_f1_positive",
    "relation": {"first": ["drug"], "second": ["illness"], "types": {"Medicine": "drug"}},
}
TASKS: dict[str, dict[str, Any]] = {
    "cls-text": {"labels": ["none", "drug"], "negative": "none", "metric": "micro_f1_positive"},
    "cls-pair": KINDS,
    "cls-apart": {**KINDS, "pairs": "apart"},
    "reg-text": SCORES,
    "reg-pair": {**SCORES, "inputs": "pair"},
    "reg-apart": {**SCORES, "inputs": "pair", "pairs": "apart"},
    "multi-text": {**DOCUMENTS, "labels": ["drug", "illness", "milo"]},
    "multi-pair": {**DOCUMENTS, "inputs": "pair", "labels": ["drug", "illness"]},
    "multi-apart": {**DOCUMENTS, "inputs": "pair", "labels": ["drug", "illness"], "pairs": "apart"},
    "tag-drug": {**MENTIONS, "labels": ["O", "B-Drug", "I-Drug"]},
    "tag-illness": {**MENTIONS, "labels": ["O", "B-Illness", "I-Illness"]},
    "rel-mask": {**RELATED, "view": "mask"},
    "rel-markers": {**RELATED, "view": "markers"},
    "rel-spans": {**RELATED, "view": "spans"},
    "rel-levitated": {**RELATED, "view": "levitated"},
}
FOUR = ("cls-text", "reg-pair", "multi-text", "tag-drug")
"""One task of each type."""


def task(name: str) -> Any:
    """The record of a task."""
    from biomtl.tasks.head import split_record
    from biomtl.tasks.task import Task

    return Task.model_validate(split_record({"name": name, **TASKS[name]})[0])


def head(name: str, **options: Any) -> Any:
    """A task's head: the default one, or the one that the options belong to."""
    from biomtl.tasks.head import HeadChoice, split_record

    choice = HeadChoice.model_validate(split_record(TASKS[name])[1])
    return HeadChoice(name="mlp", options=options, pairs=choice.pairs) if options else choice


def model(encoder: Path, names: Iterable[str], **keys: Any) -> Any:
    """A model of these tasks, with their heads, on an encoder."""
    from biomtl.model import MultiTaskModel

    names = list(names)
    heads = {name: head(name) for name in names}
    return MultiTaskModel.from_encoder(encoder, [task(name) for name in names], heads=heads, **keys)


def record(name: str, rng: random.Random, number: int) -> dict[str, Any]:
    """One invented record of a task; what is asked for can be learnt from the words."""
    if name.startswith("tag"):
        return tagging_record(rng, number, name.partition("-")[2])
    if name.startswith("rel"):
        return relation_record(number)
    first, second = (" ".join(sentence(rng)) for _ in range(2))
    head = {"id": f"{name}.{number}", "doc_id": f"d{number // 4}"}
    head |= {"text": first} if name.endswith("text") else {"text_a": first, "text_b": second}
    drug, illness = (any(word in first for word in words) for words in (DRUGS, ILLNESSES))
    if name.startswith("reg"):
        return {**head, "score": float(2 * drug + 2 * illness)}
    if name.startswith("multi"):
        holds = {"drug": drug, "illness": illness, "milo": "milo" in first}
        return {**head, "labels": [label for label in TASKS[name]["labels"] if holds[label]]}
    labels = TASKS[name]["labels"]
    return {**head, "label": labels[drug if len(labels) == 2 else drug + illness]}


def records(name: str, count: int, seed: int = 0) -> list[dict[str, Any]]:
    """``count`` invented records; the two tagging tasks label the very same sentences."""
    rng = random.Random(seed)
    return [record(name, rng, number) for number in range(count)]


def write_suite(folder: Path, names: tuple[str, ...] = FOUR, train: int = 12, other: int = 6) -> Path:
    """A prepared suite as ``biomtl prepare`` writes it."""
    for name in names:
        place = folder / name
        place.mkdir(parents=True)
        (place / "task.yaml").write_text(yaml.safe_dump({"name": name, **TASKS[name]}), encoding="utf-8")
        for seed, (split, count) in enumerate((("train", train), ("dev", other), ("test", other))):
            write_rows(place / f"{split}.jsonl", records(name, count, seed))
    return folder


def write_rows(path: Path, rows: list[dict[str, Any]]) -> Path:
    """A JSONL file."""
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return path


def write_recipe(path: Path, encoder: Path, suite: Path, **keys: Any) -> Path:
    """A recipe of a run of seconds."""
    base = {"encoder": str(encoder), "suite": str(suite), "output": str(path.parent / "run"), "max_length": 32}
    base |= {"batch_size": 8, "num_train_epochs": 1, "learning_rate": 1e-3, "num_threads": 1}
    values = {key: value for key, value in (base | keys).items() if value is not None}
    path.write_text(yaml.safe_dump(values), encoding="utf-8")
    return path


def masked(task: str, record: dict[str, Any]) -> str:
    """What the view ``mask`` shows of a record of one of the package's relation tasks."""
    from biomtl.tasks.head import HeadChoice
    from biomtl.tasks.registry import get_task
    from biomtl.tasks.types.base import type_of

    return str(type_of(get_task(task)).text(record, get_task(task), HeadChoice(view="mask")).texts[0])
