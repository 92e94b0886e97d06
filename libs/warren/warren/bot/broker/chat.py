"""The chat as a bot has it over the broker."""

import asyncio
from collections.abc import Sequence

from aio_pika.abc import AbstractConnection
from pydantic_core import to_json

from warren.bot.api.chat import LogPage, Refusal
from warren.bot.api.event import Event
from warren.bot.broker.rate_limiter import RateLimiter
from warren.broker.backoff import backoff, pause
from warren.broker.command_client import CommandClient, as_a_bot
from warren.broker.dead_letters import dead_letter, dead_letter_headers
from warren.broker.errors import Unavailable, until_lost
from warren.broker.publisher import Publisher
from warren.broker.reply_queue import ReplyQueue
from warren.broker.rpc_client import QueryDenied, RpcClient
from warren.contract import commands as c
from warren.contract import queries as q
from warren.contract.bots import BOT_PREFIX, bot_dead_exchange
from warren.contract.codes import TEMPORARY, Code
from warren.contract.ids import new_id
from warren.contract.presence import IsTyping, Partial
from warren.contract.topology import BOT_QUERIES, LIVE, event_key
from warren.rates import Rate

TICK = 1.0
TRIES = 3
"""Times that a command is sent before the handler hears of it: broker or database are away."""
COMMAND_RATE = Rate(20, 100)
"""Commands of one bot: what people may say, too. A bot that has gone wild is no louder than that."""


class BrokerChat:
    """Commands to the forwarder, queries to the readers, what does not last to the gateways."""

    def __init__(self, user: str, name: str) -> None:
        self._user = user
        self._name = name
        self._confirmed = Publisher()
        self._unconfirmed = Publisher(confirm=False)
        self._command_client = CommandClient(self._confirmed, as_a_bot)
        self._rpc = RpcClient(self._unconfirmed, BOT_QUERIES)
        self._reply_queue = ReplyQueue(self._command_client, self._rpc)
        self._ready = asyncio.Event()
        self._rate_limiter = RateLimiter(COMMAND_RATE)

    async def serve(self, connection: AbstractConnection) -> None:
        """Speak on this connection until it goes away."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(until_lost(self._confirmed.serve(connection)))
                group.create_task(until_lost(self._unconfirmed.serve(connection)))
                group.create_task(until_lost(self._reply_queue.serve(connection, self._ready.set)))
        finally:
            self._ready.clear()

    async def ready(self) -> None:
        """Wait until answers can come."""
        await self._ready.wait()

    async def ticks(self) -> None:
        """Let what waits for an answer notice the time, until cancelled."""
        while True:
            await asyncio.sleep(TICK)
            self._command_client.expire()

    async def submit(self, command: c.AnyCommand) -> c.Accepted:
        """Have something done. Raises Refusal or Unavailable."""
        await self._rate_limiter.acquire()
        detail = ""
        for _, wait in zip(range(TRIES), backoff(), strict=False):
            answer = await self._command_client.call(command)
            if isinstance(answer, c.Accepted):
                return answer
            if answer.seq is not None:  # a handler that says something else when it runs again has been heard already
                return c.Accepted(id=answer.id, seq=answer.seq, number=answer.number or 0)
            if answer.code not in TEMPORARY:
                raise Refusal(answer.code, answer.detail)
            detail = answer.detail
            await pause(wait)
        raise Unavailable(detail)

    async def show(self, frame: IsTyping | Partial) -> None:
        """Show what does not last."""
        await self._unconfirmed.publish(LIVE, event_key(frame.room), frame.model_dump_json().encode())

    async def read(self, room: str, after: int, limit: int = q.RANGE_LIMIT) -> LogPage:
        """Read a room's log. Raises Refusal or Unavailable."""
        try:
            query = q.EventRange(room=room, user=self._user, after=after, limit=limit)
            answer = await self._rpc.ask(query, q.Range)
        except QueryDenied as denied:
            raise Refusal(denied.code, denied.detail) from denied
        return LogPage(answer.epoch, answer.head, answer.events)

    async def heads(self, rooms: Sequence[str]) -> dict[str, int]:
        """Return where the logs of these rooms end, of those that the bot may read. Raises Unavailable."""
        found: dict[str, int] = {}
        for start in range(0, len(rooms), q.RANGE_LIMIT):
            query = q.Heads(user=self._user, rooms=list(rooms[start : start + q.RANGE_LIMIT]))
            try:
                answer = await self._rpc.ask(query, q.HeadsAnswer)
            except QueryDenied as denied:
                raise Unavailable(str(denied)) from denied
            found |= {room: head.head for room, head in answer.heads.items()}
        return found

    async def join(self, room: str) -> None:
        """Become a member, if that is possible; what the bot may do, the writer judges with each command."""
        fields = {"id": new_id(), "room": room, "sender": self._user, "name": self._name, "key": new_id()}
        try:
            await self.submit(c.Join(**fields))
        except (Refusal, Unavailable) as error:
            if not (isinstance(error, Refusal) and error.code == Code.EXISTS):
                raise

    async def dead_letter(self, event: Event, handler: str, reason: str) -> None:
        """Put an event among the bot's dead letters, however long that takes."""
        headers = dead_letter_headers(
            reason=reason, source=handler, replica=self._user, publisher=self._user, key=self._user
        )
        body = to_json({"room": event.room, "events": [event.data]})
        exchange = bot_dead_exchange(self._user.removeprefix(BOT_PREFIX)).name
        for wait in backoff():
            try:
                await dead_letter(self._confirmed, body, headers, exchange)
            except Unavailable:
                await pause(wait)
            else:
                return
