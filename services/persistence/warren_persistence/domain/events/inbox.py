"""What happens in somebody's inbox: notices of what concerns them elsewhere, and what they decide about others."""

from warren.contract import commands as c
from warren.contract import events as e
from warren.contract.codes import Code
from warren.contract.ids import inbox_room, is_inbox

from warren_persistence.domain.event_type import Case, Denial, EventType, Policy, Rule, T, Verb, target
from warren_persistence.domain.facts import Needs
from warren_persistence.domain.policy import NO_SUCH_ROOM, TARGETS_ONESELF, UNKNOWN_PERSON
from warren_persistence.domain.room import FOREVER, Room, outside

_UNASKED = ("member.invited", "room.created")
"""What somebody is told of who had no part in it: not by whom they have blocked."""
_ALREADY: Denial = (Code.EXISTS, "it is so already")


def _may_notify(case: Case[c.Notify]) -> Denial | None:
    if not is_inbox(case.room.name):
        return NO_SUCH_ROOM
    if case.command.what in _UNASKED and case.sender.state == "banned":
        return (Code.FORBIDDEN, "blocked")
    return None


def _in_own_inbox(rule: Rule[T]) -> Rule[T]:
    def decide(case: Case[T]) -> Denial | None:
        if case.room.name != inbox_room(case.command.sender):
            return NO_SUCH_ROOM
        if case.command.user == case.command.sender:
            return TARGETS_ONESELF
        return rule(case)

    return decide


def _may_block(case: Case[c.Block]) -> Denial | None:
    if target(case).state == "banned":
        return _ALREADY
    return UNKNOWN_PERSON if case.command.user in case.facts.unknown else None


def _to_block(_room: Room, command: c.Block) -> Needs:
    return Needs(person=command.user)


def _may_unblock(case: Case[c.Unblock]) -> Denial | None:
    return None if target(case).state == "banned" else _ALREADY


def _may_hide(case: Case[c.Hide]) -> Denial | None:
    return _ALREADY if target(case).hidden == case.command.upto else None


def _may_show(case: Case[c.Show]) -> Denial | None:
    return _ALREADY if target(case).hidden is None else None


TYPES = (
    EventType(e.Notice, (Verb(c.Notify, Policy(_may_notify), internal=True),)),
    EventType(
        e.PersonBlocked,
        (Verb(c.Block, Policy(_in_own_inbox(_may_block), _to_block)),),
        members=lambda event: {event.user: outside("banned", FOREVER)},
    ),
    EventType(
        e.PersonUnblocked,
        (Verb(c.Unblock, Policy(_in_own_inbox(_may_unblock))),),
        members=lambda event: {event.user: outside("none")},
    ),
    EventType(
        e.DirectHidden,
        (Verb(c.Hide, Policy(_in_own_inbox(_may_hide))),),
        members=lambda event: {event.user: {"hidden": event.upto}},
    ),
    EventType(
        e.DirectShown,
        (Verb(c.Show, Policy(_in_own_inbox(_may_show))),),
        members=lambda event: {event.user: {"hidden": None}},
    ),
)
