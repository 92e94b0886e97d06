"""Commands over HTTP: what a route was asked for comes in, its command goes to the writer, the outcome goes out."""

from pydantic import BaseModel
from warren.contract import commands as c
from warren.contract.codes import Code
from warren.contract.ids import MYSELF, Key, new_id, shown

from warren_gateway.auth.tokens import User
from warren_gateway.context import AppContext
from warren_gateway.http.errors import ProblemError, accepted


class Change(BaseModel):
    """What was done to whom. `seq` is its place in the room's log, null if it was so already."""

    room: str
    user: str
    seq: int | None


async def submit(context: AppContext, command: c.AnyCommand) -> c.Accepted:
    """Have the command done; return where it is stored. Raises ProblemError."""
    return accepted(await context.command_client.call(command))


async def ensure(context: AppContext, command: c.AnyCommand) -> Change:
    """Have the command done; that it was done already is as good.

    Who leaves is outside, whether the room exists or not: so a private one can be left twice, and that reveals nothing.
    """
    fine = (Code.EXISTS, Code.NOT_FOUND) if isinstance(command, c.Leave) else (Code.EXISTS,)
    user = command.user if isinstance(command, c.TargetedCommand) else command.sender
    try:
        stored = await submit(context, command)
    except ProblemError as problem:
        if problem.code not in fine:
            raise
        return Change(room=shown(command.room), user=user, seq=None)
    return Change(room=shown(command.room), user=user, seq=stored.seq)


def common_fields(user: User, room: str, key: Key | None) -> c.Common:
    """Return the common fields of a command of this person, in this room, under this key or one of its own."""
    return {"id": new_id(), "room": room, "sender": user.id, "name": user.name, "key": key or new_id()}


def target_of(user: str, caller: User) -> str:
    """Return whom a path means, in which `me` is the caller."""
    return caller.id if user == MYSELF else user
