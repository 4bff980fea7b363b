"""Does `biomtl prepare` need more memory for a larger corpus? Generates corpora of 1, 10 and 50 times DDI 2013's size.

    python benchmarks/prepare.py --copies 1 10 50

Each is a zip in DDI 2013's layout: 905 documents per copy (714 train, 191 test), as many as in the original, with
invented sentences and 36 pairs per document (the original has 37). `biomtl prepare` runs in its own process; reported
are its run time in seconds and its peak memory (resident set, as counted by the kernel).
"""

from __future__ import annotations

import argparse
import os
import random
import subprocess
import sys
import tempfile
import time
import zipfile
from itertools import combinations
from pathlib import Path

DOCUMENTS = {"Train": 714, "Test": 191}
DRUGS = (0, 2, 3, 4, 5, 1, 6, 2, 0)  # names in each sentence of a document
WORDS = ("patients", "who", "take", "high", "daily", "doses", "of", "because", "levels", "rise", "and", "may", "fall")
TYPES = ('ddi="false"',) * 5 + tuple(f'ddi="true" type="{kind}"' for kind in ("advise", "effect", "int", "mechanism"))


def document(name: str, rng: random.Random) -> str:
    """One XML document of invented sentences."""
    sentences = "".join(_sentence(f"{name}.s{i}", drugs, rng) for i, drugs in enumerate(DRUGS))
    return f'<?xml version="1.0" encoding="UTF-8"?>\n<document id="{name}">\n{sentences}</document>\n'


def _sentence(name: str, drugs: int, rng: random.Random) -> str:
    text, entities = "", []
    for i in range(drugs + 1):
        text += " ".join(rng.choices(WORDS, k=6)) + " "
        if i < drugs:
            drug = f"drug{rng.randrange(10_000):04}"
            offsets = f"{len(text)}-{len(text) + len(drug) - 1}"
            entities.append(f'<entity id="{name}.e{i}" charOffset="{offsets}" type="drug" text="{drug}"/>\n')
            text += drug + " "
    pairs = [
        f'<pair id="{name}.p{i}" e1="{name}.e{one}" e2="{name}.e{other}" {rng.choice(TYPES)}/>\n'
        for i, (one, other) in enumerate(combinations(range(drugs), 2))
    ]
    return f'<sentence id="{name}" text="{text}">\n{"".join(entities)}{"".join(pairs)}</sentence>\n'


def invent(target: Path, copies: int) -> None:
    """Write a corpus of ``copies`` times DDI's size, one document at a time."""
    rng = random.Random(0)
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for part, count in DOCUMENTS.items():
            for i in range(count * copies):
                archive.writestr(f"{part}/DrugBank/{i}_ddi.xml", document(f"Invented-{part}.d{i}", rng))


def measure(source: Path, out: Path) -> tuple[float, float]:
    """Seconds and peak memory (MB) of preparing ``source``."""
    program = "from biomtl.cli.main import main; main()"
    began = time.perf_counter()
    arguments = [sys.executable, "-c", program, "prepare", str(source), "--out", str(out)]
    process = subprocess.Popen(arguments, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        sys.exit(f"biomtl prepare failed on {source}")
    kilobyte = 1 if sys.platform == "darwin" else 1024  # macOS counts bytes
    return time.perf_counter() - began, usage.ru_maxrss * kilobyte / 1e6


def main() -> None:
    """Print one row per corpus."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--copies", type=int, nargs="+", default=[1, 10, 50], help="sizes, in copies of DDI 2013")
    parser.add_argument("--scratch", type=Path, help="an existing folder for the corpora; the system's by default")
    arguments = parser.parse_args()
    print("| copies | documents | pairs | XML in the zip, MB | seconds | peak memory, MB |")
    print("| ---: | ---: | ---: | ---: | ---: | ---: |")
    for copies in arguments.copies:
        with tempfile.TemporaryDirectory(dir=arguments.scratch) as folder:
            source, out = Path(folder) / "invented.zip", Path(folder) / "prepared"
            invent(source, copies)
            with zipfile.ZipFile(source) as archive:
                size = sum(member.file_size for member in archive.infolist()) / 1e6
            seconds, peak = measure(source, out)
            pairs = sum(sum(1 for _ in path.open("rb")) for path in (out / "ddi2013").glob("*.jsonl"))
        documents = sum(DOCUMENTS.values()) * copies
        print(f"| {copies} | {documents:,} | {pairs:,} | {size:.0f} | {seconds:.0f} | {peak:.0f} |", flush=True)


if __name__ == "__main__":
    main()
