"""Bots on the benchmark's broker: their logins and queues, and their processes."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager

import httpx
from harness.bots import give_logins
from harness.resilient_client import bearer
from harness.stack import Stack
from warren.contract.bots import bot_user
from warren_local.errors import LocalError
from warren_local.home import repository
from warren_local.process import POLL, Process
from warren_local.rabbitmq import RabbitMQ

AT_WORK_WITHIN = 60.0
"""Seconds from the start of bots until all of them are members of their rooms."""


class Fleet:
    """Bots by name, with the rooms that each is given. `owner`: the token of a member of all these rooms."""

    def __init__(self, stack: Stack, rooms: Mapping[str, Sequence[str]], owner: str) -> None:
        self._stack = stack
        self._rooms = rooms
        self._owner = owner
        self._urls: dict[str, str] = {}

    async def give(self) -> None:
        """Make all queues and logins. Raises LocalError."""
        if not isinstance(self._stack.rabbitmq, RabbitMQ):
            raise LocalError("Only the broker's own command makes logins, and RabbitMQ is not on this machine.")
        self._urls = await asyncio.to_thread(give_logins, self._stack, self._rooms)

    @asynccontextmanager
    async def at_work(self, behaviours: Mapping[str, str]) -> AsyncIterator[dict[str, int]]:
        """Run bots, each with its behaviour (`benchmarks.behaviours`), and yield their process ids by user."""
        processes = [self._process(name, behaviour) for name, behaviour in behaviours.items()]
        try:
            for process in processes:
                process.start()
            async with asyncio.timeout(AT_WORK_WITHIN):
                await self._joined(behaviours)
            yield {process.name: process.pid for process in processes if process.pid is not None}
        finally:
            for process in processes:
                process.kill()  # not all of them would stop

    def _process(self, name: str, behaviour: str) -> Process:
        home, user = self._stack.home, bot_user(name)
        command = [sys.executable, "-m", "benchmarks.behaviours", name, behaviour, *self._rooms[name]]
        env = {**os.environ, "WARREN_AMQP_URL": self._urls[name]}
        return Process(user, command, home=home, log=home / "logs" / f"{user}.log", env=env, cwd=repository())

    async def _joined(self, names: Mapping[str, str]) -> None:
        wanted = {(room, bot_user(name)) for name in names for room in self._rooms[name]}
        async with httpx.AsyncClient(base_url=self._stack.gateways[0].url, headers=bearer(self._owner)) as http:
            while wanted:
                for room in {room for room, _ in wanted}:
                    answer = (await http.get(f"/v1/rooms/{room}/members")).raise_for_status().json()
                    wanted -= {(room, member["user"]) for member in answer["members"]}
                await asyncio.sleep(POLL)
