"""Who may do what, where: every rule of Warren, as pure functions of a room's state, a command and the time.

The checks go from what everybody may know to what few may: who must not know of the room learns nothing but
`not_found`, who may not do a thing learns nothing about the one it would be done to.
"""

from datetime import datetime

from warren.contract import commands as c
from warren.contract.codes import Code
from warren.contract.events import Role, RoomKind
from warren.contract.ids import direct_room, inbox_room, is_inbox, is_reserved

from warren_persistence.domain.facts import Facts
from warren_persistence.domain.room import Membership, Room

Denial = tuple[Code, str]
"""Why not: a code and a sentence."""

NO_SUCH_ROOM: Denial = (Code.NOT_FOUND, "no such room")
_NOT_A_MEMBER: Denial = (Code.NOT_FOUND, "not a member of this room")
_OUTSIDE: Denial = (Code.EXISTS, "not a member of this room, as it is")
_NOBODY: Denial = (Code.NOT_FOUND, "nobody of this id has signed in")
_BLOCKING: Denial = (Code.FORBIDDEN, "you have blocked them: lift that first")
_BANNED: Denial = (Code.FORBIDDEN, "banned from this room")
_RANK: dict[Role | None, int] = {None: 0, "member": 1, "moderator": 2, "owner": 3}
_IN_DIRECT_ROOMS = (c.Send, c.Mute, c.Unmute)
_IN_ARCHIVED_ROOMS = (c.Leave, c.Remove, c.Ban, c.Unban, c.Archive, c.Restore)
_UNASKED = ("member.invited", "room.created")
"""What somebody is told of who had no part in it: not by whom they have blocked."""
_NEEDED: dict[type[c.AnyCommand], Role] = {
    c.Rename: "moderator",
    c.Archive: "owner",
    c.Restore: "owner",
    c.Remove: "moderator",
    c.Ban: "moderator",
    c.Unban: "moderator",
    c.Mute: "moderator",
    c.Unmute: "moderator",
    c.SetRole: "owner",
}
"""The role that a command takes, where membership is not enough."""


def may_read(kind: RoomKind, membership: Membership) -> Denial | None:
    """Return why somebody of this membership may not read a room of this kind that exists."""
    if kind == "public":
        return _BANNED if membership.state == "banned" else None
    if membership.state == "invited":
        return (Code.FORBIDDEN, "accept the invitation first")
    return None if membership.state == "member" else NO_SUCH_ROOM


def denial(room: Room, command: c.AnyCommand, now: datetime, facts: Facts) -> Denial | None:
    """Return why the command may not be done as the room's next."""
    match command:
        case c.Notify():
            return _on_notice(room, command, now)
        case c.CreateRoom():
            return _on_create(room, command) or _on_more_rooms(command.sender, facts)
        case c.CreateDirect():
            return _on_direct(room, command, facts)
        case c.Block() | c.Unblock() | c.Hide() | c.Show():
            return _on_own_affair(room, command, now, facts)
    me = room.membership(command.sender, now)
    return _on_entry(room, command, me, facts) or _on_command(room, command, me, now, facts)


def _on_notice(room: Room, command: c.Notify, now: datetime) -> Denial | None:
    if not is_inbox(room.name):
        return NO_SUCH_ROOM
    if command.what in _UNASKED and room.membership(command.sender, now).state == "banned":
        return (Code.FORBIDDEN, "blocked")
    return None


def _on_create(room: Room, command: c.CreateRoom) -> Denial | None:
    if is_reserved(room.name):
        return (Code.INVALID, "ids that begin with me- or dm- are not for rooms made by hand")
    return (Code.EXISTS, "a room of this name exists already") if room.head else None


def _on_direct(room: Room, command: c.CreateDirect, facts: Facts) -> Denial | None:
    if command.user == command.sender:
        return (Code.INVALID, "a direct room takes two people")
    if room.name != direct_room(command.sender, command.user):
        return (Code.INVALID, "not the direct room of these two")
    if (command.user, command.sender) in facts.blocks:
        return _NOBODY  # as if they had never been here
    if room.head:
        return (Code.EXISTS, "the room exists already")
    if command.user in facts.unknown:
        return _NOBODY
    if (command.sender, command.user) in facts.blocks:
        return _BLOCKING
    # It counts against who opens it: else anybody could fill anybody's rooms.
    return _on_more_rooms(command.sender, facts)


def _on_more_rooms(user: str, facts: Facts) -> Denial | None:
    return (Code.FORBIDDEN, f"{user} is in as many rooms as one may be") if user in facts.full else None


def _on_own_affair(
    room: Room, command: c.Block | c.Unblock | c.Hide | c.Show, now: datetime, facts: Facts
) -> Denial | None:
    if room.name != inbox_room(command.sender):
        return NO_SUCH_ROOM
    if command.user == command.sender:
        return (Code.INVALID, "not upon oneself")
    target = room.membership(command.user, now)
    match command:
        case c.Block() if target.state != "banned":
            return _NOBODY if command.user in facts.unknown else None
        case c.Unblock() if target.state == "banned":
            return None
        case c.Hide() if target.hidden != command.upto:
            return None
        case c.Show() if target.hidden is not None:
            return None
    return (Code.EXISTS, "it is so already")


def _on_entry(room: Room, command: c.AnyCommand, me: Membership, facts: Facts) -> Denial | None:
    """Whether this is a room in which the sender can do such a thing at all."""
    if not room.head or is_inbox(room.name) or (room.kind != "public" and me.state not in ("member", "invited")):
        return NO_SUCH_ROOM
    if me.state == "banned":
        return _BANNED
    if room.kind == "direct":
        return _on_direct_entry(room, command, facts)
    if room.archived and not isinstance(command, _IN_ARCHIVED_ROOMS):
        return (Code.FORBIDDEN, "the room is archived")
    return None


def _on_direct_entry(room: Room, command: c.AnyCommand, facts: Facts) -> Denial | None:
    sender, other = command.sender, room.other(command.sender)
    if (other, sender) in facts.blocks:
        return NO_SUCH_ROOM  # who is blocked learns nothing
    if not isinstance(command, _IN_DIRECT_ROOMS):
        return (Code.FORBIDDEN, "not in a direct room")
    return _BLOCKING if isinstance(command, c.Send) and (sender, other) in facts.blocks else None


def _on_command(room: Room, command: c.AnyCommand, me: Membership, now: datetime, facts: Facts) -> Denial | None:
    match command:
        case c.Send():
            return _on_send(room, command, me)
        case c.Join():
            already = (Code.EXISTS, "already a member") if me.state == "member" else None
            return already or _on_more_rooms(command.sender, facts)
        case c.Leave():
            return _on_leave(room, me)
    if me.state != "member":
        return (Code.FORBIDDEN, "only members may do this")
    needed = _needed(room, command)
    if _RANK[me.role] < _RANK[needed]:
        return (Code.FORBIDDEN, f"only for the room's {needed}s")
    match command:
        case c.Archive():
            return (Code.EXISTS, "the room is archived already") if room.archived else None
        case c.Restore():
            return None if room.archived else (Code.EXISTS, "the room is not archived")
        case c.Invite():
            return _on_invite(room.membership(command.user, now))
        case c.SetRole():
            return _on_role(room, command, me, room.membership(command.user, now))
        case c.Remove() | c.Ban() | c.Unban() | c.Mute() | c.Unmute():
            return _on_target(room, command, me, room.membership(command.user, now), now)
    return None


def _needed(room: Room, command: c.AnyCommand) -> Role:
    if room.kind == "direct":
        return "member"  # each may silence the other
    if isinstance(command, c.Invite) and room.kind == "private":
        return "moderator"
    return _NEEDED.get(type(command), "member")


def _on_send(room: Room, command: c.Send, me: Membership) -> Denial | None:
    if me.state != "member":
        return (Code.FORBIDDEN, "join the room before you write in it")
    if me.muted is not None:
        return (Code.FORBIDDEN, "muted in this room")
    if command.reply_to is not None and command.reply_to > room.head:
        return (Code.INVALID, "reply_to names a seq that the room has not reached")
    return None


def _on_leave(room: Room, me: Membership) -> Denial | None:
    if me.state not in ("member", "invited"):
        return _OUTSIDE
    return None if room.archived else _on_last_owner(room, me)


def _on_last_owner(room: Room, me: Membership) -> Denial | None:
    if me.role == "owner" and room.owners <= 1:
        return (Code.FORBIDDEN, "the last owner: make somebody else owner, or archive the room")
    return None


def _on_invite(target: Membership) -> Denial | None:
    match target.state:
        case "member":
            return (Code.EXISTS, "already a member")
        case "invited":
            return (Code.EXISTS, "already invited")
        case "banned":
            return (Code.FORBIDDEN, "banned: lift the ban first")
    return None


def _on_role(room: Room, command: c.SetRole, me: Membership, target: Membership) -> Denial | None:
    if target.state != "member":
        return _NOT_A_MEMBER
    if target.role == command.role:
        return (Code.EXISTS, f"{command.role} already")
    if command.user == command.sender:
        return _on_last_owner(room, me)
    return _on_rank(me, target)


def _on_rank(me: Membership, target: Membership) -> Denial | None:
    if _RANK[target.role] >= _RANK[me.role]:
        return (Code.FORBIDDEN, "not upon somebody of one's own role or above")
    return None


def _on_target(
    room: Room,
    command: c.Remove | c.Ban | c.Unban | c.Mute | c.Unmute,
    me: Membership,
    target: Membership,
    now: datetime,
) -> Denial | None:
    if command.user == command.sender:
        return (Code.INVALID, "not upon oneself")
    if room.kind != "direct" and (low := _on_rank(me, target)):
        return low
    match command:
        case c.Remove() if target.state not in ("member", "invited"):
            return _OUTSIDE
        case c.Mute() if target.state != "member":
            return _NOT_A_MEMBER
        case c.Unban() if target.state != "banned":
            return (Code.EXISTS, "not banned, as it is")
        case c.Unmute() if target.muted is None:
            return (Code.EXISTS, "not muted, as it is")
        case c.Ban() | c.Mute() if command.until is not None and command.until <= now:
            return (Code.INVALID, "until is over already")
    return None
