"""Reaching MongoDB through motor, the same way from every service that has a store."""

import contextlib
from collections.abc import AsyncIterator, Iterator
from typing import Any
from urllib.parse import unquote, urlsplit

import pymongo
from motor.motor_asyncio import AsyncIOMotorClient
from pymongo.errors import (
    BulkWriteError,
    ConnectionFailure,
    CursorNotFound,
    ExecutionTimeout,
    OperationFailure,
    PyMongoError,
    WriteConcernError,
)

LOST = ConnectionFailure | CursorNotFound | ExecutionTimeout | WriteConcernError
"""What a MongoDB that goes away, or comes back without what it had begun, is seen as."""
INTERRUPTED = frozenset({6, 7, 64, 89, 91, 100, 134, 189, 262, 9001, 10107, 11600, 11602, 13435, 13436})
"""MongoDB's codes for what is lost with a primary or a connection between members, or waits for a majority in vain. The
driver tries again by itself, in time; what it raises then is not always one of LOST."""
AUTHENTICATION_FAILED = 18
"""MongoDB's code for a login that it refuses."""
OPERATION_TIMEOUT = 10_000
"""Milliseconds for one operation, server selection and the driver's own retry included."""
LONG_WORK = 6 * 3600.0
"""Seconds for building an index, or looking through all logs: what 100 million events take on a slow disk. The driver
waits as long for a server that is away, so ask whether it is there before."""
SELECTION_TIMEOUT = 2_000
"""Milliseconds to connect. A primary is waited for as long as OPERATION_TIMEOUT, which the driver puts in place of its
own limit for that."""
HEARTBEAT = 1_000
"""Milliseconds between two looks at each member (the driver's own: 10 seconds). A member that says nothing for that
long and SELECTION_TIMEOUT more is halted or cut off: what waits for it is broken off and done at another one."""

HANDSHAKE_TRIES = 1_000
"""How often the driver connects again to a member that hangs up at once. It takes such a one for overloaded, even if it
has just died. More than there is time for: the bound is OPERATION_TIMEOUT. Its own is 2, within half a second, and the
next look at the member may come after that."""


class StoreUnavailable(Exception):
    """MongoDB did not answer, or has no primary. A write may or may not have been done."""


def connect(url: str, name: str) -> tuple[Any, Any]:
    """Return a client, which connects on first use, and the database that the URL names (`warren` without one).

    Everything is read and written with majority concern: what was read cannot be rolled back. All is read from the
    primary: a member that lags would show a room to somebody who was removed from it.

    What an election interrupts is tried again by the driver, which has MongoDB know a write by its number, for as long
    as OPERATION_TIMEOUT; what updates many at once is not, and left to the callers.
    """
    client: Any = AsyncIOMotorClient(
        url,
        tz_aware=True,
        w="majority",
        readConcernLevel="majority",
        readPreference="primary",
        retryReads=True,
        retryWrites=True,
        timeoutMS=OPERATION_TIMEOUT,
        serverSelectionTimeoutMS=SELECTION_TIMEOUT,
        connectTimeoutMS=SELECTION_TIMEOUT,
        heartbeatFrequencyMS=HEARTBEAT,
        maxAdaptiveRetries=HANDSHAKE_TRIES,
        appname=name,
    )
    return client, client.get_default_database("warren")


def host_of(url: str) -> dict[str, str]:
    """Return who connects to what by a MongoDB URL, for the log: without the password."""
    login, _, host = urlsplit(url).netloc.rpartition("@")
    return {"user": unquote(login.partition(":")[0]), "host": host}


@contextlib.contextmanager
def long_work() -> Iterator[None]:
    """Let each operation meanwhile take as long as LONG_WORK, whatever the client's own limit."""
    with pymongo.timeout(LONG_WORK):
        yield


@contextlib.contextmanager
def translated() -> Iterator[None]:
    """Turn what a lost or electing MongoDB looks like into StoreUnavailable; a mistake of ours stays what it is.

    So is a login that it refuses: somebody has to change that, here or there, and whoever ends asks again, too.
    """
    try:
        yield
    except PyMongoError as error:
        if isinstance(error, LOST) or error.timeout or _refused(error) or _interrupted(error):
            raise StoreUnavailable(repr(error)) from error
        raise


async def portions(cursor: Any, size: int) -> AsyncIterator[list[dict[str, Any]]]:
    """Yield what a cursor finds, so many documents at a time. Raises StoreUnavailable."""
    while True:
        with translated():
            found: list[dict[str, Any]] = await cursor.to_list(size)
        if not found:
            return
        yield found


def _refused(error: PyMongoError) -> bool:
    return isinstance(error, OperationFailure) and error.code == AUTHENTICATION_FAILED


def _interrupted(error: PyMongoError) -> bool:
    """Whether an election was in the way, be it that all is written and no majority has confirmed it."""
    if isinstance(error, BulkWriteError):
        failures = (error.details or {}).get("writeErrors", ())
        return not failures or failures[-1]["code"] in INTERRUPTED
    return isinstance(error, OperationFailure) and error.code in INTERRUPTED
