"""Texts that a suite's tasks share, and what a length limit would cut off."""
