"""The operations page's watch, on servers that answer as replicas do, or as none should."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from pydantic import ValidationError
from warren_local.ports import HOST
from warren_ui.operations import scrape
from warren_ui.operations.config import Settings
from warren_ui.operations.figures import SECTIONS, STARTED, Figure
from warren_ui.operations.scrape import MOST_BYTES, NoAnswer, Replica, Target, addresses, client, read
from warren_ui.operations.watch import EVERY, KEPT, MOST_LINES, MOST_REPLICAS, REST, VISIT, WINDOW, State, Watch

FIGURES = {figure.title: figure for figures in SECTIONS.values() for figure in figures}
FRAMES = FIGURES["Frames"]


class Server(ThreadingHTTPServer):
    """Answers what it is told to, to everybody."""

    daemon_threads = True

    def __init__(self, host: str = HOST, port: int = 0) -> None:
        super().__init__((host, port), Handler)
        self.status, self.answer, self.pause, self.asked = 200, b"", 0.0, 0
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://{self.server_address[0]!s}:{self.server_port}/metrics"

    def says(self, *lines: str, **metrics: float) -> None:
        numbers = (f"{name} {value}" for name, value in metrics.items())
        self.answer = "\n".join(
            ["# TYPE warren_room_views gauge", "warren_room_views 1", *lines, *numbers, ""]
        ).encode()


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        self.server.asked += 1
        self.send_response(self.server.status)
        self.end_headers()
        try:
            for start in range(0, len(self.server.answer), 65_536):
                time.sleep(self.server.pause)  # a slow server, not a wait
                self.wfile.write(self.server.answer[start : start + 65_536])
        except OSError:
            pass  # the reader has had enough

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as server:
        yield server
        server.shutdown()


class Eyes:
    """A watch that scrapes when it is told to, at times of its own."""

    def __init__(self, *targets: Target) -> None:
        self._now = 1_000_000.0
        self.watch = Watch(targets, clock=lambda: self._now)

    def scrape(self, times: int = 1, every: float = 2.0) -> None:
        with client() as http, ThreadPoolExecutor(4) as pool:
            for _ in range(times):
                self._now += every
                self.watch.scrape(http, pool)

    @property
    def states(self) -> list[tuple[State, str]]:
        return [(one.state, one.why) for one in self.watch.statuses()]

    def last(self, figure: Figure) -> dict[str, float | None]:
        return {name: values[-1] for name, values in self.watch.lines(figure)[1].items()}


@pytest.fixture
def eyes(server: Server) -> Eyes:
    server.says()
    return Eyes(Target("gateway", server.url))


def trouble(server: Server) -> str:
    with client() as http, pytest.raises(NoAnswer) as found:
        read(http, Replica("gateway", server.url))
    return str(found.value)


@pytest.mark.parametrize(
    "answer",
    [
        b"<!doctype html><html></html>", b"\xff\xfe", b"", b"{}", b"warren_room_views{ 1\n", b"warren_room_views one\n",
        b"up 1\n",
    ],
)  # fmt: skip
def test_what_is_no_metrics_of_warren_is_no_answer(server: Server, answer: bytes) -> None:
    server.answer = answer
    assert trouble(server) in ("what it answers are no metrics", "what it answers has none of Warren's metrics")


def test_an_answer_that_is_too_long_is_not_read_to_its_end(server: Server) -> None:
    server.says("#" * (4 * MOST_BYTES))
    assert trouble(server) == "its answer is longer than 2 MiB"


def test_an_answer_that_drips_is_not_waited_for(server: Server) -> None:
    server.says("#" * MOST_BYTES)
    server.pause = scrape.TIMEOUT / 3
    assert trouble(server) == "timed out"


def test_an_error_is_no_answer(server: Server) -> None:
    server.says()
    server.status = 503
    assert trouble(server) == "HTTP 503"


def test_values_and_bounds_that_are_no_numbers_count_for_nothing(server: Server, eyes: Eyes) -> None:
    server.says('warren_ack_seconds_bucket{le="NaN"} 1', "warren_frames_sent_total NaN", "warren_commands_pending +Inf")
    eyes.scrape(2)
    assert eyes.states == [("ready", "")]
    assert eyes.last(FRAMES) == eyes.last(FIGURES["Commands that wait for their answer"]) == {}


def test_growth_is_drawn_from_the_second_look_on(server: Server, eyes: Eyes) -> None:
    server.says(warren_frames_sent_total=100)
    eyes.scrape()
    assert eyes.last(FRAMES) == {}
    server.says(warren_frames_sent_total=120)
    eyes.scrape()
    assert eyes.last(FRAMES) == {"sent": 10}
    eyes.scrape(WINDOW)
    assert eyes.last(FRAMES) == {"sent": 0}
    times, lines = eyes.watch.lines(FRAMES)
    assert len(times) == len(lines["sent"]) == WINDOW + 2
    assert lines["sent"][0] is None


def test_a_process_that_began_anew_is_not_compared_with_the_one_before(server: Server, eyes: Eyes) -> None:
    server.says(**{"warren_frames_sent_total": 100, STARTED: 1})
    eyes.scrape(2)
    server.says(**{"warren_frames_sent_total": 900, STARTED: 2})
    eyes.scrape()
    assert eyes.last(FRAMES) == {"sent": None}
    server.says(**{"warren_frames_sent_total": 904, STARTED: 2})
    eyes.scrape()
    assert eyes.last(FRAMES) == {"sent": 2}


def test_a_check_that_fails_is_named_and_a_gateway_that_leaves_is_not_blamed(server: Server, eyes: Eyes) -> None:
    server.says('warren_ready{check="broker"} 0', 'warren_ready{check="serving"} 1', 'warren_ready{check="keys"} 0')
    eyes.scrape()
    assert eyes.states == [("not ready", "misses broker, keys")]
    server.says('warren_ready{check="broker"} 0', 'warren_ready{check="storing"} 0', 'warren_ready{check="reading"} 0')
    eyes.scrape()
    assert eyes.states == [("not ready", "what people send is not stored, people cannot read, misses broker")]
    server.says('warren_ready{check="broker"} 1', 'warren_ready{check="serving"} 0')
    eyes.scrape()
    assert eyes.states == [("leaving", "")]


def test_who_does_not_answer_is_named_since_when_and_comes_back(server: Server, eyes: Eyes) -> None:
    eyes.scrape(2)
    assert eyes.last(FIGURES["Replicas that answer"]) == {"gateway": 1}
    server.status = 500
    eyes.scrape(3)
    (one,) = eyes.watch.statuses()
    assert (one.state, one.why, one.since) == ("no answer", "HTTP 500", 1_000_006)
    assert eyes.last(FIGURES["Replicas that answer"]) == {"gateway": 0}
    server.status = 200
    eyes.scrape(2)
    assert eyes.states == [("ready", "")]
    assert eyes.last(FIGURES["Replicas that answer"]) == {"gateway": 1}


def test_nobody_listens_and_nobody_has_the_name() -> None:
    with Server() as server:
        closed = server.url
        server.shutdown()
    eyes = Eyes(Target("a", closed), Target("b", "http://no-such-name.invalid:8000/metrics"))
    eyes.scrape()
    assert eyes.states == [("no answer", "no connection"), ("no answer", "its name has no address")]
    assert not eyes.watch.has(FRAMES)


def test_all_addresses_of_a_name_are_replicas_and_one_that_vanishes_is_spoken_of_for_a_while(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with ExitStack() as exits:
        first = exits.enter_context(Server())
        try:
            second = exits.enter_context(Server("127.0.0.2", first.server_port))
        except OSError:
            pytest.skip("this system has no second loopback address")
        for server in (first, second):
            exits.callback(server.shutdown)
            server.says()
        known: list[str] = []
        monkeypatch.setattr(scrape, "addresses", lambda _name, _port: known)
        eyes = Eyes(Target("gateway", f"http://gateway:{first.server_port}/metrics"))
        eyes.scrape()
        assert eyes.states == [("no answer", "its name has no address")]
        known += [HOST, "127.0.0.2"]
        eyes.scrape(2)
        assert [one.replica.url for one in eyes.watch.statuses()] == [first.url, second.url]
        assert eyes.last(FIGURES["Rooms followed"]) == {"Rooms followed": 2}
        del known[1]
        eyes.scrape(2)
        assert eyes.states == [("ready", ""), ("gone", "its name does not lead there any more")]
        assert eyes.last(FIGURES["Rooms followed"]) == {"Rooms followed": 1}
        eyes.scrape(2, every=EVERY * KEPT)
        assert eyes.states == [("ready", "")]


def test_no_more_is_kept_than_is_allowed(server: Server) -> None:
    server.says(*(f'warren_connections{{transport="t{number}"}} 1' for number in range(MOST_LINES + 5)))
    names = [f"127.0.0.1:{port}" for port in range(1, MOST_REPLICAS + 11)]
    targets = [Target("gateway", server.url), *(Target("nobody", f"http://{name}/metrics") for name in names)]
    eyes = Eyes(*targets)
    eyes.scrape(2)
    assert len(eyes.watch.statuses()) == MOST_REPLICAS
    assert eyes.watch.left_out == 11
    assert len(eyes.last(FIGURES["Connections"])) == MOST_LINES


def test_only_the_last_minutes_are_kept(eyes: Eyes) -> None:
    eyes.scrape(KEPT + 3)
    times, lines = eyes.watch.lines(FIGURES["Rooms followed"])
    assert len(times) == len(lines["Rooms followed"]) == KEPT


def test_a_name_has_addresses() -> None:
    assert addresses("127.0.0.1", 80) == ["127.0.0.1"]
    assert addresses("::1", 80) == ["[::1]"]
    assert addresses("no-such-name.invalid", 80) == []
    assert addresses("x" * 70 + ".invalid", 80) == []


def settings(targets: str, monkeypatch: pytest.MonkeyPatch) -> list[Target]:
    monkeypatch.setenv("WARREN_TARGETS", targets)
    return Settings().watched


def test_targets_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    said = " gateway=http://g:8000, rabbitmq=http://r:15692/metrics/detailed?family=queue_coarse_metrics ,"
    assert settings(said, monkeypatch) == [
        Target("gateway", "http://g:8000/metrics"),
        Target("rabbitmq", "http://r:15692/metrics/detailed?family=queue_coarse_metrics"),
    ]
    assert [target.service for target in settings("", monkeypatch)] == ["gateway", "persistence", "presence"]


@pytest.mark.parametrize(
    "targets", [",", "gateway", "http://g:8000", "=http://g:8000", "gateway=g:8000", "gateway=https://g", "g=http://g:x",
                "g=http://g:70000", "g=http://user:word@g:8000", "g=http://", "g=http://[::1"],
)  # fmt: skip
def test_targets_that_cannot_be_read_are_refused(targets: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValidationError, match=r"names nobody|must be service=http://host:port"):
        settings(targets, monkeypatch)


def test_while_nobody_looks_it_is_scraped_more_seldom() -> None:
    now = 1_000.0
    watch = Watch([], clock=lambda: now)
    assert watch.pause == REST
    watch.visit()
    assert watch.pause == EVERY
    now += VISIT
    assert watch.pause == REST
