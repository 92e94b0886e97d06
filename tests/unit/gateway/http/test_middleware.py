"""What surrounds every HTTP exchange, without a broker: the pages of the documentation, and what nobody foresaw."""

from collections.abc import AsyncIterator

import httpx
import pytest
from harness.stack import SECRET
from prometheus_client import REGISTRY
from pydantic import SecretStr
from starlette.exceptions import HTTPException
from starlette.responses import PlainTextResponse
from starlette.types import Message, Receive, Scope, Send
from warren.contract.codes import Code
from warren_gateway.app import create_app
from warren_gateway.config import Settings
from warren_gateway.http.bodies import body_limit
from warren_gateway.http.errors import status_of
from warren_gateway.http.middleware import BodyLimit, CloseOnDrain, HeadLimit, SecurityHeaders

URL = "http://gateway"


def client(app: object) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=URL)  # type: ignore[arg-type]


async def test_the_page_to_try_the_api_is_there_if_it_is_wanted() -> None:
    async with client(create_app(Settings(secret=SecretStr(SECRET)))) as http:
        assert (await http.get("/docs")).status_code == 404
    async with client(create_app(Settings(secret=SecretStr(SECRET), docs=True))) as http:
        page = await http.get("/docs")
        assert page.status_code == 200
        assert "content-security-policy" not in page.headers
        assert "content-security-policy" in (await http.get("/redoc")).headers


async def works(scope: Scope, receive: Receive, send: Send) -> None:
    await PlainTextResponse("here")(scope, receive, send)


@pytest.mark.parametrize("leaving", [False, True])
async def test_who_is_about_to_leave_ends_each_connection_with_its_answer(leaving: bool) -> None:
    async with client(CloseOnDrain(works, lambda: leaving)) as http:
        response = await http.get("/v1/me")
    assert (response.headers.get("connection") == "close") is leaving


def ten(_: str) -> int:
    return 10


async def broken(scope: Scope, receive: Receive, send: Send) -> None:
    raise KeyError("a secret")


async def test_what_nobody_foresaw_is_a_problem_that_tells_nothing_and_is_counted() -> None:
    def counted() -> float:
        return REGISTRY.get_sample_value("warren_failures_total", {"what": "request"}) or 0.0

    before = counted()
    async with client(SecurityHeaders(BodyLimit(broken, ten))) as http:
        response = await http.get("/v1/me")
    assert counted() == before + 1
    assert response.status_code == 500
    assert response.headers["content-type"] == "application/problem+json"
    assert response.headers["cache-control"] == "no-store"
    assert "secret" not in response.text


async def read(scope: Scope, receive: Receive, send: Send) -> None:
    """Read the body to its end, as FastAPI does, and answer."""
    status = 200
    try:
        while (await receive()).get("more_body"):
            pass
    except HTTPException as error:
        status = error.status_code
    start: Message = {"type": "http.response.start", "status": status, "headers": []}
    await send(start)
    await send({"type": "http.response.body", "body": b""})


async def pieces(length: int) -> AsyncIterator[bytes]:
    for _ in range(length):
        yield b"x"


async def test_a_body_may_have_so_many_bytes_and_not_one_more() -> None:
    async with client(BodyLimit(read, ten)) as http:
        for length, status in ((0, 200), (10, 200), (11, 413)):
            assert (await http.post("/", content=b"x" * length)).status_code == status
            assert (await http.post("/", content=pieces(length))).status_code == status


@pytest.mark.parametrize(
    ("path", "most"),
    [
        ("/v1/guest", 1_024),
        ("/v1/rooms", 4_096),
        ("/v1/rooms/messages", 4_096),
        ("/v1/rooms/a/members/messages", 4_096),
        ("/v1/rooms/a/messages/x", 4_096),
        ("/v1/nothing", 4_096),
        ("/v1/poll", 65_536),
        ("/v1/sse", 65_536),
        ("/v1/rooms/a/messages", 65_536),
        ("/v1/rooms/a/messages/5", 65_536),
    ],
)
def test_a_body_may_be_as_long_as_its_route_needs(path: str, most: int) -> None:
    assert body_limit(path) == most


@pytest.mark.parametrize(
    ("url", "status"),
    [
        ("/v1/rooms/" + "a" * 1_000, 200),
        ("/v1/rooms/" + "a" * 1_100, 414),
        ("/v1/people?" + "q=a&" * 19 + "q=a", 200),
        ("/v1/people?" + "q=a&" * 20 + "q=a", 414),
        ("/v1/people?q=" + "a" * 2_100, 414),
        ("/v1/sse?" + "room=a&" * 49 + "room=a", 200),
        ("/v1/sse?" + "room=a&" * 50 + "room=a", 414),
        ("/v1/sse?room=" + "a" * 10_000, 200),
    ],
    ids=lambda value: str(value)[:30],
)
async def test_an_address_is_no_longer_than_any_that_there_is(url: str, status: int) -> None:
    async with client(HeadLimit(works, fields=50)) as http:
        assert (await http.get(url)).status_code == status


async def test_a_request_has_so_many_headers_and_nobody_reads_its_cookies() -> None:
    seen: list[bytes] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.extend(name for name, _ in scope["headers"])
        await works(scope, receive, send)

    async with client(HeadLimit(app, fields=50)) as http:
        assert (await http.get("/", headers={"Cookie": "a=b", "X-A": "b"})).status_code == 200
        assert b"x-a" in seen
        assert b"cookie" not in seen
        assert (await http.get("/", headers=[("X-A", str(number)) for number in range(101)])).status_code == 431


GUEST = {"name": "Ann"}
WRONG = {
    "unknown fields": b'{"name":"Ann",%s}' % b",".join(b'"%d":1' % number for number in range(120)),
    "no JSON": b"{" * 50,
    "too many parts": b"[" * 1_024,
    "a list": b"[" + b"1," * 400 + b"1]",
    "a surrogate": b'{"name":"\\ud800"}',
}


@pytest.mark.parametrize("body", WRONG.values(), ids=WRONG.keys())
async def test_of_what_is_wrong_in_a_body_the_first_thing_is_said(body: bytes) -> None:
    async with client(create_app(Settings(secret=SecretStr(SECRET)))) as http:
        assert (await http.post("/v1/guest", json=GUEST)).status_code == 200
        response = await http.post("/v1/guest", content=body, headers={"Content-Type": "application/json"})
        assert (response.status_code, response.json()["code"]) == (422, "invalid")
        assert 0 < len(response.json()["detail"]) < 120
        assert (await http.post("/v1/guest", content=b"x" * 1_025)).status_code == 413


async def test_where_tokens_come_from_elsewhere_nothing_of_a_guest_is_read() -> None:
    elsewhere = Settings(secret=SecretStr(SECRET), auth="jwt", issuer="https://login.example.org")
    async with client(create_app(elsewhere)) as http:
        for body in (b'{"name":"Ann"}', b"[" * 1_000, b""):
            response = await http.post("/v1/guest", content=body, headers={"Content-Type": "application/json"})
            assert (response.status_code, response.json()["code"]) == (404, "not_found")


def test_every_code_has_a_status_and_an_unknown_one_is_a_refusal() -> None:
    assert {code: status_of(code) >= 400 for code in Code} == dict.fromkeys(Code, True)
    assert status_of("since_version_2") == 400
    assert len({status_of(code) for code in Code}) == len(Code)
