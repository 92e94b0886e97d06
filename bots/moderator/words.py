"""Finds words in a text, however they are written: capitals, full-width letters, accents, invisible characters."""

import re
import unicodedata
from collections.abc import Collection

_UNSPACED = "\u0e00-\u0eff\u1000-\u109f\u1100-\u11ff\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7a3\uf900-\ufaff"
_UNSPACED += "\U00020000-\U0003ffff"
"""Letters of scripts in which words follow each other, or what is added to them, without a blank."""
_LETTER = rf"[^\W_{_UNSPACED}]"
_IS_LETTER = re.compile(_LETTER)
_ACCENTS = dict.fromkeys(range(0x300, 0x370))


class Words:
    """Words that are looked for. None may be within another one, where the script parts words by blanks.

    A word that has accents is found with these alone; one that has none is found with any.
    """

    def __init__(self, words: Collection[str]) -> None:
        folded = [fold(word) for word in words]
        plain = [word for word in folded if word and without_accents(word) == word]
        self._plain = _expression(plain)
        self._accented = _expression([word for word in folded if word and word not in plain])

    def is_in(self, text: str) -> bool:
        """Whether one of the words is in the text."""
        folded = fold(text)
        accented = self._accented is not None and self._accented.search(folded) is not None
        return accented or (self._plain is not None and self._plain.search(without_accents(folded)) is not None)


def fold(text: str) -> str:
    """Return the text in one way of writing it: one case, one width, and nothing that is not seen."""
    seen = "".join(char for char in unicodedata.normalize("NFKC", text) if unicodedata.category(char) != "Cf")
    return unicodedata.normalize("NFKC", seen.casefold())


def without_accents(folded: str) -> str:
    """Return the text without the accents of Latin, Greek and Cyrillic letters."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFD", folded).translate(_ACCENTS))


def _expression(words: Collection[str]) -> re.Pattern[str] | None:
    # Nothing in it repeats: what it takes grows with the text, and with the words.
    return re.compile("|".join(map(_bounded, words))) if words else None


def _bounded(word: str) -> str:
    before = f"(?<!{_LETTER})" if _IS_LETTER.match(word[0]) else ""
    behind = f"(?!{_LETTER})" if _IS_LETTER.match(word[-1]) else ""
    return f"{before}{re.escape(word)}{behind}"
