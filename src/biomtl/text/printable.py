"""Text as plain ASCII, as in BLUE's ChemProt and MedNLI: every other character is replaced by a look-alike."""

from __future__ import annotations

import re
import string
import unicodedata

_GREEK = dict(zip("αβγδεζηικλμνξοπρσςτυφχω", "abgdezhiklmnxoprsstyfxw", strict=True)) | {"θ": "th", "ψ": "ps"}
_GREEK |= {letter.upper(): latin.upper() for letter, latin in _GREEK.items()}
_GREEK["Ω"] = "w"  # lower case in the table that BLUE used

_SYMBOLS = {
    " ": "\u00a0\u2002\u2005\u2009\u200a",
    "*": "°·×•∗⋅\uf8ff",
    "+": "±⁺",
    "-": "⁻",
    "~": "∼∞\u0303",
    "<": "≤⩽↓↔",
    ">": "≥⩾≫→",
    "=": "≈═",
    "'": "´",
    '"': "″‴",
    ".": "…",
    "(": "〈",
    ")": "〉",
    "0": "₀",
    "1": "¹₁",
    "2": "²₂",
    "3": "³₃",
    "4": "₄",
    "5": "⁵₅",
    "7": "⁷",
    "9": "⁹",
    "c": "©ç",
    "r": "®",
    "T": "™",
    "m": "µ",
    "b": "ß",
    "o": "øö",
    "A": "ÅÃ",
    "a": "á",
    "e": "éɛ",
    "i": "ï",
    "u": "ü",
    "k": "к",
    "x": "\ue232\ue2f6",
}
_TABLE = _GREEK | {symbol: ascii for ascii, symbols in _SYMBOLS.items() for symbol in symbols}
_OTHER = re.compile(f"[^{re.escape(string.printable)}]")


def printable(text: str) -> str:
    """``text`` in printable ASCII (``α`` becomes ``a``, ``≤`` becomes ``<``, a no-break space becomes a space).

    BLUE's table covers all 82 such characters of ChemProt. A character outside it becomes the ASCII part of its
    compatibility decomposition (``ó`` becomes ``o``, ``⁴`` becomes ``4``); one without an ASCII part is dropped (BLUE
    drops all of them). The length usually stays the same, except for ``θ`` (``th``), ``ψ`` (``ps``) and dropped ones.
    """
    return text if text.isascii() and not _OTHER.search(text) else _OTHER.sub(_replace, text)


def _replace(match: re.Match[str]) -> str:
    character = match[0]
    known = _TABLE.get(character)
    if known is not None:
        return known
    letters = unicodedata.normalize("NFKD", character)
    bases = (letter for letter in letters if not unicodedata.combining(letter))
    return "".join(_TABLE.get(base, base if base in string.printable else "") for base in bases)
