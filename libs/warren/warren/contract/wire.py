"""The base of every model that crosses the broker or goes to a client."""

from datetime import UTC, datetime
from typing import Annotated

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, PlainSerializer


class Wire(BaseModel):
    """A message between replicas: immutable, and tolerant of fields that a newer replica added."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class Strict(BaseModel):
    """A message from outside: unknown fields and coercions are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


def rfc3339(moment: datetime) -> str:
    """Return `moment` as RFC 3339 in UTC with milliseconds, which is what BSON dates hold."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def utc_now() -> datetime:
    """Return the present moment, cut to the milliseconds that the store keeps."""
    return _cut(datetime.now(UTC))


def _cut(moment: datetime) -> datetime:
    return moment.replace(microsecond=moment.microsecond // 1_000 * 1_000)


def _in_utc(moment: datetime) -> datetime:
    try:
        return _cut(moment.astimezone(UTC))
    except OverflowError as error:  # the first and last hours of all years, in other time zones
        raise ValueError("must be a moment between the years 1 and 9999 in UTC") from error


Timestamp = Annotated[
    AwareDatetime, AfterValidator(_in_utc), PlainSerializer(rfc3339, return_type=str, when_used="json")
]
"""A moment in UTC, with milliseconds."""
