"""A gateway that lies: it speaks the protocol with things wrong in it, over every transport, until it becomes good.

What it plays to a client is under a path of that client's own, so that many play beside one another.
"""

import asyncio
import contextlib
import json
import random
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from contextlib import asynccontextmanager
from typing import Any, get_args

import uvicorn
from fuzz.mutate import encoded, mutated, nasty
from fuzz.schema_values import SchemaValues
from warren.contract import frames
from warren.contract.events import Events

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
EPOCH = "good"
PING = 15
LIMITS = {"frame_bytes": 65_536, "text_characters": 4_000, "rooms": 200, "unanswered": 100, "replay": 1_000}
ME = {"id": "ann", "name": "Ann", "limits": LIMITS, "expires_in": 3_600}
WELCOME = {"type": "welcome", "user": {"id": "ann", "name": "Ann"}, "ping": PING, "limits": LIMITS, "expires_in": 3_600}
_UNASKED = [SchemaValues.of(kind) for kind in (*get_args(frames.ServerFrame), Events, Events)]
_CODES = (1000, 1001, 1011, 3000, 3001, 4001, 4002, 4008, 4029, 4501, 4503, 4999)
_STATUSES = (200, 200, 200, 204, 301, 400, 401, 403, 413, 422, 429, 429, 500, 502, 503)
_WAITS = ("", "0", "1", "-1", "x", "1e9", "99999999999999", "Wed, 21 Oct 2015 07:28:00 GMT")


class Play:
    """What one client is played. `asked` counts what it asked for, `said` its frames, while the server was hostile."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.good = False
        self.asked = 0
        self.said = 0
        self.logs: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
        self.turned = asyncio.Event()
        self._more = asyncio.Event()

    def turn_good(self) -> None:
        """Lie no more; connections from before end."""
        self.good = True
        self.turned.set()

    def say(self, room: str, key: str, text: str) -> dict[str, Any]:
        """Add a message to a room's log and return it."""
        log = self.logs[room]
        known = next((event for event in log if event["key"] == key), None)
        if known is not None:
            return known
        seq = len(log) + 1
        event = {
            "seq": seq,
            "type": "message",
            "number": seq,
            "id": f"i{seq}",
            "sender": "ann",
            "name": "Ann",
            "key": key,
        }
        log.append({**event, "at": "2026-11-22T18:28:23.241Z", "text": text})
        more, self._more = self._more, asyncio.Event()
        more.set()
        return log[-1]

    async def moved(self) -> None:
        """Wait until a log is longer."""
        await self._more.wait()

    def answers(self, frame: dict[str, Any], heads: dict[str, int]) -> list[dict[str, Any]]:
        """Return what a good gateway answers a frame. `heads`: what was shown of each room that is followed."""
        match frame:
            case {"type": "hello"}:
                return [WELCOME]
            case {"type": "join", "room": room}:
                return self._joined(room, frame.get("since"), frame.get("epoch"), heads)
            case {"type": "leave", "room": room}:
                heads.pop(room, None)
                return [{"type": "left", "room": room}]
            case {"type": "send", "room": room, "key": key, "text": text}:
                event = self.say(room, key, text)
                return [{"type": "ack", "key": key, "room": room, "seq": event["seq"], "number": event["seq"]}]
            case {"type": "auth"}:
                return [{"type": "renewed", "expires_in": 3_600}]
            case {"type": "ping"}:
                return [{"type": "pong"}]
        return []

    def news(self, heads: dict[str, int]) -> list[dict[str, Any]]:
        """Return what is new in the rooms that are followed."""
        found = []
        for room, head in heads.items():
            if len(self.logs[room]) > head:
                found.append({"type": "events", "room": room, "events": self.logs[room][head:]})
                heads[room] = len(self.logs[room])
        return found

    def lies(self, answers: list[dict[str, Any]]) -> list[bytes]:
        """Return these frames with things wrong in them, and some that nobody has asked for."""
        rng = self.rng
        unasked = [rng.choice(_UNASKED).value(rng) for _ in range(rng.choice((0, 0, 1, 3)))]
        for frame in unasked:
            if "room" in frame:
                frame["room"] = rng.choice(("a", "b", "constructor"))
        return [encoded(mutated(frame, rng), rng) for frame in (*answers, *unasked)]

    def _joined(self, room: str, since: Any, epoch: Any, heads: dict[str, int]) -> list[dict[str, Any]]:
        head = heads[room] = len(self.logs[room])
        reset = since is not None and (epoch != EPOCH or since > head)
        place = {"epoch": EPOCH, "head": head, "number": head, "read": 0, "reset": reset}
        events = [] if since is None or reset else self.logs[room][since:]
        found: list[dict[str, Any]] = [{"type": "joined", "room": room, **place}]
        return [*found, {"type": "events", "room": room, "events": events}] if events else found


class HostileGateway:
    """Serves `files` by path, and each play below its number."""

    def __init__(self, files: dict[str, str]) -> None:
        self._files = files
        self.plays: dict[str, Play] = {}
        self.url = ""

    @asynccontextmanager
    async def running(self) -> AsyncIterator["HostileGateway"]:
        """Serve on a free port."""
        config = uvicorn.Config(
            self._app,
            port=0,
            log_level=60,
            interface="asgi3",
            lifespan="off",
            ws="websockets-sansio",
            ws_max_size=2**20,
        )
        server = uvicorn.Server(config)
        server.capture_signals = contextlib.nullcontext  # type: ignore[method-assign, assignment]
        serving = asyncio.create_task(server.serve())
        while not server.started:  # noqa: ASYNC110 - uvicorn has no event for it
            await asyncio.sleep(0.01)
        self.url = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
        try:
            yield self
        finally:
            server.should_exit = server.force_exit = True
            await serving

    async def _app(self, scope: Scope, receive: Receive, send: Send) -> None:
        number, _, path = scope["path"].lstrip("/").partition("/")
        play = self.plays.get(number)
        if play is None:
            await self._file(scope["path"], send)
            return
        play.asked += not play.good
        if scope["type"] == "websocket":
            await _websocket(play, receive, send)
        elif path == "v1/sse":
            await _sse(play, json.loads(await _body(receive)), send)
        else:
            await _rest(play, scope, path, await _body(receive), send)

    async def _file(self, path: str, send: Send) -> None:
        kind = "text/javascript" if path.endswith(".js") else "text/html"
        text = self._files.get(path)
        await _answer(send, 404 if text is None else 200, (text or "").encode(), {"content-type": kind})


async def _websocket(play: Play, receive: Receive, send: Send) -> None:
    await receive()
    rng = play.rng
    if not play.good and rng.random() < 0.1:
        await send({"type": "websocket.close", "code": 1000})
        return
    await send({"type": "websocket.accept", "subprotocol": "warren.v1"})
    heads: dict[str, int] = {}
    good = play.good
    while (frame := await _heard(play, receive, heads, good=good)) is not None:
        answers = [*play.answers(frame, heads), *play.news(heads)]
        play.said += not good
        for said in map(_dumped, answers) if good else play.lies(answers):
            await asyncio.sleep(0 if good else rng.choice((0, 0, 0.01)))
            await send({"type": "websocket.send", "text": said.decode(errors="replace")} if good or rng.random() < 0.97
                       else {"type": "websocket.send", "bytes": said})  # fmt: skip
        if not good and rng.random() < 0.05:
            break
    with contextlib.suppress(RuntimeError):
        await send({"type": "websocket.close", "code": rng.choice(_CODES), "reason": "x"})


async def _heard(play: Play, receive: Receive, heads: dict[str, int], *, good: bool) -> dict[str, Any] | None:
    """Return the next frame, or an empty one if there is news; None if it is over."""
    hearing, moved = asyncio.ensure_future(receive()), asyncio.ensure_future(play.moved())
    turned = asyncio.ensure_future(play.turned.wait())
    waiting = {hearing, moved} if good else {hearing, turned}
    try:
        done, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        if hearing not in done:
            return {} if good else None
        message = hearing.result()
        return json.loads(message["text"]) if message["type"] == "websocket.receive" else None
    finally:
        for one in (hearing, moved, turned):
            one.cancel()


async def _sse(play: Play, asked: dict[str, Any], send: Send) -> None:
    rng, good = play.rng, play.good
    if not good and rng.random() < 0.2:
        await _lie(play, {"code": "unavailable", "detail": "no", "temporary": True}, send)
        return
    kind = "text/event-stream" if good or rng.random() < 0.9 else rng.choice(("text/html", ""))
    await send({"type": "http.response.start", "status": 200, "headers": _headers({"content-type": kind})})
    heads: dict[str, int] = {}
    joins = [{"type": "join", "room": room, **cursor} for room, cursor in asked["cursors"].items()]
    answers = [WELCOME, *(answer for join in joins for answer in play.answers(join, heads))]
    while answers:
        for said in map(_dumped, answers) if good else play.lies(answers):
            await _piece(send, b"data: " + said.replace(b"\n", b" ") + b"\n\n", None if good else rng)
        if good:
            await play.moved()
            answers = play.news(heads)
        else:
            answers = []
            if rng.random() < 0.5:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(play.turned.wait(), 5)
    await send({"type": "http.response.body"})


async def _piece(send: Send, data: bytes, rng: random.Random | None) -> None:
    cut = 0 if rng is None else rng.randint(0, len(data))
    for part in (data[:cut], data[cut:]):
        await send({"type": "http.response.body", "body": part, "more_body": True})


async def _rest(play: Play, scope: Scope, path: str, body: bytes, send: Send) -> None:
    heads: dict[str, int] = {}
    match path.split("/"):
        case ["v1", "me"]:
            found: Any = ME
        case ["v1", "poll"]:
            found = await _polled(play, json.loads(body))
        case ["v1", "rooms", room, "messages"] if scope["method"] == "POST":
            key = dict(scope["headers"])[b"idempotency-key"].decode()
            (found,) = play.answers({**json.loads(body), "type": "send", "room": room, "key": key}, heads)
        case ["v1", "rooms", room, "messages"]:
            found = {"messages": play.logs[room][-50:], "more": False, "notes": []}
        case _:
            found = {"rooms": [], "more": False}
    if play.good:
        await _answer(send, 200, _dumped(found), {"content-type": "application/json"})
    else:
        await _lie(play, found, send)


async def _polled(play: Play, asked: dict[str, Any]) -> dict[str, Any]:
    heads = {room: cursor["since"] for room, cursor in asked["cursors"].items() if cursor.get("epoch") == EPOCH}
    fresh = [
        room for room, cursor in asked["cursors"].items() if room not in heads or heads[room] > len(play.logs[room])
    ]
    if play.good and not fresh and not any(len(play.logs[room]) > head for room, head in heads.items()):
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(play.moved(), min(5, asked.get("wait", 0)))
    rooms: dict[str, dict[str, Any]] = {}
    for room in asked["cursors"]:
        log, since = play.logs[room], heads.get(room, 0)
        place = {"head": len(log), "number": len(log), "read": 0}
        if room in fresh:
            rooms[room] = {**place, "reset": "since" in asked["cursors"][room]}
        elif len(log) > since:
            rooms[room] = {**place, "reset": False, "events": log[since:]}
    return {
        "rooms": rooms,
        "cursors": {room: {"since": len(play.logs[room]), "epoch": EPOCH} for room in asked["cursors"]},
    }


async def _lie(play: Play, found: Any, send: Send) -> None:
    rng = play.rng
    status = rng.choice(_STATUSES)
    headers = {"content-type": rng.choice(("application/json", "application/problem+json", "text/html"))}
    if rng.random() < 0.5:
        headers["retry-after"] = rng.choice(_WAITS)
    said = found if status == 200 else {"code": "too_many", "detail": nasty(rng), "temporary": rng.random() < 0.5}
    await asyncio.sleep(rng.choice((0, 0, 0.05, 0.3)))
    await _answer(send, status, b"" if status == 204 else encoded(mutated(said, rng), rng), headers)


async def _answer(send: Send, status: int, body: bytes, headers: dict[str, str]) -> None:
    await send({"type": "http.response.start", "status": status, "headers": _headers(headers)})
    await send({"type": "http.response.body", "body": body})


async def _body(receive: Receive) -> bytes:
    body = b""
    while (message := await receive()).get("more_body"):
        body += message["body"]
    return body + bytes(message.get("body", b""))


def _headers(found: dict[str, str]) -> list[tuple[bytes, bytes]]:
    return [(name.encode(), value.encode()) for name, value in found.items()]


def _dumped(value: Any) -> bytes:
    return json.dumps(value).encode()
