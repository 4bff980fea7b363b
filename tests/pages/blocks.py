"""The code blocks of a page of the documentation, and how each is run in a folder.

- A Python block is executed here; all of a page share their names.
- A shell block is run by bash; commands of biomtl start without the seconds of their imports (`commands.py`).
- A block with a title is a file: ```` ```yaml title="own.yaml" ```` is written under that name.
- `<!-- not run: REASON -->` on the line before a Python or shell block leaves it out.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

from sybil import Document, Example, Region, Sybil
from sybil.evaluators.python import PythonEvaluator
from sybil.parsers.markdown.lexers import RawFencedCodeBlockLexer

FENCE = RawFencedCodeBlockLexer(re.compile(r'(?P<language>\w*)(?: title="(?P<title>[^"\n]+)")?[ \t]*$\n', re.MULTILINE))
NOT_RUN = re.compile(r"<!-- not run: (.+) -->\n\s*\Z")
SHELLS = ("bash", "sh", "shell", "console")
LONGEST = 280  # seconds that a block may take, many times what the slowest needs


def blocks(document: Document) -> Iterator[Region]:
    """Every block that is a file, Python or a shell's, in order; those left out by a reason have no evaluator."""
    python = PythonEvaluator()
    for region in FENCE(document):
        language, title = region.lexemes["language"], region.lexemes["title"]
        region.parsed = region.lexemes["source"]
        reason = NOT_RUN.search(document.text, 0, region.start)
        if title or language == "python" or language in SHELLS:
            region.evaluator = None if reason else _write if title else python if language == "python" else _shell
            yield region


def parse(page: Path) -> Document:
    """A page with its blocks."""
    return Sybil([blocks]).parse(page)


def run_page(page: Path, folder: Path, environment: Mapping[str, str]) -> None:
    """Run the blocks of a page one after the other in a folder, with these variables."""
    document = parse(page)
    document.namespace |= {"_folder": folder, "_environment": environment}
    for example in document.examples():
        if example.region.evaluator:
            example.evaluate()


def left_out(page: Path) -> int:
    """How many blocks of a page are not run, each for its reason."""
    return sum(example.region.evaluator is None for example in parse(page).examples())


def _write(example: Example) -> None:
    target = example.namespace["_folder"] / example.region.lexemes["title"]
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(example.parsed, encoding="utf-8")


def _shell(example: Example) -> None:
    run_shell(example.parsed, example.namespace["_folder"], example.namespace["_environment"])


def run_shell(code: str, folder: Path, environment: Mapping[str, str]) -> None:
    """Let bash run these lines; the first that fails is an error."""
    words = ["bash", "-euo", "pipefail", "-c", code]
    options = {"stdin": subprocess.DEVNULL, "capture_output": True, "text": True, "timeout": LONGEST}
    ended = subprocess.run(words, cwd=folder, env=environment, **options)
    assert ended.returncode == 0, f"{code}\n{ended.stdout[-2000:]}\n{ended.stderr[-4000:]}"
