"""Heads: from hidden states to logits."""
