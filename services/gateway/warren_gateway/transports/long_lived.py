"""Requests that are answered for as long as the client wants."""

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Annotated

from fastapi import Depends
from pydantic import BeforeValidator, Field, TypeAdapter, ValidationError
from starlette.types import Receive
from warren.contract.codes import Code
from warren.contract.ids import Cursor, RoomRef
from warren.contract.presence import OnlineStatus
from warren.contract.wire import Strict
from warren.supervise import contained
from warren.untrusted import first_error, shown, unknown_field

from warren_gateway import metrics
from warren_gateway.auth.tokens import User
from warren_gateway.connections.protocol import TOO_MANY_CONNECTIONS_MS
from warren_gateway.context import AppContext
from warren_gateway.http.dependencies import Context, Me
from warren_gateway.http.errors import ProblemError
from warren_gateway.rooms.names import actual
from warren_gateway.transports.cursors import Cursors, Position

_ROOM: TypeAdapter[str] = TypeAdapter(RoomRef)


class RoomCursor(Strict):
    """Where the client is in a room. Without `since` nothing is replayed."""

    since: Cursor | None = None
    epoch: str | None = Field(default=None, max_length=64)


def one_by_one(model: type[RoomCursor]) -> BeforeValidator:
    """Stop at the first cursor that is wrong: there may be thousands, and an error would be made of each."""

    def check(found: object) -> object:
        if not isinstance(found, dict):
            return found  # for what comes next to say
        return {room: _cursor(model, room, cursor) for room, cursor in found.items()}

    return BeforeValidator(check)


def _cursor(model: type[RoomCursor], room: str, found: object) -> RoomCursor:
    if isinstance(found, dict) and (name := unknown_field(found, model)):
        raise ValueError(f"there is no such field as {name}")
    try:
        _ROOM.validate_python(room)
        return model.model_validate(found)
    except ValidationError as error:
        raise ValueError(shown(f"{shown(room)}: {first_error(error)}")) from error


class Following(Strict):
    """The rooms to follow, and whether anybody is at the device."""

    cursors: Annotated[dict[RoomRef, RoomCursor], one_by_one(RoomCursor)] = Field(min_length=1)
    status: OnlineStatus = "online"


def cursors_of(cursors: Mapping[str, RoomCursor], user: User, context: AppContext) -> Cursors:
    """Return where the client is. Raises ProblemError for more rooms than one connection may follow, or just now."""
    if len(cursors) > context.settings.rooms_per_connection:
        raise ProblemError(Code.INVALID, f"more than {context.settings.rooms_per_connection} rooms")
    found = Cursors({room: Position(cursor.since, cursor.epoch) for room, cursor in cursors.items()})
    pay_for(found, user, context)
    return found


def pay_for(cursors: Cursors, user: User, context: AppContext) -> None:
    """Take what it costs to ask the store for somebody's access and what they missed. Raises ProblemError.

    Who goes on at the cursors of their last poll pays nothing, unless what follows is no longer kept here.
    """
    unknown = sum(
        not context.registry.knows(actual(room, user.id), user.id, position.since)
        for room, position in cursors.positions.items()
    )
    if not unknown:
        return
    now = time.monotonic()
    if wait := context.people.joins.wait(user.id, now):
        metrics.LIMITED.labels("join").inc()
        raise ProblemError(Code.TOO_MANY, "too many rooms to look for", wait)
    context.people.joins.charge(user.id, unknown, now)


@contextmanager
def disconnect_watched(receive: Receive, gone: Callable[[], None]) -> Iterator[None]:
    """Hold a request; `gone` is called when its client has hung up."""
    watching = asyncio.create_task(_watch(receive, gone))
    try:
        yield
    finally:
        watching.cancel()


async def _watch(receive: Receive, gone: Callable[[], None]) -> None:
    with contained("connection", gone):
        while (await receive())["type"] != "http.disconnect":
            pass
        gone()


async def _long_lived_user(user: Me, context: Context) -> User:
    """Return who is asking, at the price of a read, if there is room among their connections."""
    if context.people.connections.is_full(user.id):
        metrics.LIMITED.labels("connection").inc()
        raise ProblemError(Code.TOO_MANY, "too many connections", TOO_MANY_CONNECTIONS_MS / 1_000)
    return user


LongLivedUser = Annotated[User, Depends(_long_lived_user)]
