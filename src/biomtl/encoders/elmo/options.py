"""The shape of a biLM, as given by bilm-tf's ``options.json``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from biomtl.errors import InputError
from biomtl.storage.structured import read_json

N_CHARACTERS = 262  # 256 bytes, five markers, and the zero row that the loader adds at the start
# Far above every biLM there is; without limits, the mere list of a network's tensors could fill the memory.
Size = Annotated[int, Field(gt=0, le=1_000_000)]
Number = Annotated[int, Field(gt=0, le=1_000)]
Filter = tuple[Size, Size]
Clip = Annotated[float, Field(gt=0, le=1_000_000)]


class _Part(BaseModel):
    # Files also hold training settings (n_epochs, dropout ...), which don't affect the network's shape.
    model_config = ConfigDict(frozen=True, extra="ignore")


class CharacterEmbedding(_Part):
    """The character embedding table's shape."""

    dim: Size


class CharacterOptions(_Part):
    """The token layer: character convolutions, highway layers."""

    embedding: CharacterEmbedding
    filters: tuple[Filter, ...] = Field(
        min_length=1, max_length=1_000, description="(width, count) of every convolution"
    )
    n_highway: int = Field(0, ge=0, le=1_000)
    n_characters: int = N_CHARACTERS
    max_characters_per_token: int = Field(50, ge=3, le=10_000)
    activation: Literal["relu", "tanh"] = "relu"

    @property
    def width(self) -> int:
        """Values per word after the convolutions."""
        return sum(count for _, count in self.filters)

    @model_validator(mode="after")
    def _possible(self) -> CharacterOptions:
        if self.n_characters != N_CHARACTERS:
            raise ValueError(
                f"n_characters is {self.n_characters}, expected {N_CHARACTERS} (training writes 261: set it to 262)"
            )
        widest = max(width for width, _ in self.filters)
        if widest > self.max_characters_per_token:
            raise ValueError(f"a filter of width {widest} over words of {self.max_characters_per_token} characters")
        return self


class LstmOptions(_Part):
    """The two LSTM stacks. ``None`` as a clip means no clipping."""

    dim: Size = Field(description="cells")
    projection_dim: Size = Field(description="values per word, direction and layer")
    n_layers: Number = 2
    cell_clip: Clip | None = None
    proj_clip: Clip | None = None
    use_skip_connections: bool = False

    @property
    def projected(self) -> bool:
        """Whether cells are projected; bilm-tf omits the projection if it would not reduce the size."""
        return self.projection_dim < self.dim

    @model_validator(mode="after")
    def _possible(self) -> LstmOptions:
        if self.projection_dim > self.dim:
            raise ValueError(f"projection_dim {self.projection_dim} is above dim {self.dim}: layers would not stack")
        return self


class ElmoOptions(_Part):
    """Everything that determines a biLM's tensors (Peters et al. 2018, arXiv 1802.05365).

    Users get ``lstm.n_layers + 1`` layers, each with ``2 * lstm.projection_dim`` values per word.
    """

    char_cnn: CharacterOptions
    lstm: LstmOptions

    @property
    def layers(self) -> int:
        """The number of layers that users get: the token layer and one per LSTM layer."""
        return self.lstm.n_layers + 1

    @property
    def dim(self) -> int:
        """Values per word and layer, both directions together."""
        return 2 * self.lstm.projection_dim

    @classmethod
    def read(cls, path: str | Path) -> ElmoOptions:
        """The options of an ``options.json`` (or of a converted folder's ``config.json``).

        Raises:
            InputError: no such file, not JSON, or an impossible shape.
        """
        path = Path(path)
        return cls.parse(read_json(path, "the options.json of a biLM"), path)

    @classmethod
    def parse(cls, value: Any, path: str | Path | None = None) -> ElmoOptions:
        """Options from parsed JSON; ``path`` is only for error messages."""
        if not isinstance(value, dict) or not isinstance(value.get("char_cnn"), dict):
            raise InputError(
                "no char_cnn", path=path, expected="a character-based biLM", fix="word-based biLMs are not supported"
            )
        try:
            return cls.model_validate(value)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(step) for step in first["loc"])
            message = first["msg"].removeprefix("Value error, ")
            raise InputError(f"{where}: {message} (found {_short(first['input'])})", path=path) from error


def _short(value: Any) -> str:
    text = json.dumps(value, default=str)
    return text if len(text) <= 60 else text[:57] + "..."


def _released(dim: int, projection: int, highway: int) -> ElmoOptions:
    filters = [(1, 32), (2, 32), (3, 64), (4, 128), (5, 256), (6, 512), (7, 1024)]
    return ElmoOptions.model_validate(
        {
            "char_cnn": {"embedding": {"dim": 16}, "filters": filters, "n_highway": highway},
            "lstm": {
                "dim": dim,
                "projection_dim": projection,
                "cell_clip": 3,
                "proj_clip": 3,
                "use_skip_connections": True,
            },
        }
    )


# The shapes of the released models; the 5.5B and PubMed weights have the shape of the original.
SHAPES = {
    "original": _released(4096, 512, 2),
    "medium": _released(2048, 256, 1),
    "small": _released(1024, 128, 1),
}
