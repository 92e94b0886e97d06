"""Tokens of an issuer, over both transports: what is refused, how keys come and go, and what a flood does."""

import asyncio
import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator

import httpx
import jwt
import pytest
from harness.concurrency import run_concurrently
from harness.jwks import KeyServer
from harness.observability import errors, log_lines, metric
from harness.raw_clients import message, raw_connect
from harness.resilient_client import fresh_room, make_room
from harness.scripted_client import connect
from harness.stack import ROOMY, SECRET, Stack
from harness.token_flood import Flood, made_up
from harness.tokens import ISSUER, SigningKey, claims_of, forged, token
from harness.transport import TransportClosed
from warren_local.service import Service

WITHIN = 60.0
"""Seconds; a bound, not an expectation."""
ES, RS, ED = SigningKey("es"), SigningKey("rs", "RS256"), SigningKey("ed", "EdDSA")
DEFAULTS = dict.fromkeys(ROOMY, "")
"""The limits as they are when nothing is set."""
TRANSPORTS = ("http", "websocket")


def jwt_env(server: KeyServer, **more: str) -> dict[str, str]:
    return {
        "WARREN_AUTH": "jwt",
        "WARREN_SECRET": "",
        "WARREN_JWKS": server.url,
        "WARREN_ISSUER": ISSUER,
        "WARREN_LOG_LEVEL": "debug",
        **more,
    }


@pytest.fixture(scope="module")
def server() -> Iterator[KeyServer]:
    with KeyServer().running() as found:
        found.publish(ES, RS, ED)
        yield found


@pytest.fixture
def running(stack: Stack) -> Iterator[Callable[..., Service]]:
    """Return a function that starts one more gateway, for this test."""
    started: list[Service] = []

    def start(number: int, *, ready: bool = True, **env: str) -> Service:
        service = stack.extra("gateway", number, **env)
        started.append(service)
        service.start()
        if ready:
            service.wait_ready(WITHIN)
        return service

    yield start
    for service in started:
        service.stop()


@pytest.fixture(scope="module")
def issued(stack: Stack, server: KeyServer) -> Iterator[str]:
    """A gateway that takes the issuer's tokens, by public keys."""
    service = stack.extra("gateway", 3, **jwt_env(server))
    service.start()
    service.wait_ready(WITHIN)
    yield service.url
    service.stop()


@pytest.fixture(scope="module")
def shared(stack: Stack) -> Iterator[str]:
    """A gateway that takes the issuer's tokens, by a secret."""
    service = stack.extra("gateway", 4, WARREN_AUTH="jwt", WARREN_ISSUER=ISSUER, WARREN_AUDIENCE="chat")
    service.start()
    service.wait_ready(WITHIN)
    yield service.url
    service.stop()


async def verdict(transport: str, gateway: str, credential: str) -> int:
    """Return 0 if the token is taken, else the status or close code."""
    if transport == "http":
        async with httpx.AsyncClient(timeout=WITHIN, verify=False) as http:
            response = await http.get(f"{gateway}/v1/me", headers={"Authorization": f"Bearer {credential}"})
        return 0 if response.status_code == 200 else response.status_code
    async with connect(gateway) as talker:
        await talker.say(type="hello", token=credential)
        try:
            welcome = await talker.next()
        except TransportClosed as closed:
            return closed.code or -1
        if welcome["type"] == "bye":
            assert welcome["after_ms"] > 0
            return await talker.closed() or -1
        assert welcome["type"] == "welcome"
        return 0


REFUSED = {"http": 401, "websocket": 4503}
NOT_YET = {"http": 503, "websocket": 4003}

# What is taken, and what is not.


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("key", [ES, RS, ED], ids=lambda key: key.algorithm)
async def test_tokens_of_the_issuer_are_taken(issued: str, transport: str, key: SigningKey) -> None:
    assert await verdict(transport, issued, key.token("ann")) == 0


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_tokens_under_a_shared_secret_are_taken(shared: str, transport: str) -> None:
    assert await verdict(transport, shared, token("ann", iss=ISSUER, aud="chat")) == 0
    assert await verdict(transport, shared, token("ann", iss=ISSUER)) == REFUSED[transport]
    assert await verdict(transport, shared, token("ann", aud="chat")) == REFUSED[transport]
    assert await verdict(transport, shared, ES.token("ann", aud="chat")) == REFUSED[transport]


def bad_tokens() -> dict[str, str]:
    unsigned = jwt.encode(claims_of("mallory", issuer=ISSUER), "", algorithm="none", headers={"kid": "es"})
    head, payload, signature = ES.token("mallory").split(".")
    other = ES.token("ann").split(".")[1]
    return {
        "alg none": unsigned,
        "alg none with a signature": f"{unsigned}{signature}",
        "the signature cut off": f"{head}.{payload}.",
        "other claims under the signature": f"{head}.{other}.{signature}",
        "wrong key": SigningKey("es").token("mallory"),
        "wrong key of another kind": RS.token("mallory", kid="es"),
        "no key id though there are several": SigningKey(None).token("mallory"),
        "wrong audience": ES.token("mallory", aud="else"),
        "no audience": ES.token("mallory", aud=None),
        "wrong issuer": ES.token("mallory", issuer="https://login.example.com"),
        "no issuer": ES.token("mallory", iss=None),
        "a guest's": token("mallory"),
        "expired a second ago": ES.token("mallory", expires_in=-1),
        "expiring now": ES.token("mallory", expires_in=0),
        "no expiry": ES.token("mallory", exp=None),
        "not valid yet": ES.token("mallory", nbf=4_000_000_000),
        "made in the future": ES.token("mallory", iat=4_000_000_000),
        "no subject": ES.token("mallory", sub=None),
        "a subject that is no user id": ES.token("mal lory"),
        "a subject that is too long": ES.token("m" * 129),
        "the public key in PEM as a secret": forged({"alg": "HS256", "kid": "rs"}, RS.pem),
        "the public JWK as a secret": forged({"alg": "HS256", "kid": "es"}, json.dumps(ES.jwk).encode()),
        "an empty secret": forged({"alg": "HS256", "kid": "es"}),
        "longer than there may be": ES.token("mallory", padding="x" * 6_200),
    }


BAD = bad_tokens()


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("bad", BAD.values(), ids=BAD.keys())
async def test_a_bad_token_is_refused(issued: str, transport: str, bad: str) -> None:
    # One that is too long for a hello makes that no frame of the protocol.
    too_long = {"http": 401, "websocket": 4501}
    assert await verdict(transport, issued, bad) == (REFUSED if len(bad) <= 8_192 else too_long)[transport]


async def test_a_megabyte_of_token_is_refused_before_it_is_all_there(stack: Stack, issued: str) -> None:
    huge = ES.token("mallory") + "x" * 2**20
    client = await raw_connect(issued)
    try:
        await client.push(message(type="hello", token=huge))
        assert await client.close_code() in (1009, None)
    finally:
        client.abort()
    async with httpx.AsyncClient(timeout=WITHIN, verify=False) as http:
        try:
            response = await http.get(f"{issued}/v1/me", headers={"Authorization": f"Bearer {huge}"})
            assert response.status_code in (401, 431)
        except httpx.TransportError:
            pass  # hung up on while it was still talking
    assert await verdict("http", issued, ES.token("ann")) == 0


async def test_a_head_that_never_ends_is_cut(issued: str) -> None:
    """Whether nothing comes, or a little at a time, or a lot."""
    pieces = (b"", b"X", b"X-Padding: " + b"x" * 1_000 + b"\r\n")
    await run_concurrently(*(endless(issued, piece) for piece in pieces))


async def endless(gateway: str, piece: bytes) -> None:
    """Send pieces of a request's head until the gateway ends it."""
    reader, writer = await asyncio.open_connection("127.0.0.1", int(gateway.rsplit(":", 1)[1]))
    try:
        async with asyncio.timeout(WITHIN):
            if piece:
                writer.write(b"GET /v1/me HTTP/1.1\r\n")
            with contextlib.suppress(OSError):
                while not reader.at_eof():
                    writer.write(piece)
                    await writer.drain()
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(reader.read(1_000), 0.05)
    finally:
        writer.transport.abort()


# Keys.


async def test_a_new_key_is_taken_at_once_and_an_unknown_one_is_one_that_may_come(
    running: Callable[..., Service],
) -> None:
    with KeyServer().running() as server:
        server.publish(ES)
        gateway = running(5, **jwt_env(server)).url
        assert server.fetches == 1
        new = SigningKey("new")
        server.publish(ES, new)
        assert await verdict("websocket", gateway, new.token("ann")) == 0
        assert server.fetches == 2
        server.broken = True
        stranger = SigningKey("stranger")
        for number in range(100):
            for transport in TRANSPORTS:
                unknown = stranger.token("mallory", kid=f"k{number}")
                assert await verdict(transport, gateway, unknown) == NOT_YET[transport]
        assert server.fetches < 2 + 100  # every few seconds, however many ask; test_tokens.py (unit) has the clock
        assert await verdict("http", gateway, ES.token("ann")) == 0


async def test_a_key_that_was_taken_back_stops_working(running: Callable[..., Service]) -> None:
    with KeyServer().running() as server:
        server.publish(ES, RS)
        gateway = running(5, **jwt_env(server, WARREN_JWKS_SECONDS="0.2")).url
        good = ES.token("ann")
        for transport in TRANSPORTS:
            assert await verdict(transport, gateway, good) == 0
        server.publish(RS)
        async with asyncio.timeout(WITHIN):
            while await verdict("http", gateway, good) == 0:  # noqa: ASYNC110 - the gateway's own clock
                await asyncio.sleep(0.1)
        for transport in TRANSPORTS:
            assert await verdict(transport, gateway, good) == REFUSED[transport]
            assert await verdict(transport, gateway, RS.token("ann")) == 0


async def test_a_gateway_without_keys_is_not_ready_until_it_has_them(running: Callable[..., Service]) -> None:
    with KeyServer().running() as server:
        server.broken = True
        server.publish(ES)
        service = running(5, ready=False, **jwt_env(server))
        async with asyncio.timeout(WITHIN), httpx.AsyncClient(timeout=WITHIN, verify=False) as http:
            while True:
                with contextlib.suppress(httpx.TransportError):
                    ready = await http.get(f"{service.url}/readyz")
                    if ready.json().items() >= {"broker": True, "keys": False, "serving": True}.items():
                        break
                await asyncio.sleep(0.1)
            assert ready.status_code == 503
            assert await verdict("websocket", service.url, ES.token("ann")) == NOT_YET["websocket"]
            server.broken = False
            while (await http.get(f"{service.url}/readyz")).status_code != 200:  # noqa: ASYNC110
                await asyncio.sleep(0.1)
        assert await verdict("websocket", service.url, ES.token("ann")) == 0


async def test_who_waits_for_a_key_holds_up_nobody_else(running: Callable[..., Service]) -> None:
    with KeyServer().running() as server:
        server.publish(ES)
        gateway = running(5, **jwt_env(server)).url
        server.held.clear()
        waiting = asyncio.create_task(verdict("websocket", gateway, SigningKey("else").token("mallory")))
        async with asyncio.timeout(WITHIN):
            while server.fetches < 2:  # noqa: ASYNC110 - another thread counts them
                await asyncio.sleep(0.01)
        async with connect(gateway, ES.token("ann")) as ann:
            await ann.ask("pong", type="ping")
        assert not waiting.done()
        server.held.set()
        assert await waiting == NOT_YET["websocket"]


# In mid-connection.


async def test_a_token_is_renewed_in_place(issued: str) -> None:
    async with connect(issued) as ann:
        welcome = await ann.ask("welcome", type="hello", token=ES.token("ann", expires_in=4))
        assert 1 <= welcome["expires_in"] <= 4
        renewed = await ann.ask("renewed", type="auth", token=RS.token("ann", expires_in=600))
        assert 590 <= renewed["expires_in"] <= 600
        await asyncio.sleep(5)  # past the first expiry, which is what must not be noticed
        await ann.ask("pong", type="ping")


async def test_a_renewal_that_is_none_leaves_everything_as_it_was(issued: str) -> None:
    async with connect(issued, ES.token("ann", expires_in=3)) as ann:
        for bad in (ES.token("bob"), ES.token("ann", expires_in=-1), "garbage", BAD["alg none"], ""):
            error = await ann.error(type="auth", token=bad)
            assert (error["code"], error["temporary"]) == ("unauthorized", False)
        await ann.ask("pong", type="ping")
        assert await ann.closed() == 4503


async def test_what_is_said_after_a_token_is_taken_up_after_it(issued: str) -> None:
    async with connect(issued) as ann:
        await ann.say(type="hello", token=ES.token("ann"))
        await ann.say(type="ping")
        await ann.say(type="auth", token=ES.token("ann"))
        await ann.say(type="ping")
        assert [(await ann.next())["type"] for _ in range(4)] == ["welcome", "pong", "renewed", "pong"]


# Where there are no guests.


async def test_nobody_is_a_guest_where_tokens_come_from_elsewhere(issued: str, http: httpx.AsyncClient) -> None:
    response = await http.post(f"{issued}/v1/guest", json={"name": "Ann"})
    assert (response.status_code, response.json()["code"]) == (404, "not_found")


def test_guest_mode_says_so_loudly(stack: Stack) -> None:
    (line,) = log_lines(stack.gateways[0].log, "WHOEVER ASKS GETS A TOKEN")
    assert line["level"] == "WARNING"


@pytest.mark.parametrize(
    ("env", "said"),
    [
        ({"WARREN_AUTH": "jwt"}, "WARREN_JWKS"),
        ({"WARREN_AUTH": "jwt", "WARREN_SECRET": SECRET}, "WARREN_ISSUER"),
        ({"WARREN_SECRET": SECRET, "WARREN_ISSUER": ISSUER}, "WARREN_AUTH=jwt"),
        ({"WARREN_SECRET": "a-secret-that-is-short"}, "WARREN_SECRET: "),
        ({}, "WARREN_SECRET"),
    ],
    ids=str,
)
def test_settings_that_make_no_sense_are_said_in_a_line_without_their_values(env: dict[str, str], said: str) -> None:
    bare = {name: value for name, value in os.environ.items() if not name.startswith("WARREN_")}
    done = subprocess.run(
        [sys.executable, "-m", "warren_gateway"], env={**bare, **env}, capture_output=True, text=True, timeout=WITHIN,
        check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert SECRET not in done.stderr
    assert "a-secret-that-is-short" not in done.stderr


async def test_no_token_is_in_any_log(stack: Stack, running: Callable[..., Service]) -> None:
    with KeyServer().running() as server:
        server.publish(ES)
        service = running(5, **jwt_env(server))
        said = [ES.token("ann"), SigningKey("es").token("mallory"), SigningKey("else").token("mallory"), *BAD.values()]
        for transport in TRANSPORTS:
            for each in said:
                await verdict(transport, service.url, each)
        async with connect(service.url, said[0]) as ann:
            for each in said:
                await ann.say(type="auth", token=each)
            await ann.say(type="auth", token=5)
            await ann.say(type="hello", token=said[0])
            await ann.ask("pong", type="ping")
        async with httpx.AsyncClient(timeout=WITHIN, verify=False) as http:
            await http.get(f"{service.url}/v1/me", params={"token": said[0]}, headers={"X-Token": said[1]})
            await http.post(f"{service.url}/v1/guest", json={"name": said[0], "token": said[1]})
    log = service.log.read_text()
    parts = {part for each in said for part in each.split(".") if len(part) > 20}
    assert parts
    assert [part for part in parts if part in log] == []
    assert SECRET not in "".join(gateway.log.read_text() for gateway in stack.gateways)


# Floods.


async def test_a_flood_of_bad_tokens_is_refused_and_good_clients_go_on(
    stack: Stack, server: KeyServer, running: Callable[..., Service]
) -> None:
    """Thousands from one address, of every kind; the limits are the ones there are by default."""
    service = running(6, **jwt_env(server, **DEFAULTS, WARREN_LOG_LEVEL="info"))
    gateway, port = service.url, service.port
    known, good = ES.token("known"), ES.token("ann")
    room = fresh_room("flood")
    async with httpx.AsyncClient(timeout=WITHIN, verify=False) as http:
        await make_room(http, gateway, room, good)
    source = httpx.AsyncHTTPTransport(local_address="127.0.0.2", verify=False)
    async with httpx.AsyncClient(timeout=WITHIN, transport=source) as neighbour:
        known_headers = {"Authorization": f"Bearer {known}"}
        assert (await neighbour.get(f"{gateway}/v1/me", headers=known_headers)).status_code == 200
        flood = Flood()
        kinds = [
            made_up(ES.token("mallory")),
            made_up(RS.token("mallory")),
            made_up(forged({"alg": "HS256", "kid": "es"}, b"x" * 32)),
        ]

        async def attack() -> None:
            async with asyncio.TaskGroup() as group:
                for tokens in kinds:
                    group.create_task(flood.http(port, "127.0.0.2", tokens, 1_500))
                group.create_task(flood.websocket(gateway, "127.0.0.2", kinds[0], 300))

        async with connect(gateway, good) as ann:
            await ann.join(room)
            attacking = asyncio.create_task(attack())
            said = 0
            while not attacking.done():
                ack = await ann.send(room, "undisturbed")
                assert ack["type"] == "ack", ack
                said += 1
                await asyncio.sleep(0.15)  # a person's pace, below the limit on messages
            await attacking
            assert said
        assert set(flood.heard) <= {401, 429, 4503, 4029}, flood.heard
        checked = await metric(gateway, "warren_tokens_refused_total")
        assert checked < flood.sent / 3, (checked, flood.sent)
        assert await metric(gateway, "warren_requests_refused_total", reason="failures") > 0
        await known_passes(neighbour, gateway, known_headers)
    assert errors([service]) == []  # a line for each would be a flood of its own


async def known_passes(http: httpx.AsyncClient, gateway: str, headers: dict[str, str]) -> None:
    """A neighbour of the attacker's, whose token is known, waits for the address's requests at most."""
    async with asyncio.timeout(WITHIN):
        while (response := await http.get(f"{gateway}/v1/me", headers=headers)).status_code == 429:
            assert "bad tokens" not in response.json()["detail"]
            await asyncio.sleep(int(response.headers["retry-after"]))
    assert response.status_code == 200
