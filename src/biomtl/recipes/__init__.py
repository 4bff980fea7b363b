"""Recipes that come with the package, by name: ``biomtl train sample``, ``biomtl recipes``."""

from __future__ import annotations

from pathlib import Path

HERE = Path(__file__).parent
SUFFIX = ".yaml"


def packaged_recipes() -> dict[str, Path]:
    """The recipes' files by name."""
    return {path.stem: path for path in sorted(HERE.glob(f"*{SUFFIX}"))}


def recipe_file(name: str | Path) -> Path:
    """The file that a name means: one that exists, else a recipe of the package.

    Its name may stand alone (``sample``) or as ``recipes/sample.yaml``, the place of recipes in earlier checkouts.
    """
    path = Path(name)
    alone = path.name == str(path) and not path.suffix
    checkout = path.parent.name == "recipes" and path.suffix == SUFFIX
    if path.is_file() or not (alone or checkout):
        return path
    return packaged_recipes().get(path.stem, path)


def about(path: Path) -> str:
    """What a recipe is for: the first sentence of the comment at its top."""
    comment = []
    for line in path.read_text(encoding="utf-8").splitlines():
        if not line.startswith("# "):
            break
        comment.append(line.removeprefix("# ").strip())
    return f"{' '.join(comment).partition('. ')[0].rstrip('.')}."
