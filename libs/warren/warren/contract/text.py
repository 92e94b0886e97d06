"""Which texts show anything, and what has no place in a name.

By Unicode's properties, as pydantic's regular expressions have them: their time is linear in the text, whatever it is.
"""

import re
from collections.abc import Callable
from typing import Annotated

from pydantic import StringConstraints, TypeAdapter

_BLANK_LETTERS = r"\x{2800}\x{16FE4}\x{1D159}\x{13441}\x{13442}"
"""Braille's, Khitan's, music's and hieroglyphs' signs for nothing. Hangul's fillers are ignorable."""
_UNSEEN = rf"\p{{Default_Ignorable_Code_Point}}{_BLANK_LETTERS}"


def _search(pattern: str) -> Callable[[str], bool]:
    return TypeAdapter(Annotated[str, StringConstraints(pattern=pattern)]).validator.isinstance_python


_shows = _search(rf"[^\p{{Cc}}\p{{Cf}}\p{{Z}}{_UNSEEN}]")
_has_unseen = _search(rf"[{_UNSEEN}]")
_ascii_shows = re.compile("[!-~]").search
_JOINING = frozenset("\u200c\u200d\ufe0e\ufe0f" + "".join(map(chr, range(0xE0020, 0xE0080))))
"""What shows nothing and changes what stands beside it: in words of Persian or Hindi, and in emoji."""


def shows(text: str) -> bool:
    """Whether anybody sees anything of it."""
    if text.isascii():
        return _ascii_shows(text) is not None
    return _shows(text)


def one_line(text: str) -> str:
    """Return the text as a name or title may be: without control characters, newlines, and marks of direction; blanks
    are single, and none are at the ends."""
    if text.isprintable() and "  " not in text and (text.isascii() or not _has_unseen(text)):
        return text.strip()
    blanks_apart = " ".join(text.split())
    kept = "".join(one for one in blanks_apart if one == " " or one in _JOINING or shows(one))
    return " ".join(kept.split())


def must_show(text: str) -> str:
    """Return the text. Raises ValueError if nobody would see anything of it."""
    if not shows(text):
        raise ValueError("must show something")
    return text


def shown_line(text: str) -> str:
    """Return the text as `one_line` does. Raises ValueError if nothing is left of it that shows."""
    return must_show(one_line(text))
