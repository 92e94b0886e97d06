"""What presence takes in: AMQP messages of the live and control exchanges come in, checked ephemeral frames go out."""

import contextlib
import logging
import time
from typing import Protocol

from aiormq.abc import DeliveredMessage
from pydantic import ValidationError
from warren.broker.errors import Unavailable
from warren.contract import presence as p
from warren.contract.bots import is_bot
from warren.contract.frames import FRAME_LIMIT
from warren.contract.topology import CONTROL, event_key
from warren.rates import Buckets, Rate
from warren.supervise import Tasks
from warren.throttle import LogThrottle
from warren.untrusted import UnreadableError, first_error, read

from warren_gateway import metrics

log = logging.getLogger(__name__)

BOTS = Rate(50, 500)
"""Messages of one bot that are read, of all rooms: more than its library lets it send, and all gateways have it."""
PARTS = Rate(5, 10)
"""Of one bot in one room: it shows four parts of a reply a second."""

_throttle = LogThrottle()


class Receiver(Protocol):
    """Who takes what was found good."""

    def follows(self, room: str) -> bool:
        """Whether anybody here is shown what comes of this room."""

    async def may_write(self, room: str, user: str) -> bool:
        """Return whether a bot may write in a room. Raises Unavailable."""

    def receive(self, frame: p.AnyLive, body: bytes, term: str) -> None:
        """Take a frame; `body`: as it goes to clients, `term`: of the presence service's shard."""

    def resync(self, request: p.Resync) -> None:
        """Take a request to announce everything."""


class EphemeralMessages:
    """Judges who may say what is not stored: services are believed, a bot speaks as itself where it may write."""

    def __init__(self, receiver: Receiver) -> None:
        self._receiver = receiver
        self._parts = Buckets(PARTS)
        self._bots = Buckets(BOTS)
        self._tasks = Tasks("message")

    def take(self, message: DeliveredMessage) -> None:
        """Take a message."""
        publisher = message.header.properties.user_id
        if publisher is not None and is_bot(publisher) and self._bots.take(publisher, time.monotonic()):
            _refuse(message, "too many of one bot")
            return
        try:
            if message.exchange == CONTROL:
                self._control(p.CONTROL_MESSAGE.validate_json(message.body))
            else:
                self._authorize(message, _parse(message))
        except UnreadableError as error:
            _refuse(message, str(error))
        except ValidationError as error:
            _refuse(message, first_error(error))

    def _control(self, message: p.AnyControl) -> None:
        if isinstance(message, p.Resync):
            self._receiver.resync(message)

    def _authorize(self, message: DeliveredMessage, frame: p.AnyLive) -> None:
        """Hand on what the broker vouches for."""
        publisher = message.header.properties.user_id
        if publisher is None:
            _refuse(message, "nobody vouches for it")
        elif not is_bot(publisher):
            self._deliver(message, frame, message.body)
        elif isinstance(frame, p.IsTyping | p.Partial) and frame.user == publisher:
            self._authorize_bot(message, frame)
        else:
            _refuse(message, f"not {publisher}'s to say")

    def _authorize_bot(self, message: DeliveredMessage, frame: p.IsTyping | p.Partial) -> None:
        # The routing key is what the broker has judged; a body could name any room.
        followed = self._receiver.follows(frame.room) and message.routing_key == event_key(frame.room)
        if followed and not self._parts.take(f"{frame.room}/{frame.user}", time.monotonic()):
            self._tasks.start(self._deliver_if_allowed(message, frame))

    async def _deliver_if_allowed(self, message: DeliveredMessage, frame: p.IsTyping | p.Partial) -> None:
        with contextlib.suppress(Unavailable):
            if await self._receiver.may_write(frame.room, frame.user):
                # Written anew: whatever else a bot has put into it goes to nobody.
                self._deliver(message, frame, frame.model_dump_json(exclude_none=True).encode())

    def _deliver(self, message: DeliveredMessage, frame: p.AnyLive, body: bytes) -> None:
        term = (message.header.properties.headers or {}).get("term")
        self._receiver.receive(frame, body, str(term))


def _parse(message: DeliveredMessage) -> p.AnyLive:
    """Return the frame; of a bot no more is read than a frame may have. Raises ValidationError, UnreadableError."""
    publisher = message.header.properties.user_id
    if publisher is None or not is_bot(publisher):
        return p.LIVE_FRAME.validate_json(message.body)
    if len(message.body) > FRAME_LIMIT:
        raise UnreadableError(f"more than {FRAME_LIMIT} bytes from {publisher}")
    return p.BOT_FRAME.validate_python(read(message.body))


def _refuse(message: DeliveredMessage, why: str) -> None:
    publisher = message.header.properties.user_id
    kind = "bots" if publisher is not None and is_bot(publisher) else "services"
    metrics.REFUSED_MESSAGES.labels(kind).inc()
    _throttle.warn(log, kind, "message refused", exchange=message.exchange, publisher=publisher, error=why)
