"""Which corpus readers exist. A reader is imported only when `prepare` looks for its layout."""

from __future__ import annotations

from functools import cache
from importlib import import_module

from biomtl.corpora.reader import Reader

# "module:Class", in order of preference: when several readers find the training data of one task, the first one wins.
# Original distributions stand before files that somebody converted from them.
READERS: tuple[str, ...] = (
    "biomtl.corpora.bc5cdr:BC5CDR",
    "biomtl.corpora.ddi2013:DDI2013",
    "biomtl.corpora.chemprot:ChemProt",
    "biomtl.corpora.hoc:HoC",
    "biomtl.corpora.biosses:Biosses",
    "biomtl.corpora.i2b2_2010:I2b22010",
    "biomtl.corpora.shareclefe:ShareClefe",
    "biomtl.corpora.mednli:MedNLI",
    "biomtl.corpora.medsts:MedSTS",
    "biomtl.corpora.blue.reader:BlueFiles",
)


@cache
def readers() -> tuple[Reader, ...]:
    """An instance of every reader, in order of preference."""
    found = []
    for path in READERS:
        module, name = path.split(":")
        found.append(getattr(import_module(module), name)())
    return tuple(found)
