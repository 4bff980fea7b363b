"""Views of a pair of mentions, one module each: what the encoder reads of a relation task's record."""

from __future__ import annotations

from collections.abc import Mapping

from biomtl.tasks.views.base import Argument, Pair, View
from biomtl.tasks.views.levitated import LevitatedView
from biomtl.tasks.views.markers import MarkersView
from biomtl.tasks.views.mask import MaskView
from biomtl.tasks.views.spans import SpansView

__all__ = ["VIEWS", "Argument", "Pair", "View"]

VIEWS: Mapping[str, View] = {view.name: view for view in (MaskView(), MarkersView(), SpansView(), LevitatedView())}
"""Every view by name."""
