"""Makes wrong values of right ones: in a field, in the order of fields, in the text, in the bytes."""

import copy
import gzip
import json
import random
from collections.abc import Callable
from typing import Any

Path = tuple[str | int, ...]
COUNTS = (0, 0, 1, 1, 1, 2, 3, 6)
"""How many fields of a case are wrong: of two cases in eight none is."""
BYTES_TOO = 0.15
"""How often the text itself is wrong, besides."""
MANY = (2, 51, 101, 1_001)
"""How often something is repeated: over what the bounds of lists are."""
MOST_BYTES = 256 * 1024
"""What repeats a repetition is cut there: above all bounds of what comes from people."""
BOUNDS = (63, 64, 65, 128, 129, 200, 201, 3_999, 4_000, 4_001, 65_536)
"""Characters: what the bounds of texts are, and one more."""


def _deep(depth: int, rng: random.Random) -> Any:
    found: Any = 1
    for _ in range(depth):
        found = [found] if rng.random() < 0.5 else {"a": found}
    return found


def _text(rng: random.Random) -> str:
    return rng.choice(("x", "é", "\u0001", "🐇", "\u200b", " ", '"', "\\")) * rng.choice(BOUNDS)


NASTY: tuple[Callable[[random.Random], Any], ...] = (
    lambda _: None,
    lambda rng: rng.random() < 0.5,
    lambda rng: rng.choice((0, -1, 1, 2**31, 2**53 - 1, 2**53, 2**63 - 1, 2**63, 2**64, -(2**63) - 1)),
    lambda rng: 10 ** rng.choice((18, 19, 308, 309, 4_000)),
    lambda rng: rng.choice((0.5, -0.0, 1e308, 1e-308, float("nan"), float("inf"), float("-inf"))),
    lambda rng: rng.choice(("", " ", "\x00", "\ud83d", "\udc00x", "\u2028", "\u202e", "\ufeff", "null", "0", "NaN")),
    lambda rng: rng.choice(("constructor", "__proto__", "@me", "me", "bot.x", "*", "$where", "a.b", "../x")),
    _text,
    lambda rng: [],
    lambda rng: {},
    lambda rng: [None] * rng.choice(MANY),
    lambda rng: {str(number): number for number in range(rng.choice(MANY))},
    lambda rng: _deep(rng.choice((5, 60, 150)), rng),
    lambda rng: rng.choice(("2026-13-01T00:00:00Z", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-12:00", "1e9")),
)


def mutated(value: Any, rng: random.Random) -> Any:
    """Return a value with some things in it wrong, or none."""
    found = copy.deepcopy(value)
    for _ in range(rng.choice(COUNTS)):
        found = _once(found, rng)
    return found


def encoded(value: Any, rng: random.Random) -> bytes:
    """Return the value as JSON that is not always JSON."""
    text = json.dumps(value, ensure_ascii=rng.random() < 0.5)
    body = text.encode("utf-8", "surrogatepass")
    if rng.random() < BYTES_TOO:
        body = rng.choice(_BYTES)(body, rng)
    return body[:MOST_BYTES]


def nasty(rng: random.Random) -> Any:
    """Return something that hardly fits anywhere."""
    return rng.choice(NASTY)(rng)


def _once(value: Any, rng: random.Random) -> Any:
    paths = list(_paths(value, ()))
    path = rng.choice(paths)
    if not path:
        return nasty(rng) if rng.random() < 0.1 else value
    parent = value
    for step in path[:-1]:
        parent = parent[step]
    rng.choice(_FIELDS)(parent, path[-1], value, rng)
    return value


def _paths(value: Any, path: Path) -> list[Path]:
    found = [path]
    items: Any = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in list(items)[:50]:
        found += _paths(inner, (*path, key)) if len(path) < 12 else []
    return found


def _replace(parent: Any, key: Any, whole: Any, rng: random.Random) -> None:
    parent[key] = nasty(rng)


def _drop(parent: Any, key: Any, whole: Any, rng: random.Random) -> None:
    del parent[key]


def _cross(parent: Any, key: Any, whole: Any, rng: random.Random) -> None:
    """Put there what stands elsewhere."""
    found = whole
    for step in rng.choice(_paths(whole, ())):
        found = found[step]
    parent[key] = copy.deepcopy(found)


def _repeat(parent: Any, key: Any, whole: Any, rng: random.Random) -> None:
    if isinstance(parent, list):
        parent[:] = parent + [parent[key]] * rng.choice(MANY)
    elif isinstance(parent[key], list):
        parent[key] = parent[key] * rng.choice(MANY[:2])
    else:
        parent[key] = [parent[key]] * rng.choice(MANY[:2])


def _again(parent: Any, key: Any, whole: Any, rng: random.Random) -> None:
    """Say it once more with something else in it: the same id and another key, or the other way round."""
    if isinstance(parent, list) and isinstance(parent[key], dict) and parent[key]:
        twin = copy.deepcopy(parent[key])
        field = rng.choice(sorted(twin))
        twin[field] = f"{twin[field]}x" if isinstance(twin[field], str) else nasty(rng)
        parent.append(twin)
    else:
        _replace(parent, key, whole, rng)


def _add(parent: Any, key: Any, whole: Any, rng: random.Random) -> None:
    if isinstance(parent, dict):
        parent[rng.choice(("extra", "type", "", "\x00", "\ud800", "__proto__", "x" * 300))] = nasty(rng)
    else:
        parent.insert(rng.randint(0, len(parent)), nasty(rng))


_FIELDS: tuple[Callable[[Any, Any, Any, random.Random], None], ...] = (
    _replace, _replace, _replace, _drop, _cross, _repeat, _again, _again, _add,
)  # fmt: skip


def _cut(body: bytes, rng: random.Random) -> bytes:
    return body[: rng.randint(0, len(body))]


def _insert(body: bytes, rng: random.Random) -> bytes:
    what = rng.choice((b"\x00", b"\xff", b"\xed\xa0\x80", b'"', b"}", b"\xef\xbb\xbf"))
    place = rng.randint(0, len(body))
    return body[:place] + what + body[place:]


_BYTES: tuple[Callable[[bytes, random.Random], bytes], ...] = (
    _cut,
    _insert,
    lambda body, rng: rng.randbytes(rng.randint(0, 200)),
    lambda body, rng: b"\xef\xbb\xbf" + body,
    lambda body, rng: body + body,
    lambda body, rng: body.replace(b"{", b'{"type":"zork","id":1,', 1),  # a key twice
    lambda body, rng: b"[" * 10_000 + body,
    lambda body, rng: b" " * rng.choice((1_000, 70_000)) + body,
    lambda body, rng: gzip.compress(body),
    lambda body, rng: body.decode("utf-8", "surrogatepass").encode("utf-16", "surrogatepass"),
)
