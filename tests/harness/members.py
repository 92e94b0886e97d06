"""What clusters of both servers have in common: members that are started, halted and ended together."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Generic, TypeVar

from warren_local.process import Process

M = TypeVar("M", bound=Process)


class Members(Generic[M]):
    """The members of a cluster; to a stack the same as the one server that it mostly has."""

    def __init__(self, name: str, members: Sequence[M]) -> None:
        self.name = name
        self.members = members
        self.log = members[0].log

    @property
    def running(self) -> bool:
        """Whether all of them live."""
        return all(member.running for member in self.members)

    @property
    def pid(self) -> int | None:
        """None: each has its own."""
        return None

    def start_processes(self) -> None:
        """Start all that do not run."""
        self.all(lambda member: None if member.running else member.start())

    def stop(self) -> None:
        """Stop all of them in order."""
        self.all(lambda member: member.stop())

    def kill(self) -> None:
        """End all of them as a power cut would."""
        self.all(lambda member: member.kill())

    def pause(self) -> None:
        """Halt all of them."""
        self.all(lambda member: member.pause())

    def resume(self) -> None:
        """Let all of them go on."""
        self.all(lambda member: member.resume())

    def all(self, act: Callable[[M], None]) -> None:
        """Do this to all of them at once."""
        with ThreadPoolExecutor() as pool:
            list(pool.map(act, self.members))
