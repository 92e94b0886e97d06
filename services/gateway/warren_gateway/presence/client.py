"""What does not last: announces who is here, shows who is where and who is typing."""

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field

from aio_pika.abc import AbstractConnection
from aiormq.abc import DeliveredMessage
from pydantic import BaseModel, ValidationError
from warren.broker.errors import Unavailable, until_lost
from warren.broker.publisher import Publisher
from warren.contract import presence as p
from warren.contract.bots import is_bot
from warren.contract.frames import FRAME_LIMIT
from warren.contract.ids import inbox_room
from warren.contract.sizes import SERVER_BODY_LIMIT
from warren.contract.topology import CONTROL, LIVE, PRESENCE, event_key, shard, shard_key
from warren.rates import Buckets, Rate
from warren.supervise import Tasks, endless
from warren.throttle import LogThrottle
from warren.untrusted import UnreadableError, first_error, read

from warren_gateway import metrics
from warren_gateway.broker.bucket_queue import BucketQueue
from warren_gateway.delivery.batch import Frame
from warren_gateway.delivery.subscriber import Subscriber
from warren_gateway.delivery.turns import unhurried
from warren_gateway.presence.announcer import ConnectionPresence, PresenceAnnouncer
from warren_gateway.presence.snapshot import PresenceSnapshot

log = logging.getLogger(__name__)

LENGTH = 5_000
"""Messages that may wait for a gateway that lags; older ones go, and the snapshots are asked for again."""
TICK = 0.1
"""Seconds for which joins and leaves gather."""
ASK_AGAIN = 1.0
"""Seconds after which what was not told is asked for again."""
TOLD_WITHIN = 4.0
"""Seconds that a request waits to be told who is there."""
SWEEP_EVERY = 30.0
"""Seconds between looks at what nobody follows any more, and at whether what is known of the others is the last: a lost
frame shows when the next one comes, and in a quiet room none may."""
GOODBYE_WITHIN = 2.0
TYPING = Rate(4, 8)
"""In one room, by way of this gateway: enough for 24 people who type all the time, since each says so every 3 s or
more and it holds for 6."""


@dataclass(slots=True)
class _Room:
    """A room's snapshot, and who is shown it."""

    snapshot: PresenceSnapshot
    watchers: set[Subscriber] = field(default_factory=set)
    told: asyncio.Event = field(default_factory=asyncio.Event)
    """Set and replaced when the snapshot is told."""
    idle: bool = False
    """Nobody watched it when it was last looked at; if so next time too, it goes."""


_throttle = LogThrottle()
BOTS = Rate(50, 500)
"""Messages of one bot that are read, of all rooms: more than its library lets it send, and all gateways have it."""
PARTS = Rate(5, 10)
"""Of one bot in one room: it shows four parts of a reply a second."""
Judge = Callable[[str, str], Awaitable[bool]]


async def _nobody(room: str, user: str) -> bool:
    return False


class PresenceClient:
    """Presence and typing of one gateway, whose process `gateway` names as no other."""

    def __init__(self, gateway: str) -> None:
        self._publisher = Publisher(confirm=False)
        self._announcer = PresenceAnnouncer(gateway)
        self._queue = BucketQueue(LIVE, LENGTH, self._sink, self._connected, fanout=CONTROL)
        self._rooms: dict[str, _Room] = {}
        self._presences: dict[Subscriber, ConnectionPresence] = {}
        self._searches: dict[str, asyncio.Future[p.Sighting]] = {}
        self._typing = Buckets(TYPING)
        self._parts = Buckets(PARTS)
        self._bots = Buckets(BOTS)
        self._work = asyncio.Event()
        self._tasks = Tasks("message")
        self.judge: Judge = _nobody
        """Tells whether a bot may write in a room."""

    async def serve(self, connection: AbstractConnection) -> None:
        """Take in and tell on this connection, until it goes away.

        On none that commands go by: what is told goes to other gateways' queues, and if one of them takes nothing, the
        broker reads no more of what comes by the same connection.
        """
        async with asyncio.TaskGroup() as group:
            group.create_task(until_lost(self._publisher.serve(connection)))
            group.create_task(until_lost(self._queue.serve(connection)))

    async def run(self) -> None:
        """Announce, ask and live on, until cancelled."""
        async with asyncio.TaskGroup() as group:
            for work in (self._announce_all(), self._ask_again(), self._beat(), self._sweep()):
                group.create_task(endless(work))

    async def goodbye(self) -> None:
        """Announce that everybody has gone, and this gateway too."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(GOODBYE_WITHIN):
                await self._announce()
                await self._say(CONTROL, "", p.Goodbye(gateway=self._announcer.gateway))

    def open(self, reader: Subscriber, name: str) -> None:
        """Take note that somebody is connected; `name` is what others see."""
        presence = self._presences.get(reader)
        if presence is None:
            self._presences[reader] = self._announcer.open(reader.user, name)
            self._work.set()
        else:
            presence.name = name

    def close(self, reader: Subscriber, linger: float = 0.0) -> None:
        """Take note that the connection has ended; for others it has only after `linger` seconds."""
        presence = self._presences.pop(reader, None)
        if presence is None:
            return
        for name in presence.rooms:
            self._unwatch(name, reader)
        if linger:
            asyncio.get_running_loop().call_later(linger, self._gone, presence)
        else:
            self._gone(presence)

    def enter(self, name: str, reader: Subscriber) -> None:
        """A member follows a room: they are present there, and are shown who else is."""
        presence = self._presences.get(reader)
        if presence is None:
            return
        room = self._follow(name)
        room.watchers.add(reader)
        if room.snapshot.synced:
            reader.show(room.snapshot.whole)
        self._announcer.enter(presence, name)
        self._work.set()

    def exit(self, name: str, reader: Subscriber, *, ended: bool = False) -> None:
        """They do not follow it any more; `ended`: nor are they a member."""
        presence = self._presences.get(reader)
        if presence is not None:
            self._unwatch(name, reader)
            self._announcer.exit(presence, name, time.monotonic(), ended=ended)
            self._work.set()

    def end(self, name: str, user: str) -> None:
        """Somebody is no member of a room any more: nor are they there between two polls."""
        self._announcer.end(name, user, time.monotonic())
        self._work.set()

    def report(self, reader: Subscriber, status: p.OnlineStatus) -> None:
        """Take note whether anybody is at the device."""
        presence = self._presences.get(reader)
        if presence is not None:
            self._announcer.report(presence, status)
            self._work.set()

    async def typing(self, room: str, user: str, name: str) -> None:
        """Show a room's members that somebody is typing, unless there is too much of that."""
        if not self._typing.take(room, time.monotonic()):
            await self._say(LIVE, event_key(room), p.IsTyping(room=room, user=user, name=name))

    def known(self, name: str) -> PresenceSnapshot | None:
        """Return who is in a room, as far as that is known here."""
        room = self._rooms.get(name)
        return room.snapshot if room is not None and room.snapshot.synced else None

    async def snapshot(self, name: str) -> PresenceSnapshot:
        """Return who is in a room. Raises Unavailable."""
        room = self._follow(name)
        try:
            async with asyncio.timeout(TOLD_WITHIN):
                while not room.snapshot.synced:
                    await room.told.wait()
        except TimeoutError as error:
            raise Unavailable("nobody tells who is there") from error
        return room.snapshot

    async def sighting(self, user: str) -> p.Sighting:
        """Return somebody's status over all rooms. Raises Unavailable."""
        search = self._searches.get(user)
        if search is None:
            search = self._searches[user] = asyncio.get_running_loop().create_future()
            self._queue.follow(inbox_room(user))
            self._announcer.seek(user)
            self._work.set()
        try:
            async with asyncio.timeout(TOLD_WITHIN):
                return await asyncio.shield(search)
        except TimeoutError as error:
            raise Unavailable("nobody tells whether they are there") from error
        finally:
            if self._searches.get(user) is search:
                del self._searches[user]
                self._queue.unfollow(inbox_room(user))

    def _gone(self, presence: ConnectionPresence) -> None:
        self._announcer.close(presence, time.monotonic())
        self._work.set()

    def _follow(self, name: str) -> _Room:
        room = self._rooms.get(name)
        if room is None:
            room = self._rooms[name] = _Room(PresenceSnapshot(name))
            self._queue.follow(name)
            self._announcer.ask(name)
            self._work.set()
        room.idle = False
        return room

    def _unwatch(self, name: str, reader: Subscriber) -> None:
        room = self._rooms.get(name)
        if room is not None:
            room.watchers.discard(reader)

    def _connected(self) -> None:
        """Nobody knows what was told while there was no queue."""
        for name, room in self._rooms.items():
            room.snapshot.synced = False
            self._announcer.ask(name)
        self._work.set()

    def _sink(self, message: DeliveredMessage) -> None:
        publisher = message.header.properties.user_id
        if publisher is not None and is_bot(publisher) and self._bots.take(publisher, time.monotonic()):
            _refuse(message, "too many of one bot")
            return
        try:
            if message.exchange == CONTROL:
                self._control(p.CONTROL_MESSAGE.validate_json(message.body))
            else:
                self._heard(message, _live_frame(message))
        except UnreadableError as error:
            _refuse(message, str(error))
        except ValidationError as error:
            _refuse(message, first_error(error))

    def _control(self, said: p.AnyControl) -> None:
        if isinstance(said, p.Resync) and said.gateway in (None, self._announcer.gateway):
            self._announcer.resync(said.shard)
            if said.gateway is None:
                # Of rooms that have nobody left since, the new holder of the shard knows nothing: it does when asked.
                for name in filter(lambda name: shard(name) == said.shard, self._rooms):
                    self._announcer.ask(name)
            self._work.set()

    def _heard(self, message: DeliveredMessage, said: p.AnyLive) -> None:
        """Take what the broker vouches for: services are believed, a bot speaks as itself where it may write."""
        publisher = message.header.properties.user_id
        if publisher is None:
            _refuse(message, "nobody vouches for it")
        elif not is_bot(publisher):
            self._told(message, said, message.body)
        elif isinstance(said, p.IsTyping | p.Partial) and said.user == publisher:
            self._bot_said(message, said)
        else:
            _refuse(message, f"not {publisher}'s to say")

    def _bot_said(self, message: DeliveredMessage, said: p.IsTyping | p.Partial) -> None:
        # The routing key is what the broker has judged; a body could name any room.
        watched = said.room in self._rooms and message.routing_key == event_key(said.room)
        if watched and not self._parts.take(f"{said.room}/{said.user}", time.monotonic()):
            self._tasks.start(self._show_if_allowed(message, said))

    async def _show_if_allowed(self, message: DeliveredMessage, said: p.IsTyping | p.Partial) -> None:
        with contextlib.suppress(Unavailable):
            if await self.judge(said.room, said.user):
                # Written anew: whatever else a bot has put into it goes to nobody.
                self._told(message, said, said.model_dump_json(exclude_none=True).encode())

    def _told(self, message: DeliveredMessage, said: p.AnyLive, body: bytes) -> None:
        """Show what was said; `body`: as it goes to clients."""
        match said:
            case p.Presence():
                term = (message.header.properties.headers or {}).get("term")
                self._present(str(term), said, body)
            case p.IsTyping(room=name, user=user) | p.Partial(room=name, user=user):
                room = self._rooms.get(name)
                if room is not None and len(body) <= SERVER_BODY_LIMIT:
                    frame = Frame(name, body, kind=said.type)
                    self._show(frame, [watcher for watcher in room.watchers if watcher.user != user])
            case p.Sighting(user=user):
                search = self._searches.get(user)
                if search is not None and not search.done():
                    search.set_result(said)

    def _present(self, term: str, frame: p.Presence, body: bytes) -> None:
        room = self._rooms.get(frame.room)
        if room is None:
            return
        if room.snapshot.take(term, frame):
            # One that is too large for a client says what has come of it instead, which stands by itself.
            fits = len(body) <= SERVER_BODY_LIMIT
            self._show(Frame(frame.room, body, kind=frame.type) if fits else room.snapshot.whole, room.watchers)
        elif not room.snapshot.synced:
            metrics.PRESENCE_LOST.inc()
            self._announcer.ask(frame.room)
            self._work.set()
        told, room.told = room.told, asyncio.Event()
        told.set()

    def _show(self, frame: Frame, readers: Iterable[Subscriber]) -> None:
        for reader in tuple(readers):
            reader.show(frame)

    async def _announce_all(self) -> None:
        while True:
            await self._work.wait()
            self._work.clear()
            await self._announce()
            await asyncio.sleep(TICK)

    async def _announce(self) -> None:
        """Announce what has changed, and ask, once what is asked for can come."""
        with contextlib.suppress(Unavailable):
            await self._queue.bind_all()
        messages = self._announcer.announcements(time.monotonic())
        await asyncio.gather(*(self._publish(message) for message in messages))

    async def _publish(self, message: p.Announcement) -> None:
        metrics.ANNOUNCED.inc(len(message.changes))
        if not await self._say(PRESENCE, shard_key(message.shard), message):
            self._announcer.resync(message.shard)
            self._work.set()

    async def _ask_again(self) -> None:
        while True:
            await asyncio.sleep(ASK_AGAIN)
            async for name, room in unhurried(self._rooms.items()):
                if not room.snapshot.synced:
                    self._announcer.ask(name)
            for user in self._searches:
                self._announcer.seek(user)
            if not self._announcer.idle:
                self._work.set()

    async def _beat(self) -> None:
        while True:
            heartbeat = p.Heartbeat(gateway=self._announcer.gateway, seqs=self._announcer.seqs)
            await self._say(CONTROL, "", heartbeat)
            await asyncio.sleep(p.HEARTBEAT)

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_EVERY)
            await self._tidy()

    async def _tidy(self) -> None:
        """Let go of rooms that nobody watches any more, and have the others checked."""
        async for name, room in unhurried(self._rooms.items()):
            if room.idle and not room.watchers:
                del self._rooms[name]
                self._queue.unfollow(name)
            room.idle = not room.watchers
            if room.snapshot.synced:
                self._announcer.check(room.snapshot.known)
        self._work.set()
        await self._queue.tidy()

    async def _say(self, exchange: str, key: str, said: BaseModel) -> bool:
        """Publish; return whether it is on its way."""
        try:
            await self._publisher.publish(exchange, key, said.model_dump_json(exclude_none=True).encode())
        except Unavailable as error:
            log.warning("not announced", extra={"exchange": exchange, "error": str(error)})
            return False
        return True


def _live_frame(message: DeliveredMessage) -> p.AnyLive:
    """Return what was said; of a bot no more is read than a frame may have. Raises ValidationError, UnreadableError."""
    publisher = message.header.properties.user_id
    if publisher is None or not is_bot(publisher):
        return p.LIVE_FRAME.validate_json(message.body)
    if len(message.body) > FRAME_LIMIT:
        raise UnreadableError(f"more than {FRAME_LIMIT} bytes from {publisher}")
    return p.BOT_FRAME.validate_python(read(message.body))


def _refuse(message: DeliveredMessage, why: str) -> None:
    publisher = message.header.properties.user_id
    kind = "bots" if publisher is not None and is_bot(publisher) else "services"
    metrics.REFUSED_MESSAGES.labels(kind).inc()
    _throttle.warn(log, kind, "message refused", exchange=message.exchange, publisher=publisher, error=why)
