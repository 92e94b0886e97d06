"""Warren behind nginx: as the system's packages bring it, and with the lines that docs/configuration.md recommends."""

import asyncio
import contextlib
import ssl
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from conftest import BASE_PORT
from harness.certificate import make_certificate, trusting
from harness.concurrency import run_concurrently
from harness.nginx import MISSING, Nginx, bare_site, nginx, recommended_site
from harness.observability import metric
from harness.scripted_client import connect
from harness.stack import READY_WITHIN, Stack
from integration.conftest import Person, Place, new_place
from warren_local.ports import HOST
from warren_local.service import Service
from websockets.exceptions import InvalidStatus

WITHIN = 30.0
"""Seconds; a bound, not an expectation."""
HELD_BACK = 0.5
"""Seconds for which what a proxy keeps is waited for in vain."""
BUFFER = 4_096
"""Bytes that nginx gathers before it passes anything on, if it gathers."""
TEXT = 4_000
"""Characters of the longest message."""
SILENCE = 3
"""Seconds of silence after which an impatient proxy hangs up."""
CONNECTIONS_PER_ADDRESS = 8


@dataclass(frozen=True, slots=True)
class Proxies:
    """Base URLs of sites that lead to the same gateway, and what nginx or the gateway do otherwise than by default."""

    gateway: str
    bare: str
    """Nothing."""
    recommended: str
    """What the docs say."""
    deaf: str
    """Does not listen to what it is told about buffering."""
    zipping: str
    """Compresses whatever it can."""
    chained: str
    """Nothing, before the recommended one."""
    bare_chain: str
    """Nothing, before one that does nothing either and keeps to itself what it is told about buffering."""
    impatient: str
    """Hangs up after SILENCE."""
    impatient_lively: str
    """The same, and the gateway says every second that it lives."""
    trust: ssl.SSLContext


@pytest.fixture(scope="module")
def program() -> str:
    found = nginx()
    if found is None:
        pytest.fail(MISSING, pytrace=False)
    return found


@pytest.fixture(scope="module")
def behind(stack: Stack) -> Iterator[tuple[Service, Service]]:
    """Two gateways for proxies to lead to; the second shows more often that its streams live."""
    env = {
        "WARREN_TRUSTED_PROXIES": HOST,
        "WARREN_CONNECTIONS_PER_ADDRESS": str(CONNECTIONS_PER_ADDRESS),
    }
    plain = stack.extra("gateway", 6, **env)
    lively = stack.extra("gateway", 7, **env, WARREN_KEEP_ALIVE_SECONDS="1")
    with plain, lively:
        for service in (plain, lively):
            service.wait_ready(READY_WITHIN)
        yield plain, lively


@pytest.fixture(scope="module")
def proxies(program: str, home: Path, behind: tuple[Service, Service]) -> Iterator[Proxies]:
    gateway, lively = behind
    first = BASE_PORT + 460
    ports = range(first, first + 8)
    certificate, key = make_certificate(home / "proxy")
    recommended = recommended_site(ports[1], [gateway, gateway], (certificate, key))
    timeout = f"proxy_read_timeout {SILENCE}s;"
    sites = [
        bare_site(ports[0], gateway.url),
        recommended,
        bare_site(ports[2], gateway.url, "proxy_ignore_headers X-Accel-Buffering;"),
        bare_site(ports[3], gateway.url, "gzip_types *;", "gzip_proxied any;", "gzip_http_version 1.0;"),
        bare_site(ports[4], f"https://{HOST}:{ports[1]}"),
        bare_site(ports[5], f"http://{HOST}:{ports[0]}"),
        bare_site(ports[6], gateway.url, timeout),
        bare_site(ports[7], lively.url, timeout),
    ]
    plain = [f"http://{HOST}:{port}" for port in ports]
    with Nginx(program, home / "proxy", first, "\n".join(sites)) as running:
        running.wait_ready(READY_WITHIN)
        yield Proxies(
            gateway=gateway.url,
            bare=plain[0],
            recommended=f"https://{HOST}:{ports[1]}",
            deaf=plain[2],
            zipping=plain[3],
            chained=plain[4],
            bare_chain=plain[5],
            impatient=plain[6],
            impatient_lively=plain[7],
            trust=trusting(certificate),
        )


@pytest.fixture
async def near(http: httpx.AsyncClient, proxies: Proxies) -> Place:
    """A room, made without a proxy between."""
    return await new_place(http, proxies.gateway)


class Stream:
    """A stream of events, read line by line."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.size = 0
        self.encoding: str | None = None
        self.over = False
        """Whether the other side has ended it."""
        self.moved = asyncio.Condition()

    async def until(self, *lines: str) -> None:
        """Wait until these lines were read."""
        async with asyncio.timeout(WITHIN), self.moved:
            await self.moved.wait_for(lambda: set(lines) <= set(self.lines))

    async def ended(self) -> None:
        """Wait until the other side has ended it."""
        async with asyncio.timeout(WITHIN), self.moved:
            await self.moved.wait_for(lambda: self.over)

    async def read(self, response: httpx.Response) -> None:
        """Read to the end."""
        self.encoding = response.headers.get("Content-Encoding")
        with contextlib.suppress(httpx.RemoteProtocolError):
            async for line in response.aiter_lines():
                await self._take(line)
        async with self.moved:
            self.over = True
            self.moved.notify_all()

    async def _take(self, line: str) -> None:
        async with self.moved:
            self.lines.append(line)
            self.size += len(line) + 1
            self.moved.notify_all()


def client_of(proxies: Proxies, address: str = HOST) -> httpx.AsyncClient:
    """Return a client that comes from this address and believes the certificate."""
    transport = httpx.AsyncHTTPTransport(local_address=address, verify=proxies.trust)
    return httpx.AsyncClient(timeout=WITHIN, transport=transport)


@asynccontextmanager
async def streaming(proxies: Proxies, site: str, room: str, person: Person) -> AsyncIterator[Stream]:
    """Read a room's stream through a site, in the background."""
    stream = Stream()

    async def reading() -> None:
        async with (
            client_of(proxies) as http,
            http.stream("GET", f"{site}/v1/sse", params={"room": room}, headers=person.headers) as response,
        ):
            assert response.status_code == 200
            await stream.read(response)

    task = asyncio.create_task(reading())
    try:
        yield stream
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def say(http: httpx.AsyncClient, site: str, near: Place, text: str = "hi") -> int:
    """Say something in the room and return its seq."""
    url = f"{site}/v1/rooms/{near.room}/messages"
    response = await http.post(url, json={"text": text}, headers=near.ann.headers)
    assert response.status_code == 201
    return int(response.json()["seq"])


async def poll(http: httpx.AsyncClient, site: str, near: Place, **cursor: Any) -> dict[str, Any]:
    body = {"cursors": {near.room: cursor}}
    response = await http.post(f"{site}/v1/poll", json=body, headers=near.bob.headers)
    assert response.status_code == 200
    found = response.json()
    assert isinstance(found, dict)
    return found


async def streams_as_it_happens(proxies: Proxies, site: str, near: Place) -> None:
    async with streaming(proxies, site, near.room, near.bob) as stream, client_of(proxies) as http:
        await stream.until("event: joined")
        for _ in range(3):
            seq = await say(http, site, near)
            await stream.until(f"id: {await epoch_of(http, proxies, near)}.{seq}")
        assert stream.size < BUFFER
        assert (stream.encoding == "gzip") == (site == proxies.zipping)


async def epoch_of(http: httpx.AsyncClient, proxies: Proxies, near: Place) -> str:
    url = f"{proxies.gateway}/v1/rooms/{near.room}/events"
    return str((await http.get(url, headers=near.bob.headers)).json()["epoch"])


async def polls_as_it_happens(proxies: Proxies, site: str, near: Place) -> None:
    async with client_of(proxies) as http:
        cursor = (await poll(http, site, near))["cursors"][near.room]
        waiting = asyncio.create_task(poll(http, site, near, **cursor))
        await open_at(proxies, "polling", 1)
        seq = await say(http, site, near)
        news = (await waiting)["rooms"][near.room]
        assert [event["seq"] for event in news["events"]] == [seq]


async def open_at(proxies: Proxies, transport: str, number: int) -> None:
    """Wait until the gateway serves so many clients over this transport."""
    async with asyncio.timeout(WITHIN):
        while (  # noqa: ASYNC110 - the gateway counts once a second
            await metric(proxies.gateway, "warren_connections", transport=transport) != number
        ):
            await asyncio.sleep(0.05)


async def test_by_default_no_websocket_gets_through(proxies: Proxies, near: Place) -> None:
    with pytest.raises(InvalidStatus) as refused:
        async with connect(proxies.bare, near.bob.token):
            pass
    assert refused.value.response.status_code == 426


@pytest.mark.parametrize("site", ["bare", "deaf", "zipping", "chained"])
async def test_events_pass_as_they_happen(proxies: Proxies, near: Place, site: str) -> None:
    await streams_as_it_happens(proxies, getattr(proxies, site), near)


async def test_by_default_polls_pass(proxies: Proxies, near: Place) -> None:
    await polls_as_it_happens(proxies, proxies.bare, near)


async def test_with_the_recommended_lines_everything_passes(proxies: Proxies, near: Place) -> None:
    async with connect(proxies.recommended, near.bob.token, ssl=proxies.trust) as bob:
        await bob.join(near.room)
        ack = await bob.send(near.room, "over a WebSocket")
        assert (await bob.events(near.room, ack["seq"]))[-1]["text"] == "over a WebSocket"
    await streams_as_it_happens(proxies, proxies.recommended, near)
    await polls_as_it_happens(proxies, proxies.recommended, near)


async def test_one_nginx_before_another_holds_events_back_by_default(
    proxies: Proxies, near: Place, http: httpx.AsyncClient
) -> None:
    async with (
        streaming(proxies, proxies.bare_chain, near.room, near.bob) as held,
        streaming(proxies, proxies.bare, near.room, near.bob) as fluent,
    ):
        await fluent.until("event: joined")
        await open_at(proxies, "sse", 2)
        await say(http, proxies.gateway, near)
        await fluent.until("event: events")
        await asyncio.sleep(HELD_BACK)
        assert held.lines == []
        for _ in range(5):
            await say(http, proxies.gateway, near, "x" * TEXT)
        await held.until("event: welcome", "event: events")
    await polls_as_it_happens(proxies, proxies.bare_chain, near)


async def test_a_quiet_stream_shows_a_proxy_that_it_lives(
    proxies: Proxies, near: Place, http: httpx.AsyncClient
) -> None:
    async with (
        streaming(proxies, proxies.impatient_lively, near.room, near.bob) as lively,
        streaming(proxies, proxies.impatient, near.room, near.bob) as silent,
    ):
        await lively.until("event: joined")
        await silent.until("event: joined")
        await silent.ended()
        assert not lively.over
        assert ":" in lively.lines
        await say(http, proxies.gateway, near)
        await lively.until("event: events")


@pytest.mark.parametrize("site", ["bare", "recommended"])
async def test_who_goes_away_behind_a_proxy_is_noticed(proxies: Proxies, near: Place, site: str) -> None:
    url = getattr(proxies, site)
    async with AsyncExitStack() as exits:
        http = await exits.enter_async_context(client_of(proxies))
        cursor = (await poll(http, url, near))["cursors"][near.room]
        waiting = asyncio.create_task(poll(http, url, near, **cursor))
        await exits.enter_async_context(streaming(proxies, url, near.room, near.bob))
        if site == "recommended":
            await exits.enter_async_context(connect(url, near.bob.token, ssl=proxies.trust))
            await open_at(proxies, "websocket", 1)
        await open_at(proxies, "polling", 1)
        await open_at(proxies, "sse", 1)
        waiting.cancel()
    for transport in ("polling", "sse", "websocket"):
        await open_at(proxies, transport, 0)


async def test_an_address_is_its_own_where_the_proxy_names_it(proxies: Proxies, near: Place) -> None:
    await open_at(proxies, "sse", 0)
    async with AsyncExitStack() as exits:

        async def pool(site: str, address: str) -> Counter[int]:
            """Open streams from one address, one more than it may have, and count the answers."""
            http = await exits.enter_async_context(client_of(proxies, address))

            async def opened() -> int:
                ask = http.build_request("GET", f"{site}/v1/sse", params={"room": near.room}, headers=near.bob.headers)
                response = await http.send(ask, stream=True)
                exits.push_async_callback(response.aclose)
                return response.status_code

            return Counter(await run_concurrently(*(opened() for _ in range(CONNECTIONS_PER_ADDRESS + 1))))

        async def pools(site: str) -> list[Counter[int]]:
            return list(await run_concurrently(pool(site, "127.0.7.1"), pool(site, "127.0.7.2")))

        assert await pools(proxies.recommended) == [Counter({200: CONNECTIONS_PER_ADDRESS, 429: 1})] * 2
        # By default everybody is the proxy.
        assert sum(await pools(proxies.bare), Counter())[200] == CONNECTIONS_PER_ADDRESS
