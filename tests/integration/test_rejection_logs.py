"""Who is refused finds who, what and why in the log: once, and then rarely, and never a token or a password."""

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from harness.bots import until as eventually
from harness.observability import log_lines, metric, until
from harness.stack import SECRET, Stack
from harness.tokens import ISSUER, forged, token
from warren_local.ports import HOST
from warren_local.service import Service
from websockets import Origin
from websockets.asyncio.client import connect

TRIES = 5
TOKENS: dict[str, tuple[str, str]] = {
    "issuer": (
        token("ann", iss="https://else.example.org"),
        f"iss is 'https://else.example.org', and wanted is '{ISSUER}'",
    ),
    "audience": (token("ann", iss=ISSUER, aud="else"), "aud is 'else', and wanted is 'warren'"),
    "claim": (token("ann", iss=ISSUER, exp=None), 'Token is missing the "exp" claim'),
    "expired": (token("ann", iss=ISSUER, expires_in=-60), "the token has expired"),
    "not_yet": (token("ann", iss=ISSUER, nbf=2**40), "The token is not yet valid (nbf)"),
    "signature": (token("ann", iss=ISSUER, secret="x" * 32), "Signature verification failed"),
    "algorithm": (forged({"alg": "none"}), "signed with 'none', and allowed is HS256"),
    "user": (token("bot.echo", iss=ISSUER), "bot.echo"),
    "malformed": ("not-a-token", "this is not a token"),
}
Start = Callable[..., Service]


@pytest.fixture(scope="module")
def start(stack: Stack) -> Iterator[Start]:
    """Return what starts a replica that need not become ready."""
    started: list[Service] = []

    def begin(kind: str, number: int, **env: str) -> Service:
        service = stack.extra(kind, number, WARREN_LOG_LEVEL="info", **env)
        started.append(service)
        service.start()
        return service

    yield begin
    for service in started:
        service.stop()


@pytest.fixture(scope="module")
def strict(start: Start) -> Service:
    """Return a gateway for one issuer's tokens and one page."""
    env = {
        "WARREN_AUTH": "jwt",
        "WARREN_SECRET": SECRET,
        "WARREN_ISSUER": ISSUER,
        "WARREN_ORIGINS": "http://127.0.0.1:8501",
    }
    service = start("gateway", 7, **env)
    service.wait_ready(60)
    return service


@pytest.mark.parametrize("reason", TOKENS)
async def test_a_token_that_is_refused(strict: Service, http: httpx.AsyncClient, reason: str) -> None:
    given, detail = TOKENS[reason]
    before = await metric(strict.url, "warren_tokens_refused_total", reason=reason)
    for _ in range(TRIES):
        answer = await http.get(f"{strict.url}/v1/me", headers={"Authorization": f"Bearer {given}"})
        assert answer.status_code == 401
    assert await metric(strict.url, "warren_tokens_refused_total", reason=reason) == before + TRIES
    (line,) = [found for found in log_lines(strict.log, "a token was refused") if found["reason"] == reason]
    assert (line["detail"], line["address"]) == (detail, HOST)
    assert given not in strict.log.read_text()


async def test_a_page_of_another_origin(strict: Service, http: httpx.AsyncClient) -> None:
    """`localhost` is not `127.0.0.1`; the browser tells the page nothing, and people see none."""
    asks = {"Origin": "http://localhost:8501", "Access-Control-Request-Method": "GET"}
    before = await metric(strict.url, "warren_requests_refused_total", reason="origin")
    for _ in range(TRIES):
        assert (await http.options(f"{strict.url}/v1/me", headers=asks)).status_code == 400
    with pytest.raises(Exception, match="403"):
        async with connect(f"{strict.url.replace('http', 'ws')}/v1/ws", origin=Origin(asks["Origin"])):
            pass
    assert await metric(strict.url, "warren_requests_refused_total", reason="origin") == before + TRIES + 1
    (line,) = log_lines(strict.log, "none of WARREN_ORIGINS")
    assert (line["origin"], line["WARREN_ORIGINS"]) == ("http://localhost:8501", "http://127.0.0.1:8501")


def wrong_password(url: str) -> str:
    return url.replace("@", "x@")


def wrong_vhost(url: str) -> str:
    return url.replace("/?", "/elsewhere?")


@pytest.mark.parametrize(
    ("number", "wrong", "said", "vhost"),
    [
        (5, wrong_password, "refused the login", "/"),
        (6, wrong_vhost, "refused the vhost", "elsewhere"),
    ],
)
async def test_a_login_or_vhost_of_the_brokers(
    stack: Stack, start: Start, number: int, wrong: Callable[[str], str], said: str, vhost: str
) -> None:
    url = wrong(stack.amqp_url("persistence"))
    service = start("persistence", number, WARREN_AMQP_URL=url)
    await asyncio.to_thread(until, lambda: bool(log_lines(service.log, said)))
    (line,) = log_lines(service.log, "the broker")
    assert {name: line[name] for name in ("user", "host", "vhost")} == {
        "user": "persistence", "host": url.partition("@")[2].partition("/")[0], "vhost": vhost,
    }  # fmt: skip
    assert url.split(":")[2].partition("@")[0] not in service.log.read_text()


async def test_the_login_of_another_service(stack: Stack, start: Start) -> None:
    service = start("gateway", 8, WARREN_AMQP_URL=stack.amqp_url("persistence"))
    await asyncio.to_thread(until, lambda: bool(log_lines(service.log, "is the login another service's?")))
    (line,) = log_lines(service.log, "another service's")
    assert line["user"] == "persistence"
    assert "ACCESS_REFUSED" in line["error"]


async def test_readiness_says_what_was_not_tried_because_of_something_else(
    start: Start, http: httpx.AsyncClient
) -> None:
    service = start("persistence", 8, WARREN_MONGO_URL=f"mongodb://writer:hush@{HOST}:1/?directConnection=true")

    async def answers() -> Any:
        try:
            return (await http.get(f"{service.url}/readyz")).status_code == 503
        except httpx.TransportError:
            return False

    await eventually(answers)
    assert (await http.get(f"{service.url}/readyz")).json() == {"broker": "not tried", "store": False}
    await asyncio.to_thread(until, lambda: bool(log_lines(service.log, "waiting for MongoDB")))
    (line,) = log_lines(service.log, "waiting for MongoDB")
    assert (line["user"], line["host"]) == ("writer", f"{HOST}:1")
    assert "hush" not in service.log.read_text()
