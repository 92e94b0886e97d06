"""Warren's client for browsers: JavaScript modules, served by the gateway as one file and built into the UI's chat."""

import re
from collections.abc import Iterable
from functools import cache
from pathlib import Path

MODULES = (
    "backoff.js", "frames.js", "http.js", "token.js", "eventstream.js", "transport.js", "httpsender.js", "websocket.js",
    "sse.js", "polling.js", "fallback.js", "wakeups.js", "attempt.js", "connection.js", "outbox.js", "subscriptions.js",
    "sender.js", "api.js", "watch.js", "client.js",
)  # fmt: skip
"""The client's modules, dependencies first; no two of them name a thing alike at their top level."""
PUBLIC = ("WarrenClient", "RequestError", "TOKEN_REFUSED", "backoff")
"""What `/client.js` exports."""
_NAMES = ", ".join(PUBLIC)
_HERE = Path(__file__).parent
_IMPORT = re.compile(r"^(?:import|export \{[^}]*\} from) [^;]*;\n", re.MULTILINE)
_EXPORT = re.compile(r"^export (?!default)", re.MULTILINE)


def bundle(modules: Iterable[str]) -> str:
    """Return the texts of `modules` as one module, dependencies first: only a default export stays exported."""
    return "\n".join(_EXPORT.sub("", _IMPORT.sub("", text)) for text in modules)


@cache
def script() -> str:
    """Return the client as one ES module, which exports `PUBLIC`."""
    return f"{_client()}\nexport {{ {_NAMES} }};\n"


@cache
def enclosed() -> str:
    """Return the client as a text for the head of a module of one's own: it declares `PUBLIC` and nothing else."""
    return f"const {{ {_NAMES} }} = (() => {{\n{_client()}\nreturn {{ {_NAMES} }};\n}})();\n"


def _client() -> str:
    return bundle((_HERE / name).read_text(encoding="utf-8") for name in MODULES)
