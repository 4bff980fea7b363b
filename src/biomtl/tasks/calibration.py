"""What is learnt on dev about a trained head's outputs: how sure they are, and from where on they decide."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

BINS = 10


class Bin(BaseModel):
    """Predictions of similar confidence."""

    model_config = ConfigDict(frozen=True)

    confidence: float = Field(description="mean probability of the predicted label")
    accuracy: float = Field(description="share of them that is right")
    count: int


class Reliability(BaseModel):
    """How well probabilities agree with how often they are right."""

    model_config = ConfigDict(frozen=True)

    error: float = Field(description="expected calibration error: mean difference of confidence and accuracy")
    bins: tuple[Bin, ...]

    @classmethod
    def of(cls, confidence: NDArray[np.float64], right: NDArray[np.bool_]) -> Reliability:
        """Bins of equal width, those that are empty left out; the error weighs each by its predictions."""
        at = np.minimum((confidence * BINS).astype(int), BINS - 1)
        bins = [
            Bin(
                confidence=float(confidence[at == i].mean()),
                accuracy=float(right[at == i].mean()),
                count=int((at == i).sum()),
            )
            for i in np.unique(at)
        ]
        error = sum(b.count * abs(b.confidence - b.accuracy) for b in bins) / max(1, len(confidence))
        return cls(error=float(error), bins=tuple(bins))


class Calibration(BaseModel):
    """Corrections of a head's outputs, saved with it.

    The temperature divides the outputs before they become probabilities; it changes no decision. Thresholds and bias
    change decisions and no probability.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    temperature: float = Field(1.0, gt=0, allow_inf_nan=False)
    thresholds: dict[str, float] = Field(
        default_factory=dict, description="multilabel: lowest probability of each predicted label"
    )
    negative_bias: float = Field(
        0.0,
        allow_inf_nan=False,
        description="added to the output of the negative class (of `O`, of no answer) before it is compared",
    )
    before: Reliability | None = Field(None, description="on dev, without the temperature")
    after: Reliability | None = Field(None, description="on dev, with it")
