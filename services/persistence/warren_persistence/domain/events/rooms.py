"""What becomes of rooms as such."""

from warren.contract import commands as c
from warren.contract import events as e
from warren.contract.codes import Code
from warren.contract.ids import UserId, direct_room, is_reserved

from warren_persistence.domain.event_type import Case, Changes, Denial, EventType, Policy, Verb
from warren_persistence.domain.facts import Needs
from warren_persistence.domain.policy import BLOCKING, UNKNOWN_PERSON, for_role, no_more_rooms
from warren_persistence.domain.room import Room, inside


def _may_create(case: Case[c.CreateRoom]) -> Denial | None:
    if is_reserved(case.room.name):
        return (Code.INVALID, "ids that begin with me- or dm- are not for rooms made by hand")
    if case.room.head:
        return (Code.EXISTS, "a room of this name exists already")
    return no_more_rooms(case)


def _may_create_direct(case: Case[c.CreateDirect]) -> Denial | None:
    room, command, facts = case.room, case.command, case.facts
    if command.user == command.sender:
        return (Code.INVALID, "a direct room takes two people")
    if room.name != direct_room(command.sender, command.user):
        return (Code.INVALID, "not the direct room of these two")
    if (command.user, command.sender) in facts.blocks:
        return UNKNOWN_PERSON  # as if they had never been here
    if room.head:
        return (Code.EXISTS, "the room exists already")
    if command.user in facts.unknown:
        return UNKNOWN_PERSON
    if (command.sender, command.user) in facts.blocks:
        return BLOCKING
    # It counts against who opens it: else anybody could fill anybody's rooms.
    return no_more_rooms(case)


def _to_create(_room: Room, command: c.CreateRoom) -> Needs:
    return Needs(rooms_of=command.sender)


def _to_create_direct(_room: Room, command: c.CreateDirect) -> Needs:
    return Needs(rooms_of=command.sender, person=command.user, blocks=(command.sender, command.user))


def _may_archive(case: Case[c.Archive]) -> Denial | None:
    return (Code.EXISTS, "the room is archived already") if case.room.archived else None


def _may_restore(case: Case[c.Restore]) -> Denial | None:
    return None if case.room.archived else (Code.EXISTS, "the room is not archived")


def _created(event: e.RoomCreated) -> Changes:
    pair = {} if event.user is None else {"pair": (event.sender, event.user)}
    return {"kind": event.kind, "title": event.title, "archived": False, **pair}


def _first_members(event: e.RoomCreated) -> dict[UserId, Changes]:
    if event.kind == "direct" and event.user is not None:
        return {event.sender: inside("member"), event.user: {**inside("member"), "unasked": event.at}}
    return {event.sender: inside("owner")}


TYPES = (
    EventType(
        e.RoomCreated,
        (
            Verb(c.CreateRoom, Policy(_may_create, _to_create)),
            Verb(c.CreateDirect, Policy(_may_create_direct, _to_create_direct)),
        ),
        room=_created,
        members=_first_members,
        recipient=lambda event: event.user,
        signed_in=True,
    ),
    EventType(e.RoomRenamed, (Verb(c.Rename, for_role("moderator")),), room=lambda event: {"title": event.title}),
    EventType(
        e.RoomArchived,
        (Verb(c.Archive, for_role("owner", _may_archive, archived=True)),),
        room=lambda _: {"archived": True},
    ),
    EventType(
        e.RoomRestored,
        (Verb(c.Restore, for_role("owner", _may_restore, archived=True)),),
        room=lambda _: {"archived": False},
    ),
)
