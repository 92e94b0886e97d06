"""All of Warren, well-behaved clients in it, and the targets for the hostile ones."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

import httpx
from fuzz.broker import Broker
from fuzz.bystanders import Bystanders, rooms_by_shard, run_bystanders
from fuzz.frames import Frames
from fuzz.identifiers import ROOMS, USERS
from fuzz.invariants import InvariantChecker
from fuzz.publisher import connect_publisher
from fuzz.requests import Requests
from fuzz.target import Target
from harness.bots import give_logins, rabbitmqctl
from harness.checker import check, read_store
from harness.http_transport import http_client
from harness.resilient_client import join_room, make_room
from harness.stack import Stack, begin
from harness.tokens import token
from warren.contract.topology import BOT_QUEUE, SHARDS, shard_queue

BOT = "fuzz"
"""The login that is hostile."""
HEALED_WITHIN = 60.0
"""Seconds for replicas to start; a bound, not an expectation."""


@dataclass(slots=True)
class Environment:
    """What a run works with."""

    stack: Stack
    ways: Mapping[str, Target]
    watch: InvariantChecker
    bystanders: Bystanders

    async def wrong(self) -> list[str]:
        """Return what is wrong now, a sentence each."""
        return [*await self.bystanders.served(), *await self.watch.look()]

    async def heal(self) -> None:
        """Take away what ends whoever gets it next: it would be delivered again and again."""
        for replica in self.stack.persistence:
            await asyncio.to_thread(replica.kill)
        for queue in (BOT_QUEUE, *(shard_queue(number) for number in range(SHARDS))):
            await asyncio.to_thread(rabbitmqctl, self.stack, "purge_queue", queue)
        await begin(*self.stack.persistence, within=HEALED_WITHIN)

    async def violations(self) -> list[str]:
        """Return what is wrong with the logs of the rooms in which hostile things happened, and who has grown."""
        rooms = [*ROOMS, *rooms_by_shard()]
        return [*check([], await asyncio.to_thread(read_store, self.stack.mongodb.url, rooms)), *self.watch.grown()]


@asynccontextmanager
async def start_environment(
    stack: Stack, names: Iterable[str], client: Target | None = None
) -> AsyncIterator[Environment]:
    """Set the scene on a stack that runs, with these ways in. `client`: what stands for the browser's, if it is one."""
    own = rooms_by_shard()
    rooms: dict[str, Sequence[str]] = {BOT: ROOMS, "steady": own[:1], "listener": (*ROOMS, own[1])}
    urls = await asyncio.to_thread(give_logins, stack, rooms)
    queues = await asyncio.to_thread(rabbitmqctl, stack, "list_queues", "name")
    hit = sorted(name for name in queues.split() if name.startswith(("gateway.", "presence.")))
    await _people(stack)
    async with AsyncExitStack() as exits:
        good = await exits.enter_async_context(run_bystanders(stack, urls))
        async with http_client() as http:
            ways = await _ways(stack, urls[BOT], hit, http, exits)
        if client is not None:
            ways["client"] = client
        found = Environment(stack, {name: ways[name] for name in names}, InvariantChecker(stack), good)
        await found.wrong()  # whatever starting has cost
        yield found


async def _ways(
    stack: Stack, bot: str, queues: Sequence[str], http: httpx.AsyncClient, exits: AsyncExitStack
) -> dict[str, Target]:
    gateways = [gateway.url for gateway in stack.gateways]
    document = (await http.get(f"{gateways[0]}/openapi.json")).json()
    logins = {kind: stack.amqp_url(kind) for kind in ("gateway", "persistence", "presence")} | {"bot": bot}
    publishers = {kind: await exits.enter_async_context(connect_publisher(url)) for kind, url in logins.items()}
    return {
        "frames": Frames(gateways),
        "http": Requests(gateways, document),
        "broker": Broker(publishers, queues),
    }


async def _people(stack: Stack) -> None:
    """Have everybody be a member of every room."""
    gateway = stack.gateways[0].url
    async with http_client() as http:
        for room in ROOMS:
            with contextlib.suppress(httpx.HTTPStatusError):  # it is there from an earlier run
                await make_room(http, gateway, room, token(USERS[0]))
            for user in USERS[1:]:
                await join_room(http, gateway, room, token(user))
