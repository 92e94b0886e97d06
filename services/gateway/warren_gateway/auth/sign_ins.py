"""Reports to the persistence service who has signed in here, by which name: so they are found, and named rightly."""

import asyncio
import logging
import time
from collections import OrderedDict

from warren.broker.backoff import backoff, pause
from warren.broker.errors import Unavailable
from warren.broker.rpc_client import QueryDenied, RpcClient
from warren.contract.queries import SIGN_INS_LIMIT, Noted, Person, SignIns
from warren.rates import Buckets, Rate

from warren_gateway.auth.tokens import User

log = logging.getLogger(__name__)

REPORTED = 50_000
"""People of whom it is remembered what was reported, some 10 MB; whoever is forgotten is reported again."""
WAITING = 20_000
"""People to be reported while nobody takes it, at most; whoever is dropped is reported when they come again."""
GATHER = 0.1
"""Seconds for which sign-ins gather."""
RENAMES = Rate(1 / 60, 5)
"""Of one person. Two tokens with different names would be as many writes as requests."""


class SignInLog:
    """Who has signed in by way of this gateway, and who has yet to be reported to the persistence service."""

    def __init__(self, rpc: RpcClient) -> None:
        self._rpc = rpc
        self._reported: OrderedDict[str, User] = OrderedDict()
        self._waiting: OrderedDict[str, User] = OrderedDict()
        self._renames = Buckets(RENAMES)
        self._any = asyncio.Event()

    def note(self, user: User) -> None:
        """Take note of somebody whose token is good; to be called as often as one likes."""
        known = self._waiting.get(user.id) or self._reported.get(user.id)
        if known is not None and (known.name == user.name or self._is_to_be_left(known, user)):
            return
        self._waiting[user.id] = user
        if len(self._waiting) > WAITING:
            self._waiting.popitem(last=False)
        self._any.set()

    async def run(self) -> None:
        """Report until cancelled."""
        waits = backoff()
        while True:
            await self._any.wait()
            await asyncio.sleep(GATHER)
            portion = list(self._waiting.values())[:SIGN_INS_LIMIT]
            try:
                await self._report(portion)
                waits = backoff()
            except (Unavailable, QueryDenied) as error:  # denied by a replica that is older than this
                log.warning("sign-ins not reported", extra={"people": len(self._waiting), "error": str(error)})
                await pause(next(waits))

    async def _report(self, portion: list[User]) -> None:
        people = [Person(user=user.id, name=user.name) for user in portion]
        await self._rpc.ask(SignIns(people=people), Noted)
        for user in portion:
            self._reported[user.id] = user
            if self._waiting.get(user.id) is user:
                del self._waiting[user.id]
        while len(self._reported) > REPORTED:
            self._reported.popitem(last=False)
        if not self._waiting:
            self._any.clear()

    def _is_to_be_left(self, known: User, user: User) -> bool:
        """Whether the name that is known stays: it is that of a later token, or has changed too often."""
        return user.expires < known.expires or bool(self._renames.take(user.id, time.monotonic()))
