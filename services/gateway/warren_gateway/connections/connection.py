"""One client, over any transport: frames and a room's batches come in, commands and the transport's frames go out."""

import asyncio
import logging
import random
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import update_wrapper
from typing import Concatenate, ParamSpec

from warren.broker.command_client import CommandClient
from warren.broker.errors import Unavailable
from warren.broker.rpc_client import QueryDenied
from warren.contract.codes import Close, Code
from warren.contract.commands import Accepted, Refused
from warren.contract.frames import Bye, Error, Join, Left, ServerFrame
from warren.contract.presence import OnlineStatus
from warren.contract.wire import utc_now
from warren.supervise import Tasks, contained, failed

from warren_gateway import metrics
from warren_gateway.auth.authenticator import Authenticator, NotNow
from warren_gateway.auth.tokens import TokenRefused, User
from warren_gateway.connections.commands import CommandFrame, command_of
from warren_gateway.connections.frames import error_frame
from warren_gateway.connections.protocol import ClientProtocol
from warren_gateway.delivery.batch import EventBatch, Frame
from warren_gateway.delivery.subscriber import RETURN_WITHIN, Transport
from warren_gateway.presence.client import PresenceClient
from warren_gateway.rooms.access import check_may_type
from warren_gateway.rooms.admission import SubscriptionEnded
from warren_gateway.rooms.names import actual, resolve
from warren_gateway.rooms.registry import RoomRegistry
from warren_gateway.rooms.subscription import Subscription

log = logging.getLogger(__name__)

NOT_NOW = "not possible at the moment; try again"
P = ParamSpec("P")


def _guarded(method: Callable[Concatenate["Connection", P], None]) -> Callable[Concatenate["Connection", P], None]:
    """Let what nobody foresaw cost this connection alone: whoever calls has others to see to."""

    def guarded(self: "Connection", /, *args: P.args, **kwargs: P.kwargs) -> None:
        try:
            method(self, *args, **kwargs)
        except Exception as error:
            self.fail(error)

    update_wrapper(guarded, method)
    return guarded


class Connection:
    """What one client does and gets, whatever its transport. It is the protocol's handler, and a room's subscriber."""

    def __init__(
        self, transport: Transport, protocol: ClientProtocol, address: str, auth: Authenticator,
        registry: RoomRegistry, presence: PresenceClient, command_client: CommandClient,
    ) -> None:  # fmt: skip
        self.transport = transport
        self._broadcast = transport.broadcast
        self._protocol = protocol
        protocol.handler = self
        self._address = address
        self._auth = auth
        self._registry = registry
        self._presence = presence
        self._command_client = command_client
        self._tasks = Tasks("connection", self._end_failed)
        self.leaving = False
        """Whether it was sent away."""

    # What the transport calls

    def receive(self, data: str | None) -> "asyncio.Task[None] | None":
        """Take a frame; None is a binary one. Never raises. Returns what the next frame has to wait for, if any."""
        try:
            metrics.FRAMES_IN.inc()
            if data is None:
                self._protocol.receive_binary()
            elif (token := self._protocol.receive(data, time.monotonic())) is not None:
                return self._take_token(token)
        except Exception as error:
            self.fail(error)
        return None

    def admit(self, user: User) -> bool:
        """Take note of who it is; False if they have too many connections."""
        self._protocol.verified(user, time.time())
        if not self._protocol.ended:
            self._presence.open(self, user.name)
        return not self._protocol.ended

    def follow(self, joins: Iterable[Join], status: OnlineStatus) -> None:
        """Follow these rooms, as somebody who is or is not at the device."""
        self.report(status)
        self._protocol.follow(joins)

    async def joins_done(self) -> None:
        """Wait until all that was asked for is done, or was refused."""
        await self._tasks.done()

    def close(self, grace: float = 0.0) -> None:
        """Let go of everything, whatever of it fails; the others see this person here for `grace` more seconds."""
        self._protocol.close()
        self._tasks.cancel()
        with contained("connection"):
            self._presence.close(self, grace)
        for subscription in self._protocol.subscriptions.values():
            with contained("connection"):
                self.unsubscribe(subscription)

    def fail(self, error: Exception) -> None:
        """End the connection because of what nobody foresaw, with a code that has the client come back."""
        failed("connection", error)
        self._end_failed()

    def _end_failed(self) -> None:
        with contained("connection"):
            self.transport.end(Close.FAILED, "something went wrong here")

    @_guarded
    def dismiss(self) -> None:
        """Send the client to another gateway, which serves it as well; what it has sent is answered before the end."""
        if not self.leaving:
            self.leaving = True
            self.send(Bye(code=Close.GOING_AWAY, after_ms=random.randrange(RETURN_WITHIN)))
            self._end_if_answered()

    def _end_if_answered(self) -> None:
        if self.leaving and not self._protocol.unanswered:
            self.transport.end(Close.GOING_AWAY, "going away")

    @_guarded
    def tick(self, now: float, wall: float) -> None:
        """Let the protocol notice the time."""
        self._protocol.tick(now, wall)

    # What the registry calls

    @property
    def user(self) -> str:
        """Who reads."""
        user = self._protocol.user
        if user is None:
            raise AssertionError("a subscription before hello")
        return user.id

    @_guarded
    def send(self, frame: ServerFrame) -> None:
        """Send a frame of this connection alone."""
        if isinstance(frame, Error) and frame.code == Code.TOO_MANY:
            metrics.LIMITED.labels("frame").inc()
        self.transport.send_frame(frame)

    @_guarded
    def subscription_ended(self, frame: Left) -> None:
        """Pass on that a subscription has ended by itself."""
        self.send(frame)

    @_guarded
    def subscription_lost(self, room: str) -> None:
        """Pass on that the subscription has to be asked for again."""
        self.send(error_frame("join", Code.UNAVAILABLE, NOT_NOW, room=room))

    def broadcast(self, batch: EventBatch) -> None:
        """Send events."""
        try:  # guarded by hand: the wrapper would cost as much as all that is done here for each of a room's readers
            self._broadcast(batch)
        except Exception as error:
            self.fail(error)

    @_guarded
    def broadcast_ephemeral(self, frame: Frame) -> None:
        """Send what is not stored."""
        self.transport.broadcast(frame)

    async def drained(self) -> bool:
        """Wait until what was sent is on its way; False if the connection is gone."""
        return await self.transport.drained()

    # What the protocol calls

    def end(self, code: Close, reason: str) -> None:
        """Close the connection; nothing follows."""
        self.transport.end(code, reason)

    def subscribe(self, join: Join, subscription: Subscription | None) -> Subscription:
        """Start to follow a room, or, if there is a subscription to it, from another place."""
        if subscription is None:
            subscription = Subscription(self, actual(join.room, self.user))
        subscription.joining = True
        self._tasks.start(self._join(join, subscription))
        return subscription

    def unsubscribe(self, subscription: Subscription) -> None:
        """End a subscription."""
        self._registry.leave(subscription)

    def submit(self, frame: CommandFrame, user: User) -> None:
        """Submit the command."""
        command = command_of(frame, user)
        log.debug("frame", extra={"correlation_id": command.id, "room": frame.room, "key": frame.key})

        def done(answer: Accepted | Refused) -> None:
            self._answered(frame, answer)

        self._command_client.submit(command, done)

    def broadcast_typing(self, subscription: Subscription, user: User) -> None:
        """Show the room's others that somebody is typing."""
        try:
            check_may_type(subscription.access, utc_now())
        except QueryDenied as denied:
            self.send(error_frame("typing", denied.code, denied.detail, room=subscription.room))
        else:
            self._tasks.start(self._presence.typing(subscription.room, user.id, user.name))

    def report(self, status: OnlineStatus) -> None:
        """Take note whether anybody is at the device."""
        self._presence.report(self, status)

    def _take_token(self, token: str) -> "asyncio.Task[None] | None":
        """Take note whose it is; returns a task that finds that out, if nobody can say at once."""
        if self._protocol.user is not None:
            return self._tasks.start(self._verify(token))
        with self._rejecting():
            user = self._auth.authenticate_now(token, self._address)
            if user is None:
                return self._tasks.start(self._verify(token))
            self._verified(user)
        return None

    async def _verify(self, token: str) -> None:
        with self._rejecting():
            self._verified(await self._auth.authenticate(token, self._address))

    @contextmanager
    def _rejecting(self) -> Iterator[None]:
        """Have the protocol hear of a token that is not good."""
        try:
            yield
        except TokenRefused as error:
            self._protocol.rejected(str(error))
        except NotNow as error:
            self._protocol.rejected(str(error), error.code, error.wait)

    def _verified(self, user: User) -> None:
        self._protocol.verified(user, time.time())
        if self._protocol.user is not None:
            self._presence.open(self, self._protocol.user.name)

    @_guarded
    def _answered(self, frame: CommandFrame, answer: Accepted | Refused) -> None:
        self._protocol.answered(frame, answer)
        self._end_if_answered()

    async def _join(self, join: Join, subscription: Subscription) -> None:
        done = False
        try:
            done = await self._try_to_join(join, subscription)
        except SubscriptionEnded:
            self.send(Left(room=join.room, because="access"))
        except QueryDenied as denied:
            self.send(error_frame("join", denied.code, denied.detail, room=join.room))
        except Unavailable as error:
            log.info("join failed", extra={"room": join.room, "error": str(error)})
            self.subscription_lost(join.room)
        except Exception as error:
            failed("join", error, room=join.room)
            self.subscription_lost(join.room)
        finally:
            subscription.joining = False
            if not done:
                # A second join of a room that was joined already may have failed half-way.
                self.unsubscribe(subscription)

    async def _try_to_join(self, join: Join, subscription: Subscription) -> bool:
        """Put the subscription in force; False if the person asks too much of the store just now."""
        if wait := self._wait_to_join(join, subscription):
            self.send(error_frame("join", Code.TOO_MANY, "too many rooms", room=join.room, wait=wait))
            return False
        resolve(join.room, self.user)  # another person's inbox is no room
        await self._registry.join(subscription, join.since, join.epoch)
        return True

    def _wait_to_join(self, join: Join, subscription: Subscription) -> float:
        """Take from what the person may have the store asked; what came with a request was paid for with it."""
        if self._protocol.one_way or self._registry.knows(subscription.room, self.user, join.since):
            return 0.0
        return self._protocol.people.joins.take(self.user, time.monotonic())
