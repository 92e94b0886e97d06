"""JSON from outside: read at no higher price than what is right, and far enough to say what is wrong in it.

A validator that lists all errors of a message costs the more the worse the message is, so nothing here makes a list.
"""

import json
import math
import re
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import from_json

PARTS = 2_000
"""Commas, brackets and braces outside of texts in one frame or body: the cursors of 300 rooms have four each."""
DIGITS = 1_000
"""Of a number: so long a one is too large for every field."""
DETAIL = 300
"""Characters of what is said about an error. A field's name is the sender's to choose."""
_STRUCTURAL = (b",", b"[", b"{")
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")
_NUMBER = re.compile(rb"[0-9]+")
_TEXTS = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?', re.DOTALL)
"""Also one that is not closed: else it would be looked for again from each quote in it."""


class UnreadableError(ValueError):
    """It is no JSON, or has more parts than anything that is asked for in its place."""


def read(data: str | bytes, parts: int = PARTS) -> Any:
    """Return what the JSON says; strings may have lone surrogates, numbers may be infinite. Raises UnreadableError."""
    body = data.encode("utf-8", "surrogatepass") if isinstance(data, str) else data
    if len(body) > parts and _parts(body) > parts and _parts(_TEXTS.sub(b"", body)) > parts:
        raise UnreadableError("too many parts")
    try:
        return from_json(body, cache_strings="none")
    except ValueError as error:
        if not _is_repairable(body):
            raise UnreadableError("not JSON") from error
    try:
        return json.loads(body.decode(), parse_int=_integer)
    except (ValueError, RecursionError) as error:
        raise UnreadableError("not JSON") from error


def _is_repairable(body: bytes) -> bool:
    """Whether there is a lone surrogate or an endless number: wrong in a field, and no reason to refuse all the rest.

    Numbers are taken as they are and then measured: to look for so many digits would begin anew behind each digit.
    """
    return bool(_SURROGATE.search(body)) or any(len(found[0]) >= DIGITS for found in _NUMBER.finditer(body))


def _parts(body: bytes) -> int:
    return sum(map(body.count, _STRUCTURAL))


def _integer(digits: str) -> int | float:
    return int(digits) if len(digits) < DIGITS else math.inf


def unknown_field(found: Mapping[Any, Any], model: type[BaseModel]) -> str | None:
    """Return a field that the model does not have, fit to be shown; None if there is none.

    To be asked before the model, which would make an error of each.
    """
    known = model.__pydantic_fields__
    if found.keys() <= known.keys():
        return None
    return next(shown(str(name)) for name in found if name not in known)


def first_error(error: ValidationError) -> str:
    """Return what is wrong, and where: the first of the errors."""
    return sentence(error.errors(include_url=False, include_input=False, include_context=False)[0])


def sentence(error: Mapping[str, Any]) -> str:
    """Return what one of pydantic's errors says, and where."""
    where = ".".join(shown(str(part)) for part in error["loc"])
    message = str(error["msg"]).removeprefix("Value error, ")
    return shown(f"{where}: {message}" if where else message)


def shown(text: str) -> str:
    """Return a text from outside as it may stand in an answer or a log: encodable, and not too long."""
    return text[:DETAIL].encode("utf-8", "backslashreplace").decode()


def encodable(text: str) -> bool:
    """Whether the text can be sent as it is."""
    return text.isascii() or not any("\ud800" <= character <= "\udfff" for character in text)
