"""Which rows of a corpus are in a benchmark's train, dev and test: ids only, no text.

``biosses_*``: 1-based pair numbers, in BLUE's order. ``ddi2013_dev``: ids of the sentences in BLUE's dev set; the four
pair ids at its end are those of ``DDI-MedLine.d104.s8``, the one sentence that is only partly there. ``hoc_*``: PMIDs.

Of BLURB's own corpora: ``bc2gm_dev``: sentences of the training part in the development set of Crichton et al. 2017;
``ebm_pico_dev``: PMIDs of SciBERT's development set; ``pubmedqa_*``: PMIDs of the authors' test set and of the
development set of their first fold.
"""

from __future__ import annotations

from importlib.resources import files


def ids(name: str) -> list[str]:
    """The ids of one list, in order."""
    return files(__name__).joinpath(f"{name}.txt").read_text(encoding="ascii").split()
