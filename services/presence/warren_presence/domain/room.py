"""Who is in one room, and the presence frames that its followers get."""

from collections import Counter
from dataclasses import dataclass, field

from warren.contract.ids import shown
from warren.contract.presence import Count, OnlineStatus, Presence, Present, Status

LARGE = 200
"""More people present than this are counted, not named …"""
SMALL = 160
"""… until there are fewer than this: a room at the edge does not flip back and forth."""
INTERVAL = 0.25
"""Seconds between two frames of a room that names people."""
COUNT_INTERVAL = 1.0
"""Seconds between two counts."""


@dataclass(slots=True)
class Person:
    """Somebody in a room. `published` is the status that the room's followers know."""

    name: str
    status: Status = "offline"
    published: Status = "offline"
    gateways: dict[str, OnlineStatus] = field(default_factory=dict)
    """Where they are connected."""
    left_at: float | None = None
    """When one of the connections ended, if none has come since: the last one, as long as that is not shown."""


class Room:
    """The people of one room over all gateways, and the version of what was last said about them.

    A new room begins with a version above any that the same room had in an earlier life, and its first frame stands by
    itself, so whoever still holds the old one cannot take a diff for the next.
    """

    def __init__(self, name: str, version: int) -> None:
        self.name = name
        self.version = version
        self.people: dict[str, Person] = {}
        self.state_requested = False
        """Somebody needs the whole, not what has changed."""
        self._counts: Counter[Status] = Counter()
        self._changed: set[str] = set()
        self._fresh = True
        self._large = False
        self._published_at = float("-inf")

    @property
    def empty(self) -> bool:
        """Whether there is nobody in it."""
        return not self.people

    @property
    def over(self) -> bool:
        """Whether there is nobody in it, and everybody knows."""
        return self.empty and not (self.state_requested or self._fresh)

    def connect_user(self, gateway: str, user: str, name: str, status: OnlineStatus) -> None:
        """A user has connections at this gateway, and this status there."""
        person = self.people.get(user)
        if person is None:
            person = self.people[user] = Person(name)
        person.name, person.left_at = name, None
        person.gateways[gateway] = status
        self._update_status(user, person)

    def leave(self, gateway: str, user: str, at: float) -> float | None:
        """A user has no connection at this gateway any more, since `at`.

        Return since when they are not here at all, which may be later, or None if they are.
        """
        person = self.people.get(user)
        if person is None or person.gateways.pop(gateway, None) is None:
            return None
        person.left_at = at if person.left_at is None else max(at, person.left_at)
        if person.gateways:
            self._update_status(user, person)
            return None
        return person.left_at

    def start_grace(self, user: str, name: str, now: float) -> bool:
        """A user left before this replica knew of them; return whether a grace period has begun for them."""
        if user in self.people:
            return False
        person = self.people[user] = Person(name, left_at=now)
        self._set(user, person, "online")
        return True

    def expire(self, user: str, left_at: float) -> bool:
        """End the grace period that began at `left_at`; return whether the user is offline: they may have come back."""
        person = self.people.get(user)
        if person is None or person.gateways or person.left_at != left_at:
            return False
        self._set(user, person, "offline")
        if person.published == "offline":
            self._forget(user)
        return True

    def due_at(self) -> float | None:
        """Return when a frame is due, or the room may be dropped; None if neither."""
        if self.state_requested or self._fresh or self._changed:
            return self._published_at + (COUNT_INTERVAL if self._large else INTERVAL)
        return self._published_at + INTERVAL if self.empty else None

    def next_frames(self, now: float) -> list[Presence]:
        """Return the frames to publish now, in order."""
        self._published_at = now
        news, requested, alone = self._take_diff(), self.state_requested, self._fresh | self._update_size()
        self.state_requested = self._fresh = False
        if news or alone:
            self.version += 1
        if self._large:
            return [self._count()]
        if alone:
            return [self._state()]
        # Who has the version before takes the diff and knows the state already; who asked takes the state alone.
        return [*([self._frame(diff=news)] if news else []), *([self._state()] if requested else [])]

    def _update_status(self, user: str, person: Person) -> None:
        """Somebody at one of the devices is enough to be online."""
        self._set(user, person, "online" if "online" in person.gateways.values() else "away")

    def _set(self, user: str, person: Person, status: Status) -> None:
        self._counts[person.status] -= 1
        self._counts[status] += 1
        person.status = status
        if person.published == status:
            self._changed.discard(user)
        else:
            self._changed.add(user)

    def _forget(self, user: str) -> None:
        del self.people[user]
        self._changed.discard(user)

    def _update_size(self) -> bool:
        """See whether the room is large, and return whether that is new."""
        present = self._counts["online"] + self._counts["away"]
        large = present > LARGE or (self._large and present >= SMALL)
        changed, self._large = large != self._large, large
        return changed

    def _take_diff(self) -> list[Present]:
        news = []
        for user in sorted(self._changed):
            person = self.people[user]
            news.append(Present(user=user, name=person.name, status=person.status))
            person.published = person.status
            if person.status == "offline":
                del self.people[user]
        self._changed.clear()
        return news

    def _state(self) -> Presence:
        people = [Present(user=user, name=person.name, status=person.status) for user, person in self.people.items()]
        return self._frame(state=people)

    def _count(self) -> Presence:
        return self._frame(count=Count(online=self._counts["online"], away=self._counts["away"]))

    def _frame(
        self, *, state: list[Present] | None = None, diff: list[Present] | None = None, count: Count | None = None
    ) -> Presence:
        return Presence(room=shown(self.name), version=self.version, state=state, diff=diff, count=count)
