"""Files on disk: written whole or not at all, read within limits, locked, checked, and never taken from their owner."""
