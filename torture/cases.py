"""Which command reads which files: what is damaged, and what must be refused whatever the damage."""

from __future__ import annotations

from dataclasses import dataclass

from torture.scenarios import HEADS


@dataclass(frozen=True)
class Reading:
    """A command and the files it reads, as patterns.

    Args:
        words: the command; it runs where the copies lie, ``{in}`` is the folder of undamaged inputs.
        reads: files of which one is damaged.
        sealed: files with a checksum, any change of which must be refused.
    """

    words: tuple[str, ...]
    reads: tuple[str, ...]
    sealed: tuple[str, ...] = ()


@dataclass(frozen=True)
class Case:
    """Inputs that are copied, and the commands that read them."""

    name: str
    copied: tuple[str, ...]
    commands: tuple[Reading, ...]
    weight: float = 1.0


def _reading(words: str, *reads: str, sealed: tuple[str, ...] = ()) -> Reading:
    return Reading(tuple(words.split()), reads, sealed)


_MODEL = ("run/model/*", "run/model/*/*")
_WEIGHTS = ("run/model/*.safetensors",)
_STEPS = ("stopped/checkpoints/step-000004/*",)
_CHECK = "check {} --type classification --columns text=sentence,label=label"
_SHORT = "output=out num_train_epochs=null max_steps=2 predict_test=false eval_strategy=no"
CASES = (
    Case(
        "run",
        ("run",),
        (
            _reading("predict run {in}/rows.jsonl --out out.jsonl", *_MODEL, sealed=_WEIGHTS),
            _reading("evaluate run --data {in}/suite --out out", *_MODEL, sealed=_WEIGHTS),
            _reading("annotate run {in}/abstracts.pubtator --out out.xml", *_MODEL, sealed=_WEIGHTS),
            _reading("embed run {in}/texts.txt --out out.hdf5", *_MODEL, sealed=("run/model/encoder/*.safetensors",)),
            _reading("export run --task tag-drug --to hf out", *_MODEL),
            _reading("finetune run --task tag-drug --data {in}/suite --out out max_steps=2", *_MODEL, sealed=_WEIGHTS),
            _reading(
                "score --task {in}/suite/tag-drug/task.yaml {in}/suite/tag-drug/test.jsonl "
                "run/predictions/tag-drug/test.jsonl",
                "run/predictions/tag-drug/test.jsonl",
            ),
        ),
        weight=4,
    ),
    Case(
        "checkpoint",
        ("stopped",),
        (
            _reading(
                "train {in}/recipe.yaml output=stopped --resume",
                *_STEPS,
                "stopped/log.jsonl",
                "stopped/recipe.yaml",
                sealed=("stopped/checkpoints/step-000004/*.safetensors",),
            ),
            _reading("train {in}/recipe.yaml output=stopped --resume", "stopped/model/*", "stopped/checkpoints/*"),
        ),
        weight=2,
    ),
    Case(
        "encoder",
        ("bert",),
        (
            _reading(f"train {{in}}/recipe.yaml encoder=bert {_SHORT}", "bert/*"),
            _reading("embed bert {in}/texts.txt --out out.hdf5", "bert/*"),
            _reading(f"{_CHECK.format('{in}/own.tsv')} --encoder bert", "bert/*"),
            _reading("audit {in}/suite --encoder bert", "bert/*"),
        ),
        weight=2,
    ),
    Case("hf", ("stock",), (_reading("convert stock out --from hf --tasks tag-drug", "stock/*"),)),
    Case(
        "suite",
        ("suite",),
        (
            _reading(f"train {{in}}/recipe.yaml suite=suite {_SHORT}", "suite/*"),
            _reading("evaluate {in}/run --data suite --out out", "suite/*/test.jsonl", "suite/*/task.yaml"),
            _reading("audit suite", "suite/*"),
            _reading(
                "score --task suite/tag-drug/task.yaml suite/tag-drug/test.jsonl "
                "{in}/run/predictions/tag-drug/test.jsonl",
                "suite/tag-drug/test.jsonl",
                "suite/tag-drug/task.yaml",
            ),
        ),
        weight=2,
    ),
    Case("tf", ("tf",), (_reading("convert tf out", "tf/*", sealed=("tf/*.data-*",)),), weight=1.5),
    Case(
        "elmo",
        ("elmo",),
        (_reading("convert elmo out", "elmo/*"), _reading("embed elmo {in}/texts.txt --out out.hdf5", "elmo/*")),
        weight=1.5,
    ),
    Case("mtdnn", ("mt",), (_reading(f"convert mt/model.pt out --tasks {HEADS}", "mt/*"),), weight=1.5),
    Case(
        "recipe",
        ("recipe.yaml", "own.yaml"),
        (
            _reading(f"train recipe.yaml encoder={{in}}/bert {_SHORT}", "recipe.yaml"),
            _reading(f"train own.yaml encoder={{in}}/bert {_SHORT}", "own.yaml"),
            _reading("audit own.yaml", "own.yaml"),
        ),
        weight=1.5,
    ),
    Case(
        "own data",
        ("own.tsv", "own.conll", "rows.jsonl"),
        (
            _reading(_CHECK.format("own.tsv"), "own.tsv"),
            _reading("check own.conll --type tagging", "own.conll"),
            _reading("check rows.jsonl --type tagging", "rows.jsonl"),
        ),
    ),
    Case(
        "texts",
        ("texts.txt", "rows.jsonl", "abstracts.pubtator", "notes"),
        (
            _reading("predict {in}/run texts.txt --out out.jsonl", "texts.txt"),
            _reading("predict {in}/run rows.jsonl --out out.jsonl", "rows.jsonl"),
            _reading("annotate {in}/run abstracts.pubtator --from pubtator --out out.xml", "abstracts.pubtator"),
            _reading("annotate {in}/run notes --out out", "notes/*"),
            _reading("embed {in}/bert texts.txt --out out.hdf5", "texts.txt"),
            _reading("embed {in}/bert rows.jsonl --out out.hdf5", "rows.jsonl"),
        ),
        weight=1.5,
    ),
    Case("blue", ("blue",), (_reading("prepare blue --out out", "blue/*"),), weight=0.5),
)
