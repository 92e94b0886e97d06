"""Errors over HTTP: RFC 9457, with the same codes as the error frames of the WebSocket."""

from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from warren.broker.errors import Unavailable
from warren.contract.codes import TEMPORARY, Code

from warren_gateway.queries import QueryDenied

_STATUS: dict[str, int] = {
    Code.INVALID: 422,
    Code.UNAUTHORIZED: 401,
    Code.FORBIDDEN: 403,
    Code.NOT_FOUND: 404,
    Code.EXISTS: 409,
    Code.TOO_MANY: 429,
    Code.UNAVAILABLE: 503,
}


class Problem(BaseModel):
    """The body of every error. `temporary`: the same request, with the same key, may succeed later."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    code: str
    temporary: bool


class ProblemError(Exception):
    """A request that is answered with a problem."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail


def problem_response(status: int, code: str, detail: str, headers: dict[str, str] | None = None) -> JSONResponse:
    """Return the problem as a response; one that will pass says when to try again."""
    temporary = code in TEMPORARY
    problem = Problem(title=HTTPStatus(status).phrase, status=status, detail=detail, code=code, temporary=temporary)
    extra = {"Retry-After": "1"} if temporary else {}
    if status == HTTPStatus.UNAUTHORIZED:
        extra["WWW-Authenticate"] = "Bearer"
    return JSONResponse(
        problem.model_dump(), status, media_type="application/problem+json", headers={**extra, **(headers or {})}
    )


def responses(*codes: Code) -> dict[int | str, dict[str, Any]]:
    """Return what the OpenAPI document says about these errors."""
    content = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {_STATUS[code]: {"model": Problem, "content": content, "description": str(code)} for code in codes}


def install(app: FastAPI) -> None:
    """Make every error of the app a problem."""

    @app.exception_handler(ProblemError)
    async def on_problem(_: Request, error: ProblemError) -> JSONResponse:
        return problem_response(_STATUS.get(error.code, 400), error.code, error.detail)

    @app.exception_handler(QueryDenied)
    async def on_denied(_: Request, error: QueryDenied) -> JSONResponse:
        return problem_response(_STATUS.get(error.code, 400), error.code, error.detail)

    @app.exception_handler(Unavailable)
    async def on_unavailable(_: Request, error: Unavailable) -> JSONResponse:
        return problem_response(503, Code.UNAVAILABLE, "not possible at the moment; try again")

    @app.exception_handler(RequestValidationError)
    async def on_invalid(_: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        return problem_response(422, Code.INVALID, f"{where}: {first['msg']}")

    @app.exception_handler(HTTPException)
    async def on_http(_: Request, error: HTTPException) -> JSONResponse:
        code = Code.NOT_FOUND if error.status_code == HTTPStatus.NOT_FOUND else Code.INVALID
        return problem_response(error.status_code, code, str(error.detail), dict(error.headers or {}))
