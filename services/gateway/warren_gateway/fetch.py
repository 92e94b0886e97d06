"""Reads what another server answers: so many bytes, within so many seconds."""

import asyncio

import httpx


class TooLongError(httpx.HTTPError):
    """There is more than was asked for."""


async def fetch(http: httpx.AsyncClient, url: str, most: int, within: float) -> httpx.Response:
    """Return the answer, whatever its status. Raises httpx.HTTPError, httpx.InvalidURL or TimeoutError."""
    body = b""
    # Uncompressed, so that the bound on what is read is a bound on what it becomes.
    headers = {"Accept": "application/json", "Accept-Encoding": "identity"}
    # httpx's own timeout is for each step: somebody who sends a byte a second never exceeds it.
    async with asyncio.timeout(within), http.stream("GET", url, headers=headers) as answer:
        async for piece in answer.aiter_raw():
            body += piece
            if len(body) > most:
                raise TooLongError(f"more than {most} bytes")
    return httpx.Response(answer.status_code, content=body, request=answer.request)
