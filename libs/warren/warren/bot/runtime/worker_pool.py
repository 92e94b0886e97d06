"""Hands what comes to one worker a room: in order within a room, side by side across rooms, so many at once."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable

Work = Callable[[], Awaitable[None]]
Needed = Callable[[], bool]


class WorkerPool:
    """What waits and what is being done. Whoever puts work here bounds how much there is: the broker, by prefetch.

    What a lost connection has brought is brought again by the next one; so that it does not pile up meanwhile behind
    something slow, work may say whether it is `needed` any more, and `discard_stale` forgets what is not.
    """

    def __init__(self, at_once: int) -> None:
        self._waiting: dict[str, deque[tuple[Work, Needed]]] = {}
        self._free = asyncio.Semaphore(at_once)
        self._workers: set[asyncio.Task[None]] = set()
        self._stopping = False
        self.failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Fails with what a piece of work fails with: that is a bug, and none that the next piece would survive."""

    def submit(self, room: str, work: Work, needed: Needed = lambda: True) -> None:
        """Have this done after all that is waiting for the room."""
        if self._stopping:
            return
        if room in self._waiting:
            self._waiting[room].append((work, needed))
            return
        self._waiting[room] = deque([(work, needed)])
        task = asyncio.create_task(self._work(room))
        self._workers.add(task)
        task.add_done_callback(self._workers.discard)

    def busy(self, room: str) -> bool:
        """Whether something is done for the room, or waits."""
        return room in self._waiting

    def discard_stale(self) -> None:
        """Forget what waits and is not needed any more."""
        for waiting in self._waiting.values():
            kept = [(work, needed) for work, needed in waiting if needed()]
            waiting.clear()
            waiting.extend(kept)

    async def stop(self, grace: float) -> None:
        """Begin nothing more, and wait for what is being done, so many seconds at most."""
        self._stopping = True
        if self._workers:
            _, late = await asyncio.wait(self._workers, timeout=grace)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    async def _work(self, room: str) -> None:
        waiting = self._waiting[room]
        try:
            while waiting and not self._stopping:
                work, needed = waiting.popleft()
                async with self._free:
                    if needed():
                        await work()
        except Exception as error:
            if not self.failed.done():
                self.failed.set_exception(error)
        finally:
            del self._waiting[room]
