"""Who comes and goes, and what they may do."""

from warren.contract import commands as c
from warren.contract import events as e
from warren.contract.codes import Code
from warren.contract.ids import UserId

from warren_persistence.domain.event_type import Case, Changes, Denial, EventType, Verb, target
from warren_persistence.domain.facts import Needs
from warren_persistence.domain.policy import (
    NOT_A_MEMBER,
    OUTSIDE,
    for_role,
    in_room,
    lacks,
    last_owner,
    no_more_rooms,
    outranked,
    over_lower,
)
from warren_persistence.domain.room import FOREVER, Room, inside, outside


def _may_join(case: Case[c.Join]) -> Denial | None:
    return (Code.EXISTS, "already a member") if case.sender.state == "member" else no_more_rooms(case)


def _to_join(_room: Room, command: c.Join) -> Needs:
    return Needs(rooms_of=command.sender)


def _may_leave(case: Case[c.Leave]) -> Denial | None:
    if case.sender.state not in ("member", "invited"):
        return OUTSIDE
    return None if case.room.archived else last_owner(case)


def _whether_invited(case: Case[c.Join | c.Leave]) -> Changes:
    return {"invited": case.sender.state == "invited" or None}


def _may_invite(case: Case[c.Invite]) -> Denial | None:
    if case.room.kind == "private" and (why := lacks(case, "moderator")):
        return why
    match target(case).state:
        case "member":
            return (Code.EXISTS, "already a member")
        case "invited":
            return (Code.EXISTS, "already invited")
        case "banned":
            return (Code.FORBIDDEN, "banned: lift the ban first")
    return None


def _may_remove(case: Case[c.Remove]) -> Denial | None:
    return None if target(case).state in ("member", "invited") else OUTSIDE


def _may_unban(case: Case[c.Unban]) -> Denial | None:
    return None if target(case).state == "banned" else (Code.EXISTS, "not banned, as it is")


def _may_mute(case: Case[c.Mute]) -> Denial | None:
    return _until_is_to_come(case) if target(case).state == "member" else NOT_A_MEMBER


def _may_unmute(case: Case[c.Unmute]) -> Denial | None:
    return (Code.EXISTS, "not muted, as it is") if target(case).muted is None else None


def _until_is_to_come(case: Case[c.Ban | c.Mute]) -> Denial | None:
    until = case.command.until
    return (Code.INVALID, "until is over already") if until is not None and until <= case.now else None


def _may_set_role(case: Case[c.SetRole]) -> Denial | None:
    found, command = target(case), case.command
    if found.state != "member":
        return NOT_A_MEMBER
    if found.role == command.role:
        return (Code.EXISTS, f"{command.role} already")
    return last_owner(case) if command.user == command.sender else outranked(case)


def _invited(event: e.MemberJoined | e.MemberLeft) -> UserId | None:
    """Return who has answered an invitation by it.

    They know it. But the invitation was told in the inbox, so it is there that it has to end: nothing else tells their
    other devices, and nothing at all tells whoever has left the room since.
    """
    return event.user if event.invited else None


def _another(event: e.TargetedEvent) -> UserId | None:
    """Return whom it befalls by somebody else's doing: who acts upon themselves knows it."""
    return event.user if event.user != event.sender else None


TYPES = (
    EventType(
        e.MemberJoined,
        (Verb(c.Join, in_room(_may_join, needs=_to_join), derive=_whether_invited),),
        members=lambda event: {event.user: inside("member")},
        recipient=_invited,
        signed_in=True,
    ),
    EventType(
        e.MemberLeft,
        (Verb(c.Leave, in_room(_may_leave, archived=True), derive=_whether_invited),),
        members=lambda event: {event.user: outside("none")},
        recipient=_invited,
    ),
    EventType(
        e.MemberInvited,
        (Verb(c.Invite, for_role("member", _may_invite)),),
        members=lambda event: {event.user: outside("invited")},
        recipient=_another,
    ),
    EventType(
        e.MemberRemoved,
        (Verb(c.Remove, over_lower("moderator", _may_remove, archived=True)),),
        members=lambda event: {event.user: outside("none")},
        recipient=_another,
    ),
    EventType(
        e.MemberBanned,
        (Verb(c.Ban, over_lower("moderator", _until_is_to_come, archived=True)),),
        members=lambda event: {event.user: outside("banned", event.until or FOREVER)},
        recipient=_another,
    ),
    EventType(
        e.MemberUnbanned,
        (Verb(c.Unban, over_lower("moderator", _may_unban, archived=True)),),
        members=lambda event: {event.user: outside("none")},
        recipient=_another,
    ),
    EventType(
        e.MemberMuted,
        (Verb(c.Mute, over_lower("moderator", _may_mute, direct=True)),),
        members=lambda event: {event.user: {"muted": event.until or FOREVER}},
        recipient=_another,
    ),
    EventType(
        e.MemberUnmuted,
        (Verb(c.Unmute, over_lower("moderator", _may_unmute, direct=True)),),
        members=lambda event: {event.user: {"muted": None}},
        recipient=_another,
    ),
    EventType(
        e.RoleChanged,
        (Verb(c.SetRole, for_role("owner", _may_set_role)),),
        members=lambda event: {event.user: {"role": event.role}},
        recipient=_another,
    ),
)
