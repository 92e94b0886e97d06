"""Whom a gateway tells of who has signed in, how often, and what becomes of it while nobody listens."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import cast

import pytest
from warren.broker.errors import Unavailable
from warren.broker.rpc_client import QueryDenied, RpcClient
from warren.contract.codes import Code
from warren.contract.queries import Denied, Noted, SignIns
from warren_gateway.auth.sign_ins import SignInLog
from warren_gateway.auth.tokens import User


class Register:
    """Stands where the broker would be: takes what is told, or fails as the broker and the service can."""

    def __init__(self) -> None:
        self.told: list[dict[str, str]] = []
        self.troubles: list[Exception] = []
        self._heard = asyncio.Event()

    async def ask(self, query: SignIns, kind: type[Noted]) -> Noted:
        if self.troubles:
            raise self.troubles.pop(0)
        self.told.append({person.user: person.name for person in query.people})
        self._heard.set()
        return kind()

    async def hears(self, condition: Callable[[], bool]) -> None:
        """Wait until what was told is as it should be."""
        async with asyncio.timeout(30):
            while not condition():
                self._heard.clear()
                await self._heard.wait()

    @property
    def names(self) -> dict[str, str]:
        return {user: name for portion in self.told for user, name in portion.items()}


@asynccontextmanager
async def working(register: Register) -> AsyncIterator[SignInLog]:
    log = SignInLog(cast("RpcClient", register))
    task = asyncio.create_task(log.run())
    try:
        yield log
    finally:
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("warren_gateway.auth.sign_ins.GATHER", 0.0)


def user(name: str, *, of: str = "ann", expires: float = 100.0) -> User:
    return User(of, name, expires)


async def test_somebody_is_told_of_once_for_each_name() -> None:
    register = Register()
    async with working(register) as log:
        for _ in range(1_000):
            log.note(user("Ann"))
        await register.hears(lambda: register.names == {"ann": "Ann"})
        log.note(user("Ann", expires=200.0))
        log.note(user("Anna", expires=200.0))
        await register.hears(lambda: register.names == {"ann": "Anna"})
        assert register.told == [{"ann": "Ann"}, {"ann": "Anna"}]


async def test_an_older_token_does_not_bring_the_name_back() -> None:
    register = Register()
    async with working(register) as log:
        log.note(user("Anna", expires=200.0))
        await register.hears(lambda: bool(register.told))
        log.note(user("Ann", expires=100.0))
        log.note(user("Bob", of="bob"))
        await register.hears(lambda: "bob" in register.names)
        assert register.names == {"ann": "Anna", "bob": "Bob"}


async def test_who_changes_their_name_all_the_time_is_not_heard() -> None:
    register = Register()
    async with working(register) as log:
        for number in range(50):
            log.note(user(f"Ann {number}"))
            log.note(user("Bob", of=f"bob{number}"))
            await register.hears(lambda number=number: f"bob{number}" in register.names)  # type: ignore[misc]
        assert sum("ann" in portion for portion in register.told) <= 6


async def test_what_nobody_takes_is_told_again() -> None:
    register = Register()
    denied = QueryDenied(Denied(code=Code.INVALID, detail="of an older replica"))
    register.troubles = [Unavailable("away"), denied, Unavailable("away")]
    async with working(register) as log:
        log.note(user("Ann"))
        await register.hears(lambda: register.names == {"ann": "Ann"})
        assert register.troubles == []


async def test_what_is_remembered_and_what_waits_has_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("warren_gateway.auth.sign_ins.REPORTED", 3)
    monkeypatch.setattr("warren_gateway.auth.sign_ins.WAITING", 5)
    register = Register()
    log = SignInLog(cast("RpcClient", register))
    for number in range(20):
        log.note(user("Ann", of=f"ann{number}"))
    task = asyncio.create_task(log.run())
    await register.hears(lambda: bool(register.names))
    assert set(register.names) == {f"ann{number}" for number in range(15, 20)}
    log.note(user("Ann", of="ann19"))  # who is remembered
    log.note(user("Ann", of="ann15"))  # who is not
    await register.hears(lambda: len(register.told) == 2)
    assert register.told[1] == {"ann15": "Ann"}
    task.cancel()


async def test_what_is_told_at_once_fits_into_one_message() -> None:
    register = Register()
    sizes: list[int] = []
    ask = register.ask

    async def measured(query: SignIns, kind: type[Noted]) -> Noted:
        sizes.append(len(query.model_dump_json()))
        return await ask(query, kind)

    register.ask = measured  # type: ignore[method-assign]
    async with working(register) as log:
        people = [User(f"{number:03}".ljust(128, "x"), "\x01" * 64, 1.0) for number in range(250)]
        for person in people:
            log.note(person)
        await register.hears(lambda: len(register.names) == 250)
    assert max(sizes) < 64 * 1024
