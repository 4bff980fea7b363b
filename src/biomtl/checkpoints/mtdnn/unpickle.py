"""Loading a ``.pt`` file without running any code it refers to."""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from biomtl.errors import InputError

# The settings saved by the reference's trainer contain its enumerations. Users don't have that package, and importing
# its classes would run code from whoever provides them, so plain numbers replace them.
_MODULES = ("mt_bluebert.data_utils.task_def", "data_utils.task_def")
_ENUMERATIONS = ("TaskType", "EncoderModelType", "DataFormat")


def load_pt(path: Path) -> Mapping[str, Any]:
    """The mapping in a ``.pt`` file, in torch's zip format or the older one, with tensors on the CPU.

    Raises:
        InputError: no such file, not a torch file, damaged, or a pickle that refers to anything not allowed.
    """

    if not path.is_file():
        raise InputError("no such file", path=path, expected="a .pt file of MT-DNN", fix="check the path")
    try:
        with torch.serialization.safe_globals(_stand_ins()), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged pickle can fail in any way, and always because of the file
        raise _refusal(path, error) from error
    if not isinstance(content, Mapping):
        raise InputError(f"a pickled {type(content).__name__}", path=path, expected="a mapping with the key state")
    return content


def _stand_ins() -> list[Any]:
    """An integer type for each enumeration's name."""
    return [type(name, (int,), {"__module__": module}) for module in _MODULES for name in _ENUMERATIONS]


def _refusal(path: Path, error: Exception) -> InputError:
    if named := re.search(r"GLOBAL (\S+)", str(error)):
        fix = "nothing was run; no checkpoint needs this, so check where the file comes from"
        return InputError(f"the pickle refers to {named[1]}, which is not allowed", path=path, fix=fix)
    with path.open("rb") as stream:
        start = stream.read(2)
    if start not in (b"PK", b"\x80\x02"):
        return InputError("neither a zip nor an older torch file", path=path, expected="a .pt file of MT-DNN")
    reason = (str(error).splitlines() or [type(error).__name__])[0][:120]
    return InputError(f"a damaged torch file ({reason})", path=path, fix="copy or download the file again")
