"""The registry of queries: the one handler of each type.

A new query is a model in `warren.contract.queries`, a module here that says what it reads and who may, and an entry.
That whoever asks is who they say, the consumer has made sure of before.
"""

from collections.abc import Awaitable, Callable
from typing import Any

from pydantic import BaseModel
from warren.contract import queries as q

from warren_persistence.queries import (
    blocks,
    directory,
    event_range,
    heads,
    history,
    members,
    my_rooms,
    people,
    room_access,
    room_accesses,
    shared_room,
    sign_ins,
)
from warren_persistence.queries.context import QueryContext

Handler = Callable[[QueryContext, Any], Awaitable[BaseModel]]
"""Returns the answer, q.Denied included. Raises StoreUnavailable."""

HANDLERS: dict[type[q.AnyQuery], Handler] = {
    q.RoomAccess: room_access.answer,
    q.RoomAccesses: room_accesses.answer,
    q.EventRange: event_range.answer,
    q.History: history.answer,
    q.MyRooms: my_rooms.answer,
    q.Directory: directory.answer,
    q.Heads: heads.answer,
    q.Members: members.answer,
    q.People: people.answer,
    q.Acquaintance: shared_room.answer,
    q.Blocks: blocks.answer,
    q.SignIns: sign_ins.answer,
}
