"""The choice of a task's head, made in the recipe and saved with the trained head."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from biomtl.tasks.calibration import Calibration

Pairs = Literal["together", "apart"]
View = Literal["mask", "markers", "spans", "levitated"]
DEFAULT = "default"
OLD_NAMES = {"stack": "mlp"}
OLD_OPTIONS = {"reducer": "seq2vec", "sequence": "seq2seq"}


class HeadChoice(BaseModel):
    """A head by name, with its options; names from older versions are accepted."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(DEFAULT, description="the encoder family's own head, or `mlp`, `pooler` or `san`")
    options: dict[str, Any] = Field(default_factory=dict, description="settings of a named head")
    pairs: Pairs = Field("together", description="two texts as one sequence, or encoded separately and compared")
    adapter: int = Field(0, ge=0, description="width of a task-specific attention layer below the head; 0 for none")
    lora: int = Field(0, ge=0, description="rank of the task's own low-rank adapters in the encoder; 0 for none")
    calibration: Calibration | None = Field(None, description="corrections of a trained head's outputs")
    view: View | None = Field(
        None, description="what the encoder reads of a relation task's pair; default the type's own"
    )

    @property
    def calibrated(self) -> Calibration:
        """The corrections; none for a head that wasn't calibrated."""
        return self.calibration or NONE

    def dump(self) -> dict[str, Any]:
        """The content of ``head.json``; what isn't set is left out, so that older versions can read it."""
        unset = {name for name in ("calibration", "view", "adapter", "lora") if not getattr(self, name)}
        return self.model_dump(mode="json", exclude=unset)

    @model_validator(mode="before")
    @classmethod
    def _today(cls, values: Any) -> Any:
        """Replace names from older versions by current ones."""
        if not isinstance(values, Mapping):
            return values
        options = values.get("options", {})
        if isinstance(options, Mapping):
            options = {OLD_OPTIONS.get(name, name): value for name, value in options.items()}
        name = values.get("name", DEFAULT)
        return {**values, "name": OLD_NAMES.get(name, name) if isinstance(name, str) else name, "options": options}


DEFAULT_HEAD = HeadChoice()
NONE = Calibration()


def split_record(record: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """A task's record as written by hand or saved in format 1: the fields of the task and of its head."""
    own = {key: value for key, value in record.items() if key not in ("head", "head_options", "pairs", "view")}
    given = {"name": record.get("head"), "options": record.get("head_options")}
    given |= {key: record.get(key) for key in ("pairs", "view")}
    return own, {key: value for key, value in given.items() if value is not None}
