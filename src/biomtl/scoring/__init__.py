"""Scoring by BLUE's rules: pure functions over gold and predicted records, without torch.

``score("ddi2013", gold, predicted)`` takes records or files; ``METRICS`` lists every metric with its full name.
"""

from biomtl.scoring.metrics import METRICS, Metric
from biomtl.scoring.result import Confusion, LabelRow, MetricResult, Score
from biomtl.scoring.scorer import score, score_records

__all__ = ["METRICS", "Confusion", "LabelRow", "Metric", "MetricResult", "Score", "score", "score_records"]
