"""Reads what clients send: a text comes in, a frame or what is wrong with it goes out. No I/O."""

from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError
from warren.contract import frames as f
from warren.contract.codes import TEMPORARY
from warren.rates import seconds
from warren.untrusted import UnreadableError, encodable, first_error, read, unknown_field


@dataclass(frozen=True, slots=True)
class Malformed:
    """A known frame with a wrong field. `key` and `room`: what the client may recognise it by."""

    type: str
    detail: str
    key: str | None
    room: str | None


def parse(data: str | bytes) -> f.AnyClientFrame | Malformed | None:
    """Return the frame, or what is wrong with it; None if it is no frame of this protocol."""
    found = _read_object(data)
    kind = found.get("type")
    model = f.CLIENT_FRAMES.get(kind) if isinstance(kind, str) else None
    if model is None:
        return None
    if (name := unknown_field(found, model)) is not None:
        return _malformed(found, f"{name}: there is no such field")
    try:
        return model.model_validate(found)
    except ValidationError as error:
        return _malformed(found, first_error(error))


def error_frame(
    frame: str,
    code: str,
    detail: str,
    *,
    key: str | None = None,
    room: str | None = None,
    wait: float | None = None,
) -> f.Error:
    """Return an error frame; whether it is temporary follows from the code.

    `frame` is the type of the refused frame, `wait` the seconds until it may succeed.
    """
    retry_after = None if wait is None else seconds(wait)
    temporary = code in TEMPORARY
    return f.Error(
        frame=frame, key=key, room=room, code=code, detail=detail, temporary=temporary, retry_after=retry_after
    )


def _read_object(data: str | bytes) -> dict[str, Any]:
    """Return a JSON object, as every frame is one; of what is none, an empty one."""
    try:
        found = read(data)
    except UnreadableError:
        return {}
    return found if isinstance(found, dict) else {}


def _malformed(found: dict[str, Any], detail: str) -> Malformed:
    return Malformed(found["type"], detail, _short_text(found.get("key")), _short_text(found.get("room")))


def _short_text(value: object) -> str | None:
    """Return what the client may recognise its frame by, if it can be sent back and is of a sane size."""
    return value if isinstance(value, str) and len(value) <= 128 and encodable(value) else None
