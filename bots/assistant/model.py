"""A language model behind an OpenAI-compatible endpoint: `POST /chat/completions` with `stream`."""

import json
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Any

import httpx

LINE_LIMIT = 1024 * 1024
"""Bytes of a stream without an end of line: no endpoint sends that, and nobody shall fill the memory."""


class ModelError(Exception):
    """The model gives no answer; the text says why, for the log."""


class Model:
    """One model. `silence`: seconds to wait for the next piece. What is sent is what `messages` say, and no more."""

    def __init__(self, url: str, name: str, key: str = "", silence: float = 30.0, tokens: int = 1_000) -> None:
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        timeout = httpx.Timeout(10.0, read=silence)
        # Only where the operator has said: neither a redirect nor a proxy in the environment gets to see the key.
        self._http = httpx.AsyncClient(headers=headers, timeout=timeout, follow_redirects=False, trust_env=False)
        self._url = f"{url.rstrip('/')}/chat/completions"
        self._fields = {"model": name, "max_tokens": tokens, "stream": True}

    async def answer(self, messages: Sequence[dict[str, str]]) -> AsyncGenerator[str, None]:
        """Yield the answer, piece by piece. Raises ModelError."""
        try:
            body = {**self._fields, "messages": list(messages)}
            async with self._http.stream("POST", self._url, json=body) as response:
                if not response.is_success:
                    raise ModelError(f"HTTP {response.status_code}")
                async with aclosing(_lines(response)) as lines:
                    async for line in lines:
                        if (data := line.removeprefix("data:").strip()) == "[DONE]":
                            return
                        if line.startswith("data:") and (piece := _piece(data)):
                            yield piece
        except httpx.HTTPError as error:
            raise ModelError(f"{type(error).__name__}: {error}") from error

    async def close(self) -> None:
        """Let go of the connections."""
        await self._http.aclose()


async def _lines(response: httpx.Response) -> AsyncGenerator[str, None]:
    """Yield the lines of an event stream. (`aiter_lines` keeps as much as comes, and splits at more than line ends.)"""
    kept = b""
    async for chunk in response.aiter_bytes():
        *whole, kept = (kept + chunk).split(b"\n")
        if len(kept) > LINE_LIMIT:
            raise ModelError("a line without an end")
        for line in whole:
            yield line.decode("utf-8", "replace")


def _piece(data: str) -> str:
    """Return the text of one chunk; there are chunks without any. Raises ModelError."""
    try:
        chunk: dict[str, Any] = json.loads(data)
        if "error" in chunk:
            raise ModelError(str(chunk["error"])[:200])
        return "".join(choice.get("delta", {}).get("content") or "" for choice in chunk.get("choices", []))
    except (ValueError, AttributeError, TypeError) as error:
        raise ModelError(f"no chunk of an answer: {data[:200]}") from error
