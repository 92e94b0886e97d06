"""A run: cases in windows, a look at everything after each, and a search for the case that was at fault."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from fuzz.environment import Environment
from fuzz.target import Case
from harness.concurrency import run_concurrently

PORTIONS: Mapping[str, int] = {"frames": 24, "http": 60, "broker": 60, "client": 12}
"""Cases of each way between two looks."""
MOST_FAULTS = 10
"""After so many a run ends: the rest is likely to be more of the same."""
SHOWN = 3
"""Cases that are printed when it is not one alone."""
Say = Callable[[str], None]


@dataclass(slots=True)
class Fault:
    """What was wrong after some cases, and those of them that bring it about again (all, if none does)."""

    wrong: list[str]
    cases: list[Case]
    again: bool

    def told(self, scene: Environment) -> str:
        """Return it for people."""
        shown = [f"{case}\n{scene.ways[case.way].show(case)}" for case in self.cases[:SHOWN]]
        how = "brought about again by" if self.again else "seen once, during"
        return "\n".join([*self.wrong, f"-- {how} {len(self.cases)} case(s):", *shown])


@dataclass(slots=True)
class Run:
    """Everything that was tried and found."""

    scene: Environment
    seed: int
    say: Say = print
    faults: list[Fault] = field(default_factory=list)
    blocked_once: int = 0
    """Windows in which an event loop was held up, and was not when they were tried again: the machine's doing."""
    tried: Counter[str] = field(default_factory=Counter)

    async def go_on(self, until: float) -> None:
        """Try windows until that moment of the monotonic clock."""
        while time.monotonic() < until and not self.over:
            await self.window()

    @property
    def over(self) -> bool:
        """Whether so much was found that there is no point in going on."""
        return len(self.faults) >= MOST_FAULTS

    async def window(self) -> None:
        """Try the next cases of each way, and look."""
        cases = [
            Case(way, self.seed, self.tried[way] + number) for way in self.scene.ways for number in range(PORTIONS[way])
        ]
        for case in cases:
            self.tried[case.way] += 1
        if wrong := await self._wrong_after(cases):
            await self._blame(wrong, cases)

    async def one(self, case: Case) -> None:
        """Try this case alone."""
        if wrong := await self._wrong_after([case]):
            self._found(Fault(wrong, [case], again=True))

    async def _wrong_after(self, cases: Sequence[Case]) -> list[str]:
        wrong: list[str] = []
        await run_concurrently(*(self._all_of(way, cases, wrong) for way in self.scene.ways))
        return [*wrong, *await self.scene.wrong()]

    async def _all_of(self, way: str, cases: Sequence[Case], wrong: list[str]) -> None:
        mine = iter([case for case in cases if case.way == way])
        pause = self.scene.ways[way].at_once / self.scene.ways[way].per_second

        async def some() -> None:
            for case in mine:
                wrong.extend(f"{case}: {what}" for what in await self._try(case))
                await asyncio.sleep(pause)

        await run_concurrently(*(some() for _ in range(self.scene.ways[way].at_once)))

    async def _try(self, case: Case) -> list[str]:
        try:
            return await self.scene.ways[case.way].try_(case)
        except (OSError, EOFError) as error:
            return [f"nobody listens: {error!r}"]

    async def _blame(self, wrong: list[str], cases: Sequence[Case]) -> None:
        """Find the fewest of the cases that bring it about again, by halves."""
        blocked = all("was blocked" in what for what in wrong)
        found, again = list(cases), False
        halves = [found]
        while halves:
            await self._heal(wrong)
            half = halves.pop(0)
            if now := await self._wrong_after(half):
                found, wrong, again = half, now, True
                middle = len(half) // 2
                halves = [half[:middle], half[middle:]] if middle else []
        await self._heal(wrong)
        if blocked and not again:
            self.blocked_once += 1
        else:
            self._found(Fault(wrong, found, again))

    async def _heal(self, wrong: Sequence[str]) -> None:
        if any("persistence" in what and "ended" in what for what in wrong):
            await self.scene.heal()
            await self.scene.wrong()

    def _found(self, fault: Fault) -> None:
        self.faults.append(fault)
        self.say(f"\n== fault {len(self.faults)}\n{fault.told(self.scene)}")
