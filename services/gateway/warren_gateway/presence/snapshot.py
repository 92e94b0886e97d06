"""What a gateway knows of who is in a room: the last frame, kept up by diffs. No I/O."""

from zlib import crc32

from warren.contract.presence import Count, Known, Presence, Present
from warren.contract.sizes import SERVER_BODY_LIMIT

from warren_gateway.delivery.batch import Frame


class PresenceSnapshot:
    """The people of one room as the presence service sends them.

    `term` names one life of the room's shard: versions of different terms have nothing to do with each other.
    """

    def __init__(self, room: str) -> None:
        self.room = room
        self.synced = False
        """Whether nothing is known to be missing."""
        self._term = ""
        self._version = 0
        self._people: dict[str, Present] = {}
        self._count: Count | None = None
        self._whole: Frame | None = None

    def take(self, term: str, frame: Presence) -> bool:
        """Take a frame; return whether it is news that follows on what was known. If not, see `synced`."""
        if self.synced and term == self._term and frame.version <= self._version:
            return False
        if frame.diff is None:
            self._replace(term, frame)
        elif self.synced and term == self._term and frame.version == self._version + 1:
            self._apply(frame.version, frame.diff)
        else:
            self.synced = False
            return False
        return True

    @property
    def known(self) -> Known:
        """What is known, by its number."""
        return Known(room=self.room, term=self._term, version=self._version)

    @property
    def token(self) -> str:
        """What is known, as a text that says nothing to others: the same means the same."""
        return f"{crc32(self._term.encode()):08x}-{self._version}"

    @property
    def whole(self) -> Frame:
        """All there is to know, as a frame for somebody new; how many there are, if their names do not fit into one."""
        if self._whole is None:
            state = None if self._count else list(self._people.values())
            self._whole = self._frame(Presence(room=self.room, version=self._version, state=state, count=self._count))
            if len(self._whole.body) > SERVER_BODY_LIMIT:
                self._whole = self._frame(Presence(room=self.room, version=self._version, count=self.count))
        return self._whole

    @property
    def people(self) -> list[Present] | None:
        """Who is there; None if they are too many."""
        return None if self._count else list(self._people.values())

    @property
    def count(self) -> Count:
        """How many are there."""
        online = sum(person.status == "online" for person in self._people.values())
        return self._count or Count(online=online, away=len(self._people) - online)

    def _frame(self, frame: Presence) -> Frame:
        return Frame(self.room, frame.model_dump_json(exclude_none=True).encode(), kind=frame.type)

    def _replace(self, term: str, frame: Presence) -> None:
        self._term, self._version, self.synced = term, frame.version, True
        self._people = {person.user: person for person in frame.state or ()}
        self._count = frame.count
        self._whole = None

    def _apply(self, version: int, diff: list[Present]) -> None:
        self._version = version
        for person in diff:
            if person.status == "offline":
                self._people.pop(person.user, None)
            else:
                self._people[person.user] = person
        self._whole = None
