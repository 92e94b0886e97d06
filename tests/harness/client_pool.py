"""A pool of clients in rooms that all send messages, for as long as a test likes."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import httpx

from harness.background import background_tasks
from harness.checker import check, read_store
from harness.concurrency import run_concurrently
from harness.resilient_client import ResilientClient, fresh_room, join_room, make_room, sign_in
from harness.transport import TransportName

PAUSE = 0.05
"""Seconds between an ack and the next message of the same person, unless told otherwise."""
SAID_WITHIN = 90.0
"""Seconds for everybody's messages to be acked, whatever goes away meanwhile."""
SETTLE_WITHIN = 90.0
"""Seconds for everybody to be shown everything; a lost tail is found after 10 at the latest."""


class ClientPool:
    """Members who talk; `said` counts their acked messages."""

    def __init__(self, members: Sequence[ResilientClient], gateways: Sequence[str], pause: float = PAUSE) -> None:
        self.members = members
        self.gateways = gateways
        self._pause = pause
        self.said = dict.fromkeys(range(len(members)), 0)
        self.talks: list[asyncio.Task[None]] = []
        self._talking = True
        self._more = asyncio.Event()

    async def everyone_says(self, more: int) -> None:
        """Wait until each member has had `more` further messages acked."""
        goal = {number: count + more for number, count in self.said.items()}
        try:
            async with asyncio.timeout(SAID_WITHIN):
                while any(self.said[number] < count for number, count in goal.items()):
                    self._more.clear()
                    await self._more.wait()
        except TimeoutError:
            late = [self.members[number].state for number, count in goal.items() if self.said[number] < count]
            raise AssertionError(f"who is not acked: {late}") from None

    async def send_messages(self, number: int) -> None:
        """Say one thing after the other, until told to stop; the last one is acked, too. Not all at once."""
        member = self.members[number]
        await asyncio.sleep(self._pause * number / len(self.members))
        rooms = list(member.logs)
        while self._talking:
            room = rooms[self.said[number] % len(rooms)]
            await member.send(room, f"{member.user} says {self.said[number]}")
            self.said[number] += 1
            self._more.set()
            await asyncio.sleep(self._pause)

    async def finish(self) -> None:
        """Let everybody finish what they are saying, and no more."""
        self._talking = False
        await run_concurrently(*self.talks)

    async def violations(self, mongo_url: str) -> list[str]:
        """Wait until everybody has been shown everything, then check all invariants.

        Others may still speak, such as a bot that joins late: so it waits for a moment at which all that is stored was
        shown.
        """
        logs = [(room, member) for member in self.members for room in member.logs]
        store: dict[str, list[dict[str, Any]]] = {}
        with contextlib.suppress(TimeoutError):  # the checker names who is missing what
            async with asyncio.timeout(SETTLE_WITHIN):
                while not store or any(member.logs[room].cursor != len(store[room]) for room, member in logs):
                    for room, member in logs:
                        await member.reached(room, len(store.get(room, ())))
                    store = await asyncio.to_thread(read_store, mongo_url, {room for room, _ in logs})
        return check(self.members, store)

    def delays(self, since: float) -> list[float]:
        """Return how long after somebody began to say it each message was shown to each member, sorted, in seconds.

        `since`: only what was begun after that, by the monotonic clock.
        """
        began = {
            (room, seq): member.began[room, key]
            for member in self.members
            for (room, key), seq in member.acks.items()
            if member.began[room, key] >= since
        }
        return sorted(
            at - began[room, event["seq"]]
            for member in self.members
            for room, log in member.logs.items()
            for event, at in zip(log.events, log.shown_at, strict=True)
            if (room, event["seq"]) in began
        )

    def setbacks(self) -> Counter[str]:
        """Return what members noticed of anything that went wrong, whether or not it was right in the end."""
        found: Counter[str] = Counter()
        for member in self.members:
            found += member.setbacks
            found.update(refusal["code"] for refusal in member.refusals)
        return found


async def make_client_pool(
    gateways: Sequence[str], *, rooms: int, per_room: int, transports: Sequence[TransportName] = ("websocket",)
) -> list[ResilientClient]:
    """Return members, `per_room` in each of `rooms` fresh rooms, spread over the gateways and transports."""
    names = [fresh_room("crowd") for _ in range(rooms)]
    return await make_clients(gateways, names, per_room=per_room, transports=transports)


async def make_clients(
    gateways: Sequence[str],
    rooms: Sequence[str],
    *,
    per_room: int,
    transports: Sequence[TransportName] = ("websocket",),
    stay: float | None = None,
) -> list[ResilientClient]:
    """Make these rooms, and return members as `make_client_pool` does. `stay`: see Member."""
    members = []
    async with httpx.AsyncClient(timeout=30, verify=False) as http:
        for index, room in enumerate(rooms):
            for place in range(per_room):
                first = (index + place) % len(gateways)
                order = [*gateways[first:], *gateways[:first]]
                token, user = await sign_in(http, order[0], f"m{index}-{place}")
                await (make_room if place == 0 else join_room)(http, order[0], room, token)
                transport = transports[(index + place) % len(transports)]
                members.append(ResilientClient(token, user, order, [room], [transport], stay))
    return members


@asynccontextmanager
async def sending(
    members: Sequence[ResilientClient], gateways: Sequence[str], pause: float = PAUSE
) -> AsyncIterator[ClientPool]:
    """Connect the members and let them talk, with so many seconds between two messages; leaving disconnects them."""
    pool = ClientPool(members, gateways, pause)
    connections = (member.run() for member in members)
    async with (
        background_tasks(*connections),
        background_tasks(*map(pool.send_messages, range(len(members)))) as pool.talks,
    ):
        yield pool
