"""The definition of a user's own task in a recipe."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from pydantic_core import PydanticCustomError

from biomtl.tasks.relation import RelationArguments
from biomtl.tasks.task import SPLITS, Split

Format = Literal[
    "tsv", "csv", "jsonl", "parquet", "datasets", "mtdnn", "squad", "conll", "pubtator", "bioc", "brat", "documents"
]
Quoting = Literal["csv", "none"]
SEPARATOR = "|"


def _listed(value: Any) -> Any:
    return (value,) if isinstance(value, str | int | float) else value


def _label(value: Any) -> Any:
    """YAML reads a bare ``yes`` as a boolean; a number becomes its digits."""
    if isinstance(value, bool):
        message = "Input should be text: YAML reads a bare yes, no, on, off, true or false as a boolean, so quote it"
        raise PydanticCustomError("label", message)
    return str(value) if isinstance(value, int | float) else value


Label = Annotated[str, BeforeValidator(_label), Field(min_length=1)]
Paths = Annotated[tuple[Annotated[str, Field(min_length=1)], ...], BeforeValidator(_listed)]


class Files(BaseModel):
    """The files of each split: one, or several that are read in order."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    train: Paths = ()
    dev: Paths = ()
    test: Paths = ()

    def of(self, split: Split) -> tuple[Path, ...]:
        """The files of one split."""
        return tuple(Path(name) for name in getattr(self, split))

    def splits(self) -> Iterator[Split]:
        """The splits that have files."""
        return (split for split in SPLITS if getattr(self, split))

    def below(self, folder: Path) -> Files:
        """The same with relative paths resolved against ``folder``."""
        return Files(**{split: tuple(str(folder / name) for name in getattr(self, split)) for split in SPLITS})


class TaskDefinition(BaseModel):
    """A task as data; ``None`` means "not given", and only ``type`` and ``files`` are required.

    ``columns`` maps the fields of a record to the file's columns, by name or by number from 0.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    type: str | None = Field(None, description="Own task: its type, such as `classification` or `tagging`.")
    files: Files | None = Field(
        None, description="Own task: `train`, `dev`, `test`, each a file or a list; relative to the recipe."
    )
    format: Format | None = Field(None, description="Own task: the files' format; default by name and content.")
    columns: dict[str, str | int] | None = Field(
        None,
        description="Own task: field to the file's column, by name or number from 0; default the same name.",
    )
    header: bool | None = Field(
        None, description="Own task: whether a table's first row names the columns; default unless all are numbers."
    )
    separator: Annotated[str, Field(min_length=1)] | None = Field(
        None, description="Own task: separator of several values in a table cell; default a vertical bar."
    )
    quoting: Quoting | None = Field(
        None,
        description="Own task: whether double quotes enclose the cells of a table (`csv`) or are text (`none`); "
        "default `csv` for CSV, `none` for TSV.",
    )
    vocabulary: Annotated[str, Field(min_length=1)] | None = Field(
        None,
        description="Own task: the `vocab.txt` of MT-DNN's files of word pieces; relative to the recipe.",
    )
    labels: tuple[Label, ...] | None = Field(
        None, description="Own task: the labels in order (tagging: the mention types); default those of train, sorted."
    )
    negative: Label | None = Field(None, description="Own task: the class that F1 leaves out.")
    metric: str | None = Field(None, description="Own task: the main metric; default the type's.")
    metrics: tuple[str, ...] | None = Field(None, description="Own task: further metrics to print.")
    score_range: tuple[float, float] | None = Field(
        None, description="Own task: lowest and highest score for regression; default those in its files."
    )
    relation: RelationArguments | None = Field(
        None,
        description="Own task of type `relation`: its arguments (`first`, `second`, `directed`, `types`, `unit` …).",
    )
    mentions: Literal["keep", "flatten", "refuse"] | None = Field(
        None, description="Own task: discontinuous and overlapping mentions (as `biomtl prepare --mentions`)."
    )

    @property
    def given(self) -> list[str]:
        """The keys of a definition that were given."""
        return [key for key in TaskDefinition.model_fields if getattr(self, key) is not None]

    def located(self, folder: Path) -> Self:
        """The same with relative paths resolved against ``folder``."""
        update: dict[str, Any] = {} if self.files is None else {"files": self.files.below(folder)}
        if self.vocabulary is not None:
            update["vocabulary"] = str(folder / self.vocabulary)
        return self.model_copy(update=update)
