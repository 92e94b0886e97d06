"""Dead letters: what could not be processed, with the reason."""

from warren.broker.publisher import PERSISTENT, Publisher
from warren.contract.topology import DEAD
from warren.contract.wire import rfc3339, utc_now


async def dead_letter(publisher: Publisher, body: bytes, *, reason: str, source: str, replica: str) -> None:
    """Put `body` on `warren.dead` with why, whence and who gave up. Raises Unavailable."""
    headers = {"reason": reason[:1_000], "source": source, "replica": replica, "at": rfc3339(utc_now())}
    await publisher.publish("", DEAD, body, mandatory=True, delivery_mode=PERSISTENT, headers=headers)
