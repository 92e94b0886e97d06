"""What a fuzzing target is, and one case for it."""

import random
from dataclasses import dataclass
from typing import Protocol

SHOWN = 2_000
"""Characters of a case that are printed."""


@dataclass(frozen=True, slots=True)
class Case:
    """One try. All that is random in it follows from these three, so that it can be made again."""

    way: str
    seed: int
    number: int

    @property
    def rng(self) -> random.Random:
        """Return where its randomness comes from, at the beginning."""
        return random.Random(f"{self.seed}/{self.way}/{self.number}")

    def __str__(self) -> str:
        return f"./dev fuzz --only {self.way} --seed {self.seed} --case {self.number}"


class Target(Protocol):
    """A way in. `per_second`: how many cases at most, where Warren itself takes no more; `at_once`: side by side."""

    name: str
    per_second: float
    at_once: int

    async def try_(self, case: Case) -> list[str]:
        """Do what the case says; return what was wrong with the answer, a sentence each."""

    def show(self, case: Case) -> str:
        """Return what the case does, for people."""


def shortened(text: str) -> str:
    """Return as much of it as people read."""
    return text if len(text) <= SHOWN else f"{text[: SHOWN // 2]} … {len(text) - SHOWN} more … {text[-SHOWN // 2 :]}"
