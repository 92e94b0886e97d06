"""What runs over people's texts takes time that grows with the text, and no faster, whatever the text is."""

import ast
import time
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from warren.bot.api.arguments import Misused, Signature, command_in
from warren.contract.text import one_line, shows
from warren.untrusted import UnreadableError, read
from warren_gateway.auth.authenticator import SLUG_CHARACTERS
from warren_persistence.projections.folding import terms
from warren_ui.rooms import slug

from bots.assistant.bot import Settings, assistant, mention_of
from bots.moderator.bot import Rules
from bots.remind.bot import SPOKEN, duration

ROOT = Path(__file__).parents[3]
LENGTH = 4_000
FRAME = 64 * 1024
PASSES = 25
"""What any text may cost, in plain passes of Python over its characters, those of its compatibility form, in which one
becomes up to 18: a square of 4,000 is thousands of passes …"""
MOST = 200
"""… unless it costs no more than this, because much is done to each character, and the cost grows with the length:"""
GROWTH = 8
"""how many times what a text of a quarter of the length does. A square costs 16 times that."""
UNITS = (
    "a", " ", "\t", "1", "1 ", "a ", "1a", "@", "@b", "-", "a-", ".", "a.", "/", "\\", "https://", "https://a.b,",
    "http://[", "(", ")", "]", "'", '"', "“", "”x", "\u200b", "❤", "死", "e\u0301", "\u0301", "_", "darn", "dar", "aa!",
    "remind me in ", "remind ", "1 hour to ", "＠", "ﷺ", "İ",
)  # fmt: skip
JSON_UNITS = ("\\ud8", "9" * 999 + "x", "9", '{"a":', "[", ",", "\ud800", '"', " ")
BEGINNINGS = ("", "/set ", '/set "', "remind me in 1", "https://", '{"text":"')
ENDS = ("", "!", '"')


async def _set(message: object, number: int, word: str, rest: str = "") -> None:
    """Stand for a bot's command."""


SIGNATURE = Signature.of("set", _set)
RULES = Rules(words=("darn", "死ね", "año", "c++"), hosts=("good.example",), patterns=(r"(a|aa)+$", r"(\w+\s?)*!"))


def parse(text: str) -> object:
    try:
        return SIGNATURE.parse(command_in(text)[1])
    except Misused as misused:
        return misused


def read_json(text: str) -> object:
    try:
        return read(text)
    except UnreadableError as error:
        return error


OVER_TEXTS: dict[str, Callable[[str], object]] = {
    "libs/warren/warren/bot/api/arguments.py": parse,
    "libs/warren/warren/contract/text.py": lambda text: (shows(text), one_line(text)),
    "libs/warren/warren/untrusted.py": read_json,
    "services/persistence/warren_persistence/projections/folding.py": lambda text: terms("ann", text),
    "ui/warren_ui/rooms.py": slug,
    "bots/assistant/bot.py": mention_of(assistant(Settings())).search,
    "bots/moderator/bot.py": RULES.broken_by,
    "bots/moderator/links.py": Rules(hosts=()).broken_by,
    "bots/moderator/words.py": Rules(words=("darn", "死ね", "año", "c++", "@b", "@@@")).broken_by,
    "bots/remind/bot.py": lambda text: (SPOKEN.fullmatch(text), duration(text)),
}
"""What is done to texts, by where it is."""
SHORT = {
    "services/gateway/warren_gateway/auth/authenticator.py": SLUG_CHARACTERS,
    "services/gateway/warren_gateway/http/bodies.py": "paths",
    "services/gateway/warren_gateway/transports/cursors.py": "the pattern of what has been matched by pydantic",
    "libs/warren/warren/contract/bots.py": "ids",
    "libs/warren/warren/bot/api/routes.py": "ids of rooms and types of events",
}
"""Where an expression runs over what people choose, but a line of it at most, with no repetition within another."""
OTHERS = {
    "libs/client/warren_client/__init__.py", "libs/warren/warren/contract/asyncapi.py", "bots/archive/files.py",
    "libs/warren/warren/contract/users.py", "ui/warren_ui/operations/rates.py",
    "deploy/local/warren_local/supervisor.py", "libs/warren/warren/broker/__main__.py",
    "libs/warren/warren/broker/definitions.py",
}  # fmt: skip
"""Where they run over what is our own or the operator's."""


def modules_with_expressions() -> Iterator[str]:
    for top in ("libs", "services", "ui", "bots", "deploy"):
        for path in (ROOT / top).rglob("*.py"):
            if not path.name.startswith("test_") and _imports(path) & {"re", "re2", "regex", "fnmatch"}:
                yield str(path.relative_to(ROOT))


def _imports(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add(str(node.module))
    return found


def test_every_module_with_an_expression_is_known() -> None:
    """One that is new here needs a place above: what does it run over?"""
    known = {*OVER_TEXTS, *SHORT, *OTHERS} - {"libs/warren/warren/bot/api/arguments.py"}  # which has none
    assert set(modules_with_expressions()) == known


def texts(units: Iterable[str], length: int) -> Iterator[str]:
    for unit in units:
        for beginning in BEGINNINGS:
            for end in ENDS:
                yield (beginning + unit * length)[: length - 1] + end


def spent(work: Callable[[], Any]) -> float:
    began = time.thread_time()
    work()
    return time.thread_time() - began


@pytest.mark.parametrize("where", OVER_TEXTS)
def test_no_text_takes_longer_than_texts_of_its_length(where: str) -> None:
    act = OVER_TEXTS[where]
    for text in texts(JSON_UNITS, FRAME) if act is read_json else texts(UNITS, LENGTH):
        assert any(is_linear(act, text) for _ in range(5)), f"{text[:60]!r}… takes too long"  # or was interrupted


def is_linear(act: Callable[[str], object], text: str) -> bool:
    folded = unicodedata.normalize("NFKC", text)
    cost, one_pass = spent(lambda: act(text)), spent(lambda: [character for character in folded])  # noqa: C416
    if cost <= PASSES * one_pass:
        return True
    return cost <= MOST * one_pass and cost <= GROWTH * spent(lambda: act(text[: len(text) // 4]))
