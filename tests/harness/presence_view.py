"""Who is in a room, as one client is shown it."""

from typing import Generic, Protocol, TypeVar

from harness.scripted_client import ScriptedClient
from harness.transport import Frame

AnyClient = TypeVar("AnyClient", bound=ScriptedClient)


class Participant(Protocol):
    """A person; what their id begins with is their name."""

    @property
    def id(self) -> str: ...


class PresenceView(Generic[AnyClient]):
    """What one connection is shown of a room: `people` by status, in `count` instead while there are too many."""

    def __init__(self, client: AnyClient, room: str) -> None:
        self.client = client
        self.room = room
        self.people: dict[str, str] | None = {}
        self.count: dict[str, int] | None = None
        self.version: int | None = None
        self.frames: list[Frame] = []
        self.went: set[str] = set()
        """Who was ever shown going."""

    async def sees(self, *present: Participant, **statuses: str) -> Frame:
        """Read on until exactly these are shown, online unless said otherwise by name; return the last frame."""
        wanted = {person.id: statuses.get(person.id.split("-")[0], "online") for person in present}
        while self.people != wanted:
            await self.look()
        return self.frames[-1]

    async def counts(self, online: int, away: int = 0) -> None:
        """Read on until so many are counted."""
        while self.count != {"online": online, "away": away}:
            await self.look()

    async def look(self) -> None:
        """Take in the next frame of presence."""
        frame = await self.client.expect("presence", room=self.room)
        assert len(frame.keys() & {"state", "diff", "count"}) == 1
        if "diff" in frame:
            assert self.people is not None
            assert frame["version"] == (self.version or 0) + 1
            self._apply(frame["diff"])
        else:
            self.count = frame.get("count")
            self.people = {one["user"]: one["status"] for one in frame["state"]} if "state" in frame else None
        self.version = frame["version"]
        self.frames.append(frame)

    def _apply(self, diff: list[dict[str, str]]) -> None:
        assert self.people is not None
        for person in diff:
            assert self.people.get(person["user"]) != person["status"], "no news"
            self.people[person["user"]] = person["status"]
            if person["status"] == "offline":
                del self.people[person["user"]]
                self.went.add(person["user"])
