"""The default room, which whoever is new finds: it is made once, by whichever gateway comes first."""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from warren.broker.backoff import backoff, pause
from warren.broker.command_client import CommandClient
from warren.contract.bots import bot_user
from warren.contract.codes import TEMPORARY, Code
from warren.contract.commands import Accepted, CreateRoom
from warren.contract.ids import new_id
from warren.supervise import Tasks

log = logging.getLogger(__name__)

OWNER = bot_user("warren")
"""Whose room it is: nobody has a token with such an id. An operator can make the bot, which is the owner then."""
KEY = "landing"
"""The key under which it has always been made."""
WAIT_CAP = 30.0
"""Seconds between two tries while broker or store are away, at most."""


@asynccontextmanager
async def default_room(command_client: CommandClient, room: str | None, title: str) -> AsyncIterator[None]:
    """See to it beside the caller that the room is there, if there shall be one; no matter how long that takes."""
    tasks = Tasks("landing")
    if room:
        tasks.start(_make(command_client, room, title))
    try:
        yield
    finally:
        tasks.cancel()
        await tasks.done()


async def _make(command_client: CommandClient, room: str, title: str) -> None:
    """Return once the room is there: made now or before, by a gateway or by anybody else."""
    for wait in backoff(cap=WAIT_CAP):
        answer = await command_client.call(
            CreateRoom(id=new_id(), room=room, sender=OWNER, name="Warren", key=KEY, kind="public", title=title)
        )
        # With a seq it was made under this key before, when its title was to be another.
        if isinstance(answer, Accepted) or answer.code == Code.EXISTS or answer.seq is not None:
            return
        if answer.code not in TEMPORARY:
            log.error("the default room can't be made", extra={"room": room, "reason": answer.detail})
            return
        await pause(wait)
