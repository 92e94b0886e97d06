"""Messages as the broker delivers them, made without one."""

from types import SimpleNamespace
from typing import Any, cast

from aiormq.abc import DeliveredMessage


def delivered(
    exchange: str,
    key: str,
    body: bytes,
    *,
    user: str | None = None,
    tag: int = 1,
    headers: dict[str, Any] | None = None,
    kind: str | None = None,
) -> DeliveredMessage:
    """Return a message; `user`: whom the broker vouches for; `kind`: its type."""
    properties = SimpleNamespace(user_id=user, headers=headers, message_type=kind)
    message = SimpleNamespace(
        exchange=exchange, routing_key=key, body=body, delivery_tag=tag, header=SimpleNamespace(properties=properties)
    )
    return cast(DeliveredMessage, message)
