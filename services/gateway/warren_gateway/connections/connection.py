"""One client, over any transport: carries out what the protocol decides."""

import logging
import random
import time
from collections.abc import Callable, Coroutine, Iterable
from functools import update_wrapper
from typing import Concatenate, ParamSpec

from warren.broker.command_client import CommandClient
from warren.broker.errors import Unavailable
from warren.broker.rpc_client import QueryDenied
from warren.contract import commands as c
from warren.contract.codes import Close, Code
from warren.contract.frames import Bye, Error, Join, Left, Send, ServerFrame
from warren.contract.ids import new_id
from warren.contract.presence import OnlineStatus
from warren.contract.wire import utc_now
from warren.supervise import Tasks, contained, failed

from warren_gateway import metrics
from warren_gateway.auth.authenticator import Authenticator, NotNow
from warren_gateway.auth.tokens import TokenRefused, User
from warren_gateway.connections.protocol import (
    Action,
    ClientProtocol,
    End,
    Reply,
    Report,
    ShowTyping,
    Submit,
    Subscribe,
    Unsubscribe,
    Verify,
    error_reply,
)
from warren_gateway.delivery.batch import EventBatch, Frame
from warren_gateway.delivery.subscriber import RETURN_WITHIN, Transport
from warren_gateway.presence.client import PresenceClient
from warren_gateway.rooms.names import actual, resolve
from warren_gateway.rooms.permissions import may_write
from warren_gateway.rooms.registry import RoomRegistry, SubscriptionEnded

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
    """What one client does and gets, whatever its transport: the protocol, and the rooms that it follows."""

    def __init__(
        self, transport: Transport, protocol: ClientProtocol, address: str, auth: Authenticator,
        registry: RoomRegistry, live: PresenceClient, command_client: CommandClient,
    ) -> None:  # fmt: skip
        self.transport = transport
        self._protocol = protocol
        self._address = address
        self._auth = auth
        self._registry = registry
        self._live = live
        self._command_client = command_client
        self._tasks = Tasks("connection", self._end_failed)
        self.leaving = False
        """Whether it was sent away."""

    async def receive(self, data: str | None) -> None:
        """Take a frame; None is a binary one."""
        try:
            await self._receive(data)
        except Exception as error:
            self.fail(error)

    async def _receive(self, data: str | None) -> None:
        metrics.FRAMES_IN.inc()
        actions = self._protocol.receive_binary() if data is None else self._protocol.receive(data, time.monotonic())
        for action in actions:
            if isinstance(action, Verify):
                # Waited for here, so that what was sent after the token is taken up after it.
                self._perform(await self._verified(action.token))
            else:
                self._perform([action])

    def admit(self, user: User) -> bool:
        """Take note of who it is; False if they have too many connections."""
        self._perform(self._protocol.verified(user, time.time()))
        if not self._protocol.ended:
            self._live.open(self, user.name)
        return not self._protocol.ended

    def follow(self, joins: Iterable[Join], status: OnlineStatus) -> None:
        """Follow these rooms, as somebody who is or is not at the device."""
        self._live.report(self, status)
        self._perform(self._protocol.follow(joins))

    async def settled(self) -> None:
        """Wait until all that was asked for is done, or was refused."""
        await self._tasks.done()

    def close(self, linger: float = 0.0) -> None:
        """Let go of everything, whatever of it fails; the others see this person here for `linger` more seconds."""
        self._protocol.close()
        self._tasks.cancel()
        with contained("connection"):
            self._live.close(self, linger)
        with contained("connection"):
            self._unsubscribe(self._protocol.rooms)

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
            self.tell(Bye(code=Close.GOING_AWAY, after_ms=random.randrange(RETURN_WITHIN)))
            self._leave()

    def _leave(self) -> None:
        if self.leaving and not self._protocol.unanswered:
            self.transport.end(Close.GOING_AWAY, "going away")

    @_guarded
    def tick(self, now: float, wall: float) -> None:
        """Let the protocol notice the time."""
        self._perform(self._protocol.tick(now, wall))

    @_guarded
    def tell(self, frame: ServerFrame) -> None:
        """Send a frame of this connection alone."""
        if isinstance(frame, Error) and frame.code == Code.TOO_MANY:
            metrics.LIMITED.labels("frame").inc()
        self.transport.tell(frame)

    @property
    def user(self) -> str:
        """Who reads."""
        return self._user().id

    @_guarded
    def left(self, frame: Left) -> None:
        """Take note that a subscription has ended by itself."""
        self._protocol.left(frame.room)
        self.tell(frame)

    @_guarded
    def lost(self, room: str) -> None:
        """Take note that the subscription has to be asked for again."""
        self._protocol.left(room)
        self._perform([error_reply("join", Code.UNAVAILABLE, NOT_NOW, room=room)])

    @_guarded
    def send(self, batch: EventBatch) -> None:
        """Send events."""
        self.transport.put(batch)

    @_guarded
    def show(self, frame: Frame) -> None:
        """Send what does not last."""
        self.transport.put(frame)

    async def drained(self) -> bool:
        """Wait until what was sent is on its way; False if the connection is gone."""
        return await self.transport.drained()

    def _perform(self, actions: Iterable[Action]) -> None:
        for action in actions:
            match action:
                case Reply(frame):
                    self.tell(frame)
                case Submit():
                    self._submit(action)
                case Subscribe():
                    self._subscribe(action)
                case Unsubscribe(room):
                    self._unsubscribe([room])
                case ShowTyping(room):
                    self._type(room)
                case Report(status):
                    self._live.report(self, status)
                case Verify():
                    raise AssertionError("tokens come in frames alone")
                case End(code, reason):
                    self.transport.end(code, reason)

    async def _verified(self, token: str) -> list[Action]:
        try:
            user = await self._auth.authenticate(token, self._address)
        except TokenRefused as error:
            return self._protocol.refused(str(error))
        except NotNow as error:
            return self._protocol.not_now(str(error), error.code, error.wait)
        actions = self._protocol.verified(user, time.time())
        if self._protocol.user is not None:
            self._live.open(self, self._protocol.user.name)
        return actions

    def _submit(self, action: Submit) -> None:
        frame, user = action.frame, self._user()
        command = c.Send(
            id=new_id(),
            room=frame.room,
            sender=user.id,
            name=user.name,
            key=frame.key,
            text=frame.text,
            reply_to=frame.reply_to,
        )
        log.debug("frame", extra={"correlation_id": command.id, "room": frame.room, "key": frame.key})

        def done(answer: c.Accepted | c.Refused) -> None:
            self._answered(frame, answer)

        self._command_client.submit(command, done)

    @_guarded
    def _answered(self, frame: Send, answer: c.Accepted | c.Refused) -> None:
        self._perform(self._protocol.answered(frame, answer))
        self._leave()

    def _subscribe(self, action: Subscribe) -> None:
        self._spawn(self._join(action))

    def _type(self, room: str) -> None:
        access = self._registry.standing(room, self)
        if access is not None and may_write(access, utc_now()):
            user = self._user()
            self._spawn(self._live.typing(room, user.id, user.name))
        else:
            self._perform([error_reply("typing", Code.FORBIDDEN, "only who may write there may type", room=room)])

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        self._tasks.start(work)

    async def _join(self, action: Subscribe) -> None:
        done = False
        try:
            if wait := self._wait_to_join(action):
                self._perform([error_reply("join", Code.TOO_MANY, "too many rooms", room=action.room, wait=wait)])
                return
            await self._registry.join(self, resolve(action.room, self.user), action.since, action.epoch)
            done = True
        except SubscriptionEnded:
            self.tell(Left(room=action.room, because="access"))
        except QueryDenied as denied:
            self._perform([error_reply("join", denied.code, denied.detail, room=action.room)])
        except Unavailable as error:
            log.info("join failed", extra={"room": action.room, "error": str(error)})
            self._perform([error_reply("join", Code.UNAVAILABLE, NOT_NOW, room=action.room)])
        except Exception as error:
            failed("join", error, room=action.room)
            self._perform([error_reply("join", Code.UNAVAILABLE, NOT_NOW, room=action.room)])
        finally:
            if not done:
                # A second join of a room that was joined already may have failed half-way.
                self._unsubscribe([action.room])
            self._protocol.subscribed(action.room, done=done)

    def _wait_to_join(self, action: Subscribe) -> float:
        """Take from what the person may have the store asked; what came with a request was paid for with it."""
        known = self._registry.knows(actual(action.room, self.user), self.user, action.since)
        return 0.0 if known or self._protocol.one_way else self._protocol.people.joins.take(self.user, time.monotonic())

    def _unsubscribe(self, rooms: Iterable[str]) -> None:
        self._registry.leave(self, [actual(room, self.user) for room in rooms])

    def _user(self) -> User:
        user = self._protocol.user
        if user is None:
            raise AssertionError("an action before hello")
        return user
