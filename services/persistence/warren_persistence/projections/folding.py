"""What people are found by: their names as somebody may write them who does not know how they are written."""

import re
import unicodedata

WORDS = 16
"""Words of a name at which somebody is found; nobody's has more."""
_ALIKE = str.maketrans({"ı": "i", "ł": "l", "ø": "o", "đ": "d", "ð": "d", "ħ": "h", "ŧ": "t", "æ": "ae", "œ": "oe"})
"""Letters that Unicode does not take apart into another letter and a mark, and that are written without it."""
_WORD = re.compile(r"\w+")


def folded(text: str) -> str:
    """Return the text without what tells cases, accents, widths and blanks apart; the same for İ, I, ı and i."""
    apart = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", text).casefold())
    bare = "".join(filter(_counts, apart)).translate(_ALIKE)
    return " ".join(bare.split())


def terms(user: str, name: str) -> list[str]:
    """Return what somebody is found by the beginning of: the id, and the name from each of its words on."""
    text = folded(name)
    starts = [found.start() for found, _ in zip(_WORD.finditer(text), range(WORDS), strict=False)]
    return sorted({folded(user), text, *(text[start:] for start in starts)} - {""})


def _counts(character: str) -> bool:
    return not unicodedata.combining(character) and unicodedata.category(character) != "Cf"
