"""What people see of a gateway: whether what they send is stored and what they ask is answered."""

import math
import time
from collections.abc import Callable, Mapping
from typing import TypeVar

from pydantic import BaseModel
from warren.broker.errors import Unavailable, Unroutable
from warren.broker.publisher import Publisher
from warren.broker.rpc_client import RpcClient, TypedQuery
from warren.contract.codes import Code
from warren.contract.commands import Accepted, Refused
from warren.ops.health import Results

A = TypeVar("A", bound=BaseModel)

STALLED_AFTER = 5.0
"""Seconds in which nothing came of what was tried: a new leader of a queue, a new primary take less."""
FORGOTTEN_AFTER = 15.0
"""Seconds after the last failure: who has tried nothing since does not know any better."""

Clock = Callable[[], float]


class Outcomes:
    """What came of one kind of request. Where nobody asks, nothing fails: it holds until it is known not to."""

    def __init__(self, clock: Clock = time.monotonic) -> None:
        self._clock = clock
        self._failing_since = math.inf
        self._last_failure = -math.inf

    def answered(self) -> None:
        """Take note of an answer, be it a refusal."""
        self._failing_since = math.inf

    def failed(self, seconds: float) -> None:
        """Take note that something was tried for so long in vain."""
        now = self._clock()
        since = self._failing_since if now - self._last_failure < FORGOTTEN_AFTER else math.inf
        self._failing_since, self._last_failure = min(since, now - seconds), now

    def hold(self) -> bool:
        """Whether it works, as far as is known."""
        now = self._clock()
        return now - self._failing_since < STALLED_AFTER or now - self._last_failure > FORGOTTEN_AFTER


class Commands(Outcomes):
    """What came of commands; `waited`: for how many seconds the oldest has waited that has no answer yet."""

    def __init__(self, waited: Callable[[], float], clock: Clock = time.monotonic) -> None:
        super().__init__(clock)
        self._waited = waited

    def note(self, answer: Accepted | Refused, seconds: float) -> None:
        """Take note of what a command was answered with, after so many seconds."""
        if isinstance(answer, Refused) and answer.code == Code.UNAVAILABLE:
            self.failed(seconds)
        elif seconds:  # else it was refused here
            self.answered()

    def hold(self) -> bool:
        """Whether what is sent is stored; not while anything waits for long, in whichever room."""
        return self._waited() < STALLED_AFTER and super().hold()


class ObservedRpcClient(RpcClient):
    """An RPC client that takes note of what comes of its queries."""

    def __init__(self, publisher: Publisher, confirmed: Publisher, outcomes: Outcomes) -> None:
        super().__init__(publisher, confirmed=confirmed)
        self._outcomes = outcomes

    async def ask(self, query: TypedQuery, kind: type[A]) -> A:
        """Return the answer, of the type that this query has. Raises QueryDenied, Unroutable or Unavailable."""
        began = time.monotonic()
        try:
            answer = await super().ask(query, kind)
        except Unroutable:  # a service that is not set up: what gateways are there for works or does not, as before
            raise
        except Unavailable:
            self._outcomes.failed(time.monotonic() - began)
            raise
        except Exception:
            self._outcomes.answered()
            raise
        self._outcomes.answered()
        return answer


WORK = ("broker", "storing", "reading")
"""The checks of what a gateway is there for. While none does better, people are best served by being told so."""


def works(results: Mapping[str, object]) -> bool:
    """Whether a gateway whose checks say this does what it is there for."""
    return all(results.get(name) is True for name in (*WORK, "serving"))


class Rotation:
    """Whether a load balancer should send people to this gateway.

    Not when it is told to stop, nor when it fails and others do not. When all fail alike (the broker is away, or
    MongoDB, or an alarm stops publishers) they stay: without any backend people would get a proxy's error in place of
    an answer that says what is wrong and to try again, and would wait for its probes once all is well. `excused`:
    whether none does better, None where nobody can be asked; then only its own connections to the broker
    count.
    """

    def __init__(self, excused: Callable[[], bool | None]) -> None:
        self._excused = excused
        self._worked = False
        """Whether it ever could work: a new one that is set up wrongly must not take the place of an old one."""

    def __call__(self, results: Results) -> bool:
        """Return it, given what its checks say."""
        self._worked = self._worked or all(results.values())
        if not all(result for name, result in results.items() if name not in WORK):
            return False
        excused = self._excused()
        if excused is None:
            return bool(results["broker"])
        return works(results) or (self._worked and excused)
