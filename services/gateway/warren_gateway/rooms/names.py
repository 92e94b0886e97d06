"""What clients call a room, and what it is called between the services."""

from warren.broker.rpc_client import QueryDenied
from warren.contract.codes import Code
from warren.contract.ids import INBOX, inbox_room, is_inbox
from warren.contract.queries import Denied


def resolve(room: str, user: str) -> str:
    """Return the id of the room that `user` means. Raises QueryDenied.

    An inbox has one name, `@me`, and no other person's has any.
    """
    if is_inbox(room):
        raise QueryDenied(Denied(code=Code.NOT_FOUND, detail="no such room"))
    return actual(room, user)


def actual(room: str, user: str) -> str:
    """Return the id of a room that `user` is known to have named rightly."""
    return inbox_room(user) if room == INBOX else room
