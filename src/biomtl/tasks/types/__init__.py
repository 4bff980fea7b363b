"""Task types: what a record of each type holds, and how outputs become predictions."""
