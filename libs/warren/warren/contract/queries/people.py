"""Who there is, by name or id, and what somebody is to somebody else."""

from typing import Literal

from pydantic import Field

from warren.contract.ids import UserId
from warren.contract.queries.limits import PAGE_LIMIT, SIGN_INS_LIMIT
from warren.contract.wire import Wire


class Person(Wire):
    """Somebody, by id and the name they last went by.

    Not a client's own `Identity`, whose id is called `id` on the wire, as this one's is `user`: neither can change
    within a version.
    """

    user: UserId
    name: str


class People(Wire):
    """People whose name or id begins with `prefix`, whatever its case."""

    type: Literal["people"] = "people"
    user: UserId
    prefix: str = Field(min_length=1, max_length=128)
    limit: int = Field(default=20, ge=1, le=PAGE_LIMIT)


class Blocks(Wire):
    """Whom `user` has blocked, by id, after `after`."""

    type: Literal["blocks"] = "blocks"
    user: UserId
    after: str = Field(default="", max_length=128)
    limit: int = Field(default=PAGE_LIMIT, ge=1, le=PAGE_LIMIT)


class PeopleAnswer(Wire):
    """The answer to People, and to Blocks; `more`: there are further ones."""

    type: Literal["people_answer"] = "people_answer"
    people: list[Person]
    more: bool = False


class SignIns(Wire):
    """What gateways know and others do not: these people have signed in, by these names. Stored when it is answered."""

    type: Literal["sign_ins"] = "sign_ins"
    user: UserId | None = None
    people: list[Person] = Field(max_length=SIGN_INS_LIMIT)


class Noted(Wire):
    """The answer to SignIns: it is stored."""

    type: Literal["noted"] = "noted"


class Acquaintance(Wire):
    """Who is `other`, if they share a room with `user`?"""

    type: Literal["acquaintance"] = "acquaintance"
    user: UserId
    other: UserId


class Acquainted(Wire):
    """The answer to Acquaintance: they do; `name` is what the other last went by."""

    type: Literal["acquainted"] = "acquainted"
    name: str
