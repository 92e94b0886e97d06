"""Refuses request bodies that are too large before anything reads them whole."""

from starlette.types import ASGIApp, Message, Receive, Scope, Send
from warren.contract.codes import Code

from warren_gateway.problems import problem_response


class _TooLarge(Exception):
    pass


class BodyLimit:
    """ASGI middleware: answers 413 for a body of more than `limit` bytes, declared or not."""

    def __init__(self, app: ASGIApp, limit: int) -> None:
        self._app = app
        self._limit = limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, counting its body."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        declared = dict(scope["headers"]).get(b"content-length", b"0")
        if declared.isdigit() and int(declared) > self._limit:
            await self._refuse(scope, receive, send)
            return
        received = 0

        async def counted() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > self._limit:
                raise _TooLarge
            return message

        try:
            await self._app(scope, counted, send)
        except _TooLarge:
            await self._refuse(scope, receive, send)

    async def _refuse(self, scope: Scope, receive: Receive, send: Send) -> None:
        response = problem_response(413, Code.INVALID, f"a request body may have {self._limit} bytes at most")
        await response(scope, receive, send)
