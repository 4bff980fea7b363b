"""From original distributions to prepared suites: checked records with counts."""

from biomtl.prepare.prepare import PrepareReport, prepare

__all__ = ["PrepareReport", "prepare"]
