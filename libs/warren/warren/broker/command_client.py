"""Commands come in, AMQP messages go out to the writer's shards: many in one whenever they are there already.

While nothing is unanswered, a command goes at once. While something is, what comes gathers and goes together as soon as
the answers are there (Nagle's algorithm, with the writer's answer as acknowledgement): the writer would not take it up
sooner, and a message costs the broker the same with fifty commands in it as with one. A route waits for its own answers
for as long as that keeps its commands in order, and for those of all routes for a moment only: a writer commits what it
has of all its shards together, so commands of many rooms that come a little apart had better come together, too.
"""

import asyncio
import contextlib
import itertools
import logging
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass

from opentelemetry.trace import Span
from pydantic import ValidationError

from warren.broker.errors import Unavailable
from warren.broker.publisher import PERSISTENT, Publisher
from warren.broker.tracing import begin, finish, speaking_for
from warren.contract.codes import Code
from warren.contract.commands import Accepted, AnyCommand, Refused, Replies
from warren.contract.topology import BOT_COMMANDS, COMMANDS, shard, shard_key
from warren.supervise import failed
from warren.untrusted import first_error

log = logging.getLogger(__name__)

ANSWER_WITHIN = 15.0
"""Seconds until the client is told to try again. The command may be stored all the same; its key makes that safe."""
PENDING_LIMIT = 20_000
"""Commands that wait for their answer at once."""
GATHER_WITHIN = 0.2
"""Seconds after which the next message takes the same route even though the last is unanswered: the durable queue, not
this process, is where commands wait out an absence of the writer."""
ROUND_WITHIN = 0.01
"""Seconds for which a command waits for the answers of other routes. By as much one shard's trouble holds up others."""
MESSAGE_LIMIT = 40
"""Commands in one AMQP message."""
MESSAGE_BYTES = 256 * 1024
"""And bytes of them, however long their texts: a quarter of what the other side takes."""

Route = tuple[str, str]
"""An exchange and a routing key."""
Done = Callable[[Accepted | Refused], None]
Observe = Callable[[Accepted | Refused, float], None]
"""Called with each answer, and the seconds that it took."""


def by_shard(room: str) -> Route:
    """Return the route of a gateway's commands: straight to the room's writer."""
    return COMMANDS, shard_key(shard(room))


def as_a_bot(_: str) -> Route:
    """Return the route of a bot's commands, which is one for all rooms."""
    return BOT_COMMANDS, ""


@dataclass(slots=True)
class _Pending:
    command: AnyCommand
    body: bytes
    done: Done
    submitted: float
    span: Span
    batch: "_Batch | None" = None


class _Batch:
    """The commands of one AMQP message that have no answer yet."""

    def __init__(self, size: int) -> None:
        self._missing = size
        self._answered = asyncio.Event()

    def answered(self) -> None:
        self._missing -= 1
        if not self._missing:
            self._answered.set()

    async def gather(self) -> None:
        """Wait until all are answered, but not for long."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(GATHER_WITHIN):
                await self._answered.wait()


class CommandClient:
    """Publishes commands, in order on each route, and hands each its answer. `route`: where a room's commands go."""

    def __init__(self, publisher: Publisher, route: Callable[[str], Route], observe: Observe | None = None) -> None:
        self._publisher = publisher
        self._route = route
        self._observe = observe
        self._pending: dict[str, _Pending] = {}
        self._waiting: defaultdict[Route, list[_Pending]] = defaultdict(list)
        self._senders: dict[Route, asyncio.Task[None]] = {}
        self._unanswered = 0
        """Messages whose route waits for their answers."""
        self._lull = asyncio.Event()
        """Set while a message may go at once."""
        self._lull.set()
        self.reply_to: str | None = None
        """The reply queue that answers come to; None while there is none."""

    def __len__(self) -> int:
        """Return how many commands wait for their answer."""
        return len(self._pending)

    @property
    def waited(self) -> float:
        """For how many seconds the oldest command has waited for its answer; 0 if none does."""
        oldest = next(iter(self._pending.values()), None)
        return 0.0 if oldest is None else time.perf_counter() - oldest.submitted

    def submit(self, command: AnyCommand, done: Done) -> None:
        """Send the command; `done` is called once, with the writer's answer or a temporary refusal."""
        if self.reply_to is None:
            self._refuse(command, done, Code.UNAVAILABLE, "the broker is not reached at the moment")
            return
        if command.id in self._pending:
            # Its answer could not be told from the other's, and whoever waits for that would wait for ever.
            self._refuse(command, done, Code.INVALID, "a command of this id waits for its answer already")
            return
        if len(self._pending) >= PENDING_LIMIT:
            self._refuse(command, done, Code.TOO_MANY, "too many commands wait already")
            return
        span = begin(f"command {command.type}", command=command.id)
        body = command.model_dump_json(exclude_none=True).encode()
        pending = self._pending[command.id] = _Pending(command, body, done, time.perf_counter(), span)
        route = self._route(command.room)
        self._waiting[route].append(pending)
        if route not in self._senders:
            self._senders[route] = asyncio.create_task(self._send(route))

    def _refuse(self, command: AnyCommand, done: Done, code: Code, detail: str) -> None:
        answer = Refused(id=command.id, code=code, detail=detail)
        if self._observe is not None:
            self._observe(answer, 0.0)
        done(answer)

    async def call(self, command: AnyCommand) -> Accepted | Refused:
        """Send the command and return its answer."""
        future: asyncio.Future[Accepted | Refused] = asyncio.get_running_loop().create_future()
        self.submit(command, lambda answer: None if future.done() else future.set_result(answer))
        return await future

    def answered(self, body: bytes) -> None:
        """Take answers from the reply queue; those that nobody waits for are dropped, and what is not understood."""
        for answer in _replies(body):
            self._complete(answer)

    def expire(self) -> None:
        """Answer what has waited for too long; called every second or so."""
        now = time.perf_counter()
        late = []
        for command, pending in self._pending.items():  # in the order they came
            if now - pending.submitted < ANSWER_WITHIN:
                break
            late.append(command)
        for command in late:
            self._complete(_temporary(command, Code.UNAVAILABLE, "not stored yet; send it again with the same key"))

    def fail_all(self) -> None:
        """Answer everything that waits: the reply queue is gone, and the answers with it."""
        for command in list(self._pending):
            self._complete(
                _temporary(command, Code.UNAVAILABLE, "the broker was lost; send it again with the same key")
            )

    async def _send(self, route: Route) -> None:
        """Publish what waits to take this route, one message at a time so that their order holds."""
        try:
            while self._waiting[route]:
                await self._begin_round()
                try:
                    await self._send_batch(route)
                finally:
                    self._end_round()
        finally:
            del self._senders[route]

    async def _begin_round(self) -> None:
        """Wait until all is answered, but not for long."""
        if not self._lull.is_set():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(ROUND_WITHIN):
                    await self._lull.wait()
        self._unanswered += 1
        # Only then: what came in the same turn of the loop, or waited for the same answers, goes in the same round.
        asyncio.get_running_loop().call_soon(self._update_lull)

    def _end_round(self) -> None:
        self._unanswered -= 1
        self._update_lull()

    def _update_lull(self) -> None:
        if self._unanswered:
            self._lull.clear()
        else:
            self._lull.set()

    async def _send_batch(self, route: Route) -> None:
        found = _first_of(self._waiting[route])
        del self._waiting[route][: len(found)]
        batch = _Batch(len(found))
        for pending in found:
            pending.batch = batch
        try:
            with speaking_for(pending.span for pending in found):
                await self._publish(route, found)
        except Unavailable as error:
            log.warning("commands not taken", extra={"route": route, "error": str(error)})
            self._not_taken(found)
        except Exception as error:
            failed("command", error, route=route)
            self._not_taken(found)
        else:
            await batch.gather()

    def _not_taken(self, batch: list[_Pending]) -> None:
        detail = "the broker did not take it; send it again with the same key"
        for pending in batch:
            self._complete(_temporary(pending.command.id, Code.UNAVAILABLE, detail))

    async def _publish(self, route: Route, batch: list[_Pending]) -> None:
        if log.isEnabledFor(logging.DEBUG):
            for command in (pending.command for pending in batch):
                log.debug("command", extra={"correlation_id": command.id, "room": command.room, "route": route})
        await self._publisher.publish(
            *route,
            b'{"commands":[%b]}' % b",".join(pending.body for pending in batch),
            mandatory=True,
            delivery_mode=PERSISTENT,
            reply_to=self.reply_to,
        )

    def _complete(self, answer: Accepted | Refused) -> None:
        pending = self._pending.pop(answer.id, None)
        if pending is None:
            return
        if pending.batch is not None:
            pending.batch.answered()
        if self._observe is not None:
            self._observe(answer, time.perf_counter() - pending.submitted)
        code = answer.code if isinstance(answer, Refused) else None
        finish(pending.span, code or "stored", failed=code is not None)
        try:
            pending.done(answer)
        except Exception as error:  # theirs, and no reason for the next one to wait
            failed("answer", error, correlation_id=answer.id)


def _replies(body: bytes) -> list[Accepted | Refused]:
    try:
        return Replies.model_validate_json(body).replies
    except ValidationError as error:
        log.error("answers not understood", extra={"error": first_error(error)})  # noqa: TRY400
        return []


def _temporary(command: str, code: Code, detail: str) -> Refused:
    return Refused(id=command, code=code, detail=detail)


def _first_of(waiting: list[_Pending]) -> list[_Pending]:
    """Return those that go into the next message: one at least."""
    sizes = itertools.accumulate(len(pending.body) for pending in waiting[:MESSAGE_LIMIT])
    return waiting[: max(1, sum(total <= MESSAGE_BYTES for total in sizes))]
