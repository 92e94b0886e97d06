"""How large a request's body may be, and how it is read: at the price of a right one, however wrong it is."""

import re
from collections.abc import Callable, Coroutine
from typing import Any, get_args

from fastapi.routing import APIRoute
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from warren.contract.frames import FRAME_LIMIT
from warren.untrusted import UnreadableError, read, unknown_field

SMALL = 4 * 1024
"""Bytes of a body: a title or a reason of 200 characters, each escaped, and some names."""
GUEST = 1024
"""Bytes of what asks for a guest's token, for which nobody has to be anybody: a name of 64 characters, each escaped."""
_LARGE = re.compile(r"/v1/(sse|poll|rooms/[^/]+/messages(/[0-9]+)?)")
"""Where a message's text is, or the cursors of many rooms."""


def body_limit(path: str) -> int:
    """Return how many bytes the body of a request to this path may have."""
    if path == "/v1/guest":
        return GUEST
    return FRAME_LIMIT if _LARGE.fullmatch(path) else SMALL


class JsonRoute(APIRoute):
    """A route whose JSON body is looked at from outside to inside: what is wrong first is all that is said of it.

    FastAPI would have an error made of each unknown field.
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return what handles a request."""
        handler = super().get_route_handler()
        field = self.body_field
        model = None if field is None else _model(field.field_info.annotation)

        async def handle(request: Request) -> Response:
            return await handler(_JsonRequest(request, model))

        return handle


class _JsonRequest(Request):
    """A request that is read so."""

    def __init__(self, request: Request, model: type[BaseModel] | None) -> None:
        super().__init__(request.scope, request.receive)
        self._model = model

    async def json(self) -> Any:
        """Return the body. Raises HTTPException for what is no JSON, and for a field that the route does not have."""
        try:
            found = read(await self.body())
        except UnreadableError as error:
            raise HTTPException(422, f"body: {error}") from error
        if self._model is not None and isinstance(found, dict) and (name := unknown_field(found, self._model)):
            raise HTTPException(422, f"body.{name}: there is no such field")
        return found


def _model(annotation: Any) -> type[BaseModel] | None:
    """Return the model that a body's annotation is, or may be."""
    return next((one for one in (annotation, *get_args(annotation)) if _is_model(one)), None)


def _is_model(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)
