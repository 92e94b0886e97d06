"""Long polling as a transport: frames come in, and one answer of a frame's size at most goes out. No I/O.

Nothing of it counts as received until its cursors come back: an answer that got lost, or what it had no room for, comes
again.
"""

import asyncio
import contextlib
import itertools
from collections.abc import Callable
from typing import Any

from pydantic_core import from_json
from warren.contract.codes import Close
from warren.contract.frames import Error, Joined, Left, ServerFrame
from warren.contract.sizes import SERVER_FRAME_LIMIT, size

from warren_gateway.delivery.batch import EventBatch, Frame
from warren_gateway.presence.snapshot import PresenceSnapshot
from warren_gateway.transports.cursors import Cursors, Position

ROOM_BYTES = 400
"""What an answer holds of each room beside its name, epoch and news: numbers, the names of fields, why it is left."""
TEXT_BYTES = 66
"""Of an epoch, or of what is known of who is there."""
DETAIL = 200
"""Characters of why a room cannot be followed."""
EPHEMERAL_DELAY = 0.5
"""Seconds for which what does not last gathers, so that a busy room's presence is no stream of polls."""
TYPISTS = 100
"""People of one room who are shown typing in one answer, and replies that are shown as they grow."""

News = dict[str, Any]
Known = Callable[[str], PresenceSnapshot | None]
"""Tells who is in a room, as far as that is known."""


class PollTransport:
    """What has come of one poll so far.

    `presence`: which of its snapshots the client has, by token, for those rooms where it wants to see who is there.
    """

    name = "polling"

    def __init__(self, cursors: Cursors, presence: dict[str, str], known: Known) -> None:
        self._cursors = cursors
        self._presence = presence
        self._known = known
        self._rooms: dict[str, News] = {}
        self._unread = {room for room, position in cursors.positions.items() if position.since is None}
        self._joined: dict[str, Joined] = {}
        self._shown: set[str] = set()
        """Where who is there may be seen: the client is a member."""
        self._left = SERVER_FRAME_LIMIT - sum(_reserved(room, position) for room, position in cursors.positions.items())
        self._left -= sum(max(TEXT_BYTES, size(token)) for token in presence.values())
        """Bytes that there is room for."""
        self._full = False
        """There was no room for an event: the cursors stay before it, and after it nothing is taken of any room."""
        self._ready = asyncio.Event()

    def send_frame(self, frame: ServerFrame) -> None:
        """Take a frame of this client alone."""
        match frame:
            case Joined():
                self._join(frame)
            case Left(room=room):
                self._cursors.left(room)
                self._news(room)["left"] = frame.model_dump(mode="json", include={"seq", "because"})
            case Error(room=str(room)):
                detail = frame.detail[:DETAIL]
                error = {
                    "code": frame.code,
                    "detail": detail if self._fits(detail) else "",
                    "temporary": frame.temporary,
                }
                self._news(room)["error"] = error
            case _:
                pass  # who the client is and when its token expires, it asks elsewhere

    def broadcast(self, frame: Frame) -> None:
        """Take a frame that goes to many."""
        if isinstance(frame, EventBatch):
            self._take(frame)
        elif frame.room in self._presence:
            self._take_ephemeral(frame)

    async def drained(self) -> bool:
        """Say whether more would fit."""
        return not self._full

    def end(self, code: Close, reason: str) -> None:
        """Wait no more."""
        self.answer_now()

    def answer_now(self) -> None:
        """Wait no more: answer with what there is."""
        self._ready.set()

    async def wait(self, seconds: float) -> None:
        """Wait until there is something to answer with, so many seconds at most."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._ready.wait()

    def body(self) -> dict[str, Any]:
        """Return the answer."""
        # Who knows nothing of a room comes first: there may be no room for all.
        tokens = {
            room: self._add_presence(room, token)
            for room, token in sorted(self._presence.items(), key=lambda one: one[1])
        }
        for room, news in self._rooms.items():
            if joined := self._joined.get(room):
                news.update(joined.model_dump(mode="json", include={"epoch", "head", "number", "read", "reset"}))
        cursors = {
            room: {"since": position.since, "epoch": position.epoch, "presence": tokens.get(room)}
            for room, position in self._cursors.positions.items()
            if not self._is_over(room)
        }
        present = {room: {k: v for k, v in cursor.items() if v is not None} for room, cursor in cursors.items()}
        return {"rooms": self._rooms, "cursors": present}

    def _join(self, frame: Joined) -> None:
        self._cursors.joined(frame)
        self._joined[frame.room] = frame
        if frame.reset:
            self._rooms.pop(frame.room, None)  # what came before is of another log
        if frame.reset or frame.room in self._unread:
            self._news(frame.room)

    def _take(self, batch: EventBatch) -> None:
        if self._full:
            return
        events = from_json(batch.body)["events"]
        found = events if self._fits(batch.body) else self._first_of(events)
        if found:
            self._cursors.moved(batch.room, found[-1]["seq"])
            self._news(batch.room).setdefault("events", []).extend(found)
        if len(found) < len(events):
            self._full = True
            self._ready.set()

    def _first_of(self, events: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return list(itertools.takewhile(self._fits, events))

    def _fits(self, news: object) -> bool:
        """Whether there is room for this (bytes as they are, anything else as JSON), which has it then."""
        length = (len(news) if isinstance(news, bytes) else size(news)) + 1
        if length > self._left:
            return False
        self._left -= length
        return True

    def _take_ephemeral(self, frame: Frame) -> None:
        """Take what does not last."""
        if frame.kind in ("typing", "partial"):
            self._take_activity(frame)
        else:
            self._shown.add(frame.room)
            if not self._outdated(frame.room):
                return
        asyncio.get_running_loop().call_later(EPHEMERAL_DELAY, self._ready.set)

    def _take_activity(self, frame: Frame) -> None:
        """Take what somebody does just now; of a reply that grows, what it has grown to."""
        latest = from_json(frame.body)
        found = self._rooms.setdefault(frame.room, {}).setdefault(frame.kind, [])
        own = [one for one in found if one["user"] == latest["user"] and one.get("key") == latest.get("key")]
        shown = {name: latest[name] for name in ("user", "name", "key", "text") if name in latest}
        if own and self._fits(shown):
            own[0].update(shown)
        elif not own and len(found) < TYPISTS and self._fits(shown):
            found.append(shown)

    def _add_presence(self, room: str, token: str) -> str:
        """Tell who is in a room, if the client does not know and there is room; return what it knows then."""
        if (snapshot := self._outdated(room)) is None or not self._fits(snapshot.whole.body):
            return token
        self._rooms.setdefault(room, {})["presence"] = from_json(snapshot.whole.body)
        return snapshot.token

    def _outdated(self, room: str) -> PresenceSnapshot | None:
        snapshot = self._known(room) if room in self._shown else None
        return None if snapshot is None or snapshot.token == self._presence[room] else snapshot

    def _is_over(self, room: str) -> bool:
        news = self._rooms.get(room, {})
        return "left" in news or ("error" in news and not news["error"]["temporary"])

    def _news(self, room: str) -> News:
        self._ready.set()
        return self._rooms.setdefault(room, {})


def _reserved(room: str, position: Position) -> int:
    """Return how many bytes a room takes of which there is nothing new: as a cursor, and where it stands."""
    return ROOM_BYTES + 2 * len(room) + TEXT_BYTES + max(TEXT_BYTES, size(position.epoch))
