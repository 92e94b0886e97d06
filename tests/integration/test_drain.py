"""A gateway that is told to stop: unready at once, then rid of its clients bit by bit, each with its answers."""

import asyncio
import itertools
import socket
import struct
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import httpx
import pytest
from conftest import BASE_PORT
from harness.broker_client import BrokerClient
from harness.nginx import proxied
from harness.observability import errors, until
from harness.raw_clients import CLOSE, frame, handshake, message
from harness.scripted_client import ScriptedClient, connect_over
from harness.stack import Stack
from harness.transport import TRANSPORTS, TransportName
from integration.conftest import Place, seqs
from warren.contract.codes import Close
from warren_local.ports import HOST, accepts
from warren_local.service import Service

WITHIN = 60.0
"""Seconds; a bound, not an expectation."""
DRAIN = "60"
"""Longer than the test: what is left when it has seen enough is cut short by a second signal."""
MEMBERS = 6
"""Of each transport."""
KEPT = 2.0
"""Seconds for which a proxy has kept a connection: longer than a drain, less than it keeps one (nginx.conf: 4)."""
LATE = 5
LAST_WORDS = 1_000
AT_ONCE = 50
"""Connections."""


@pytest.fixture
def gateway(stack: Stack) -> Iterator[Service]:
    service = stack.extra("gateway", 9, WARREN_DRAIN_SECONDS=DRAIN)
    service.start()
    service.wait_ready(WITHIN)
    yield service
    service.stop()
    assert errors([service]) == []


@asynccontextmanager
async def members(gateway: Service, place: Place) -> AsyncIterator[list[tuple[TransportName, ScriptedClient]]]:
    """Have members follow the room over all transports."""
    async with AsyncExitStack() as exits:
        found = []
        for transport in itertools.islice(itertools.cycle(TRANSPORTS), MEMBERS * len(TRANSPORTS)):
            talker = await exits.enter_async_context(connect_over(transport, gateway.url, place.bob.token))
            assert (await talker.join(place.room))["type"] == "joined"
            found.append((transport, talker))
        yield found


async def told_to_stop(gateway: Service, http: httpx.AsyncClient) -> None:
    """Tell it, and return when it knows."""
    gateway.terminate()
    async with asyncio.timeout(WITHIN):
        while (await http.get(f"{gateway.url}/readyz")).json()["serving"]:
            pass


async def test_it_is_unready_serves_on_and_lets_go_of_some_after_the_other(
    gateway: Service, place: Place, http: httpx.AsyncClient, broker: BrokerClient
) -> None:
    async with asyncio.timeout(WITHIN), members(gateway, place) as clients:
        ends = {asyncio.create_task(client.closed()) for transport, client in clients if transport != "polling"}
        gateway.terminate()
        done, staying = await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        assert {task.result() for task in done} == {4001}
        assert staying
        ready = await http.get(f"{gateway.url}/readyz")
        assert (ready.status_code, ready.json()["serving"]) == (503, False)
        async with connect_over("websocket", gateway.url, place.bob.token) as late:
            assert (await late.join(place.room))["type"] == "joined"  # from a balancer that has not noticed yet
            head = await broker.fill(place.room, place.ann.id, ["still here"])
            assert seqs(await late.events(place.room, head))[-1] == head
            gateway.terminate()
            assert await late.closed() == 4001
        await asyncio.wait(staying)
        assert {task.result() for task in staying} == {4001}
        for transport, client in clients:
            byes = [frame for frame in client.passed if frame["type"] == "bye"]
            assert [bye["code"] for bye in byes] == ([] if transport == "polling" else [4001])


async def test_who_is_sent_away_gets_the_answers_to_what_was_sent(
    stack: Stack, gateway: Service, place: Place, http: httpx.AsyncClient
) -> None:
    async with asyncio.timeout(WITHIN), connect_over("websocket", gateway.url, place.bob.token) as bob:
        await bob.join(place.room)
        for writer in stack.persistence:
            writer.pause()
        try:
            await bob.say(type="send", room=place.room, key="last", text="before it goes")
            await told_to_stop(gateway, http)
            gateway.terminate()  # no batches any more: all at once
            await bob.expect("bye")
        finally:
            for writer in stack.persistence:
                writer.resume()
        assert (await bob.expect("ack"))["key"] == "last"
        assert await bob.closed() == 4001


async def test_a_second_signal_ends_it_where_nobody_is_left(gateway: Service, http: httpx.AsyncClient) -> None:
    await told_to_stop(gateway, http)
    gateway.terminate()
    await asyncio.to_thread(until, lambda: not gateway.answers())


async def test_who_has_connected_is_answered_although_it_was_about_to_go(
    gateway: Service, http: httpx.AsyncClient
) -> None:
    """What the kernel has accepted for it, a proxy has sent a request to: one that may not be sent elsewhere again."""
    await told_to_stop(gateway, http)
    gateway.pause()
    async with AsyncExitStack() as exits:
        readers = []
        for _ in range(AT_ONCE):
            reader, writer = await asyncio.open_connection(HOST, gateway.port)
            exits.callback(writer.close)
            writer.write(f"GET /healthz HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode())
            readers.append(reader)
        gateway.terminate()
        gateway.resume()
        async with asyncio.timeout(WITHIN):
            answers = [await reader.read() for reader in readers]
    assert {answer.partition(b"\r\n")[0] for answer in answers} == {b"HTTP/1.1 200 OK"}


def not_accepted(gateway: Service) -> int:
    """Return how many connections the kernel holds for it."""
    for line in Path("/proc/net/tcp").read_text().splitlines():
        _, local, _, state, queues, *_ = line.split()
        if state == "0A" and local.endswith(f":{gateway.port:04X}"):  # it listens
            return int(queues.partition(":")[2], 16)
    raise LookupError(f"nobody listens on {gateway.port}")


def speak_after_the_end(port: int) -> None:
    """Read the gateway's close frame, say what one was about to say, and answer it. Raises OSError where one cannot."""
    with socket.create_connection((HOST, port), timeout=WITHIN) as client:
        client.sendall(handshake(HOST))
        heard = b""
        while struct.pack("!H", Close.GOING_AWAY) not in heard:
            heard += client.recv(4_096) or pytest.fail(f"the connection ended with {heard!r}")
        for _ in range(LAST_WORDS):
            client.sendall(message(type="ping"))
        client.sendall(frame(struct.pack("!H", Close.GOING_AWAY), CLOSE))
        while client.recv(4_096):
            pass


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells how many connections are not accepted yet")
async def test_who_connects_at_the_last_moment_and_speaks_is_not_cut_by_a_proxy(
    gateway: Service, http: httpx.AsyncClient, tmp_path: Path
) -> None:
    """One breaks both its connections as soon as one breaks: whoever writes then does not hear why it ended."""
    port = BASE_PORT + 360
    with proxied(tmp_path, port, [gateway]):
        await told_to_stop(gateway, http)
        gateway.pause()
        async with asyncio.timeout(WITHIN), asyncio.TaskGroup() as group:
            for _ in range(LATE):
                group.create_task(asyncio.to_thread(speak_after_the_end, port))
            await asyncio.to_thread(until, lambda: not_accepted(gateway) == LATE)
            gateway.terminate()
            gateway.resume()


async def test_a_connection_that_a_proxy_has_kept_is_served_until_the_proxy_lets_go_of_it(
    stack: Stack, place: Place
) -> None:
    """Nobody may repeat a POST that is lost on a connection just as it is closed. So the gateway is not the first."""
    gateway = stack.extra("gateway", 9, WARREN_DRAIN_SECONDS="0")
    gateway.start()
    gateway.wait_ready(WITHIN)
    ask = (
        f"POST /v1/poll HTTP/1.1\r\nHost: {HOST}\r\nAuthorization: Bearer {place.bob.token}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {{length}}\r\n\r\n{{body}}"
    )
    body = f'{{"cursors":{{"{place.room}":{{}}}},"wait":0}}'
    request = ask.format(length=len(body), body=body).encode()
    async with asyncio.timeout(WITHIN):
        reader, writer = await asyncio.open_connection(HOST, gateway.port)
        writer.write(request)
        assert b" 200 " in await reader.readline()
        gateway.terminate()
        await asyncio.to_thread(until, lambda: not accepts(gateway.port))
        await asyncio.sleep(KEPT)  # not a wait for something: for so long the proxy has had no use for it
        writer.write(request)
        answers = await reader.read()
    assert b" 200 OK" in answers
    assert b"connection: close" in answers
    writer.close()
    await asyncio.to_thread(gateway.stop)
    assert errors([gateway]) == []
