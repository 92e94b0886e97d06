"""Warren under load: how it is spoken to, and how its rooms are filled."""

import asyncio
import json
import os
import shutil
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import httpx
from harness.resilient_client import fresh_room, join_room, make_room, sign_in
from harness.stack import Stack
from pydantic_core import from_json
from warren.contract.bots import is_bot
from warren_local.home import warren_home
from warren_local.pidfile import clear_all

from benchmarks.load import Acked, Delivered, Failed, Heard, Load, Ready
from benchmarks.system import LOAD, Running

BASE_PORT = int(os.environ.get("WARREN_BENCH_PORT", "23000"))
"""The first of some 500 ports."""
AT_ONCE = 20
"""Requests at once while the rooms are filled."""


class WarrenDialect:
    """The frames of docs/protocol.md."""

    def __init__(self, tokens: Sequence[str]) -> None:
        self._tokens = tokens

    def hello(self, room: str, member: int) -> Sequence[Sequence[str]]:
        """Say hello and join the room, in one turn."""
        hello = json.dumps({"type": "hello", "token": self._tokens[member]})
        return [[hello, json.dumps({"type": "join", "room": room})]]

    def send(self, room: str, key: str, text: str) -> str:
        """Say something."""
        return f'{{"type":"send","room":"{room}","key":"{key}","text":"{text}"}}'

    def hear(self, payload: bytes) -> Heard:
        """Understand a frame."""
        frame = from_json(payload)
        match frame["type"]:
            case "events":
                events = frame["events"]
                # What a bot says nobody waits for; its place in the room's order is checked like any other.
                keys = tuple(
                    event["key"] for event in events if event["type"] == "message" and not is_bot(event["sender"])
                )
                return Delivered(frame["room"], keys, events[0]["seq"], events[-1]["seq"])
            case "ack":
                return Acked(frame["key"])
            case "joined":
                return Ready()
            case "error" | "bye":
                return Failed(str(frame))
        return None


@asynccontextmanager
async def running_stack(gateways: int, persistence: int, presence: int = 0, /, **settings: str) -> AsyncIterator[Stack]:
    """Start Warren, empty, on ports of its own, with limits that suit a load of few connections."""
    home = warren_home() / "bench" / "warren"
    clear_all(home)
    shutil.rmtree(home, ignore_errors=True)
    limits = {"WARREN_FRAMES_PER_SECOND": "100000", "WARREN_FRAMES_BURST": "100000", "WARREN_UNANSWERED": "10000"}
    env = {**limits, **settings}
    stack = Stack(home, BASE_PORT, gateways=gateways, persistence=persistence, presence=presence, env=env)
    try:
        await asyncio.to_thread(stack.start)
        yield stack
    finally:
        await asyncio.to_thread(stack.stop)


@asynccontextmanager
async def running_warren(gateways: int, persistence: int, rooms: int, members: int) -> AsyncIterator[Running]:
    """Start Warren and connect the load, its members spread over the gateways."""
    async with running_stack(gateways, persistence) as stack:
        urls = [gateway.url.replace("http", "ws", 1) + "/v1/ws" for gateway in stack.gateways]
        names, tokens = await fill_rooms(stack.gateways[0].url, rooms, members)
        load = Load(WarrenDialect(tokens), urls, names, members)
        await load.connect()
        yield Running(load, {LOAD: os.getpid(), **pids(stack)})
        load.close()


async def fill_rooms(gateway: str, rooms: int, members: int) -> tuple[list[str], list[str]]:
    """Return rooms that the same people are all members of, and the people's tokens."""
    slots = asyncio.Semaphore(AT_ONCE)
    names = [fresh_room("bench") for _ in range(rooms)]
    async with httpx.AsyncClient(timeout=60) as http:
        tokens = [(await sign_in(http, gateway, f"m{number}"))[0] for number in range(members)]

        async def fill(room: str) -> None:
            async with slots:
                await make_room(http, gateway, room, tokens[0])
                for token in tokens[1:]:
                    await join_room(http, gateway, room, token)

        await asyncio.gather(*(fill(room) for room in names))
    return names, tokens


def pids(stack: Stack) -> dict[str, int]:
    """Return the stack's processes by name."""
    named = {service.name: service.pid for service in stack.services}
    found = {**named, "rabbitmq": stack.rabbitmq.pid, "mongodb": stack.mongodb.pid}
    return {name: pid for name, pid in found.items() if pid is not None}
