"""Incoming webhooks: `POST /hooks/<name>` says something in a room, and answers once it is stored."""

import asyncio
import contextlib
import hmac
import secrets
import socket
from typing import Annotated

import uvicorn
from pydantic import Field, StringConstraints, ValidationError
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from starlette.types import ASGIApp
from warren.bot import Refusal, Unavailable, Voice
from warren.contract.ids import Text
from warren.contract.wire import Strict
from warren.untrusted import UnreadableError, first_error, read, unknown_field

from bots.bridge.config import Incoming

BODY_LIMIT = 64 * 1024
"""Bytes, as for a message at a gateway: 4,000 characters take 48,000 if each is escaped as two halves of six bytes."""
BODY_WITHIN = 10.0
"""Seconds for a body to come."""
AT_ONCE = 100
"""Requests that are answered at the same time; more are told to come back (503)."""
KEY_LIMIT = 200
_NOBODY = secrets.token_urlsafe(32)


class Said(Strict):
    """The body of a request. `name`: who says it, beside the hook's own name."""

    text: Text
    name: Annotated[str, StringConstraints(strip_whitespace=True), Field(min_length=1, max_length=40)] | None = None


class Problem(Exception):
    """Why a request is not done, with its HTTP status."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail


def application(hooks: dict[str, Incoming], voice: Voice) -> ASGIApp:
    """Return the web application."""

    async def post(request: Request) -> JSONResponse:
        name = request.path_params["name"]
        try:
            hook = _authorized(hooks, name, request)
            said = _said(await _body(request))
            shown = f"{said.name} ({name})" if said.name else name  # nobody passes for somebody else
            seq = await voice.send(hook.room, said.text, f"{name}/{_key(request)}", name=shown)
        except Problem as problem:
            return _problem(problem.status, problem.detail)
        except ValidationError as error:
            return _problem(400, first_error(error))
        except Refusal as refusal:
            return _problem(403, str(refusal))
        except Unavailable as error:
            return _problem(503, f"{error}; send it again with the same Idempotency-Key")
        return JSONResponse({"room": hook.room, "seq": seq}, status_code=201)

    return Starlette(routes=[Route("/hooks/{name}", post, methods=["POST"])])


def listen(host: str, port: int) -> socket.socket:
    """Return the socket to serve on. Raises OSError."""
    return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)


async def serve(app: ASGIApp, listening: socket.socket) -> None:
    """Answer requests until cancelled, and then end those that are being answered."""
    config = uvicorn.Config(
        app, lifespan="off", access_log=False, log_config=None, server_header=False, limit_concurrency=AT_ONCE,
        timeout_graceful_shutdown=5, ws="none",
    )  # fmt: skip
    server = _Server(config)
    serving = asyncio.create_task(server.serve(sockets=[listening]))
    try:
        await asyncio.shield(serving)
    finally:
        server.should_exit = True
        await serving


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self):  # type: ignore[no-untyped-def]
        """Leave the signals to the bot."""
        yield


def _authorized(hooks: dict[str, Incoming], name: str, request: Request) -> Incoming:
    """Return the hook, if the token is its own. An unknown hook looks like a wrong token, and takes as long."""
    hook = hooks.get(name)
    expected = hook.token.get_secret_value() if hook else _NOBODY
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    right = hmac.compare_digest(given.strip().encode(), expected.encode())
    if hook is None or not right or scheme.lower() != "bearer":
        raise Problem(401, "no such hook, or not its token")
    return hook


async def _body(request: Request) -> bytes:
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_WITHIN):
            async for chunk in request.stream():
                body += chunk
                if len(body) > BODY_LIMIT:
                    raise Problem(413, f"more than {BODY_LIMIT} bytes")
    except TimeoutError as error:
        raise Problem(408, "the body did not come in time") from error
    except ClientDisconnect as error:
        raise Problem(400, "the body broke off") from error
    return bytes(body)


def _said(body: bytes) -> Said:
    """Return what a body says. Raises Problem or ValidationError."""
    try:
        fields = read(body)
    except UnreadableError as error:
        raise Problem(400, str(error)) from error
    if not isinstance(fields, dict):
        raise Problem(400, "not an object")
    if (other := unknown_field(fields, Said)) is not None:
        raise Problem(400, f"{other}: there is no such field")
    return Said.model_validate(fields)


def _key(request: Request) -> str:
    """Return the caller's key: the same again says nothing twice. Without one each request is one of its own."""
    key = request.headers.get("idempotency-key") or secrets.token_urlsafe(24)
    if len(key) > KEY_LIMIT:
        raise Problem(400, f"an Idempotency-Key has {KEY_LIMIT} characters at most")
    return key


def _problem(status: int, detail: str) -> JSONResponse:
    close = {"Connection": "close"}  # or all that is left of the body would be read
    headers = {401: {"WWW-Authenticate": "Bearer", **close}, 408: close, 413: close, 503: {"Retry-After": "5"}}
    body = {"type": "about:blank", "status": status, "detail": detail}
    return JSONResponse(body, status, headers.get(status), media_type="application/problem+json")
