"""What is said to a bot, as arguments of a function: `/remind 10 "the tea"` calls `remind(message, 10, "the tea")`."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from pydantic import TypeAdapter, ValidationError

MARK = "/"
"""What a command begins with."""
QUOTES = {'"': '"“”', "“": '”"', "„": '“”"', "”": '”"', "«": "»", "»": "«", "'": "'", "‘": "’'", "‚": "‘’'"}
"""What opens a quotation, and what may close it: telephones write curly ones, of whichever language they please."""
SHOWN = 40
"""Characters of a word that does not fit which are said again."""


class Misused(Exception):
    """The words do not fit; the text says what would."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """One argument. `rest`: it takes all the words that are left, as they were said. `wanted`: what it is, in words."""

    name: str
    wanted: str
    adapter: TypeAdapter[Any]
    required: bool
    default: Any
    rest: bool


@dataclass(frozen=True, slots=True)
class Signature:
    """The arguments of a command."""

    command: str
    parameters: tuple[Parameter, ...]

    @classmethod
    def of(cls, command: str, function: Callable[..., Any]) -> "Signature":
        """Return the arguments that a handler takes after the message; the last `str` takes the rest of the line."""
        hints = get_type_hints(function, include_extras=True)
        found = list(inspect.signature(function).parameters.values())[1:]
        return cls(command, tuple(_parameter(one, hints, last=one is found[-1]) for one in found))

    @property
    def usage(self) -> str:
        """Return how the command is used, for the person who got it wrong."""
        words = (f"<{one.name}>" if one.required else f"[{one.name}]" for one in self.parameters)
        return " ".join((MARK + self.command, *words))

    def parse(self, text: str) -> dict[str, Any]:
        """Return the arguments. Raises Misused."""
        values: dict[str, Any] = {}
        left = text.strip()
        for one in self.parameters:
            word, left = (left, "") if one.rest else _word(left)
            if not word and one.required:
                raise Misused(f"Usage: {self.usage}")
            try:
                values[one.name] = one.adapter.validate_strings(word) if word else one.default
            except ValidationError as error:
                raise Misused(f"{_why(one, word, error)} Usage: {self.usage}") from error
        if left:
            raise Misused(f"Usage: {self.usage}")
        return values


def command_in(text: str) -> tuple[str, str]:
    """Return the command that a text begins with, and what follows; no command is the empty text."""
    if not text.startswith(MARK):
        return "", text
    head, rest = _split(text[len(MARK) :])
    return head.lower(), rest


def _word(text: str) -> tuple[str, str]:
    """Return the first word, or what stands in quotes, and what is left."""
    if text[:1] not in QUOTES:
        return _split(text)
    closing = QUOTES[text[0]]
    end = next((place for place, char in enumerate(text) if place and char in closing), None)
    if end is None:
        raise Misused("A quotation mark is not closed.")
    return text[1:end], text[end + 1 :].strip()


def _split(text: str) -> tuple[str, str]:
    """Return what stands before the first white space, of whatever kind, and what stands behind it."""
    if text[:1].isspace():
        return "", text.strip()
    head, *rest = text.split(maxsplit=1) or [""]
    return head, rest[0].rstrip() if rest else ""


def _why(one: Parameter, word: str, error: ValidationError) -> str:
    """Return what is wrong with a word, for people; what a validator of the bot's author says is for people already."""
    found = error.errors(include_url=False, include_input=False)[0]
    if found["type"] in ("value_error", "assertion_error"):
        return f"{one.name}: {found['ctx']['error']}."
    said = word if len(word) <= SHOWN else f"{word[: SHOWN - 1]}…"
    wanted = _BOUNDS[found["type"]].format(**found["ctx"]) if found["type"] in _BOUNDS else one.wanted
    return f"“{said}” is not {wanted}."


def _parameter(one: inspect.Parameter, hints: dict[str, Any], *, last: bool) -> Parameter:
    kind = hints.get(one.name, str)
    required = one.default is inspect.Parameter.empty
    base = getattr(kind, "__origin__", kind)
    default = None if required else one.default
    return Parameter(one.name, _wanted(one.name, kind), TypeAdapter(kind), required, default, last and base is str)


_BOUNDS = {
    "greater_than": "more than {gt}", "greater_than_equal": "{ge} or more",
    "less_than": "less than {lt}", "less_than_equal": "{le} or less",
}  # fmt: skip
_WORDS = {int: "a whole number", float: "a number", bool: "yes or no"}


def _wanted(name: str, kind: Any) -> str:
    """Return what an argument of this type is, in words."""
    while get_origin(kind) in (Annotated, Union, UnionType):
        kind = get_args(kind)[0]
    if get_origin(kind) is Literal:
        return f"one of {', '.join(map(str, get_args(kind)))}"
    return _WORDS.get(kind, f"a {name} that I understand")
