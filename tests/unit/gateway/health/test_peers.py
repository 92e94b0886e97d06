"""What stands where a database or an issuer of tokens should be ends nobody, and nobody waits for it for ever."""

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import get_args

import pytest
from harness.concurrency import run_concurrently
from harness.fake_broker import FakeBroker, Fault
from harness.listening import stop_listening
from warren.ops import mongo
from warren.ops.mongo import StoreUnavailable
from warren_gateway.auth import keys as jwks
from warren_gateway.auth.keys import KeySet
from warren_gateway.health.peers import Peers
from warren_persistence import store as persistence
from warren_presence import store as presence

FAULTS: tuple[Fault, ...] = get_args(Fault)
WITHIN = 30.0
"""Seconds; a bound, not an expectation."""
PATIENCE = 1.0


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mongo, "OPERATION_TIMEOUT", PATIENCE * 1_000)
    monkeypatch.setattr(jwks, "FETCH_WITHIN", PATIENCE)


async def with_each(act: Callable[[int], Awaitable[None]]) -> None:
    """Do this with a peer of each kind, at the same time; its port is given."""

    async def with_one(fault: Fault) -> None:
        async with FakeBroker(fault, 0).running() as peer:
            await act(peer.port)

    async with asyncio.timeout(WITHIN), asyncio.TaskGroup() as group:
        for fault in FAULTS:
            group.create_task(with_one(fault), name=fault)


async def test_a_store_that_is_none_is_unavailable() -> None:
    async def act(port: int) -> None:
        url = f"mongodb://127.0.0.1:{port}/warren?replicaSet=warren"
        log, seen = persistence.connect(url), presence.connect(url)
        try:
            for call in (log.prepare(), log.prove(), seen.find(["ann"])):
                with pytest.raises(StoreUnavailable):
                    await call
        finally:
            log.close()
            seen.close()

    await with_each(act)


@asynccontextmanager
async def answering(*pieces: bytes, last: bytes) -> AsyncIterator[str]:
    """Serve a gateway that says this, and then the last piece again and again as long as anybody listens."""

    ended: list[asyncio.Future[None]] = []

    async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        ended.append(over := asyncio.get_running_loop().create_future())
        with contextlib.suppress(ConnectionError):
            for piece in itertools.chain(pieces, itertools.repeat(last) if last else ()):
                writer.write(piece)
                await writer.drain()
                await asyncio.sleep(0)
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()
        over.set_result(None)

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        await stop_listening(server)
        await run_concurrently(*ended)


async def test_a_gateway_that_answers_for_ever_delays_no_other() -> None:
    """What the others say is known all the same: they are in trouble, too."""
    head = b"HTTP/1.1 503 No\r\nconnection: close\r\n\r\n"
    async with (
        answering(head, last=b" ") as endless,
        answering(b"HTTP/1.1 200 OK\r\n", last=b"x: y\r\n") as in_its_head,
        answering(head, b'{"storing": false}', last=b"") as troubled,
        asyncio.timeout(WITHIN),
    ):
        peers = Peers([endless, in_its_head, troubled], 1, lambda: True)
        asking = asyncio.create_task(peers.run())
        while not peers.excused:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        asking.cancel()
        await asyncio.wait({asking})


async def test_keys_that_are_none_leave_those_that_are_known() -> None:
    async def act(port: int) -> None:
        keys = KeySet(f"http://127.0.0.1:{port}/jwks", frozenset({"RS256"}), 600.0)
        assert await keys.find("RS256", "one") is None

    await with_each(act)
