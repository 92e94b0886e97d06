"""Presence as a whole, whatever people do and whatever befalls gateways, replicas and queues: what is shown is true."""

from typing import Any

import hypothesis.strategies as st
import pytest
from harness.presence_simulation import CHECK, EPSILON, LATE, PEOPLE, ROOMS, Client, Gateway, Simulation
from hypothesis import HealthCheck, given, settings
from warren.contract.presence import GRACE, HEARTBEAT, LEASE
from warren_presence.domain import room as room_module

property_test = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
)
QUIET = CHECK + 5.0
"""Seconds after which nothing of what was lost matters."""
GATEWAYS = 3

INDEX = st.integers(0, 11)
USER = st.sampled_from(PEOPLE)
ROOM = st.sampled_from(ROOMS)
PART = st.lists(ROOM, min_size=1, max_size=3, unique=True)
SECONDS = st.floats(0.05, 1.0) | st.floats(0.05, 7.0)
OPEN = st.tuples(st.just("open"), INDEX, USER, PART)
MOVE = st.tuples(st.just("move"), INDEX, INDEX, st.floats(0, GRACE - LATE - 0.2))
WAIT = st.tuples(st.just("wait"), SECONDS)
PEOPLE_DO = [
    OPEN,
    OPEN,
    st.tuples(st.just("close"), INDEX),
    st.tuples(st.just("enter"), INDEX, ROOM),
    st.tuples(st.just("exit"), INDEX, ROOM),
    st.tuples(st.just("expel"), USER, ROOM),
    st.tuples(st.just("report"), INDEX, st.sampled_from(["online", "away"])),
    MOVE,
    MOVE,
    st.tuples(st.just("look"), INDEX, ROOM),
    WAIT,
    WAIT,
    WAIT,
]
GATEWAYS_DO = [
    st.tuples(st.just("start")),
    st.tuples(st.just("kill"), INDEX),
    st.tuples(st.just("stop"), INDEX),
    st.tuples(st.just("deaf"), INDEX, st.integers(1, 4)),
    st.tuples(st.just("cut"), INDEX),
]
SERVICE_DOES = [
    st.tuples(st.just("take_over"), st.floats(0, 0.5)),
    st.tuples(st.just("reconnect"), st.floats(0, 0.5)),
    st.tuples(st.just("halt"), st.floats(0.1, 20)),
]


def scripts(*kinds: st.SearchStrategy[Any]) -> st.SearchStrategy[list[Any]]:
    return st.lists(st.one_of(*kinds), min_size=10, max_size=60)


class Player:
    """Carries a script out, as far as there is who and what it speaks of."""

    def __init__(self, world: Simulation, spared: Gateway | None = None) -> None:
        self.world = world
        self.spared = spared

    def play(self, script: list[Any]) -> None:
        for step, *arguments in script:
            getattr(self, f"do_{step}")(*arguments)

    def _gateway(self, index: int) -> Gateway:
        if not self.world.gateways:
            self.world.start()
        found = list(self.world.gateways.values())
        return found[index % len(found)]

    def _client(self, index: int) -> Client | None:
        found = [client for client in self.world.clients if client.user not in self.world.residents]
        return found[index % len(found)] if found else None

    def do_wait(self, seconds: float) -> None:
        self.world.run(seconds)

    def do_open(self, index: int, user: str, rooms: list[str]) -> None:
        self.world.open(self._gateway(index), user, rooms)

    def do_close(self, index: int) -> None:
        if client := self._client(index):
            self.world.close(client)

    def do_enter(self, index: int, room: str) -> None:
        if client := self._client(index):
            self.world.enter(client, room)

    def do_exit(self, index: int, room: str) -> None:
        if client := self._client(index):
            self.world.exit(client, room)

    def do_expel(self, user: str, room: str) -> None:
        if user not in self.world.residents:
            self.world.expel(user, room)

    def do_report(self, index: int, status: Any) -> None:
        if client := self._client(index):
            client.gateway.announcer.report(client.presence, status)

    def do_move(self, index: int, to: int, after: float) -> None:
        """A connection ends and comes back anywhere."""
        if client := self._client(index):
            rooms = sorted(client.presence.rooms & set(ROOMS))
            self.world.close(client)
            self.world.later(after, lambda: self.do_open(to, client.user, rooms))

    def do_look(self, index: int, room: str) -> None:
        self._gateway(index).follow(room)

    def do_start(self) -> None:
        if len(self.world.gateways) < GATEWAYS:
            self.world.start()
            self.world.run(0.3)

    def do_kill(self, index: int) -> None:
        if (gateway := self._gateway(index)) is not self.spared:
            self.world.kill(gateway)

    def do_stop(self, index: int) -> None:
        if (gateway := self._gateway(index)) is not self.spared:
            self.world.stop(gateway)

    def do_deaf(self, index: int, frames: int) -> None:
        self._gateway(index).deaf = frames

    def do_cut(self, index: int) -> None:
        self._gateway(index).reconnect()

    def do_take_over(self, after: float) -> None:
        self.world.take_over(after)

    def do_reconnect(self, after: float) -> None:
        self.world.reconnect(after)

    def do_begin_anew(self, after: float) -> None:
        self.world.begin_anew(after)

    def do_halt(self, seconds: float) -> None:
        self.world.halt(seconds)


def begun(seed: int, *, strict: bool, large: int = 200) -> Simulation:
    """Return a world with two gateways, in which everybody knows who lives."""
    world = Simulation(seed, strict=strict, large=large)
    for _ in range(2):
        world.start()
    world.run(LEASE)
    return world


def settle(world: Simulation) -> None:
    """Let things calm down."""
    world.loss = 0.0
    for gateway in world.gateways.values():
        gateway.deaf = 0
    world.run(max(0.0, world.active.halted_until - world.now))
    world.run(QUIET)
    world.assert_quiet()
    for client in world.clients:
        world.close(client)
    world.residents = set()
    world.run(GRACE + 2.0)
    world.assert_quiet()


@pytest.fixture(params=[False, True], ids=["small", "large"])
def large(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """Return how many people a room names; with few of them enough to make it large, if it shall be."""
    if not request.param:
        return room_module.LARGE
    monkeypatch.setattr(room_module, "LARGE", 3)
    monkeypatch.setattr(room_module, "SMALL", 3)
    return 3


@property_test
@given(st.integers(0, 999), scripts(*PEOPLE_DO, *GATEWAYS_DO, *SERVICE_DOES))
def test_nobody_flickers_and_nobody_lingers(large: int, seed: int, script: list[Any]) -> None:
    """Nothing gets lost between gateways and service; frames to the gateways do, and processes."""
    world = begun(seed, strict=True, large=large)
    Player(world).play(script)
    settle(world)
    assert world.told_in_diffs <= world.changes


IN_A_HURRY = [
    *[MOVE] * 4,
    *[st.tuples(st.just("wait"), st.floats(0.05, 1.0))] * 3,
    *[st.tuples(st.just("take_over"), st.floats(0, 0.5)), st.tuples(st.just("reconnect"), st.floats(0, 0.5))],
    *[st.tuples(st.just("stop"), INDEX), st.tuples(st.just("kill"), INDEX), st.tuples(st.just("start"))],
    st.tuples(st.just("report"), INDEX, st.sampled_from(["online", "away"])),
]


@property_test
@given(st.integers(0, 999), st.lists(st.one_of(IN_A_HURRY), min_size=3, max_size=12))
def test_nobody_flickers_when_all_befalls_at_once(large: int, seed: int, script: list[Any]) -> None:
    world = begun(seed, strict=True, large=large)
    for number, user in enumerate([*PEOPLE[:4], *PEOPLE[:2]]):
        world.open(list(world.gateways.values())[number % 2], user, ROOMS[: 1 + number % 2])
    world.run(1.0)
    Player(world).play(script)
    settle(world)


LOSS = st.floats(0.05, 0.5)
"""Of announcements, requests, heartbeats (never two in a row) and frames, that many get lost."""


@property_test
@given(
    st.integers(0, 999),
    LOSS,
    scripts(*PEOPLE_DO, *GATEWAYS_DO, *SERVICE_DOES, st.tuples(st.just("begin_anew"), st.floats(0, 0.5))),
)
def test_whatever_gets_lost_all_lists_are_right_in_the_end(seed: int, loss: float, script: list[Any]) -> None:
    world = begun(seed, strict=False)
    world.loss = loss
    Player(world).play(script)
    settle(world)


@property_test
@given(st.integers(0, 999), LOSS, scripts(*PEOPLE_DO, *GATEWAYS_DO, *SERVICE_DOES))
def test_whatever_gets_lost_who_is_connected_all_the_time_is_shown_all_the_time(
    seed: int, loss: float, script: list[Any]
) -> None:
    world = begun(seed, strict=False)
    spared, *others = world.gateways.values()
    world.residents = set(PEOPLE[:2])
    for user in world.residents:
        world.open(spared, user, ROOMS)
    for gateway in others:
        world.open(gateway, PEOPLE[2], ROOMS)
    world.run(1.0)
    world.loss = loss
    Player(world, spared).play(script)
    settle(world)


SHORT = st.floats(0.0, GRACE - LATE - 0.2)
STAYS = st.floats(0.5, 9.0)
IN_ORDER = st.tuples(STAYS, st.sampled_from(["close", "stop"]), SHORT | st.floats(GRACE + LATE, 9.0), st.booleans())
ABRUPT = st.tuples(STAYS, st.sampled_from(["close", "kill"]), SHORT | st.floats(LEASE + LATE, 20.0), st.booleans())
"""For as long as the lease of a gateway that was killed lasts, its people count as there."""


def stay(world: Simulation, user: str, seconds: float, how: str, second_device: bool) -> None:
    """Have somebody come, on a gateway of their own, and go."""
    gateway = world.start()
    world.run(0.5)
    devices = [world.open(gateway, user, ROOMS[:number]) for number in range(1 + second_device)]
    world.run(seconds)
    match how:
        case "close":
            for device in devices:
                world.run(0.2)
                world.close(device)
        case "stop":
            world.stop(gateway)
        case "kill":
            world.kill(gateway)


@property_test
@given(st.integers(0, 999), st.lists(IN_ORDER, min_size=1, max_size=6) | st.lists(ABRUPT, min_size=1, max_size=4))
def test_going_offline_is_recorded_once_each_time_with_the_right_age(seed: int, stays: list[Any]) -> None:
    world = begun(seed, strict=True)
    gone = []
    for number, (seconds, how, gap, second_device) in enumerate(stays, 1):
        stay(world, PEOPLE[0], seconds, how, second_device)
        if gap > GRACE or number == len(stays):
            gone.append((world.now - (HEARTBEAT if how == "kill" else 0.0), world.now + LATE))
        world.run(gap)
    world.run(QUIET)
    assert [user for _, user, _ in world.records] == [PEOPLE[0]] * len(gone)
    for (earliest, latest), (now, _, ago) in zip(gone, world.records, strict=True):
        assert earliest - EPSILON <= now - ago <= latest
