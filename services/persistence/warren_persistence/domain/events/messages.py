"""What people say."""

from warren.contract import commands as c
from warren.contract import events as e
from warren.contract.codes import Code

from warren_persistence.domain.event_type import Case, Denial, EventType, Verb
from warren_persistence.domain.policy import BLOCKING, in_room


def _may_send(case: Case[c.Send]) -> Denial | None:
    room, command, sender = case.room, case.command, case.sender
    if room.kind == "direct" and (command.sender, room.other(command.sender)) in case.facts.blocks:
        return BLOCKING
    if sender.state != "member":
        return (Code.FORBIDDEN, "join the room before you write in it")
    if sender.muted is not None:
        return (Code.FORBIDDEN, "muted in this room")
    if command.reply_to is not None and command.reply_to > room.head:
        return (Code.INVALID, "reply_to names a seq that the room has not reached")
    return None


TYPES = (EventType(e.Message, (Verb(c.Send, in_room(_may_send, direct=True)),)),)
