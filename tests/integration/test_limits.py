"""Every limit on a gateway whose limits are small: it is reached, says when to come back, and then lets through again.

Addresses are loopback's: each test comes from one of its own, so that none uses up what another needs.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager

import httpx
import pytest
from harness.concurrency import run_concurrently
from harness.observability import errors, metric
from harness.resilient_client import fresh_room
from harness.scripted_client import ScriptedClient, connect
from harness.stack import Stack
from harness.tokens import token
from integration.conftest import Place, new_person
from websockets.exceptions import InvalidStatus

WITHIN = 60.0
"""Seconds; a bound, not an expectation."""
ORIGIN = "https://chat.example.org"
SMALL = {
    "WARREN_MESSAGES_PER_SECOND": "1", "WARREN_MESSAGES_BURST": "4",
    "WARREN_JOINS_PER_SECOND": "1", "WARREN_JOINS_BURST": "3",
    "WARREN_REFUSALS_PER_SECOND": "0.01", "WARREN_REFUSALS_BURST": "6",
    "WARREN_PERSON_MESSAGES_PER_SECOND": "1", "WARREN_PERSON_MESSAGES_BURST": "5",
    "WARREN_PERSON_CHANGES_PER_SECOND": "1", "WARREN_PERSON_CHANGES_BURST": "3",
    "WARREN_PERSON_READS_PER_SECOND": "1", "WARREN_PERSON_READS_BURST": "4",
    "WARREN_CONNECTIONS_PER_PERSON": "3",
    "WARREN_ADDRESS_REQUESTS_PER_SECOND": "2", "WARREN_ADDRESS_REQUESTS_BURST": "30",
    "WARREN_ADDRESS_CONNECTS_PER_SECOND": "1", "WARREN_ADDRESS_CONNECTS_BURST": "8",
    "WARREN_ADDRESS_FAILURES_PER_SECOND": "1", "WARREN_ADDRESS_FAILURES_BURST": "5",
    "WARREN_CONNECTIONS_PER_ADDRESS": "5",
    "WARREN_ORIGINS": f"{ORIGIN},http://127.0.0.1:8501",
}  # fmt: skip


@pytest.fixture(scope="module")
def small(stack: Stack) -> Iterator[str]:
    """A gateway with small limits."""
    service = stack.extra("gateway", 7, **SMALL)
    service.start()
    service.wait_ready(WITHIN)
    yield service.url
    service.stop()
    # Who is refused leaves no lines: a flood would fill the disk.
    assert errors([service]) == []


@pytest.fixture
async def near(address: str) -> AsyncIterator[httpx.AsyncClient]:
    """An HTTP client at this test's address."""
    transport = httpx.AsyncHTTPTransport(local_address=address, verify=False)
    async with httpx.AsyncClient(timeout=WITHIN, transport=transport) as found:
        yield found


Ask = Callable[[], Awaitable[httpx.Response]]


def assert_too_many(response: httpx.Response) -> int:
    """Return the seconds to wait."""
    assert response.status_code == 429, response.text
    assert response.headers["content-type"] == "application/problem+json"
    problem = response.json()
    assert (problem["status"], problem["code"], problem["temporary"]) == (429, "too_many", True)
    wait = int(response.headers["retry-after"])
    assert wait >= 1
    return wait


async def limited(ask: Ask, burst: int) -> None:
    """Ask three times as often as may be, all at once, and see that the time that is said is enough."""
    responses = await run_concurrently(*(ask() for _ in range(burst * 3)))
    passed = [response for response in responses if response.status_code < 300]
    assert burst <= len(passed) < burst * 3
    waits = [assert_too_many(response) for response in responses if response not in passed]
    await asyncio.sleep(max(waits))
    assert (await ask()).status_code < 300


# People, over HTTP.


async def test_reads_of_a_person(small: str, near: httpx.AsyncClient) -> None:
    ann = new_person("ann")
    await limited(lambda: near.get(f"{small}/v1/rooms", headers=ann.headers), 4)
    bob = new_person("bob")
    assert (await near.get(f"{small}/v1/rooms", headers=bob.headers)).status_code == 200


async def test_messages_of_a_person(small: str, near: httpx.AsyncClient, place: Place) -> None:
    url = f"{small}/v1/rooms/{place.room}/messages"
    await limited(lambda: near.post(url, json={"text": "x"}, headers=place.ann.headers), 5)
    assert (await near.post(url, json={"text": "x"}, headers=place.bob.headers)).status_code == 201


async def test_changes_of_a_person(small: str, near: httpx.AsyncClient) -> None:
    ann = new_person("ann")
    await limited(lambda: near.post(f"{small}/v1/rooms", json={"room": fresh_room()}, headers=ann.headers), 3)


async def test_a_person_has_one_measure_for_http_and_all_connections(
    small: str, near: httpx.AsyncClient, place: Place, address: str
) -> None:
    url = f"{small}/v1/rooms/{place.room}/messages"
    for _ in range(2):
        assert (await near.post(url, json={"text": "x"}, headers=place.ann.headers)).status_code == 201
    async with near_talk(small, address, place.ann.token) as one, near_talk(small, address, place.ann.token) as other:
        for number in range(4):  # what each connection may
            for client in (one, other):
                await client.say(type="send", room=place.room, key=f"{id(client)}-{number}", text="x")
        answers = [await client.expect("ack", "error") for client in (one, other) for _ in range(4)]
    refused = [answer for answer in answers if answer["type"] == "error"]
    assert 0 < len(refused) <= 5
    assert all((answer["code"], answer["temporary"]) == ("too_many", True) for answer in refused)
    assert all(answer["retry_after"] >= 1 for answer in refused)


# Connections.


@asynccontextmanager
async def near_talk(
    gateway: str, address: str, credential: str | None = None, **options: str
) -> AsyncIterator[ScriptedClient]:
    async with connect(gateway, credential, local_addr=(address, 0), **options) as client:
        yield client


async def test_joins_of_a_connection(small: str, place: Place, address: str) -> None:
    async with near_talk(small, address, place.ann.token) as ann:
        async with asyncio.timeout(WITHIN):
            for _ in range(3):
                assert (await ann.join(place.room))["type"] == "joined"
            while (answer := await ann.join(place.room))["type"] == "joined":
                pass
        assert (answer["code"], answer["room"], answer["temporary"]) == ("too_many", place.room, True)
        await asyncio.sleep(answer["retry_after"])
        assert (await ann.join(place.room))["type"] == "joined"


async def test_who_goes_on_regardless_is_closed_with_4505(small: str, place: Place, address: str) -> None:
    async with near_talk(small, address, place.ann.token) as ann:
        for number in range(40):
            await ann.say(type="send", room=place.room, key=f"k{number}", text="x")
        assert await ann.closed() == 4505
        errors = [frame for frame in ann.passed if frame["type"] == "error"]
        assert len(errors) <= 7
        assert {error["code"] for error in errors} == {"too_many"}
    async with near_talk(small, address, place.ann.token) as ann:
        for _ in range(7):
            await ann.say(type="join", room="NO ROOM")
        assert await ann.closed() == 4505


# Addresses.


async def test_requests_of_an_address(small: str, near: httpx.AsyncClient) -> None:
    people = [new_person("ann") for _ in range(60)]
    turns = iter(people * 2)
    await limited(lambda: near.get(f"{small}/v1/me", headers=next(turns).headers), 30)
    assert await metric(small, "warren_requests_refused_total", reason="requests") > 0


async def test_an_operator_is_never_refused(small: str, near: httpx.AsyncClient) -> None:
    for path in ("/healthz", "/readyz", "/metrics") * 30:
        assert (await near.get(small + path)).status_code == 200


async def test_bad_tokens_of_an_address(small: str, near: httpx.AsyncClient, address: str) -> None:
    known, new = token("known"), token("new")
    me, bad = f"{small}/v1/me", {"Authorization": "Bearer bad"}
    assert (await near.get(me, headers={"Authorization": f"Bearer {known}"})).status_code == 200
    async with asyncio.timeout(WITHIN):
        while (response := await near.get(me, headers=bad)).status_code == 401:
            pass
    assert_too_many(response)
    assert (await near.get(me, headers={"Authorization": f"Bearer {known}"})).status_code == 200
    async with near_talk(small, address) as stranger, near_talk(small, address) as friend:
        await friend.ask("welcome", type="hello", token=known)
        assert (await near.get(me, headers=bad)).status_code in (401, 429)
        await stranger.say(type="hello", token=new)
        bye = await stranger.expect("bye", "welcome")
        if bye["type"] == "bye":  # else a token's time had passed meanwhile
            assert bye["code"] == 4029
            assert bye["after_ms"] >= 1_000
            assert await stranger.closed() == 4029
        await friend.ask("pong", type="ping")
    await asyncio.sleep(1)
    async with asyncio.timeout(WITHIN):
        while (  # noqa: ASYNC110 - the gateway's own clock
            response := await near.get(me, headers={"Authorization": f"Bearer {new}"})
        ).status_code != 200:
            await asyncio.sleep(assert_too_many(response))


async def test_new_connections_of_an_address(small: str, address: str) -> None:
    opened = 0
    async with asyncio.timeout(WITHIN):
        for _ in range(30):
            try:
                async with near_talk(small, address):
                    pass
            except InvalidStatus as error:
                response = error.response
                break
            opened += 1
    assert 8 <= opened < 30
    assert response.status_code == 429
    assert json.loads(response.body or b"")["code"] == "too_many"
    assert response.headers["Content-Type"] == "application/problem+json"
    await asyncio.sleep(int(response.headers["Retry-After"]))
    async with near_talk(small, address, new_person("ann").token):
        pass


async def forwarded(gateway: str, address: str, said: str) -> int:
    transport = httpx.AsyncHTTPTransport(local_address=address, verify=False)
    async with httpx.AsyncClient(timeout=WITHIN, transport=transport) as http:
        return (await http.get(f"{gateway}/v1/me", headers={"X-Forwarded-For": said})).status_code


async def turned_away(url: str, source: str, *, said: str) -> bool:
    """Whether 50 requests come to be too many for one address; `said`: what they claim, with a number for `{}`."""
    for number in range(1, 51):
        if await forwarded(url, source, said.format(number)) == 429:
            return True
    return False


async def test_nobody_has_another_address_by_saying_so(small: str, address: str) -> None:
    assert await turned_away(small, address, said="10.0.0.{}")


async def test_a_trusted_proxy_says_who_asks(stack: Stack) -> None:
    service = stack.extra("gateway", 8, **SMALL, WARREN_TRUSTED_PROXIES="127.0.2.0/24")
    service.start()
    try:
        service.wait_ready(WITHIN)
        # Each is somebody else, whatever they put before it themselves; who comes past the proxy is not believed.
        assert not await turned_away(service.url, "127.0.2.1", said="6.6.6.6, 10.0.0.{}")
        assert await turned_away(service.url, "127.0.2.1", said="{}.6.6.6, 10.0.1.1")
        assert await turned_away(service.url, "127.0.3.1", said="10.0.2.{}")
        assert await turned_away(service.url, "127.0.2.2", said="2001:db8::{}")
    finally:
        service.stop()


# Pages.


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "http://chat.example.org", f"{ORIGIN}.evil.example", "null"]
)
async def test_a_page_of_another_origin_may_not_connect(small: str, address: str, origin: str) -> None:
    with pytest.raises(InvalidStatus) as refused:
        async with near_talk(small, address, origin=origin):
            pass
    assert refused.value.response.status_code == 403
    assert json.loads(refused.value.response.body or b"")["code"] == "forbidden"


@pytest.mark.parametrize("origin", [ORIGIN, "http://127.0.0.1:8501", None])
async def test_pages_that_may_and_what_is_no_page_connect(small: str, address: str, origin: str | None) -> None:
    options = {} if origin is None else {"origin": origin}
    async with near_talk(small, address, new_person("ann").token, **options) as ann:
        await ann.ask("pong", type="ping")


async def test_a_page_may_read_refusals(small: str, near: httpx.AsyncClient, place: Place) -> None:
    page = {"Origin": ORIGIN}
    url = f"{small}/v1/rooms/{place.room}/messages"
    large = await near.post(url, content=b"x" * 70_000, headers={**page, **place.ann.headers})
    async with asyncio.timeout(WITHIN):
        while (
            many := await near.get(f"{small}/v1/me", headers={**page, "Authorization": "Bearer x"})
        ).status_code == 401:
            pass
    wrong = await near.get(f"{small}/v1/nothing", headers=page)
    for response, status in ((large, 413), (many, 429), (wrong, 404)):
        assert response.status_code == status
        assert response.headers["access-control-allow-origin"] == ORIGIN
        assert response.headers["content-type"] == "application/problem+json"
    assert "Retry-After" in many.headers["access-control-expose-headers"]
    other = await near.get(f"{small}/v1/nothing", headers={"Origin": "https://evil.example"})
    assert "access-control-allow-origin" not in other.headers
    asking = {**page, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"}
    preflight = await near.options(url, headers=asking)
    assert preflight.status_code == 200
    assert preflight.headers["access-control-allow-origin"] == ORIGIN


async def refused_for(url: str, reason: str) -> float:
    return await metric(url, "warren_requests_refused_total", reason=reason)


async def test_what_browsers_ask_for_pages_counts_as_the_requests_of_their_address(
    small: str, near: httpx.AsyncClient, address: str
) -> None:
    asking = {"Origin": ORIGIN, "Access-Control-Request-Method": "POST"}
    before = await refused_for(small, "requests")
    async with asyncio.timeout(WITHIN):
        while (many := await near.options(f"{small}/v1/rooms", headers=asking)).status_code == 200:
            pass
    assert many.status_code == 429
    assert int(many.headers["retry-after"]) >= 1
    assert await refused_for(small, "requests") > before


async def test_handshakes_of_other_origins_count_as_connects_of_their_address(small: str, address: str) -> None:
    async def refused() -> int:
        with pytest.raises(InvalidStatus) as answer:
            async with near_talk(small, address, origin="https://evil.example"):
                pass
        return answer.value.response.status_code

    async with asyncio.timeout(WITHIN):
        while (status := await refused()) == 403:
            pass
    assert status == 429


async def test_every_answer_has_the_headers_that_browsers_heed(small: str, near: httpx.AsyncClient) -> None:
    ann = new_person("ann")
    answers = [
        await near.get(f"{small}/healthz"),
        await near.get(f"{small}/openapi.json"),
        await near.get(f"{small}/docs"),
        await near.get(f"{small}/v1/me"),
        await near.get(f"{small}/v1/me", headers=ann.headers),
        await near.post(f"{small}/v1/rooms", content=b"x" * 70_000),
    ]
    async with asyncio.timeout(WITHIN):
        while answers[-1].status_code != 429:
            answers.append(await near.get(f"{small}/v1/me", headers=ann.headers))
    for response in answers:
        assert response.headers["x-content-type-options"] == "nosniff"
        assert response.headers["referrer-policy"] == "no-referrer"
        assert response.headers["content-security-policy"] == "default-src 'none'; frame-ancestors 'none'"
        assert response.headers["cross-origin-resource-policy"] == "same-origin"
        assert "server" not in response.headers
        under_v1 = response.url.path.startswith("/v1/")
        assert response.headers.get("cache-control") == ("no-store" if under_v1 else None)
