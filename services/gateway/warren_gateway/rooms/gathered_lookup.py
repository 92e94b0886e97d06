"""Gathers what is to be looked up in the store: many keys come in, few questions go out."""

import asyncio
import itertools
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Generic, NamedTuple, TypeVar

from warren.broker.errors import Unavailable
from warren.supervise import retrieve

K = TypeVar("K")
A = TypeVar("A")

AT_ONCE = 2
"""Questions under way, so that one that got lost does not hold all others up."""
WAITING_LIMIT = 100_000
"""Keys that wait for their turn, more than have it within ASK_WITHIN."""
ASK_WITHIN = 15.0
"""Seconds to wait for one's turn. What is asked for later would be answered after whoever asked has given up."""


class _Waiting(NamedTuple, Generic[A]):
    future: asyncio.Future[A]
    until: float


class GatheredLookup(ABC, Generic[K, A]):
    """Looks things up. A lone question goes at once; while some are under way, what comes gathers and goes together.

    Whoever asks for a key is answered by a question that went out afterwards. When thousands come at once, or this
    gateway starts, so do hundreds of rooms.
    """

    def __init__(self, limit: int) -> None:
        """`limit`: the most keys in one question."""
        self._limit = limit
        self._waiting: dict[K, _Waiting[A]] = {}
        self._under_way: set[asyncio.Task[None]] = set()

    @abstractmethod
    async def ask_all(self, keys: Sequence[K]) -> Sequence[A | BaseException]:
        """Return what is found for each key, or is to be raised to whoever asked for it; raise what is for them all.

        Within seconds, since others wait meanwhile.
        """

    async def ask(self, key: K) -> A:
        """Return what is found now or a moment later. Raises what `ask_all` has for it, or Unavailable."""
        waiting = self._waiting.get(key)
        if waiting is None:
            if len(self._waiting) >= WAITING_LIMIT:
                raise Unavailable("too many come at once")
            loop = asyncio.get_running_loop()
            waiting = self._waiting[key] = _Waiting(loop.create_future(), loop.time() + ASK_WITHIN)
            waiting.future.add_done_callback(retrieve)  # they may all have gone who waited for it
            if len(self._waiting) == 1 and len(self._under_way) < AT_ONCE:
                loop.call_soon(self._start)  # with whatever else comes in the same moment
        return await asyncio.shield(waiting.future)

    def _start(self) -> None:
        """Ask for what waits, as far as may be under way; otherwise the next question that ends does."""
        self._expire()
        while self._waiting and len(self._under_way) < AT_ONCE:
            keys = list(itertools.islice(self._waiting, self._limit))
            task = asyncio.create_task(self._answer({key: self._waiting.pop(key).future for key in keys}))
            self._under_way.add(task)
            task.add_done_callback(self._ended)

    def _expire(self) -> None:
        now = asyncio.get_running_loop().time()
        while self._waiting and next(iter(self._waiting.values())).until < now:
            late = self._waiting.pop(next(iter(self._waiting)))
            late.future.set_exception(Unavailable("too many come at once"))

    async def _answer(self, batch: dict[K, asyncio.Future[A]]) -> None:
        found: Sequence[A | BaseException]
        try:
            found = await self.ask_all(list(batch))
        except Exception as error:  # theirs to handle, who asked
            found = [error] * len(batch)
        if len(found) != len(batch):
            found = [Unavailable("an answer to another question")] * len(batch)
        for future, outcome in zip(batch.values(), found, strict=True):
            if isinstance(outcome, BaseException):
                future.set_exception(outcome)
            else:
                future.set_result(outcome)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._under_way.discard(task)
        if not task.cancelled():
            self._start()
