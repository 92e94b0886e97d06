"""What routes depend on: the gateway, who is asking, and what that costs them.

A route that reads takes `Me`, one that says something `Sender`, one that changes rooms or memberships `Changer`.
"""

import time
from typing import Annotated

from fastapi import Depends, Header, Path, Query, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from warren.contract.codes import Code
from warren.contract.ids import Key, RoomId, UserId
from warren.contract.queries import PAGE_LIMIT
from warren.rates import Buckets

from warren_gateway import metrics
from warren_gateway.auth.authenticator import NotNow
from warren_gateway.auth.tokens import TokenRefused, User
from warren_gateway.connections.limits import address_of
from warren_gateway.context import AppContext
from warren_gateway.http.errors import ProblemError

_bearer = HTTPBearer(auto_error=False, description="A token: from its issuer, or in guest mode from POST /v1/guest.")


async def gateway(request: Request) -> AppContext:
    """Return the gateway behind the app."""
    found: AppContext = request.app.state.gateway
    return found


Context = Annotated[AppContext, Depends(gateway)]


async def signed_in(
    request: Request, context: Context, credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]
) -> User:
    """Return who is asking, from the Authorization header."""
    if credentials is None:
        raise ProblemError(Code.UNAUTHORIZED, "send a token: Authorization: Bearer …")
    try:
        return await context.auth.authenticate(credentials.credentials, address_of(request.scope))
    except TokenRefused as error:
        raise ProblemError(Code.UNAUTHORIZED, str(error)) from error
    except NotNow as error:
        raise ProblemError(error.code, str(error), error.wait) from error


SignedIn = Annotated[User, Depends(signed_in)]


async def reader(user: SignedIn, context: Context) -> User:
    """Return who is asking, at the price of a read."""
    return _charged(user, context.people.reads, "read")


async def sender(user: SignedIn, context: Context) -> User:
    """Return who is asking, at the price of a message."""
    return _charged(user, context.people.messages, "message")


async def changer(user: SignedIn, context: Context) -> User:
    """Return who is asking, at the price of a change to rooms or memberships."""
    return _charged(user, context.people.changes, "change")


async def typist(user: SignedIn, context: Context) -> User:
    """Return who is asking, at the price of being seen typing."""
    return _charged(user, context.people.typing, "typing")


Me = Annotated[User, Depends(reader)]
Sender = Annotated[User, Depends(sender)]
Changer = Annotated[User, Depends(changer)]
Typist = Annotated[User, Depends(typist)]
Room = Annotated[RoomId, Path()]
Somebody = Annotated[UserId, Path(description="A user id; `me` is oneself.")]
AfterUser = Annotated[str, Query(max_length=128)]
PageSize = Annotated[int, Query(ge=1, le=PAGE_LIMIT)]
IdempotencyKey = Annotated[Key | None, Header(alias="Idempotency-Key")]


def _charged(user: User, buckets: Buckets, what: str) -> User:
    wait = buckets.take(user.id, time.monotonic())
    if wait:
        metrics.LIMITED.labels(what).inc()
        raise ProblemError(Code.TOO_MANY, f"too many requests of this kind: {what}", wait)
    return user
