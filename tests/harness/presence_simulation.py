"""Presence without a broker: gateways, replicas, and queues that lag, lose and repeat, beside what is true.

What decides is the services' own; what carries is played here, as `presence/client.py` and `service.py` drive it.
Nothing waits: `World.run` lets time pass.
"""

import heapq
import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from warren.contract import presence as p
from warren.contract.ids import inbox_room
from warren.contract.topology import shard
from warren_gateway.presence.announcer import PresenceAnnouncer
from warren_gateway.presence.snapshot import PresenceSnapshot
from warren_presence.clock import Clock
from warren_presence.domain.leases import Leases
from warren_presence.domain.room import COUNT_INTERVAL, INTERVAL
from warren_presence.domain.shard import BroadcastFrames, RecordLastSeen, RequestAnnouncements, Shard

NUMBER = 3
"""The only shard that is played: all rooms and people below are of it."""
STEP = 0.05
"""Seconds between looks of the service."""
ANNOUNCE = 2
"""Steps between the announcements of a gateway."""
LAG = 0.3
"""Seconds that an announcement takes at most."""
OVERTAKEN = LAG + ANNOUNCE * STEP
"""Seconds of a gateway's last announcements that its goodbye overtakes: nobody knows who came in them."""
LATE = LAG + 1.7
"""Seconds in which what was not lost is told everywhere, a frame asked for twice included."""
UNACKED = 5
"""Announcements that a replica may have taken and not acked when it goes …"""
UNACKED_FOR = 0.5
"""… in the last seconds."""
EPSILON = 1e-6


def _of_shard(prefix: str, count: int, room: bool) -> list[str]:
    names = (f"{prefix}{number}" for number in range(10_000))
    return [name for name in names if shard(name if room else inbox_room(name)) == NUMBER][:count]


ROOMS = _of_shard("room", 3, room=True)
PEOPLE = _of_shard("u", 8, room=False)
Place = tuple[str, str]


class Client:
    """A connection, and what it has been shown."""

    def __init__(self, world: "Simulation", gateway: "Gateway", user: str) -> None:
        self.world, self.gateway, self.user = world, gateway, user
        self.presence = gateway.announcer.open(user, user.upper())
        self._known: dict[str, tuple[int, dict[str, str] | None]] = {}

    def show(self, room: str, frame: p.Presence) -> None:
        """Take a frame as clients do, which cannot take one that does not follow."""
        version, before = self._known.get(room, (0, None))
        if frame.diff is None:
            after = _named(frame)
        else:
            assert room in self._known
            assert before is not None
            assert frame.version == version + 1
            after = _patched(before, frame.diff)
        self._known[room] = (frame.version, after)
        for user in set(before or ()) - set(after or ()) if after is not None else ():
            self.world.hidden(room, user)

    def forget(self, room: str) -> None:
        """Follow a room no more."""
        self._known.pop(room, None)

    def known(self, room: str) -> dict[str, str] | None:
        """Return who is in a room; None if nothing or a count is all that was shown."""
        return self._known.get(room, (0, None))[1]


def _named(frame: p.Presence) -> dict[str, str] | None:
    return None if frame.state is None else {one.user: str(one.status) for one in frame.state}


def _patched(before: dict[str, str], diff: list[p.Present]) -> dict[str, str]:
    after = before | {one.user: one.status for one in diff}
    return {user: status for user, status in after.items() if status != "offline"}


CHECK = 30.0
"""Seconds between a gateway's comparisons of what it knows with what the service says."""


class Gateway:
    """One process with its connections."""

    def __init__(self, world: "Simulation", name: str) -> None:
        self.world, self.name = world, name
        self.announcer = PresenceAnnouncer(name)
        self.snapshots: dict[str, PresenceSnapshot] = {}
        self.clients: list[Client] = []
        self.deaf = 0
        """Frames that do not arrive."""
        self.missed: set[str] = set()
        """Rooms whose last frame did not arrive: nobody can know before the next."""
        self._next_beat = world.now
        self._next_ask = world.now
        self.next_check = world.now + CHECK
        self._arrived = 0.0
        self.beat_lost = False

    def follow(self, room: str) -> PresenceSnapshot:
        """Begin to follow a room, for a client or for a request."""
        if room not in self.snapshots:
            self.snapshots[room] = PresenceSnapshot(room)
            self.announcer.ask(room)
        return self.snapshots[room]

    def told(self, term: str, frame: p.Presence) -> None:
        """Take a frame."""
        snapshot = self.snapshots.get(frame.room)
        if snapshot is None:
            return
        if self._lost():
            self.missed.add(frame.room)
            return
        self.missed.discard(frame.room)
        if snapshot.take(term, frame):
            for client in self.clients:
                if frame.room in client.presence.rooms:
                    client.show(frame.room, frame)
        elif not snapshot.synced:
            self.announcer.ask(frame.room)

    def control(self, said: p.AnyControl) -> None:
        """Take what is said to all."""
        if isinstance(said, p.Resync) and said.gateway in (None, self.name):
            self.announcer.resync(said.shard)
            for room in self.snapshots if said.gateway is None else ():
                self.announcer.ask(room)

    def reconnect(self) -> None:
        """Go on with another queue."""
        for room, snapshot in self.snapshots.items():
            snapshot.synced = False
            self.announcer.ask(room)

    def step(self, announce: bool) -> None:
        """Do what is due."""
        now = self.world.now
        if now >= self._next_ask:
            self._next_ask = now + 1.0
            for room, snapshot in self.snapshots.items():
                if not snapshot.synced:
                    self.announcer.ask(room)
        if now >= self.next_check:
            self.next_check = now + CHECK
            for snapshot in self.snapshots.values():
                if snapshot.synced:
                    self.announcer.check(snapshot.known)
        if announce and not self.announcer.idle:
            self.announce()
        if now >= self._next_beat:
            self._next_beat = now + p.HEARTBEAT
            self._beat()

    def announce(self) -> None:
        """Publish what has changed, in order and with a lag."""
        for message in self.announcer.announcements(self.world.now):
            if message.shard == NUMBER:
                if self.world.chance():
                    self.announcer.resync(NUMBER)  # the broker has not taken it
                self._arrived = max(self._arrived, self.world.now + self.world.lag())
                self.world.arrive(self._arrived, message)

    def _beat(self) -> None:
        """Heartbeats get lost too, but not all of them."""
        self.beat_lost = not self.beat_lost and self.world.chance()
        if not self.beat_lost:
            self.world.say(p.Heartbeat(gateway=self.name, seqs=self.announcer.seqs))

    def _lost(self) -> bool:
        if self.deaf:
            self.deaf -= 1
            return True
        return self.world.chance()


class Replica:
    """A process of the presence service: it listens, and may hold the shard."""

    def __init__(self, world: "Simulation") -> None:
        self.world = world
        self.began = world.now
        self.clock = Clock(world.now)
        self.leases = Leases(self.clock.now)
        self.shard: Shard | None = None
        self.term = ""
        self.halted_until = 0.0
        self._waiting: list[p.AnyControl] = []

    @property
    def halted(self) -> bool:
        """Whether the process does not run."""
        return self.world.now < self.halted_until

    def hold(self) -> None:
        """Become the shard's active consumer."""
        self.world.terms += 1
        self.term = f"term {self.world.terms}"
        self.shard = Shard(self.term, self.leases.alive, self.leases.not_before(self.clock.now))
        self.world.say(p.Resync(shard=NUMBER, term=self.term))

    def take(self, said: p.Announcement) -> None:
        """Take what comes from the shard's queue."""
        now = self.clock.now
        if self.shard is None:
            self.hold()
        assert self.shard is not None
        if self.leases.stopped(said.gateway):
            return
        if self.leases.heard_at(said.gateway) is None:
            self.leases.renew(said.gateway, now)
        self.shard.announce(said, now)

    def control(self, said: p.AnyControl) -> None:
        """Take what is said to all, when the process runs."""
        self._waiting.append(said)
        if not self.halted:
            self.catch_up()

    def catch_up(self) -> None:
        """Take what was said to all in the meantime."""
        waiting, self._waiting = self._waiting, []
        now = self.clock.now
        for said in waiting:
            match said:
                case p.Heartbeat(gateway=gateway, seqs=seqs) if not self.leases.stopped(gateway):
                    self.leases.renew(gateway, now)
                    if self.shard:
                        self.shard.heartbeat(gateway, seqs[NUMBER], now)
                case p.Goodbye(gateway=gateway):
                    self.leases.stop(gateway, now)
                    if self.shard:
                        self.shard.end(gateway, now)

    def step(self) -> None:
        """Let what is due happen."""
        self.clock.advance(self.world.now)
        now = self.clock.now
        for gateway in self.leases.expired(now):
            since = self.leases.heard_at(gateway)
            self.leases.end(gateway)
            if self.shard:
                self.shard.end(gateway, now, since)
        for action in self.shard.tick(now) if self.shard and not self.shard.idle else ():
            match action:
                case BroadcastFrames(room, frames):
                    self.world.tell(self, room, frames)
                case RecordLastSeen(user, ago):
                    self.world.records.append((self.world.now, user, ago))
                case RequestAnnouncements(gateway):
                    self.world.asked_again += 1
                    self.world.say(p.Resync(shard=NUMBER, term=self.term, gateway=gateway))


@dataclass
class FollowerState:
    """What followers of a room who miss nothing know."""

    version: int
    people: dict[str, str] | None = None
    count: p.Count | None = None
    at: float = float("-inf")
    counted_at: float = float("-inf")


@dataclass
class Visit:
    """Somebody's time in a room: `back` from when on, `left` until when they were there before that."""

    clients: set[Client] = field(default_factory=set)
    back: float = 0.0
    left: float = float("-inf")
    left_last: float = float("-inf")
    """The same, whether anybody could know of it or not."""
    left_before: float = float("-inf")
    ended: bool = False
    """It was by the end of their membership that they left."""


class Simulation:
    """All of it, and the truth. `strict`: nothing gets lost between gateways and service, so nobody may flicker."""

    def __init__(self, seed: int, *, strict: bool, large: int = 200) -> None:
        self.strict = strict
        self.large = large
        self.loss = 0.0
        self.now = 0.0
        self.terms = 0
        self.gateways: dict[str, Gateway] = {}
        self.stays: dict[Place, Visit] = {}
        self.residents: set[str] = set()
        """People who are connected all the time."""
        self.records: list[tuple[float, str, float]] = []
        self.asked_again = 0
        self.changes = 0
        """Places that gateways have announced anything of, or left behind."""
        self.told_in_diffs = 0
        """People named in diffs."""
        self.disturbed_at = 0.0
        self._told: dict[tuple[str, str], FollowerState] = {}
        self._random = random.Random(seed)
        self._steps = 0
        self._started = 0
        self._queue: list[tuple[float, int, p.Announcement]] = []
        self._arrivals = 0
        self._unacked: deque[tuple[float, p.Announcement]] = deque(maxlen=UNACKED)
        self._consumed_from = 0.0
        self._later: list[tuple[float, Callable[[], None]]] = []
        self.active = Replica(self)
        self.standby = Replica(self)

    # Chance

    def chance(self) -> bool:
        """Whether this one gets lost."""
        return self.loss > 0 and self._random.random() < self.loss

    def lag(self) -> float:
        """Return how long an announcement takes."""
        return self._random.uniform(0, LAG)

    # Carrying

    def arrive(self, at: float, message: p.Announcement) -> None:
        """Put an announcement in the shard's queue, or lose it."""
        self.changes += len(message.changes)
        if not self.chance():
            self._arrivals += 1
            heapq.heappush(self._queue, (at, self._arrivals, message))

    def say(self, said: p.AnyControl) -> None:
        """Say something to all. Requests get lost; heartbeats do in `Gateway`."""
        for replica in (self.active, self.standby):
            replica.control(said)
        for gateway in self.gateways.values():
            if not self.chance():
                gateway.control(said)

    def tell(self, replica: Replica, room: str, frames: list[p.Presence]) -> None:
        """Tell the followers, and check what is told."""
        told = self._told.setdefault((replica.term, room), FollowerState(0))
        assert frames
        assert replica.clock.now - told.at >= INTERVAL - EPSILON, "at most 4 frames a second a room"
        told.at = replica.clock.now
        for frame in frames:
            self._check(told, frame)
            for gateway in self.gateways.values():
                gateway.told(replica.term, frame)

    def _check(self, told: FollowerState, frame: p.Presence) -> None:
        assert sum(part is not None for part in (frame.state, frame.diff, frame.count)) == 1
        if frame.diff is not None:
            assert frame.version == told.version + 1
            assert told.people is not None
            self.told_in_diffs += len(frame.diff)
            told.people = _patched(told.people, frame.diff)
        else:
            assert frame.version >= told.version
            people = _named(frame)
            if frame.version == told.version:
                assert (people, frame.count) == (told.people, told.count), "one version, one state"
            told.people, told.count = people, frame.count
        if told.people is not None:
            told.count = None
            assert len(told.people) <= self.large
            assert "offline" not in told.people.values()
        else:
            assert told.at - told.counted_at >= COUNT_INTERVAL - EPSILON, "one count a second"
            told.counted_at = told.at
        told.version = frame.version

    # Time

    def run(self, seconds: float) -> None:
        """Let time pass."""
        for _ in range(max(1, round(seconds / STEP))):
            self._step()

    def later(self, seconds: float, do: Callable[[], None]) -> None:
        """Have something happen while time passes."""
        self._later.append((self.now + seconds, do))

    def _step(self) -> None:
        self._steps += 1
        self.now = self._steps * STEP
        due = [do for at, do in self._later if at <= self.now]
        self._later = [(at, do) for at, do in self._later if at > self.now]
        for do in due:
            do()
        for gateway in list(self.gateways.values()):
            gateway.step(announce=self._steps % ANNOUNCE == 0)
        for replica in (self.active, self.standby):
            if replica.halted_until and not replica.halted:
                replica.halted_until, self.disturbed_at = 0.0, self.now
                replica.step()  # its timers may well be first
                replica.catch_up()
        if not self.active.halted and self.now >= self._consumed_from:
            while self._queue and self._queue[0][0] <= self.now:
                message = heapq.heappop(self._queue)[2]
                self._take(message)
        for replica in (self.active, self.standby):
            if not replica.halted:
                replica.step()
        if self.strict and self._steps % 20 == 0 and not self.active.halted:
            self._check_overdue()

    def _check_overdue(self) -> None:
        """Nobody is shown long after they have gone."""
        for client in self.clients:
            for room in client.presence.rooms - client.gateway.missed:
                for user in client.known(room) or ():
                    stay = self.stays[room, user]
                    gone = 0.0 if stay.clients else self.now - max(stay.left_last, self.disturbed_at)
                    assert gone <= p.LEASE + p.GRACE + LATE, f"{user} is shown {gone} s after they left"

    # What befalls the service

    def take_over(self, after: float) -> bool:
        """The active replica dies, and the other takes over, if it knows who lives and who did until lately."""
        known = self.now - self.standby.began >= p.LEASE and self.standby.leases.alive >= set(self.gateways)
        if known:
            self.active, self.standby = self.standby, Replica(self)
            self._resume(after)
        return known

    def begin_anew(self, after: float) -> None:
        """Both replicas die, and others take over who know nothing."""
        self.active, self.standby = Replica(self), Replica(self)
        self._resume(after)

    def reconnect(self, after: float) -> None:
        """The active replica loses its connection, and gets the shard again."""
        self.active.shard = None
        self.active.leases.listen(self.active.clock.now)
        self._resume(after)

    def halt(self, seconds: float) -> None:
        """Halt the active replica's process."""
        self.active.halted_until = self.now + seconds

    def _resume(self, after: float) -> None:
        """Deliver again what was not acked, and then the rest."""
        again = [message for at, message in self._unacked if self.now - at <= UNACKED_FOR]
        self._unacked.clear()
        self._consumed_from = self.disturbed_at = self.now + after
        self.active.halted_until = 0.0
        self.run(after)
        if self.active.shard is None:
            self.active.hold()  # by a knock
        for message in again[self._random.randint(0, len(again)) :]:
            self._take(message)

    def _take(self, message: p.Announcement) -> None:
        self._unacked.append((self.now, message))
        self.active.take(message)

    # What people and gateways do

    def start(self) -> Gateway:
        """Start a gateway."""
        self._started += 1
        gateway = self.gateways[f"g{self._started}"] = Gateway(self, f"g{self._started}")
        return gateway

    def kill(self, gateway: Gateway) -> None:
        """End a gateway abruptly."""
        del self.gateways[gateway.name]
        for client in gateway.clients:
            self.changes += len(client.presence.rooms)
            for room in client.presence.rooms:
                self._went(room, client)

    def stop(self, gateway: Gateway) -> None:
        """End a gateway in order."""
        for client in list(gateway.clients):
            # The goodbye overtakes what was announced last.
            for room in client.presence.rooms:
                self._went(room, client, self.now - OVERTAKEN)
            self.close(client)
        gateway.announce()
        del self.gateways[gateway.name]
        self.say(p.Goodbye(gateway=gateway.name))

    def open(self, gateway: Gateway, user: str, rooms: list[str]) -> Client:
        """Connect somebody, and follow rooms."""
        client = Client(self, gateway, user)
        gateway.clients.append(client)
        self._came(inbox_room(user), client)
        for room in rooms:
            self.enter(client, room)
        return client

    def close(self, client: Client) -> None:
        """End a connection."""
        for room in client.presence.rooms:
            self._went(room, client)
        client.gateway.clients.remove(client)
        client.gateway.announcer.close(client.presence, self.now)

    def enter(self, client: Client, room: str) -> None:
        """Follow a room as its member."""
        snapshot = client.gateway.follow(room)
        if snapshot.synced:
            client.show(room, p.Presence.model_validate_json(snapshot.whole.body))
        client.gateway.announcer.enter(client.presence, room)
        self._came(room, client)

    def exit(self, client: Client, room: str) -> None:
        """Follow a room no more."""
        if room in client.presence.rooms:
            self._went(room, client)
            client.forget(room)
            client.gateway.announcer.exit(client.presence, room, self.now)

    def expel(self, user: str, room: str) -> None:
        """End somebody's membership."""
        for client in self.clients:
            if client.user == user and room in client.presence.rooms:
                self._went(room, client)
                client.forget(room)
                client.gateway.announcer.exit(client.presence, room, self.now, ended=True)
                self.stays[room, user].ended = True

    @property
    def clients(self) -> list[Client]:
        """All connections."""
        return [client for gateway in self.gateways.values() for client in gateway.clients]

    # What is true

    def _came(self, room: str, client: Client) -> None:
        stay = self.stays.setdefault((room, client.user), Visit())
        if not stay.clients:
            stay.back, stay.ended, stay.left_before = self.now, False, stay.left
        stay.clients.add(client)

    def _went(self, room: str, client: Client, known_until: float | None = None) -> None:
        stay = self.stays[room, client.user]
        if stay.clients == {client}:
            until = self.now if known_until is None else known_until
            # Who comes and goes between two announcements has not been here.
            seen = round(until / STEP) // ANNOUNCE > round(stay.back / STEP) // ANNOUNCE
            stay.left_last = self.now
            stay.left = until if seen else stay.left_before
        stay.clients.discard(client)

    def hidden(self, room: str, user: str) -> None:
        """Check that somebody may be shown as gone."""
        assert user not in self.residents, f"{user} is connected all the time"
        stay = self.stays[room, user]
        if not self.strict or stay.ended:
            return
        if stay.clients:
            late = self.now - max(stay.back, self.disturbed_at) <= LATE
            assert late, f"{user} is back for {self.now - stay.back} s"
            assert stay.back - stay.left > p.GRACE - LATE, f"{user} was away for {stay.back - stay.left} s"
        else:
            assert self.now - stay.left >= p.GRACE - OVERTAKEN, f"{user} has gone {self.now - stay.left} s ago"

    def expected(self, room: str) -> dict[str, str]:
        """Return who is in a room."""
        return {
            user: "online" if any(client.presence.status == "online" for client in stay.clients) else "away"
            for (name, user), stay in self.stays.items()
            if name == room and stay.clients
        }

    def assert_quiet(self) -> None:
        """Check that everybody knows the truth, and that nothing is left of what was, nor of questions about it."""
        for gateway in self.gateways.values():
            gateway.next_check = self.now + CHECK
        self.run(2.0)
        for gateway in self.gateways.values():
            for room, snapshot in gateway.snapshots.items():
                assert snapshot.synced, (gateway.name, room)
                self._assert_told(snapshot, self.expected(room))
            for client in gateway.clients:
                for room in client.presence.rooms & gateway.snapshots.keys():
                    assert client.known(room) == (
                        None if gateway.snapshots[room].people is None else self.expected(room)
                    )
        shard = self.active.shard
        assert shard is not None
        assert shard.complete
        assert set(shard._rooms) == {room for (room, _), stay in self.stays.items() if stay.clients}
        assert sorted(shard.connected) == sorted({client.user for client in self.clients})
        assert (shard._graces, shard._due, shard._status_requests) == (type(shard._graces)(), {}, set())

    def _assert_told(self, snapshot: PresenceSnapshot, expected: dict[str, str]) -> None:
        online = sum(status == "online" for status in expected.values())
        assert snapshot.count == p.Count(online=online, away=len(expected) - online)
        if snapshot.people is not None:
            assert {one.user: one.status for one in snapshot.people} == expected
            assert len(expected) <= self.large
