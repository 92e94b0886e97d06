"""A network of one's own: hosts in network namespaces on one switch, any of which can be cut off. Needs root.

The switch is in a namespace, too: a bridge among the machine's own interfaces would be under its firewall.
"""

import os
import shutil
import subprocess
from collections.abc import Iterable, Sequence
from typing import Self

MISSING = "NO CLUSTER WAS TRIED: its network needs root that may make namespaces (CAP_NET_ADMIN), iproute2 and nftables"
WITHIN = 30
"""Seconds for a command of these; a bound, not an expectation."""
PREFIX = "198.18"
"""Addresses that are set aside for the trial of networks (RFC 2544)."""
MACHINE = 254
"""The last part of the machine's own address in the network."""
CUT = (
    "table inet cut {{ chain {chain} {{ type filter hook {chain} priority 0; ip {end} {{ {addresses} }} drop; }}; }}\n"
)


def available() -> bool:
    """Whether this machine lets us make one."""
    if os.geteuid() != 0 or not all(map(shutil.which, ("ip", "nft", "nsenter"))):
        return False
    name = f"warren-probe-{os.getpid()}"
    made = subprocess.run(["ip", "netns", "add", name], check=False, capture_output=True, timeout=WITHIN)
    if made.returncode:
        return False
    try:
        rules = ["ip", "netns", "exec", name, "nft", "list", "ruleset"]
        return subprocess.run(rules, check=False, capture_output=True, timeout=WITHIN).returncode == 0
    finally:
        _run("ip", "netns", "del", name)


class Host:
    """One host of a network; `address` is where the others and this machine reach it."""

    def __init__(self, namespace: str, address: str) -> None:
        self.namespace = namespace
        self.address = address

    @property
    def prefix(self) -> list[str]:
        """What goes before a command that is to run on it; the process stays the one that was started."""
        return ["nsenter", f"--net=/run/netns/{self.namespace}", "--"]

    def cut(self, *addresses: str) -> None:
        """Drop what goes to these addresses and what comes from them, without a word, until it is healed."""
        listed = ", ".join(addresses)
        ways = (("input", "saddr"), ("output", "daddr"))
        self._nft("".join(CUT.format(chain=chain, end=end, addresses=listed) for chain, end in ways))

    def heal(self) -> None:
        """Let everything pass again."""
        self._nft("table inet cut\ndelete table inet cut\n")

    def _nft(self, rules: str) -> None:
        _run(*self.prefix, "nft", "-f", "-", given=rules)


class Network:
    """Hosts on one switch, which this machine is on, too. `number` (0 to 255) is no other network's at the time."""

    def __init__(self, number: int, names: Sequence[str]) -> None:
        self._own = f"warren{number}"
        self._switch = f"{self._own}-switch"
        self._subnet = f"{PREFIX}.{number}"
        self.machine = f"{self._subnet}.{MACHINE}"
        """This machine's own address in it."""
        self.hosts = [Host(f"{self._own}-{name}", f"{self._subnet}.{last}") for last, name in enumerate(names, 1)]

    def __enter__(self) -> Self:
        """Make it; what a killed run has left goes first."""
        self._remove()
        try:
            self._make()
        except BaseException:
            self._remove()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """Remove it; what still runs on its hosts reaches nothing more."""
        self._remove()

    def _make(self) -> None:
        _ip(("netns", "add", self._switch))
        _ip(("link", "add", "switch", "type", "bridge"), ("link", "set", "switch", "up"), namespace=self._switch)
        for number, host in enumerate(self.hosts):
            _ip(("netns", "add", host.namespace))
            self._connect(f"port{number}", "eth0", host.address, host.namespace)
        self._connect("machine", self._own, self.machine, None)

    def _connect(self, port: str, interface: str, address: str, namespace: str | None) -> None:
        where = [] if namespace is None else ["netns", namespace]
        here = ("netns", str(os.getpid())) if namespace is None else ()
        pair = ("link", "add", port, "type", "veth", "peer", "name", interface, *(where or here))
        _ip(pair, ("link", "set", port, "master", "switch", "up"), namespace=self._switch)
        up = (("link", "set", "lo", "up"),) if namespace else ()
        addressed = ("address", "add", f"{address}/24", "dev", interface)
        _ip(*up, addressed, ("link", "set", interface, "up"), namespace=namespace)

    def _remove(self) -> None:
        for namespace in (*(host.namespace for host in self.hosts), self._switch):
            subprocess.run(["ip", "netns", "del", namespace], check=False, capture_output=True, timeout=WITHIN)
        # The machine's own end goes with the switch, but not at once.
        subprocess.run(["ip", "link", "del", self._own], check=False, capture_output=True, timeout=WITHIN)


def _ip(*commands: Iterable[str], namespace: str | None = None) -> None:
    inside = [] if namespace is None else ["-n", namespace]
    _run("ip", *inside, "-batch", "-", given="".join(f"{' '.join(command)}\n" for command in commands))


def _run(*command: str, given: str = "") -> None:
    done = subprocess.run(command, input=given, check=False, capture_output=True, text=True, timeout=WITHIN)
    if done.returncode:
        raise OSError(f"`{' '.join(command)}` failed: {done.stderr.strip()}\n{given}")
