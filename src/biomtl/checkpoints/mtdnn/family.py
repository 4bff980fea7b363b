"""The encoder of an MT-DNN checkpoint that isn't a BERT, such as a RoBERTa, an ELECTRA or a DeBERTa."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import transformers
from torch import Tensor

from biomtl.checkpoints.mtdnn.stand_ins import Member
from biomtl.checkpoints.report import Report
from biomtl.errors import InputError
from biomtl.pretrained import quiet
from biomtl.storage.tensors import refuse_nonfinite

_TYPES = {1: "bert", 2: "roberta", 3: "xlnet", 5: "xlm", 6: "deberta", 7: "electra", 8: "t5", 9: "t5"}
_NOT_TAKEN = ("auto_map", "architectures", "model_type", "transformers_version", "dtype", "torch_dtype")
_PREFIX = "bert."  # MT-DNN calls every encoder so


def family_of(settings: Mapping[str, Any]) -> str:
    """The encoder's family by the checkpoint's ``config``; ``bert`` if it doesn't say."""
    named = settings.get("model_type")
    code = settings.get("encoder_type")
    number = code.number if isinstance(code, Member) else code
    return named if isinstance(named, str) and named else _TYPES.get(number, "bert") if type(number) is int else "bert"


def write_encoder(path: Path, state: Mapping[str, Tensor], settings: Mapping[str, Any], folder: Path) -> Report:
    """Write the encoder as an ordinary ``save_pretrained`` folder, without a tokenizer.

    Raises:
        InputError: a family that transformers doesn't know, or tensors that are missing or of another shape.
    """
    family = family_of(settings)
    if family not in transformers.CONFIG_MAPPING:
        raise InputError(f"an encoder of family {family!r:.40}", path=path, expected="one that transformers knows")
    known = transformers.AutoConfig.for_model(family).to_dict()
    given = {
        key: value
        for key, value in settings.items()
        if key in known and not key.startswith("_") and key not in _NOT_TAKEN and isinstance(value, int | float | str)
    }
    try:
        network = transformers.AutoModel.from_config(transformers.AutoConfig.for_model(family, **given))
        own = {key.removeprefix(_PREFIX): value.float() for key, value in state.items() if key.startswith(_PREFIX)}
        missing, unused = network.load_state_dict(own, strict=False)
    except Exception as error:  # settings of any kind, and torch's own error for shapes
        reason = " ".join(str(error).split())[:160] or type(error).__name__
        raise InputError(f"the {family} can't be built from its settings ({reason})", path=path) from error
    lacking = [
        name for name in missing if "pooler" not in name and not name.endswith(("position_ids", "token_type_ids"))
    ]
    if lacking:
        problem = f"{len(lacking)} tensors of a {family} are missing, first {lacking[0]}"
        raise InputError(problem, path=path, expected="all of its encoder")
    refuse_nonfinite(network.named_parameters(), path)
    with quiet():
        network.save_pretrained(folder)
    report = Report(path.name, "mtdnn", type(network).__name__)
    report.used = {_PREFIX + name: name for name in own if name not in unused}
    report.unused = [_PREFIX + name for name in unused]
    report.skipped = {key: "not the encoder's" for key in state if not key.startswith(_PREFIX)}
    report.notes = [f"a {family}; MT-DNN's file has no tokenizer: copy that of the model it was trained from"]
    if any("pooler" in name for name in missing):
        report.notes.append("no pooler in the file: the result has a random one")
    report.add_files([path])
    report.write(folder)
    return report
