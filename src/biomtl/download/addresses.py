"""Where the corpora come from, as data (``addresses.yaml``)."""

from __future__ import annotations

from functools import cache
from importlib import resources

import yaml
from pydantic import BaseModel, ConfigDict

from biomtl.tasks import get_task


class Contents(BaseModel):
    """A checksum over many files: sha256 of their sorted sha256 digests, joined by line ends."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    pattern: str
    files: int
    sha256: str


class Remote(BaseModel):
    """One file to download; a ``.zip`` is unpacked."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    name: str
    urls: tuple[str, ...]
    sha256: str | None = None
    members: dict[str, str] = {}
    contents: Contents | None = None


class Corpus(BaseModel):
    """A corpus with files to download, or one that says whom to ask, or where it is, and where to put what comes."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    tasks: tuple[str, ...]
    homepage: str
    notice: str = ""
    files: tuple[Remote, ...] = ()
    after: str = ""
    ask: str = ""
    layout: tuple[str, ...] = ()

    @property
    def free(self) -> bool:
        """Whether anyone may have it."""
        return all(bool(about and about.free) for about in (get_task(task).catalogue for task in self.tasks))


@cache
def corpora() -> dict[str, Corpus]:
    """Every corpus by the name of the folder that it is put in."""
    text = (resources.files("biomtl.download") / "addresses.yaml").read_text(encoding="utf-8")
    return {name: Corpus.model_validate(entry) for name, entry in yaml.safe_load(text).items()}
