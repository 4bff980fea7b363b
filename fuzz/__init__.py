"""Fuzz targets: every reader as a function of bytes; see docs/fuzzing.md."""
