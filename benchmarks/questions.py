"""How fast one bot answers: a part of `./dev bench bots`."""

import asyncio
import itertools
import json
from collections.abc import Callable, Sequence
from datetime import datetime

from picows import WSFrame, WSListener, WSMsgType, WSTransport, ws_connect
from pydantic_core import from_json
from warren.contract.bots import is_bot

from benchmarks.audience import Frame
from benchmarks.cpu import loop_seconds
from benchmarks.table import quantiles

WARM_UP = 2.0
"""Seconds before what is measured. A bot that is paced says meanwhile what it may say at once."""
SETTLE = 30.0
"""Seconds for being connected, and for the last questions to be answered."""
HEAD = f"{'a second':>10}{'CPU, us':>12}{'of a core':>12}{'p50 / p99':>18}"
_SERIAL = itertools.count()


class Asker(WSListener):
    """Somebody who asks in some rooms, and asks again when the bot has answered."""

    def __init__(self, token: str, rooms: Sequence[str]) -> None:
        self.took: list[float] = []
        """Milliseconds from question to answer, both as they were stored."""
        self._token = token
        self._rooms = rooms
        self._transport: WSTransport | None = None
        self._stored: dict[tuple[str, int], float] = {}
        self._open = self._joined = 0
        self._asking = True
        self._wrong: str | None = None
        self._moved = asyncio.Event()

    def on_ws_connected(self, transport: WSTransport) -> None:
        """Say hello and join."""
        self._transport = transport
        self._say(type="hello", token=self._token)
        for room in self._rooms:
            self._say(type="join", room=room)

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        """Take what the gateway says."""
        if frame.msg_type == WSMsgType.TEXT:
            self._take(from_json(frame.get_payload_as_bytes()))
            self._moved.set()

    async def ready(self) -> None:
        """Wait until it is in all its rooms."""
        await self._until(lambda: self._joined == len(self._rooms))

    def begin(self, at_once: int) -> None:
        """Have so many questions open in each room from now on."""
        for room in self._rooms:
            for _ in range(at_once):
                self._ask(room)

    async def end(self) -> None:
        """Ask no more, wait for the last answers, and go."""
        self._asking = False
        await self._until(lambda: not self._open)
        if self._transport is not None:
            self._transport.disconnect(graceful=False)

    async def _until(self, done: Callable[[], bool]) -> None:
        async with asyncio.timeout(SETTLE):
            while not done() and not self._wrong:
                self._moved.clear()
                await self._moved.wait()
        if self._wrong:
            raise AssertionError(self._wrong)

    def _take(self, frame: Frame) -> None:
        match frame["type"]:
            case "joined":
                self._joined += 1
            case "events":
                for event in frame["events"]:
                    if event["type"] == "message":
                        self._hear(frame["room"], event)
            case "error" | "bye":
                self._wrong = str(frame)

    def _hear(self, room: str, event: Frame) -> None:
        at = datetime.fromisoformat(event["at"]).timestamp() * 1_000
        if not is_bot(event["sender"]):
            self._stored[room, event["seq"]] = at
            return
        self.took.append(at - self._stored.pop((room, event["reply_to"])))
        self._open -= 1
        if self._asking:
            self._ask(room)

    def _ask(self, room: str) -> None:
        self._open += 1
        self._say(type="send", room=room, key=f"q{next(_SERIAL)}", text="x" * 200)

    def _say(self, **frame: str) -> None:
        if self._transport is not None:
            self._transport.send(WSMsgType.TEXT, json.dumps(frame).encode())


async def measure(gateway: str, token: str, rooms: Sequence[str], at_once: int, bot: int, seconds: float) -> str:
    """Keep so many questions open in each of these rooms; return what was answered, and what the bot's process used."""
    asker = Asker(token, rooms)
    await ws_connect(lambda: asker, gateway.replace("http", "ws", 1) + "/v1/ws")
    await asker.ready()
    asker.begin(at_once)
    await asyncio.sleep(WARM_UP)
    asker.took.clear()
    before = loop_seconds(bot)
    await asyncio.sleep(seconds)
    used, took = loop_seconds(bot) - before, list(asker.took)
    await asker.end()
    if not took:
        raise AssertionError("the bot answered nothing")
    return f"{len(took) / seconds:10.0f}{used / len(took) * 1e6:12.0f}{used / seconds:12.0%}{quantiles(took):>18}"
