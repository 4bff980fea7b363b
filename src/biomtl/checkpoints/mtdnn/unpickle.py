"""Loading a ``.pt`` file without running any code it refers to."""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch

from biomtl.checkpoints.mtdnn.stand_ins import stand_ins
from biomtl.errors import InputError


def load_pt(path: Path) -> Mapping[str, Any]:
    """The mapping in a ``.pt`` file, in torch's zip format or the older one, with tensors on the CPU.

    MT-DNN's own classes are replaced by stand-ins (see ``stand_ins``), any other class is refused.

    Raises:
        InputError: no such file, not a torch file, damaged, or a pickle that refers to anything not allowed.
    """

    if not path.is_file():
        raise InputError("no such file", path=path, expected="a .pt file of MT-DNN", fix="check the path")
    try:
        with torch.serialization.safe_globals(stand_ins()), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged pickle can fail in any way, and always because of the file
        raise _refusal(path, error) from error
    if not isinstance(content, Mapping):
        raise InputError(f"a pickled {type(content).__name__}", path=path, expected="a mapping with the key state")
    return content


def _refusal(path: Path, error: Exception) -> InputError:
    cause = error.__context__ if isinstance(error.__context__, UnpicklingError) else error  # torch adds advice to it
    if named := re.search(r"GLOBAL (\S+)", str(cause)):
        fix = (
            "nothing was run; weights refer to tensors alone, and MT-DNN's settings to its task definitions and "
            "enumerations: check where the file comes from"
        )
        return InputError(f"the pickle refers to {named[1]}, which is not allowed", path=path, fix=fix)
    with path.open("rb") as stream:
        start = stream.read(2)
    if start not in (b"PK", b"\x80\x02"):
        return InputError("neither a zip nor an older torch file", path=path, expected="a .pt file of MT-DNN")
    reason = (str(cause).splitlines() or [type(cause).__name__])[0][:120]
    return InputError(f"a damaged torch file ({reason})", path=path, fix="copy or download the file again")
