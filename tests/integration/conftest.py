"""People, rooms, and a way onto the broker."""

import asyncio
import itertools
import secrets
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from typing import Any

import aio_pika
import httpx
import pytest
from aio_pika.abc import AbstractConnection
from harness.broker_client import BrokerClient, connect_broker
from harness.observability import metric
from harness.resilient_client import fresh_room, join_room, make_room
from harness.stack import Stack
from harness.tokens import token
from harness.transport import TRANSPORTS, TransportName

_NUMBERS = itertools.count()


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody with a token."""

    id: str
    token: str

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"}


def new_person(name: str) -> Person:
    """Return somebody nobody has seen before."""
    user = f"{name}-{secrets.token_hex(4)}"
    return Person(user, token(user))


def new_address() -> str:
    """Return one of loopback's addresses that nobody else has."""
    number = next(_NUMBERS)
    return f"127.0.{100 + number // 250}.{number % 250 + 1}"


@dataclass(frozen=True, slots=True)
class Place:
    """A fresh public room. `ann` made it and `bob` is a member; `eve` is not. Its head is seq 2."""

    room: str
    ann: Person
    bob: Person
    eve: Person


async def new_place(http: httpx.AsyncClient, gateway: str, kind: str = "public") -> Place:
    place = Place(fresh_room("test"), new_person("ann"), new_person("bob"), new_person("eve"))
    await make_room(http, gateway, place.room, place.ann.token, kind)
    if kind == "public":
        await join_room(http, gateway, place.room, place.bob.token)
    return place


async def become_known(http: httpx.AsyncClient, gateway: str, *people: Person) -> None:
    """Have these people sign in, and wait until they are known to have."""
    for person in people:
        (await http.get(f"{gateway}/v1/me", headers=person.headers)).raise_for_status()
    for person in people:
        await found_by(http, gateway, person.id, person.id)


async def found_by(http: httpx.AsyncClient, gateway: str, user: str, prefix: str) -> None:
    """Wait until somebody is found by the beginning of their name or id."""
    asked: dict[str, Any] = {"params": {"q": prefix}, "headers": new_person("asker").headers}
    async with asyncio.timeout(WITHIN):
        found: list[str] = []
        while user not in found:
            answer = await http.get(f"{gateway}/v1/people", **asked)
            found = [person["user"] for person in answer.json()["people"]]


@pytest.fixture
def address() -> str:
    """An address that nobody else has."""
    return new_address()


@pytest.fixture
async def place(http: httpx.AsyncClient, gateways: list[str]) -> Place:
    return await new_place(http, gateways[0])


@pytest.fixture
async def private(http: httpx.AsyncClient, gateways: list[str]) -> Place:
    """A private room of ann's alone."""
    return await new_place(http, gateways[0], "private")


@pytest.fixture
async def broker(stack: Stack) -> AsyncIterator[BrokerClient]:
    """The broker as one more gateway has it."""
    async with connect_broker(stack.amqp_url("gateway"), operator_url=stack.rabbitmq.url) as found:
        yield found


@pytest.fixture
async def operator(stack: Stack) -> AsyncIterator[AbstractConnection]:
    """A connection to the broker as its operator."""
    async with await aio_pika.connect(stack.rabbitmq.url, timeout=WITHIN) as found:
        yield found


WITHIN = 30.0
"""Seconds to become known; a bound, not an expectation."""
SETTLED = 8
"""Looks in which nobody has polled, a tenth of a second apart: longer than presence gathers before it is an answer."""


@pytest.fixture(params=TRANSPORTS)
def transport(request: pytest.FixtureRequest) -> TransportName:
    """Each transport in turn: what one promises they all do."""
    found: TransportName = request.param
    return found


def seqs(events: Iterable[dict[str, Any]]) -> list[int]:
    return [event["seq"] for event in events]


async def settled(transport: TransportName, *gateways: str) -> None:
    """Wait until who polls there waits for an answer: between two polls nobody is a reader."""
    last, same = -1.0, 0 if transport == "polling" else SETTLED
    while same < SETTLED:
        joins = sum([await metric(gateway, "warren_joins_total") for gateway in gateways])
        last, same = joins, same + 1 if joins == last else 0
        await asyncio.sleep(0.1)
