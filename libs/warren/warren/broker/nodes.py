"""The nodes of the broker that a process may connect to, and which one it takes next."""

import asyncio
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

from warren.broker.backoff import backoff, pause
from warren.contract.nodes import host_of, node_urls, vhost_of
from warren.contract.users import login_of

SPREAD = 0.1
"""Seconds, at most, before whoever has lost a connection tries again: all the processes of a node that ends do."""
PATIENCE, LONE_PATIENCE = 3.0, 10.0
"""Seconds for a node to answer, if there are others, and if it is the only one: then to leave it gains nothing, unless
it is a proxy, and it may be slow alone."""
ELECTIONS = 3
"""So many times as patient is who has just left a node that had no majority, and finds none at the next one either:
there is an election, which takes longer the more queues the lost node has led; to go on to a third gains nothing."""
ELECTED_WITHIN = 30.0
"""Seconds; a bound for that."""
REFUSED_EVERY = 5.0
"""Seconds, about, between tries of what the broker refuses: that takes somebody to change it."""


@dataclass(slots=True)
class Node:
    """A node of the broker, and when it is tried again after it has failed to work."""

    url: str
    due: float = 0.0
    """When it may be tried next, by the monotonic clock; the earlier, the longer ago has it failed."""
    failed_at: float = 0.0
    waits: Iterator[float] = field(default_factory=backoff)
    abandoned: asyncio.Event = field(default_factory=asyncio.Event)
    """Set, and replaced, when all connections of the process are to leave the node."""

    @property
    def where(self) -> dict[str, str]:
        """Who connects to what, for the log: without the password."""
        return {"user": login_of(self.url), "host": host_of(self.url), "vhost": vhost_of(self.url)}

    def worked(self) -> None:
        """Take note that it does: when it fails, the first wait is short again."""
        self.waits = backoff()

    def failed(self, since: float, *, refused: bool = False) -> None:
        """Take note that what was tried at `since` has come to nothing.

        Of a failure all connections of the process tell, and it is one all the same: only what was tried after the
        last one counts.
        """
        if since < self.failed_at:
            return
        self.failed_at = time.monotonic()
        self.due = self.failed_at + (random.uniform(0.5, 1.5) * REFUSED_EVERY if refused else next(self.waits))

    def abandon(self) -> None:
        """Have all connections of the process end that lead there."""
        abandoned, self.abandoned = self.abandoned, asyncio.Event()
        abandoned.set()


class Nodes:
    """The nodes in an order of this process's own, so that not all processes are on the first that is named.

    All connections of a process share them: what one has found out about a node need not be found out by the others.
    """

    def __init__(self, amqp_url: str) -> None:
        """`amqp_url`: as in `WARREN_AMQP_URL`. Raises ValueError."""
        self.all = [Node(url) for url in node_urls(amqp_url)]
        random.shuffle(self.all)
        self.patience = PATIENCE if len(self.all) > 1 else LONE_PATIENCE
        """Seconds for a node to answer."""
        self._lost_majority_at = -ELECTED_WITHIN

    @property
    def best(self) -> Node:
        """The node to connect to: one that never failed, or else the one for which that is longest ago."""
        return min(self.all, key=lambda node: node.due)

    def abandon(self, node: Node) -> None:
        """Have all connections to a node that has no majority end."""
        self._lost_majority_at = time.monotonic()
        node.abandon()

    def patience_with_elections(self) -> float:
        """Return the seconds for a node to do something that takes a majority: more only while there are elections."""
        recently = time.monotonic() - self._lost_majority_at < ELECTED_WITHIN
        return self.patience * ELECTIONS if recently else self.patience

    async def next_node(self) -> Node:
        """Wait until a node may be tried, and return it."""
        await pause(random.uniform(SPREAD / 2, SPREAD))
        while (abandoned := self.best.due - time.monotonic()) > 0:
            await pause(abandoned)
        return self.best
