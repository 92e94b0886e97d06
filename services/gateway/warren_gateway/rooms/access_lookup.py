"""Asks the store what people are in rooms: a room and a person come in, what that one may do there goes out."""

import asyncio
from collections.abc import Sequence

from warren.broker.rpc_client import QueryDenied, RpcClient, refusal
from warren.contract.queries import ACCESSES_LIMIT, Access, Accesses, RoomAccess, RoomAccesses

from warren_gateway.rooms.gathered_lookup import GatheredLookup


class AccessLookup(GatheredLookup[RoomAccess, Access]):
    """Looks up accesses."""

    def __init__(self, rpc: RpcClient) -> None:
        super().__init__(ACCESSES_LIMIT)
        self._rpc = rpc

    async def ask_all(self, keys: Sequence[RoomAccess]) -> Sequence[Access | BaseException]:
        """Return each one's, or QueryDenied or Unavailable. Raises the same."""
        if len(keys) == 1:
            return [await self._rpc.ask(keys[0], Access)]
        try:
            answer = await self._rpc.ask(RoomAccesses(queries=list(keys)), Accesses)
        except QueryDenied:
            # By a replica of an older version, which knows single queries alone. The next answer may be another's.
            return await asyncio.gather(*(self._rpc.ask(key, Access) for key in keys), return_exceptions=True)
        return [found if isinstance(found, Access) else refusal(found) for found in answer.answers]
