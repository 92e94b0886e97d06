"""Reads, asked over the broker and judged by who asks: a module for each area, and all of them together.

`user` is the asker; None is a gateway on its own behalf, as which nobody else may ask: the broker vouches for who did.
"""

from typing import Annotated, get_args

from pydantic import Field, TypeAdapter

from warren.contract.queries.denied import Denied
from warren.contract.queries.limits import ACCESSES_LIMIT, NOTES_LIMIT, PAGE_LIMIT, RANGE_LIMIT, SIGN_INS_LIMIT
from warren.contract.queries.log import EventRange, Head, Heads, HeadsAnswer, History, Page, Range, StoredEvent
from warren.contract.queries.people import (
    Acquaintance,
    Acquainted,
    Blocks,
    Noted,
    People,
    PeopleAnswer,
    Person,
    SignIns,
)
from warren.contract.queries.rooms import (
    Access,
    Accesses,
    Directory,
    DirectoryEntry,
    DirectoryPage,
    MemberEntry,
    MemberPage,
    Members,
    MemberState,
    MyRooms,
    RoomAccess,
    RoomAccesses,
    RoomList,
    RoomSummary,
)

__all__ = [
    "ACCESSES_LIMIT",
    "ANSWER",
    "NOTES_LIMIT",
    "PAGE_LIMIT",
    "QUERY",
    "QUERY_TYPES",
    "RANGE_LIMIT",
    "SIGN_INS_LIMIT",
    "Access",
    "Accesses",
    "Acquaintance",
    "Acquainted",
    "Answer",
    "AnyAnswer",
    "AnyQuery",
    "Blocks",
    "Denied",
    "Directory",
    "DirectoryEntry",
    "DirectoryPage",
    "EventRange",
    "Head",
    "Heads",
    "HeadsAnswer",
    "History",
    "MemberEntry",
    "MemberPage",
    "MemberState",
    "Members",
    "MyRooms",
    "Noted",
    "Page",
    "People",
    "PeopleAnswer",
    "Person",
    "Query",
    "Range",
    "RoomAccess",
    "RoomAccesses",
    "RoomList",
    "RoomSummary",
    "SignIns",
    "StoredEvent",
]


AnyQuery = (
    RoomAccess | RoomAccesses | EventRange | History | MyRooms | Directory | Heads | Members | People | Acquaintance
    | Blocks | SignIns
)  # fmt: skip
Query = Annotated[AnyQuery, Field(discriminator="type")]
QUERY: TypeAdapter[AnyQuery] = TypeAdapter(Query)
QUERY_TYPES = tuple(str(query.model_fields["type"].default) for query in get_args(AnyQuery))
"""The types that persistence answers. Another service's are no part of this union, and are routed to that one."""

AnyAnswer = (
    Access | Accesses | Range | Page | RoomList | DirectoryPage | HeadsAnswer | MemberPage | PeopleAnswer | Acquainted
    | Noted | Denied
)  # fmt: skip
Answer = Annotated[AnyAnswer, Field(discriminator="type")]
ANSWER: TypeAdapter[AnyAnswer] = TypeAdapter(Answer)
