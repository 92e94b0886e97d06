"""Asks the store for the heads of rooms that are being loaded: rooms come in, their epochs and heads go out."""

import asyncio
import itertools

from warren.broker.rpc_client import RpcClient
from warren.contract.queries import RANGE_LIMIT, Head, Heads, HeadsAnswer


class HeadLookup:
    """Looks up heads. While a question is under way, what comes gathers and goes together.

    When thousands come at once, or this gateway starts, so do hundreds of rooms.
    """

    def __init__(self, rpc: RpcClient) -> None:
        self._rpc = rpc
        self._waiting: dict[str, asyncio.Future[tuple[str, Head]]] = {}
        self._asking: asyncio.Task[None] | None = None

    async def ask(self, room: str) -> tuple[str, Head]:
        """Return the epoch, and where the log ends now or a moment later. Raises QueryDenied or Unavailable."""
        found = self._waiting.get(room)
        if found is None:
            found = self._waiting[room] = asyncio.get_running_loop().create_future()
            found.add_done_callback(_retrieve)  # they may all have gone who waited for it
        if self._asking is None:
            self._asking = asyncio.create_task(self._ask_waiting())
        return await asyncio.shield(found)

    async def _ask_waiting(self) -> None:
        try:
            while self._waiting:
                names = list(itertools.islice(self._waiting, RANGE_LIMIT))
                await self._ask({name: self._waiting.pop(name) for name in names})
        finally:
            self._asking = None

    async def _ask(self, batch: dict[str, asyncio.Future[tuple[str, Head]]]) -> None:
        try:
            answer = await self._rpc.ask(Heads(rooms=list(batch)), HeadsAnswer)
        except Exception as error:  # theirs to handle, who asked
            for future in batch.values():
                future.set_exception(error)
        else:
            for name, future in batch.items():
                # An inbox has none into which nothing has come yet.
                future.set_result((answer.epoch, answer.heads.get(name, Head(head=0, number=0))))


def _retrieve(future: asyncio.Future[tuple[str, Head]]) -> None:
    if not future.cancelled():
        future.exception()
