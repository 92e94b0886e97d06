"""What is said to a bot, as arguments of a function: `/remind 10 "the tea"` calls `remind(message, 10, "the tea")`."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, get_type_hints

from pydantic import TypeAdapter, ValidationError

MARK = "/"
"""What a command begins with."""
QUOTES = ('"', "'")


class Misused(Exception):
    """The words do not fit; the text says what would."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """One argument. `rest`: it takes all the words that are left, as they were said."""

    name: str
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
                raise Misused(f"{one.name}: {error.errors()[0]['msg']}. Usage: {self.usage}") from error
        if left:
            raise Misused(f"Usage: {self.usage}")
        return values


def command_in(text: str) -> tuple[str, str]:
    """Return the command that a text begins with, and what follows; no command is the empty text."""
    if not text.startswith(MARK):
        return "", text
    head, _, rest = text[len(MARK) :].partition(" ")
    return head.strip().lower(), rest


def _word(text: str) -> tuple[str, str]:
    """Return the first word, or what stands in quotes, and what is left."""
    if text[:1] not in QUOTES:
        head, _, rest = text.partition(" ")
        return head, rest.strip()
    word, closing, rest = text[1:].partition(text[0])
    if not closing:
        raise Misused("A quotation mark is not closed.")
    return word, rest.strip()


def _parameter(one: inspect.Parameter, hints: dict[str, Any], *, last: bool) -> Parameter:
    kind = hints.get(one.name, str)
    required = one.default is inspect.Parameter.empty
    base = getattr(kind, "__origin__", kind)
    return Parameter(one.name, TypeAdapter(kind), required, None if required else one.default, last and base is str)
