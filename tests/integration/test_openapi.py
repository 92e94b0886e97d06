"""The API's own document, taken at its word: whatever it lets one ask is answered as it says, and never with 500."""

import itertools
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import requests
import schemathesis
from harness.observability import errors
from harness.resilient_client import fresh_room
from harness.stack import Stack
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from integration.conftest import Person, new_person
from schemathesis import Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import FailureGroup
from schemathesis.core.result import Ok
from schemathesis.schemas import APIOperation
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

Operation = APIOperation[Any, Any, Any, Any]
AnyCase = Case[Operation]
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
EXAMPLES = {GenerationMode.POSITIVE: 16, GenerationMode.NEGATIVE: 6}
"""Requests for each operation; the long form has five times as many.

Among fewer valid ones there is none at which some operation succeeds.
"""
FEW = 2
"""The same, where all are refused for the same reason."""
WITHIN = 30.0
"""Seconds for an answer; a bound, not an expectation."""
WAIT = 0.05
"""Seconds that a poll waits here."""
FIRST = 16
"""Bytes of a stream that are read."""
ALWAYS_THE_SAME = settings(
    derandomize=True,
    database=None,
    deadline=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)


@pytest.fixture
def session() -> Iterator[requests.Session]:
    with requests.Session() as found:
        yield found


def operations(gateway: str) -> list[Operation]:
    """Return all that the document names."""
    schema = schemathesis.openapi.from_url(f"{gateway}/openapi.json")
    results = list(schema.get_all_operations())
    assert all(isinstance(result, Ok) for result in results)
    return [result.ok() for result in results if isinstance(result, Ok)]


def answer(case: AnyCase, session: requests.Session, gateway: str, headers: dict[str, str]) -> requests.Response:
    """Ask; of a stream only its beginning is waited for."""
    if case.path == "/v1/poll" and isinstance(case.body, dict):
        wait = case.body.get("wait", WAIT)
        case.body["wait"] = min(WAIT, wait) if isinstance(wait, int | float) else wait
    asking = case.as_transport_kwargs(base_url=gateway, headers=headers)
    found = session.request(**asking, timeout=WITHIN, stream=True, allow_redirects=False)
    if found.headers.get("content-type", "").startswith("text/event-stream"):
        found._content = next(found.iter_content(FIRST))  # else it would be waited for
    assert found.content is not None
    found.close()
    return found


Placed = Callable[[AnyCase], None]
Wrong = dict[str, str]
Asked = Callable[[AnyCase], requests.Response]


@dataclass(frozen=True, slots=True)
class Scene:
    """People, and ever new rooms of ann's: what was done to one must not keep the rest from being done."""

    session: requests.Session
    gateway: str
    ann: Person
    bob: Person
    eve: Person

    def new_room(self) -> Placed:
        """Return what puts a case into a room in which bob is muted and eve banned, more often than not.

        Ann has a direct room with bob.
        """
        room = fresh_room("scene")
        self._do("POST", "rooms", self.ann, {"room": room})
        self._do("PUT", f"rooms/{room}/members/me", self.bob)
        self._do("PUT", f"rooms/{room}/mutes/{self.bob.id}", self.ann)
        self._do("PUT", f"rooms/{room}/bans/{self.eve.id}", self.ann)
        self._do("POST", "direct", self.ann, {"user": self.bob.id})
        return at(room, self.bob.id, self.eve.id, "me", "somebody")

    def _do(self, method: str, path: str, who: Person, body: Any = None) -> None:
        url = f"{self.gateway}/v1/{path}"
        self.session.request(method, url, json=body, headers=who.headers, timeout=WITHIN).raise_for_status()


@pytest.fixture
def scene(session: requests.Session, gateways: list[str]) -> Scene:
    return Scene(session, gateways[0], new_person("ann"), new_person("bob"), new_person("eve"))


def at(room: str, user: str, *others: str) -> Placed:
    """Return what puts one case after the other into this room, with this user; some elsewhere, or with others."""
    rooms = itertools.cycle([room, room, None, room, "@me"])
    users = itertools.cycle([user, *others, None])

    def put(case: AnyCase) -> None:
        room, user = next(rooms), next(users)
        if isinstance(case.body, dict) and isinstance(case.body.get("user"), str) and user is not None:
            case.body["user"] = user
        for name, value in (("room", room), ("user", user)):
            if name in case.path_parameters and value is not None:  # else it is as it was generated
                case.path_parameters[name] = value

    return put


def examined(operation: Operation, mode: GenerationMode, put: Placed, ask: Asked, examples: int) -> Wrong:
    """Return what is wrong with the answers to an operation: each kind once, by its name."""
    wrong: Wrong = {}

    @settings(ALWAYS_THE_SAME, max_examples=examples)
    @given(case=operation.as_strategy(generation_mode=mode))
    def examine(case: AnyCase) -> None:
        put(case)
        try:
            case.validate_response(ask(case), checks=CHECKS)
        except FailureGroup as failures:  # not raised: the same request again may be answered otherwise
            for failure in failures.exceptions:
                wrong.setdefault(f"{operation.label}: {failure}", str(failures))

    try:
        examine()
    except Unsatisfiable:  # there is nothing in it to be wrong
        assert mode is GenerationMode.NEGATIVE
    return wrong


def assert_nothing(wrong: Iterable[Wrong]) -> None:
    found = [f"{what}\n{how}" for each in wrong for what, how in each.items()]
    assert not found, "\n\n".join(found)


@pytest.mark.parametrize("mode", list(GenerationMode), ids=lambda mode: mode.value)
def test_nothing_is_answered_that_the_document_does_not_say(
    mode: GenerationMode, stack: Stack, gateways: list[str], scene: Scene, session: requests.Session,
    request: pytest.FixtureRequest,
) -> None:  # fmt: skip
    done: set[str] = set()
    before = errors(stack.services)

    def ask(case: AnyCase) -> requests.Response:
        found = answer(case, session, gateways[0], scene.ann.headers)
        if found.ok:
            done.add(case.operation.label)
        return found

    examined_here = operations(gateways[0])
    count = EXAMPLES[mode] * (5 if request.config.getoption("--long") else 1)
    assert_nothing(examined(operation, mode, scene.new_room(), ask, count) for operation in examined_here)
    if mode is GenerationMode.POSITIVE:
        assert {operation.label for operation in examined_here} - done == set()
    assert [line for line in errors(stack.services) if line not in before] == []


def test_without_a_good_token_it_is_the_same(gateways: list[str], session: requests.Session) -> None:
    statuses: Counter[int] = Counter()
    credentials = itertools.cycle([{}, {"Authorization": "Bearer garbage"}])

    def ask(case: AnyCase) -> requests.Response:
        found = answer(case, session, gateways[0], next(credentials))
        statuses[found.status_code] += bool(case.operation.definition.raw.get("security"))
        return found

    somewhere = at("somewhere", "somebody")
    for mode, expected in ((GenerationMode.POSITIVE, {401}), (GenerationMode.NEGATIVE, {401, 422})):
        statuses.clear()
        assert_nothing(examined(operation, mode, somewhere, ask, FEW) for operation in operations(gateways[0]))
        assert set(+statuses) <= expected  # what is no JSON is so before it is looked at whose it is


def test_a_body_that_is_too_long_is_documented_wherever_there_is_one(
    gateways: list[str], scene: Scene, session: requests.Session
) -> None:
    for operation in operations(gateways[0]):
        if operation.body:
            path = operation.path.format(room="any", user="me")
            found = session.request(operation.method, gateways[0] + path, data=b" " * 70_000, headers=scene.ann.headers)
            assert (found.status_code, found.json()["code"]) == (413, "invalid")
            assert "413" in operation.definition.raw["responses"]


def test_the_document_has_every_route_but_what_is_no_part_of_the_api(gateways: list[str]) -> None:
    """What is not in it nobody examines."""
    assert {operation.label for operation in operations(gateways[0])} >= {
        f"{method} {path}"
        for path, methods in (
            ("/v1/guest", ("POST",)), ("/v1/me", ("GET",)), ("/v1/sse", ("GET", "POST")), ("/v1/poll", ("POST",)),
            ("/v1/rooms/{room}", ("GET", "PATCH")), ("/v1/rooms/{room}/messages", ("GET", "POST")),
            ("/client.js", ("GET",)), ("/asyncapi.json", ("GET",)),
        )
        for method in methods
    }  # fmt: skip
