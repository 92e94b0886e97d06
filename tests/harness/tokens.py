"""Tokens as the gateways give them, and as they must not take them."""

import time
from typing import Any

import jwt

from harness.stack import SECRET


def token(user: str, *, secret: str = SECRET, expires_in: float = 3_600, **claims: Any) -> str:
    """Return a token for `user`; further claims replace the right ones, None leaves one out."""
    now = int(time.time())
    payload = {
        "sub": user,
        "name": user,
        "iat": now,
        "exp": now + int(expires_in),
        "aud": "warren",
        "iss": "warren-guest",
        **claims,
    }
    kept = {name: value for name, value in payload.items() if value is not None}
    return jwt.encode(kept, secret, algorithm="HS256")
