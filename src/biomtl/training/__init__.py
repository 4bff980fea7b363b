"""Training: recipe, mixer, batches, loop, run."""

from typing import Any

__all__ = ["Recipe", "load_recipe", "train"]


def __getattr__(name: str) -> Any:
    """Import on first use: recipes are read without torch."""
    if name == "train":
        from biomtl.training.run import train

        return train
    if name in ("Recipe", "load_recipe"):
        from biomtl.training import recipe, recipe_io

        return getattr(recipe, name, None) or getattr(recipe_io, name)
    raise AttributeError(f"module 'biomtl.training' has no attribute {name!r}")
