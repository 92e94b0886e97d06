"""Which characters look like others: Unicode's confusables (UTS #39), as a module for the page."""

import json
from importlib.resources import files
from unicodedata import category, normalize

Links = dict[str, list[dict[str, str]]]
"""By text, the texts that look like it (`c`): each class of lookalikes is a star around its prototype."""


def confusables_script() -> str:
    """Return the module `confusables.js`: `CONFUSABLES` has, by prototype, the characters that look like it.

    All is decomposed (NFKD), so characters that fall apart by that are missing: the page decomposes names first.
    """
    text = (files("confusable_homoglyphs") / "confusables.json").read_text(encoding="utf-8")
    table = json.dumps(_by_prototype(json.loads(text)), ensure_ascii=False, separators=(",", ":"))
    return f"export const CONFUSABLES = {table};\n"


def _by_prototype(links: Links) -> dict[str, str]:
    parts = {char for text in links if len(text) > 1 for char in text}  # prototypes are made of prototypes
    found: dict[str, str] = {}
    for text, others in links.items():
        like = [text, *(other["c"] for other in others)]
        prototype = _decomposed(max(like, key=lambda one: (len(links[one]), len(one), one in parts, one)))
        if len(text) == 1 and text == normalize("NFKD", text) != prototype:
            found[prototype] = found.get(prototype, "") + text
    return found


def _decomposed(text: str) -> str:
    return "".join(char for char in normalize("NFKD", text) if category(char) != "Cf")
