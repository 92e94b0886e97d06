"""Into a gateway by HTTP: every operation of its document with something wrong, and what is hardly HTTP at all."""

import asyncio
import gzip
import json
import random
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from fuzz.identifiers import KEYS, USERS, named
from fuzz.mutate import encoded, mutated, nasty
from fuzz.schema_values import SchemaValues
from fuzz.target import Case, shortened
from harness.raw_clients import raw_open
from harness.tokens import forged, token

WITHIN = 30.0
"""Seconds for an answer; a bound, not an expectation."""
HELD_FOR = 1.0
"""Seconds for what may wait (polls, streams), before it is given up."""
MOST_READ = 2 * 2**20
"""Bytes of an answer that are read; none is longer."""
WRONG_PLAIN = 0.2
"""How often a path's or query's value is a wrong one."""
HELD = ("/v1/poll", "/v1/sse")
_KINDS = (*["application/json"] * 3, "text/plain", "application/xml", "", "a/b;c")
_NAMES = ("Origin", "X-Forwarded-For", "Last-Event-ID", "If-None-Match", "Range", "Expect", "traceparent", "Cookie")


@dataclass(frozen=True, slots=True)
class _Operation:
    method: str
    path: str
    parameters: list[tuple[str, str, SchemaValues]]
    """Where each is, its name and what it looks like."""
    body: SchemaValues | None


@dataclass(frozen=True, slots=True)
class _Request:
    raw: bytes
    path: str
    whole: bool
    """Whether an answer is due: not to half a request, nor to what is hardly one."""


class Requests:
    """One connection a request. `statuses`: what came back."""

    name = "http"
    per_second = 1_000.0
    at_once = 4

    def __init__(self, gateways: list[str], document: Mapping[str, Any]) -> None:
        self._gateways = gateways
        self._operations = _operations(document)
        self.statuses: Counter[int] = Counter()

    def show(self, case: Case) -> str:
        """Return the request."""
        return shortened(repr(self._request(case.rng).raw))

    async def try_(self, case: Case) -> list[str]:
        """Ask; what is not answered in time is wrong, and whatever is a fault of the server's."""
        request = self._request(case.rng)
        reader, writer = await raw_open(self._gateways[case.number % len(self._gateways)])
        try:
            writer.write(request.raw)
            patience = HELD_FOR if not request.whole or request.path in HELD else WITHIN
            async with asyncio.timeout(patience):
                head = await reader.readuntil(b"\r\n\r\n")
                body = b"" if request.path in HELD else await reader.read(MOST_READ)
            return self._judge(head, body)
        except TimeoutError:
            return [f"no answer within {WITHIN} s"] if request.whole and request.path not in HELD else []
        except (OSError, EOFError, asyncio.LimitOverrunError) as error:
            return [f"no answer: {error!r}"] if request.whole else []
        finally:
            writer.transport.abort()

    def _judge(self, head: bytes, body: bytes) -> list[str]:
        status = int(head.split(b" ", 2)[1])
        self.statuses[status] += 1
        if status >= 500 and status != 503:
            return [f"answered {status}: {shortened(body.decode(errors='replace'))}"]
        if b"application/problem+json" in head and body and not {"code", "temporary"} <= _json(body).keys():
            return [f"a problem without its code: {shortened(body.decode(errors='replace'))}"]
        return []

    def _request(self, rng: random.Random) -> _Request:
        if rng.random() < 0.05:
            return _Request(rng.choice(_HARDLY)(rng), "", whole=False)
        operation = rng.choice(self._operations)
        path, query, headers = operation.path, [], _headers(rng)
        for place, name, shape in operation.parameters:
            if place != "path" and rng.random() < 0.4:
                continue
            value = _plain(nasty(rng) if rng.random() < WRONG_PLAIN else shape.value(rng))
            if place == "path":
                path = path.replace(f"{{{name}}}", quote(value, safe="", errors="surrogatepass"))
            elif place == "query":
                query.append(f"{name}={quote(value, errors='surrogatepass')}")
            else:
                headers.append((name, value))
        body = b"" if operation.body is None else _body(operation, rng)
        asked = path + ("?" + "&".join(query) if query else "")
        return _assembled(operation, asked, headers, body, rng)


def _assembled(
    operation: _Operation, asked: str, headers: list[tuple[str, str]], body: bytes, rng: random.Random
) -> _Request:
    whole, length = True, len(body)
    if operation.body is not None:
        headers.append(("Content-Type", rng.choice(_KINDS)))
        if rng.random() < 0.05:
            headers.append(("Content-Encoding", rng.choice(("gzip", "br", "zork"))))
            body = gzip.compress(body)
            length = len(body)
        if rng.random() < 0.05:
            whole, length = False, rng.choice((length + 10, max(0, length - 1), 2**31, 2**63))
    if asked.partition("?")[0] in HELD:
        whole = False
    fields = [("Host", "gateway"), ("Connection", "close"), ("Content-Length", str(length)), *headers]
    lines = [f"{operation.method} {asked} HTTP/1.1", *(f"{name}: {value}" for name, value in fields)]
    head = "\r\n".join([*lines, "", ""])
    return _Request(head.encode("utf-8", "surrogatepass") + body, operation.path, whole)


def _headers(rng: random.Random) -> list[tuple[str, str]]:
    good = f"Bearer {token(rng.choice(USERS))}"
    unsigned = forged({"alg": "none"})
    wrong = ("", "Bearer ", "Bearer x", "Basic eDp5", good + "x", f"Bearer {unsigned}", "Bearer " + "a." * 90)
    found = [("Authorization", good if rng.random() < 0.85 else rng.choice(wrong))]
    if rng.random() < 0.05:
        found.append(("Authorization", rng.choice(wrong)))
    if rng.random() < 0.3:
        found.append(("Idempotency-Key", rng.choice((*KEYS, "", "ü", "x" * 64, "x" * 65, "x" * 8_000))))
    if rng.random() < 0.1:
        found.append((rng.choice(_NAMES), rng.choice(("", "x", "bytes=0-", ".".join("9" * 400), "é" * 50))))
    return found


def _body(operation: _Operation, rng: random.Random) -> bytes:
    assert operation.body is not None
    value = operation.body.value(rng)
    if isinstance(value, dict) and operation.path == "/v1/poll":
        value["wait"] = 0
    return encoded(mutated(value, rng), rng)


def _plain(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return text[:3_000].replace("\r", "").replace("\n", "")


def _json(body: bytes) -> dict[str, Any]:
    found = json.loads(body)
    return found if isinstance(found, dict) else {}


def _operations(document: Mapping[str, Any]) -> list[_Operation]:
    defs = document["components"]["schemas"]
    return [
        _Operation(method.upper(), path, _parameters(said, defs), _json_body(said, defs))
        for path, methods in document["paths"].items()
        for method, said in methods.items()
    ]


def _parameters(operation: Mapping[str, Any], defs: Mapping[str, Any]) -> list[tuple[str, str, SchemaValues]]:
    return [(one["in"], one["name"], _Named(one, defs)) for one in operation.get("parameters", ())]


def _json_body(operation: Mapping[str, Any], defs: Mapping[str, Any]) -> SchemaValues | None:
    content = operation.get("requestBody", {}).get("content", {})
    return SchemaValues(content["application/json"]["schema"], defs) if content else None


class _Named(SchemaValues):
    """A parameter, whose name says what it is."""

    def __init__(self, parameter: Mapping[str, Any], defs: Mapping[str, Any]) -> None:
        super().__init__(parameter["schema"], defs)
        self._name = parameter["name"]

    def value(self, rng: random.Random) -> Any:
        """Return a value that fits."""
        found = named(self._name, rng)
        return super().value(rng) if found is None else found


def _line(text: str, *fields: str) -> Callable[[random.Random], bytes]:
    return lambda _: "\r\n".join([text, *fields, "", ""]).encode()


_HARDLY: tuple[Callable[[random.Random], bytes], ...] = (
    lambda rng: rng.randbytes(rng.randint(1, 300)),
    lambda rng: b"GET / HTTP/1.1\r\nHost: g\r\nX: " + b"x" * rng.choice((60_000, 70_000, 300_000)) + b"\r\n\r\n",
    lambda rng: b"GET /" + b"a" * rng.choice((5_000, 70_000)) + b" HTTP/1.1\r\nHost: g\r\n\r\n",
    lambda rng: b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * rng.choice((101, 5_000)) + b"\r\n",
    _line("GET /v1/me HTTP/9.9", "Host: g"),
    _line("GET /v1/me"),
    _line("ZORK /v1/rooms HTTP/1.1", "Host: g"),
    _line("GET http://[ HTTP/1.1", "Host: ["),
    _line("GET /v1/%zz%ff%00/../..//%2e%2e/?=&&=;%ff HTTP/1.1", "Host: g"),
    _line("POST /v1/guest HTTP/1.1", "Host: g", "Content-Length: -1"),
    _line("POST /v1/guest HTTP/1.1", "Host: g", "Content-Length: 5", "Transfer-Encoding: chunked"),
    _line("POST /v1/guest HTTP/1.1", "Host: g", "Transfer-Encoding: chunked", "", "ffffffffffffffff", "x"),
    _line("POST /v1/guest HTTP/1.1", "Host: g", "Transfer-Encoding: chunked", "", "zz", "x"),
    _line("GET /v1/ws HTTP/1.1", "Host: g", "Upgrade: websocket", "Connection: Upgrade"),
    _line("GET /v1/ws HTTP/1.1", "Host: g", "Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Key: x"),
    _line("POST /v1/ws HTTP/1.1", "Host: g", "Upgrade: h2c", "Connection: Upgrade"),
    _line("GET /v1/sse HTTP/1.1", "Host: g", "Upgrade: websocket", "Connection: Upgrade",
          "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==", "Sec-WebSocket-Version: 13"),
    _line("PRI * HTTP/2.0", "", "SM"),
)  # fmt: skip
"""What is no request, or none that a client would send."""
