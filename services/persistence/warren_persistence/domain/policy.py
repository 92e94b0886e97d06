"""What the rules of all commands have in common: who may enter a room, and who stands above whom.

The checks go from what everybody may know to what few may: who must not know of the room learns nothing but
`not_found`, who may not do a thing learns nothing about the one it would be done to.
"""

from collections.abc import Callable
from dataclasses import replace

from warren.contract.codes import Code
from warren.contract.commands import BaseCommand, TargetedCommand
from warren.contract.events import Role, RoomKind
from warren.contract.ids import UserId, is_direct, is_inbox

from warren_persistence.domain.event_type import C, Case, Denial, Policy, Rule, T, target
from warren_persistence.domain.facts import NOTHING, Needs
from warren_persistence.domain.room import Membership, Room

NO_SUCH_ROOM: Denial = (Code.NOT_FOUND, "no such room")
NOT_A_MEMBER: Denial = (Code.NOT_FOUND, "not a member of this room")
OUTSIDE: Denial = (Code.EXISTS, "not a member of this room, as it is")
UNKNOWN_PERSON: Denial = (Code.NOT_FOUND, "nobody of this id has signed in")
BLOCKING: Denial = (Code.FORBIDDEN, "you have blocked them: lift that first")
TARGETS_ONESELF: Denial = (Code.INVALID, "not upon oneself")
_BANNED: Denial = (Code.FORBIDDEN, "banned from this room")
_RANK: dict[Role | None, int] = {None: 0, "member": 1, "moderator": 2, "owner": 3}


def may_read(kind: RoomKind, membership: Membership) -> Denial | None:
    """Return why somebody of this membership may not read a room of this kind that exists."""
    if kind == "public":
        return _BANNED if membership.state == "banned" else None
    if membership.state == "invited":
        return (Code.FORBIDDEN, "accept the invitation first")
    return None if membership.state == "member" else NO_SUCH_ROOM


def in_room(
    rule: Rule[C],
    *,
    direct: bool = False,
    archived: bool = False,
    needs: Callable[[Room, C], Needs] | None = None,
) -> Policy[C]:
    """Return the policy of a command in a room that there is, whose sender may know of it.

    `direct`, `archived`: whether it may be given in rooms that are. `needs`: what `rule` needs.
    """

    def decide(case: Case[C]) -> Denial | None:
        return _on_entry(case, direct=direct, archived=archived) or rule(case)

    def need(room: Room, command: C) -> Needs:
        found = needs(room, command) if needs else NOTHING
        pair = room.pair or ((command.sender, room.name) if is_direct(room.name) else None)
        # A direct room that does not exist has somebody, too, who is nobody: so it takes as long to be told of it.
        return replace(found, blocks=pair) if pair else found

    return Policy(decide, need)


def for_role(role: Role, rule: Rule[C] | None = None, *, direct: bool = False, archived: bool = False) -> Policy[C]:
    """Return the policy of a command for members of this role or above; in direct rooms both people's."""

    def decide(case: Case[C]) -> Denial | None:
        return lacks(case, "member" if case.room.kind == "direct" else role) or (rule(case) if rule else None)

    return in_room(decide, direct=direct, archived=archived)


def over_lower(role: Role, rule: Rule[T], *, direct: bool = False, archived: bool = False) -> Policy[T]:
    """Return the policy of a command of this role upon somebody below it; in direct rooms both people's."""

    def decide(case: Case[T]) -> Denial | None:
        if case.command.user == case.command.sender:
            return TARGETS_ONESELF
        below = None if case.room.kind == "direct" else outranked(case)
        return below or rule(case)

    return for_role(role, decide, direct=direct, archived=archived)


def lacks(case: Case[BaseCommand], role: Role) -> Denial | None:
    """Return why the sender is no member of this role or above."""
    if case.sender.state != "member":
        return (Code.FORBIDDEN, "only members may do this")
    if _RANK[case.sender.role] < _RANK[role]:
        return (Code.FORBIDDEN, f"only for the room's {role}s")
    return None


def outranked(case: Case[TargetedCommand]) -> Denial | None:
    """Return why the sender does not stand above whom the command is about."""
    if _RANK[target(case).role] >= _RANK[case.sender.role]:
        return (Code.FORBIDDEN, "not upon somebody of one's own role or above")
    return None


def last_owner(case: Case[BaseCommand]) -> Denial | None:
    """Return why the sender may not cease to be an owner."""
    if case.sender.role == "owner" and case.room.owners <= 1:
        return (Code.FORBIDDEN, "the last owner: make somebody else owner, or archive the room")
    return None


def no_more_rooms(case: Case[BaseCommand]) -> Denial | None:
    """Return why the sender may not enter another room."""
    user: UserId = case.command.sender
    return (Code.FORBIDDEN, f"{user} is in as many rooms as one may be") if user in case.facts.full else None


def _on_entry(case: Case[BaseCommand], *, direct: bool, archived: bool) -> Denial | None:
    """Whether this is a room in which the sender can do such a thing at all."""
    room, sender = case.room, case.sender
    if not room.head or is_inbox(room.name) or (room.kind != "public" and sender.state not in ("member", "invited")):
        return NO_SUCH_ROOM
    if sender.state == "banned":
        return _BANNED
    if room.kind == "direct":
        return _on_direct_entry(case, direct=direct)
    if room.archived and not archived:
        return (Code.FORBIDDEN, "the room is archived")
    return None


def _on_direct_entry(case: Case[BaseCommand], *, direct: bool) -> Denial | None:
    sender = case.command.sender
    if (case.room.other(sender), sender) in case.facts.blocks:
        return NO_SUCH_ROOM  # who is blocked learns nothing
    return None if direct else (Code.FORBIDDEN, "not in a direct room")
