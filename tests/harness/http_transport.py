"""What the transports over HTTP share: frames go out as requests, and all rooms are followed by one request."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Coroutine
from typing import Any

import httpx

from harness.transport import WITHIN, Frame, TransportClosed

CLOSES = {401: 4503, 429: 4029}
"""The close code that says the same as a status."""
HELD_WITHIN = 2 * WITHIN
"""Seconds without a byte after which a held request counts as lost."""


def http_client(address: str | None = None) -> httpx.AsyncClient:
    """Return a client that calls from this address, if one is given."""
    # Nothing here is encrypted; to read the certificates of the whole world takes 25 ms each time.
    # A connection is given up before the gateway does so after 10 s: else both may do so at the same moment.
    limits = httpx.Limits(max_connections=None, keepalive_expiry=2.0)
    transport = httpx.AsyncHTTPTransport(verify=False, local_address=address, limits=limits)
    return httpx.AsyncClient(transport=transport, timeout=httpx.Timeout(WITHIN, read=HELD_WITHIN))


class HttpTransport(ABC):
    """A Line over HTTP. `_serve` gets what happens in the rooms; whenever these change it is begun anew."""

    def __init__(self, http: httpx.AsyncClient, gateway: str, token: str) -> None:
        self._http = http
        self._api = f"{gateway}/v1"
        self._headers = {"Authorization": f"Bearer {token}"}
        self._status = "online"
        self._asked: set[str] = set()
        """Rooms whose `joined` is to come."""
        self._heard: asyncio.Queue[Frame | Exception] = asyncio.Queue()
        self._closed: TransportClosed | None = None
        self._why = ""
        self._serving: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def say(self, frame: Frame) -> None:
        """Make it a request, or a change of what is asked for."""
        if self._closed is not None:
            raise self._closed
        match frame:
            case {"type": "join", "room": room}:
                self._asked.add(room)
                self._follow(room, frame.get("since"), frame.get("epoch"))
                self._begin()
            case {"type": "leave", "room": room}:
                self._forget(room)
                self._put({"type": "left", "room": room})
                self._begin()
            case {"type": "status", "status": status}:
                self._status = status
                self._begin()
            case {"type": "send"}:
                self._spawn(self._send(frame))
            case {"type": "typing"}:
                self._spawn(self._typing(frame))
            case _:
                raise AssertionError(f"not said over HTTP: {frame}")

    async def hear(self) -> Frame:
        """Return the next frame. Raises LineClosed, or what went wrong in here."""
        if self._closed is not None and self._heard.empty():
            raise self._closed
        found = await self._heard.get()
        if isinstance(found, Exception):
            raise found
        return found

    def drop(self) -> None:
        """Break all connections off."""
        for task in self._tasks:
            task.cancel()
        self._close(None, "dropped")

    async def aclose(self) -> None:
        """Break off, and wait until nothing is left."""
        self.drop()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @abstractmethod
    async def _serve(self) -> int | None:
        """Follow the rooms until it is over; return the close code. Raises httpx.HTTPError."""

    @abstractmethod
    def _follow(self, room: str, since: int | None, epoch: str | None) -> None:
        """Ask for this room, too."""

    @abstractmethod
    def _forget(self, room: str) -> None:
        """Ask for this room no more."""

    def _put(self, frame: Frame) -> None:
        self._heard.put_nowait(frame)

    def _refused(self, response: httpx.Response) -> int | None:
        """Put what an error says as frames; return the close code."""
        if not _is_problem(response):
            self._why = f"{response.status_code} from a proxy"
            return None
        problem = response.json()
        self._why = f"{response.status_code} {problem['code']}: {problem['detail']}"
        if response.status_code == 422:
            for room in sorted(self._asked):
                self._forget(room)
                self._put(_error({"type": "join", "room": room}, problem))
            self._asked.clear()
            self._begin()
        elif response.status_code == 429:
            after = int(response.headers["retry-after"]) * 1_000
            self._put({"type": "bye", "code": 4029, "after_ms": after})
        return CLOSES.get(response.status_code)

    def _begin(self) -> None:
        if self._serving is not None:
            self._serving.cancel()
        self._serving = self._spawn(self._run())

    async def _run(self) -> None:
        try:
            code, why = await self._serve(), self._why
        except httpx.HTTPError as error:
            code, why = None, repr(error)
        if asyncio.current_task() is self._serving:
            self._close(code, why)

    def _close(self, code: int | None, why: str) -> None:
        if self._closed is None:
            self._closed = TransportClosed(code, why)
            self._heard.put_nowait(self._closed)

    async def _nothing(self) -> None:
        """Wait for the first room."""
        await asyncio.Event().wait()

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and isinstance(error := task.exception(), Exception):
            self._heard.put_nowait(error)  # an answer that is none, for one; else a test would wait in vain

    async def _send(self, frame: Frame) -> None:
        body = {name: frame[name] for name in ("text", "reply_to") if name in frame}
        answer = await self._post(frame, "messages", json=body, headers={"Idempotency-Key": frame["key"]})
        if answer is not None:
            stored = answer.json()
            assert stored["key"] == frame["key"]
            self._put({"type": "ack", **stored})

    async def _typing(self, frame: Frame) -> None:
        await self._post(frame, "typing")

    async def _post(self, frame: Frame, what: str, *, headers: dict[str, str] | None = None, **options: Any) -> Any:
        """Return the response, or None if it was an error, which is put as a frame."""
        url = f"{self._api}/rooms/{frame['room']}/{what}"
        try:
            response = await self._http.post(url, headers={**self._headers, **(headers or {})}, **options)
        except httpx.HTTPError as error:
            self._close(None, repr(error))
            return None
        if response.is_success:
            return response
        if not _is_problem(response):
            self._close(None, f"{response.status_code} from a proxy")
            return None
        self._put(_error(frame, response.json(), response.headers.get("retry-after")))
        return None


def _is_problem(response: httpx.Response) -> bool:
    """Whether it is a gateway's answer: what a proxy says itself is none."""
    return str(response.headers.get("content-type", "")).startswith("application/problem+json")


def _error(frame: Frame, problem: dict[str, Any], retry_after: str | None = None) -> Frame:
    """Return a problem as the error frame that answers this one."""
    named: Frame = {name: frame[name] for name in ("key", "room") if name in frame}
    said = {name: problem[name] for name in ("code", "detail", "temporary")}
    when: Frame = {} if retry_after is None else {"retry_after": int(retry_after)}
    return {"type": "error", "frame": frame["type"], **named, **said, **when}
