"""Kills, damaged files and fuzzing: what docs/promises.md says of files and readers, tried thousands of times."""
