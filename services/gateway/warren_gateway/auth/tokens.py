"""What makes a token good. The library checks signature and claims; what is allowed at all is here."""

import time
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import jwt
from jwt.types import Options
from pydantic import TypeAdapter, ValidationError
from warren.contract.bots import is_bot
from warren.contract.frames import TOKEN_LIMIT
from warren.contract.ids import MYSELF, UserId
from warren.contract.text import one_line, shows

SYMMETRIC = frozenset({"HS256"})
"""By a secret that gateways and issuer share."""
ASYMMETRIC = frozenset({"RS256", "ES256", "EdDSA"})
"""By a key pair of the issuer's. Never allowed beside the symmetric one: a public key must not pass for a secret."""
NAME_CHARACTERS = 64
CLAIM_CHARACTERS = 1_000
"""Of a claim that are looked through for those."""
SKEW = 30.0
"""Seconds by which the issuer's clock may be ahead of ours: for `iat` and `nbf`, never for `exp`."""
HEADERS = 64
"""Headers of tokens whose meaning is remembered, half a megabyte at most."""
LATEST = 2**53
"""Unix seconds: a later expiry counts as this one, which fits wherever it goes."""
_USER: TypeAdapter[str] = TypeAdapter(UserId)
_CLAIMS: Options = {"verify_exp": True, "verify_nbf": True, "verify_iat": True, "verify_aud": True, "verify_iss": True}
"""Told to the library, which looks at none of them where it does not look at the signature."""
_REQUIRED = ["exp", "sub", "aud", "iss"]

DETAIL = 200
"""Characters of what the operator reads of a refusal."""
REASONS: dict[type[Exception], str] = {
    jwt.InvalidIssuerError: "issuer",
    jwt.InvalidAudienceError: "audience",
    jwt.MissingRequiredClaimError: "claim",
    jwt.ImmatureSignatureError: "not_yet",
    jwt.InvalidSignatureError: "signature",
}
"""What the library found; all else is `malformed`."""

Key = jwt.PyJWK | str
"""A public key, bound to its one algorithm, or the secret."""


class TokenRefused(Exception):
    """The token is foreign, expired, or not a token. Says why in words that are fit for the one who sent it.

    `reason` is one of a few, for metrics; `detail` tells the operator more, of what the issuer has signed.
    """

    def __init__(self, message: str, reason: str, detail: str = "") -> None:
        super().__init__(message)
        self.reason = reason
        self.detail = detail[:DETAIL]


@dataclass(frozen=True, slots=True)
class User:
    """Somebody who proved who they are; `expires` is Unix time in seconds."""

    id: str
    name: str
    expires: float


@dataclass(frozen=True, slots=True)
class Rules:
    """Which tokens are meant for this gateway."""

    algorithms: frozenset[str]
    issuer: str
    audience: str
    name_claim: str = "name"
    user_claim: str = "sub"


def read_header(token: str, rules: Rules) -> tuple[str, str | None]:
    """Return algorithm and key id, so that the key can be found. Raises TokenRefused.

    Nothing of this is trusted: the key says which algorithm it is for, and `check` holds the token to that.
    """
    if len(token) > TOKEN_LIMIT:
        raise TokenRefused("the token is too long", "malformed", f"more than {TOKEN_LIMIT} characters")
    try:
        # The header alone: whatever follows it is not worth decoding yet.
        algorithm, kid = _parse_header(token.partition(".")[0])
    except (jwt.PyJWTError, UnicodeError) as error:
        raise TokenRefused("this is not a token", "malformed") from error
    if not isinstance(algorithm, str) or algorithm not in rules.algorithms:
        allowed = ", ".join(sorted(rules.algorithms))
        detail = f"signed with {ascii(algorithm)[:40]}, and allowed is {allowed}"
        raise TokenRefused("the token is signed in a way that is not allowed here", "algorithm", detail)
    return algorithm, kid


@lru_cache(maxsize=HEADERS)
def _parse_header(segment: str) -> tuple[Any, str | None]:
    """Return what it says of algorithm and key id: an issuer's tokens of one key all begin alike."""
    header = jwt.get_unverified_header(f"{segment}..")
    return header.get("alg"), header.get("kid")


def check(token: str, key: Key, rules: Rules) -> User:
    """Return whose token it is, if this key has signed it and it is meant for here and now. Raises TokenRefused."""
    return _checked(token, rules, key=key, verify_signature=True)


def check_claims(token: str, rules: Rules) -> None:
    """Raise TokenRefused if the token is not meant for here and now, whoever has signed it."""
    _checked(token, rules, verify_signature=False)


def _checked(token: str, rules: Rules, *, verify_signature: bool, key: Key = "") -> User:
    try:
        claims = jwt.decode(
            token,
            key,
            algorithms=sorted(rules.algorithms),
            audience=rules.audience,
            issuer=rules.issuer,
            leeway=SKEW,
            options={
                **_CLAIMS,
                "verify_signature": verify_signature,
                "require": [*_REQUIRED, rules.user_claim],
                "enforce_minimum_key_length": True,
            },
        )
        user = _user(claims, rules)
    except jwt.ExpiredSignatureError as error:
        raise TokenRefused("the token has expired", "expired") from error
    except (jwt.PyJWTError, UnicodeError) as error:
        reason = REASONS.get(type(error), "malformed")
        raise TokenRefused("the token is not valid here", reason, _detail(token, reason, error, rules)) from error
    if user.expires <= time.time():  # the library grants the skew to this, too
        raise TokenRefused("the token has expired", "expired")
    return user


def _detail(token: str, reason: str, error: Exception, rules: Rules) -> str:
    """Return what is wrong with a token; of what is in it one claim at most, escaped and cut: anybody may write one."""
    wanted = {"issuer": ("iss", rules.issuer), "audience": ("aud", rules.audience)}.get(reason)
    if wanted is None:
        return str(error)
    claim, value = wanted
    try:
        claims = jwt.decode(token, options={"verify_signature": False})
    except (jwt.PyJWTError, UnicodeError):  # it is another claim of it that is none
        return str(error)
    return f"{claim} is {ascii(claims.get(claim))[:80]}, and wanted is {value!r}"


def _user(claims: dict[str, Any], rules: Rules) -> User:
    user = _user_id(claims, rules.user_claim)
    found = (claims.get(claim) for claim in (rules.name_claim, "preferred_username"))
    name = next((text for text in map(_display_name, found) if text), user)
    return User(user, name[:NAME_CHARACTERS], float(min(int(claims["exp"]), LATEST)))


def _user_id(claims: dict[str, Any], claim: str) -> str:
    if claim == "email" and claims.get("email_verified") is not True:
        # Else whoever may write any address into their profile is whom it belongs to.
        raise TokenRefused("the token's email is not verified", "email")
    try:
        user = _USER.validate_python(claims[claim])
    except ValidationError as error:
        raise TokenRefused(f"the token's {claim} cannot be a user id here", "user", ascii(claims[claim])) from error
    if user == MYSELF or is_bot(user):  # bots have logins at the broker, and no tokens
        raise TokenRefused(f"the token's {claim} cannot be a user id here", "user", user)
    return user


def _display_name(claim: object) -> str:
    """Return the claim as a name, or nothing: a name that cannot be shown is no reason to refuse its owner."""
    if not isinstance(claim, str):
        return ""
    line = one_line(claim[:CLAIM_CHARACTERS].encode("utf-8", "replace").decode())[:NAME_CHARACTERS].strip()
    return line if shows(line) else ""
