"""Who is asking: tokens, and for trying out the guest login that hands them out."""

import re
import secrets
import time
from dataclasses import dataclass

import jwt
from pydantic import TypeAdapter, ValidationError
from warren.contract.ids import DisplayName, UserId

ALGORITHM = "HS256"
AUDIENCE = "warren"
ISSUER = "warren-guest"
_USER: TypeAdapter[str] = TypeAdapter(UserId)
_NAME: TypeAdapter[str] = TypeAdapter(DisplayName)


class TokenRefused(Exception):
    """The token is foreign, expired, or not a token."""


@dataclass(frozen=True, slots=True)
class User:
    """Somebody who proved who they are; `expires` is Unix time in seconds."""

    id: str
    name: str
    expires: float


class GuestAuth:
    """Gives and checks HS256 tokens under one secret. The library checks signature, expiry, audience and issuer."""

    def __init__(self, secret: str, token_seconds: int) -> None:
        self._secret = secret
        self._token_seconds = token_seconds

    def issue(self, name: str) -> tuple[str, User]:
        """Return a token for a new guest of this name; the id is made unique."""
        slug = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:40] or "guest"
        now = int(time.time())
        user = User(f"{slug}-{secrets.token_hex(4)}", name, now + self._token_seconds)
        claims = {
            "sub": user.id,
            "name": user.name,
            "iat": now,
            "exp": int(user.expires),
            "aud": AUDIENCE,
            "iss": ISSUER,
        }
        return jwt.encode(claims, self._secret, algorithm=ALGORITHM), user

    def verify(self, token: str) -> User:
        """Return whose token it is. Raises TokenRefused."""
        try:
            claims = jwt.decode(
                token,
                self._secret,
                algorithms=[ALGORITHM],
                audience=AUDIENCE,
                issuer=ISSUER,
                options={"require": ["exp", "sub", "aud", "iss"]},
            )
            user = _USER.validate_python(claims["sub"])
            return User(user, _NAME.validate_python(claims.get("name", user)), float(claims["exp"]))
        except jwt.ExpiredSignatureError as error:
            raise TokenRefused("the token has expired") from error
        except (jwt.InvalidTokenError, ValidationError) as error:
            raise TokenRefused("the token is not valid here") from error
