"""The freely distributable corpora, fetched and checked."""
