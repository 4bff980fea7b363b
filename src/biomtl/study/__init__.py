"""Studies: runs compared with paired tests, and many runs of one recipe."""
