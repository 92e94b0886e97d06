"""The table of who may do what (`rights.txt`), and the people and rooms that its cells speak of."""

import secrets
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from warren.contract import commands as c
from warren.contract.ids import direct_room, inbox_room, new_id

TABLE = Path(__file__).with_name("rights.txt")
EXPECTED = ("ok", "exists", "forbidden", "not_found", "invalid")


@dataclass(frozen=True, slots=True)
class Cell:
    """`actor` does `command` (upon `target`, or None) in a room of the `scene`; `expected`: `ok` or the code."""

    scene: str
    command: str
    target: str | None
    actor: str
    expected: str

    def __str__(self) -> str:
        """Return what identifies it in a test's output."""
        return f"{self.scene}/{self.command}/{self.target or ''}/{self.actor}"


def cells() -> list[Cell]:
    """Read the table."""
    return list(_parsed(TABLE.read_text().splitlines()))


def _parsed(lines: Iterable[str]) -> Iterator[Cell]:
    scene, actors = "", [""]
    for line in lines:
        words = line.split()
        if not words or line.startswith("#"):
            continue
        if line.startswith("["):
            scene, actors = line[1 : line.index("]")], line[line.index("]") + 1 :].split()
            continue
        (command, *upon), answers = words[: -len(actors)], words[-len(actors) :]
        for actor, expected in zip(actors, answers, strict=True):
            yield Cell(scene, command, upon[0] if upon else None, actor, expected)


ACTORS = {
    "public": ("stranger", "invited", "member", "muted", "moderator", "owner", "banned"),
    "private": ("stranger", "invited", "member", "muted", "moderator", "owner", "banned"),
    "public archived": ("stranger", "invited", "member", "muted", "moderator", "owner", "banned"),
    "private archived": ("stranger", "invited", "member", "muted", "moderator", "owner", "banned"),
    "direct": ("stranger", "member", "muted"),
    "direct blocked": ("stranger", "blocker", "blocked"),
    "inbox": ("stranger", "owner"),
    "unknown": ("stranger",),
}
"""The scenes, and what one can be to a room there."""
PLAIN = ("read", "send", "join", "leave", "leave-last", "rename", "archive", "restore", "create")
UPON = ("invite", "remove", "ban", "unban", "mute", "unmute", "role-owner", "role-moderator", "role-member")
LAST = ("leave-last", "role-last")
"""Done in a room that has one owner; the others have two."""


def wanted() -> set[tuple[str, str, str | None, str]]:
    """Return every (scene, command, target, actor) that the table must have."""
    found: set[tuple[str, str, str | None, str]] = set()
    for scene, actors in ACTORS.items():
        targets = ("self", "stranger", *(actor for actor in actors if actor != "stranger"))
        for actor in actors:
            found |= {(scene, command, None, actor) for command in PLAIN}
            found |= {(scene, command, target, actor) for command in UPON for target in targets}
            found.add((scene, "role-last", "self", actor))
    return found


@dataclass(frozen=True, slots=True)
class Scene:
    """A room that is as a cell wants it. `people`: somebody by each membership; `two`: another one."""

    name: str
    room: str
    people: dict[str, str]
    two: dict[str, str]
    block: tuple[str, str] | None = None
    """Who has blocked whom, in a direct room."""

    def command(self, cell: Cell) -> c.AnyCommand:
        """Return what the cell's actor does."""
        sender = self.people[cell.actor]
        common: c.Common = {"id": new_id(), "room": self.room, "sender": sender, "name": sender, "key": new_id()}
        match cell.command:
            case "send":
                return c.Send(**common, text="hi")
            case "create":
                return c.CreateRoom(**common, kind="public", title="T")
            case "rename":
                return c.Rename(**common, title="another")
            case "role-last":
                return c.SetRole(**common, user=sender, role="member")
        plain: dict[str, Any] = {
            "join": c.Join,
            "leave": c.Leave,
            "leave-last": c.Leave,
            "archive": c.Archive,
            "restore": c.Restore,
        }
        found: c.AnyCommand
        if cell.command in plain:
            found = plain[cell.command](**common)
            return found
        user = self.target(cell)
        command, _, role = cell.command.partition("-")
        upon: dict[str, Any] = {
            "invite": c.Invite, "remove": c.Remove, "ban": c.Ban, "unban": c.Unban, "mute": c.Mute, "unmute": c.Unmute,
            "role": c.SetRole,
        }  # fmt: skip
        found = upon[command](**common, user=user, **({"role": role} if role else {}))
        return found

    def target(self, cell: Cell) -> str:
        """Return the id of the one whom it is done to."""
        target = cell.target or "self"
        if target == "self":
            return self.people[cell.actor]
        return self.two[target] if target == cell.actor else self.people[target]


def new_scene(name: str, *, last: bool = False) -> tuple[Scene, list[c.AnyCommand]]:
    """Return a scene and the commands that set it up; `last`: there is one owner."""
    tag = secrets.token_hex(4)
    people = {membership: f"{membership}-{tag}" for membership in ACTORS[name]}
    two = {membership: f"{membership}2-{tag}" for membership in ACTORS[name]}
    match name.partition(" ")[0]:
        case "unknown":
            return Scene(name, f"none-{tag}", people, two), []
        case "inbox":
            return Scene(name, inbox_room(people["owner"]), people, two), []
        case "direct":
            return _direct(name, people, two)
    scene = Scene(name, f"scene-{tag}", people, two)
    return scene, [*_furnish(scene, last=last)]


def _direct(name: str, people: dict[str, str], two: dict[str, str]) -> tuple[Scene, list[c.AnyCommand]]:
    """Two people, one of whom is muted, or blocked: each is the other's `target`, whatever they are."""
    first, second = ("blocker", "blocked") if name.endswith("blocked") else ("member", "muted")
    one, other = people[first], people[second]
    room = direct_room(one, other)
    scene = Scene(name, room, people, {**two, first: other, second: one}, (one, other) if first == "blocker" else None)
    made = c.CreateDirect(**_by(room, one), user=other)
    if scene.block is None:
        return scene, [made, c.Mute(**_by(room, one), user=other)]
    return scene, [made, c.Block(**_by(inbox_room(one), one), user=other)]


def _furnish(scene: Scene, *, last: bool) -> Iterator[c.AnyCommand]:
    room, owner = scene.room, scene.people["owner"]
    kind, _, archived = scene.name.partition(" ")
    yield c.CreateRoom(**_by(room, owner), kind="private" if kind == "private" else "public", title="T")
    for people in (scene.people, scene.two):
        for membership in ("invited", "member", "muted", "moderator", "banned", "owner"):
            user = people[membership]
            if user == owner or (last and membership == "owner"):
                continue
            yield c.Invite(**_by(room, owner), user=user)
            if membership != "invited":
                yield c.Join(**_by(room, user))
            if membership == "muted":
                yield c.Mute(**_by(room, owner), user=user)
            if membership == "banned":
                yield c.Ban(**_by(room, owner), user=user)
            if membership in ("moderator", "owner"):
                yield c.SetRole(**_by(room, owner), user=user, role="owner" if membership == "owner" else "moderator")
    if archived:
        yield c.Archive(**_by(room, owner))


def _by(room: str, sender: str) -> c.Common:
    return {"id": new_id(), "room": room, "sender": sender, "name": sender, "key": new_id()}
