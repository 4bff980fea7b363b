"""What a conversion did with every variable of the source; saved with the weights as ``conversion.json``."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from biomtl import __version__
from biomtl.storage.checksums import sha256
from biomtl.storage.files import write_json

REPORT_FILE = "conversion.json"


@dataclass
class Report:
    """What happened to every variable.

    Attributes:
        source: the checkpoint's name as given by the user, without its folder.
        format: ``tf``, ``mtdnn``, ``elmo`` or ``hf``.
        result: the class that opens the result.
        lower_case: whether the tokenizer lower-cases, and why.
        used: source name to name in the result.
        skipped: source name to the rule that leaves it out.
        unused: source names that are not in the result.
        notes: further messages for the user.
        files: the source's files and their sha256.
    """

    source: str
    format: str
    result: str = ""
    lower_case: str = ""
    used: dict[str, str] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)
    unused: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    files: dict[str, str] = field(default_factory=dict)

    def add_files(self, paths: Iterable[Path]) -> None:
        """Record the checksums of the source's files."""
        self.files.update({path.name: sha256(path) for path in paths})

    def as_dict(self) -> dict[str, Any]:
        """Plain values, with the version of biomtl."""
        return {"biomtl": __version__, **asdict(self)}

    def write(self, folder: Path) -> None:
        """Write ``conversion.json`` into the result."""
        write_json(folder / REPORT_FILE, self.as_dict())
