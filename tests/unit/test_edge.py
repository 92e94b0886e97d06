"""What surrounds every HTTP exchange, without a broker: the pages of the documentation, and what nobody foresaw."""

from collections.abc import AsyncIterator

import httpx
import pytest
from harness.stack import SECRET
from pydantic import SecretStr
from starlette.exceptions import HTTPException
from starlette.responses import PlainTextResponse
from starlette.types import Message, Receive, Scope, Send
from warren.contract.codes import Code
from warren_gateway.app import create_app
from warren_gateway.config import Settings
from warren_gateway.edge import BodyLimit, Parting, SecurityHeaders
from warren_gateway.problems import status_of

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
    async with client(Parting(works, lambda: leaving)) as http:
        response = await http.get("/v1/me")
    assert (response.headers.get("connection") == "close") is leaving


async def broken(scope: Scope, receive: Receive, send: Send) -> None:
    raise KeyError("a secret")


async def test_what_nobody_foresaw_is_a_problem_that_tells_nothing() -> None:
    async with client(SecurityHeaders(BodyLimit(broken, 10))) as http:
        response = await http.get("/v1/me")
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
    async with client(BodyLimit(read, 10)) as http:
        for length, status in ((0, 200), (10, 200), (11, 413)):
            assert (await http.post("/", content=b"x" * length)).status_code == status
            assert (await http.post("/", content=pieces(length))).status_code == status


def test_every_code_has_a_status_and_an_unknown_one_is_a_refusal() -> None:
    assert {code: status_of(code) >= 400 for code in Code} == dict.fromkeys(Code, True)
    assert status_of("since_version_2") == 400
    assert len({status_of(code) for code in Code}) == len(Code)
