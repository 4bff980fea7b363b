"""ELMo: a character-based bidirectional language model that gives all its layers (arXiv 1802.05365)."""

from biomtl.encoders.elmo.characters import WordBatch, word_batch, word_ids
from biomtl.encoders.elmo.encode import encode
from biomtl.encoders.elmo.network import Elmo
from biomtl.encoders.elmo.options import SHAPES, ElmoOptions
from biomtl.encoders.elmo.scalar_mix import ScalarMix
from biomtl.encoders.elmo.weights import convert_elmo, is_elmo, load_elmo, save_elmo

__all__ = [
    "SHAPES",
    "Elmo",
    "ElmoOptions",
    "ScalarMix",
    "WordBatch",
    "convert_elmo",
    "encode",
    "is_elmo",
    "load_elmo",
    "save_elmo",
    "word_batch",
    "word_ids",
]
