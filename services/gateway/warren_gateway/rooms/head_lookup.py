"""Asks the store for the heads of rooms that are being loaded: rooms come in, their epochs and heads go out."""

from collections.abc import Sequence

from warren.broker.rpc_client import RpcClient
from warren.contract.queries import RANGE_LIMIT, Head, Heads, HeadsAnswer

from warren_gateway.rooms.gathered_lookup import GatheredLookup


class HeadLookup(GatheredLookup[str, tuple[str, Head]]):
    """Looks up the epoch, and where a room's log ends."""

    def __init__(self, rpc: RpcClient) -> None:
        super().__init__(RANGE_LIMIT)
        self._rpc = rpc

    async def ask_all(self, keys: Sequence[str]) -> list[tuple[str, Head] | BaseException]:
        """Return each room's. Raises QueryDenied or Unavailable."""
        answer = await self._rpc.ask(Heads(rooms=list(keys)), HeadsAnswer)
        # An inbox has none into which nothing has come yet.
        return [(answer.epoch, answer.heads.get(name, Head(head=0, number=0))) for name in keys]
