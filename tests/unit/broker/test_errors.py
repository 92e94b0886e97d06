"""What a broker brings about is one exception, and what is a mistake of ours stays what it is."""

import asyncio
from collections.abc import Callable

import aio_pika
import pytest
from aiormq.exceptions import AuthenticationError
from pamqp import frame
from warren.broker.errors import Unavailable, Unresponsive, translated
from warren.broker.supervised_connection import refusal


def raised(error: BaseException) -> Callable[[], None]:
    def act() -> None:
        raise error

    return act


def nested(*errors: Exception) -> Callable[[], None]:
    return raised(ExceptionGroup("outer", [ExceptionGroup("inner", errors)]))


LOST: dict[str, Callable[[], object]] = {
    "a library's own": raised(aio_pika.exceptions.AMQPError("lost")),
    "the system's": raised(ConnectionResetError()),
    "the end of a stream": raised(asyncio.IncompleteReadError(b"", 1)),
    "whatever a library makes of garbage": lambda: frame.unmarshal(b"\x01\x00\x01\x00\x00\x00\x04\xff\xff\xff\xff\xce"),
    "a group": nested(TimeoutError(), ConnectionResetError()),
    "a group of what is translated already": nested(Unavailable("lost")),
}


@pytest.mark.parametrize("act", LOST.values(), ids=LOST)
def test_what_a_broker_brings_about_is_a_loss(act: Callable[[], object]) -> None:
    with pytest.raises(Unavailable) as found, translated():
        act()
    assert refusal(found.value) is None


@pytest.mark.parametrize("act", [raised(KeyError()), raised(RuntimeError()), nested(TimeoutError(), KeyError())])
def test_a_mistake_stays_what_it_is(act: Callable[[], None]) -> None:
    with pytest.raises((KeyError, RuntimeError, ExceptionGroup)), translated():
        act()


def test_what_takes_too_long_is_told_from_what_is_gone() -> None:
    with pytest.raises(Unresponsive), translated():
        raise TimeoutError


def test_a_refusal_is_found_in_a_group() -> None:
    with pytest.raises(Unavailable) as found, translated():
        nested(Unavailable("channel closed"), ConnectionResetError(), refused := AuthenticationError("PLAIN", []))()
    assert refusal(found.value) is refused
