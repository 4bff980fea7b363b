"""The README as package indexes show it: there a link to a file of the checkout leads nowhere.

Links to pages of ``docs/`` become addresses of the documentation site if pyproject.toml names one (``[project.urls]``,
``Documentation``); what has no address stays as plain words.
"""

import re
import tomllib
from pathlib import Path

from setuptools import setup

ROOT = Path(__file__).parent


def index_page(readme: str, site: str | None) -> str:
    """``readme`` without relative links."""

    def link(match: re.Match[str]) -> str:
        words, target = match.groups()
        page = re.fullmatch(r"docs/(?:index|(.+?))\.md(#.+)?", target)
        if site is None or page is None:
            return words
        path = f"{page[1]}/" if page[1] else ""
        return f"[{words}]({site.rstrip('/')}/{path}{page[2] or ''})"

    return re.sub(r"\[([^\]\n]+)\]\((?![a-z]+:)([^)\s]+)\)", link, readme)


if __name__ == "__main__":
    urls = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"].get("urls", {})
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    setup(
        long_description=index_page(readme, urls.get("Documentation")),
        long_description_content_type="text/markdown",
    )
