"""Reading invented files through the BLUE-format reader."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from biomtl.corpora.blue.reader import BlueFiles
from biomtl.corpora.reader import ReadOptions
from biomtl.corpora.source import Source
from biomtl.tasks import get_task
from biomtl.tasks.types.base import check_record

Read = Callable[..., dict[str, dict[str, list[dict[str, Any]]]]]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """``read({name: text}, assume=None)`` -> task -> split -> records, each checked."""

    def read_files(files: dict[str, str], assume: str | None = None) -> dict[str, dict[str, list[dict[str, Any]]]]:
        for name, text in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(text.encode())
        source, reader = Source(tmp_path), BlueFiles(assume)
        found: dict[str, dict[str, list[dict[str, Any]]]] = defaultdict(lambda: defaultdict(list))
        for task, split, record in reader.read(source, reader.detect(source), ReadOptions()):
            assert check_record(get_task(task), record) is None
            found[task][split].append(dict(record))
        return {task: dict(splits) for task, splits in found.items()}

    return read_files
