"""Presence and typing of one gateway: checked ephemeral frames come in, and go out to the members of their room."""

import asyncio
import time
from dataclasses import dataclass, field

from aio_pika.abc import AbstractConnection
from warren.broker.errors import Unavailable, until_lost
from warren.contract import presence as p
from warren.contract.ids import inbox_room
from warren.contract.sizes import SERVER_BODY_LIMIT
from warren.contract.topology import CONTROL, LIVE, shard
from warren.supervise import endless

from warren_gateway import metrics
from warren_gateway.broker.bucket_queue import BucketQueue
from warren_gateway.delivery.batch import Frame
from warren_gateway.delivery.cooperative import cooperatively
from warren_gateway.delivery.subscriber import Subscriber
from warren_gateway.presence.announcer import ConnectionPresence, PresenceAnnouncer
from warren_gateway.presence.audience import Audience, NoAudience
from warren_gateway.presence.incoming import EphemeralMessages
from warren_gateway.presence.outgoing import PresencePublisher
from warren_gateway.presence.snapshot import PresenceSnapshot

LENGTH = 5_000
"""Messages that may wait for a gateway that lags; older ones go, and the snapshots are asked for again."""
ASK_AGAIN = 1.0
"""Seconds after which what was not answered is asked for again."""
ANSWER_WITHIN = 4.0
"""Seconds that a request waits for an answer of the presence service."""
SWEEP_EVERY = 30.0
"""Seconds between looks at what nobody follows any more, and at whether what is known of the others is the last: a lost
frame shows when the next one comes, and in a quiet room none may."""


@dataclass(slots=True)
class _Room:
    """A room's snapshot."""

    snapshot: PresenceSnapshot
    updated: asyncio.Event = field(default_factory=asyncio.Event)
    """Set and replaced when the snapshot is."""
    idle: bool = False
    """Nobody followed it at the last sweep; if so at the next one too, it goes."""


class PresenceClient:
    """Presence and typing of one gateway, whose process `gateway` names as no other."""

    def __init__(self, gateway: str) -> None:
        self._announcer = PresenceAnnouncer(gateway)
        self._outgoing = PresencePublisher(self._announcer)
        self._queue = BucketQueue(LIVE, LENGTH, EphemeralMessages(self).take, self._connected, fanout=CONTROL)
        self._rooms: dict[str, _Room] = {}
        self._unsynced: set[str] = set()
        """Rooms of which something is known to be missing, and some of which it was."""
        self._presences: dict[Subscriber, ConnectionPresence] = {}
        self._lookups: dict[str, asyncio.Future[p.UserStatus]] = {}
        self.audience: Audience = NoAudience()

    async def serve(self, connection: AbstractConnection) -> None:
        """Consume and publish on this connection, until it goes away.

        On none that commands go by: what is published goes to other gateways' queues, and if one of them takes nothing,
        the broker reads no more of what comes by the same connection.
        """
        async with asyncio.TaskGroup() as group:
            group.create_task(until_lost(self._outgoing.serve(connection)))
            group.create_task(until_lost(self._queue.serve(connection)))

    async def run(self) -> None:
        """Announce, ask and beat, until cancelled."""
        async with asyncio.TaskGroup() as group:
            announcing = self._outgoing.run(self._queue.bind_all)
            for work in (announcing, self._ask_again(), self._outgoing.beat(), self._sweep()):
                group.create_task(endless(work))

    async def goodbye(self) -> None:
        """Announce that everybody has gone, and this gateway too."""
        await self._outgoing.goodbye(self._queue.bind_all)

    # Who is connected, and where

    def open(self, subscriber: Subscriber, name: str) -> None:
        """Take note that somebody is connected; `name` is what others see."""
        presence = self._presences.get(subscriber)
        if presence is None:
            self._presences[subscriber] = self._announcer.open(subscriber.user, name)
            self._outgoing.changed()
        else:
            presence.name = name

    def close(self, subscriber: Subscriber, grace: float = 0.0) -> None:
        """Take note that the connection has ended; for others it has only after `grace` seconds."""
        presence = self._presences.pop(subscriber, None)
        if presence is None:
            return
        if grace:
            asyncio.get_running_loop().call_later(grace, self._close, presence)
        else:
            self._close(presence)

    def enter(self, name: str, subscriber: Subscriber) -> None:
        """A member follows a room: they are present there, and are shown who else is."""
        presence = self._presences.get(subscriber)
        if presence is None:
            return
        room = self._follow(name)
        if room.snapshot.synced:
            subscriber.broadcast_ephemeral(room.snapshot.whole)
        self._announcer.enter(presence, name)
        self._outgoing.changed()

    def exit(self, name: str, subscriber: Subscriber, *, revoked: bool = False) -> None:
        """They do not follow it any more; `revoked`: nor are they a member."""
        presence = self._presences.get(subscriber)
        if presence is not None:
            self._announcer.exit(presence, name, time.monotonic(), ended=revoked)
            self._outgoing.changed()

    def revoke(self, name: str, user: str) -> None:
        """Somebody is no member of a room any more: nor are they there between two polls."""
        self._announcer.end(name, user, time.monotonic())
        self._outgoing.changed()

    def report(self, subscriber: Subscriber, status: p.OnlineStatus) -> None:
        """Take note whether anybody is at the device."""
        presence = self._presences.get(subscriber)
        if presence is not None:
            self._announcer.report(presence, status)
            self._outgoing.changed()

    async def typing(self, room: str, user: str, name: str) -> None:
        """Show a room's members that somebody is typing, unless there is too much of that."""
        await self._outgoing.typing(room, user, name)

    # What is known of others

    def known(self, name: str) -> PresenceSnapshot | None:
        """Return who is in a room, as far as that is known here."""
        room = self._rooms.get(name)
        return room.snapshot if room is not None and room.snapshot.synced else None

    async def snapshot(self, name: str) -> PresenceSnapshot:
        """Return who is in a room. Raises Unavailable."""
        room = self._follow(name)
        try:
            async with asyncio.timeout(ANSWER_WITHIN):
                while not room.snapshot.synced:
                    await room.updated.wait()
        except TimeoutError as error:
            raise Unavailable("nobody tells who is there") from error
        return room.snapshot

    async def user_status(self, user: str) -> p.UserStatus:
        """Return somebody's status over all rooms. Raises Unavailable."""
        lookup = self._lookups.get(user)
        if lookup is None:
            lookup = self._lookups[user] = asyncio.get_running_loop().create_future()
            self._queue.follow(inbox_room(user))
            self._announcer.look_up_status(user)
            self._outgoing.changed()
        try:
            async with asyncio.timeout(ANSWER_WITHIN):
                return await asyncio.shield(lookup)
        except TimeoutError as error:
            raise Unavailable("nobody tells whether they are there") from error
        finally:
            if self._lookups.get(user) is lookup:
                del self._lookups[user]
                self._queue.unfollow(inbox_room(user))

    # What comes in

    def follows(self, room: str) -> bool:
        """Whether anybody here is shown what comes of this room."""
        return room in self._rooms

    async def may_write(self, room: str, user: str) -> bool:
        """Return whether a bot may write in a room. Raises Unavailable."""
        return await self.audience.may_write(room, user)

    def receive(self, frame: p.AnyLive, body: bytes, term: str) -> None:
        """Broadcast a frame; `body`: as it goes to clients."""
        match frame:
            case p.Presence():
                self._update(term, frame, body)
            case p.IsTyping(room=name, user=user) | p.Partial(room=name, user=user):
                if name in self._rooms and len(body) <= SERVER_BODY_LIMIT:
                    self._broadcast(name, Frame(name, body, kind=frame.type), but=user)
            case p.UserStatus(user=user):
                lookup = self._lookups.get(user)
                if lookup is not None and not lookup.done():
                    lookup.set_result(frame)

    def resync(self, request: p.Resync) -> None:
        """Announce everything again, if this gateway is asked to."""
        if request.gateway not in (None, self._announcer.gateway):
            return
        self._announcer.resync(request.shard)
        if request.gateway is None:
            # Of rooms that have nobody left since, the new holder of the shard knows nothing: it does when asked.
            for name in filter(lambda name: shard(name) == request.shard, self._rooms):
                self._announcer.ask(name)
        self._outgoing.changed()

    def _close(self, presence: ConnectionPresence) -> None:
        self._announcer.close(presence, time.monotonic())
        self._outgoing.changed()

    def _follow(self, name: str) -> _Room:
        room = self._rooms.get(name)
        if room is None:
            room = self._rooms[name] = _Room(PresenceSnapshot(name))
            self._queue.follow(name)
            self._ask(name)
            self._outgoing.changed()
        room.idle = False
        return room

    def _connected(self) -> None:
        """Ask for everything: what came while there was no queue is lost."""
        for name, room in self._rooms.items():
            room.snapshot.synced = False
            self._ask(name)
        self._outgoing.changed()

    def _ask(self, name: str) -> None:
        """Ask for a room's snapshot until it is here."""
        self._unsynced.add(name)
        self._announcer.ask(name)

    def _update(self, term: str, frame: p.Presence, body: bytes) -> None:
        room = self._rooms.get(frame.room)
        if room is None:
            return
        if room.snapshot.take(term, frame):
            # Of one that is too large for a client, what has come of it is sent instead, which stands by itself.
            fits = len(body) <= SERVER_BODY_LIMIT
            self._broadcast(frame.room, Frame(frame.room, body, kind=frame.type) if fits else room.snapshot.whole)
        elif not room.snapshot.synced:
            metrics.PRESENCE_LOST.inc()
            self._ask(frame.room)
            self._outgoing.changed()
        updated, room.updated = room.updated, asyncio.Event()
        updated.set()

    def _broadcast(self, name: str, frame: Frame, but: str | None = None) -> None:
        """Send a frame to a room's members, but to this one."""
        for member in self.audience.members(name):
            if member.user != but:
                member.broadcast_ephemeral(frame)

    # What goes on all the time

    async def _ask_again(self) -> None:
        while True:
            await asyncio.sleep(ASK_AGAIN)
            async for name in cooperatively(self._unsynced):
                room = self._rooms.get(name)
                if room is None or room.snapshot.synced:
                    self._unsynced.discard(name)
                else:
                    self._announcer.ask(name)
            for user in self._lookups:
                self._announcer.look_up_status(user)
            if not self._announcer.idle:
                self._outgoing.changed()

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_EVERY)
            await self._tidy()

    async def _tidy(self) -> None:
        """Let go of rooms that nobody follows any more, and have the others checked."""
        async for name, room in cooperatively(self._rooms.items()):
            followed = any(True for _ in self.audience.members(name))
            if room.idle and not followed:
                del self._rooms[name]
                self._queue.unfollow(name)
            room.idle = not followed
            if room.snapshot.synced:
                self._announcer.check(room.snapshot.known)
        self._outgoing.changed()
        await self._queue.tidy()
