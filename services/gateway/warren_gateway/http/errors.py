"""Errors over HTTP: RFC 9457, with the same codes as the error frames of the WebSocket."""

from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from warren.broker.errors import Unavailable
from warren.broker.rpc_client import QueryDenied
from warren.contract.codes import TEMPORARY, Code
from warren.contract.commands import Accepted, Refused
from warren.rates import seconds
from warren.untrusted import sentence

_STATUS: dict[Code, int] = {
    Code.INVALID: 422,
    Code.UNAUTHORIZED: 401,
    Code.FORBIDDEN: 403,
    Code.NOT_FOUND: 404,
    Code.EXISTS: 409,
    Code.TOO_MANY: 429,
    Code.UNAVAILABLE: 503,
}
_TOO_LONG = (413, 414)
"""The statuses of a body or an address that is too long, which is `invalid`, too."""


READING = (Code.UNAUTHORIZED, Code.INVALID, Code.TOO_MANY, Code.UNAVAILABLE)
"""What every request may be refused with that asks the other services."""
OF_A_ROOM = (*READING, Code.FORBIDDEN, Code.NOT_FOUND)
"""The same for what is asked of one room."""


class Problem(BaseModel):
    """The body of every error. `temporary`: the same request, with the same key, may succeed later."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    code: str
    temporary: bool


class ProblemError(Exception):
    """A request that is answered with a problem; `wait`: seconds until it may succeed."""

    def __init__(self, code: str, detail: str, wait: float = 0.0) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail
        self.wait = wait


def status_of(code: str) -> int:
    """Return the HTTP status for a code; one that only a newer replica knows is a refusal all the same."""
    return _STATUS[Code(code)] if code in set(Code) else 400


def problem(status: int, code: str, detail: str) -> Problem:
    """Return the body of an error."""
    title = HTTPStatus(status).phrase
    return Problem(title=title, status=status, detail=detail, code=code, temporary=code in TEMPORARY)


def problem_response(
    status: int, code: str, detail: str, headers: dict[str, str] | None = None, wait: float = 0.0
) -> JSONResponse:
    """Return the problem as a response; one that will pass says when to try again."""
    body = problem(status, code, detail)
    extra = {"Retry-After": str(seconds(wait))} if body.temporary else {}
    if status == HTTPStatus.UNAUTHORIZED:
        extra["WWW-Authenticate"] = "Bearer"
    return JSONResponse(
        body.model_dump(), status, media_type="application/problem+json", headers={**extra, **(headers or {})}
    )


def accepted(answer: Accepted | Refused) -> Accepted:
    """Return the answer if the command was stored, else raise the problem."""
    if isinstance(answer, Refused):
        raise ProblemError(answer.code, answer.detail)
    return answer


def responses(*codes: Code) -> dict[int | str, dict[str, Any]]:
    """Return what the OpenAPI document says about these errors."""
    content = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    statuses = {_STATUS[code]: code for code in codes} | dict.fromkeys(
        _TOO_LONG if Code.INVALID in codes else (), Code.INVALID
    )
    return {
        status: {"model": Problem, "content": content, "description": str(code)} for status, code in statuses.items()
    }


def _is_json(request: Request) -> bool:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    return kind.startswith("application/") and kind.endswith(("/json", "+json"))


def install(app: FastAPI) -> None:
    """Make every error of the app a problem."""

    @app.exception_handler(ProblemError)
    async def on_problem(_: Request, error: ProblemError) -> JSONResponse:
        return problem_response(status_of(error.code), error.code, error.detail, wait=error.wait)

    @app.exception_handler(QueryDenied)
    async def on_denied(_: Request, error: QueryDenied) -> JSONResponse:
        return problem_response(status_of(error.code), error.code, error.detail)

    @app.exception_handler(Unavailable)
    async def on_unavailable(_: Request, error: Unavailable) -> JSONResponse:
        return problem_response(503, Code.UNAVAILABLE, "not possible at the moment; try again")

    @app.exception_handler(RequestValidationError)
    async def on_invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        # FastAPI reads no other body, and would complain of a text that is no object.
        is_unread = tuple(first["loc"]) == ("body",) and first["type"] != "missing" and not _is_json(request)
        detail = "body: it is JSON; say so: Content-Type: application/json" if is_unread else sentence(first)
        return problem_response(422, Code.INVALID, detail)

    @app.exception_handler(HTTPException)
    async def on_http(_: Request, error: HTTPException) -> JSONResponse:
        code = Code.NOT_FOUND if error.status_code == HTTPStatus.NOT_FOUND else Code.INVALID
        # A body that is no text is as wrong as one that is no JSON.
        status = _STATUS[code] if error.status_code == HTTPStatus.BAD_REQUEST else error.status_code
        return problem_response(status, code, str(error.detail), dict(error.headers or {}))
