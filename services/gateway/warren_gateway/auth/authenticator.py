"""Who is asking: finds the key for a token, checks it, and remembers for a while what was good."""

import contextlib
import hashlib
import logging
import re
import secrets
import time
import unicodedata
from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import Protocol

import jwt
from warren.contract.codes import Code
from warren.contract.frames import TOKEN_LIMIT
from warren.rates import Buckets
from warren.throttle import LogThrottle

from warren_gateway import metrics
from warren_gateway.auth.tokens import Key, Rules, TokenRefused, User, check, check_claims, read_header

log = logging.getLogger(__name__)

GOOD_TOKENS = 20_000
"""Tokens that were found good and are remembered, by their hash: about 8 MB."""


GUEST_BYTES = 12
"""Random bytes in a guest's id: 96 bits, so that nobody is given somebody else's, however many guests there are."""
SLUG_CHARACTERS = 40


class NotNow(Exception):
    """Whether the token is good cannot be told for `wait` seconds.

    `too_many`: many bad ones came from this address; else its key is not known yet.
    """

    def __init__(self, wait: float, *, too_many: bool) -> None:
        super().__init__(
            "too many bad tokens came from this address" if too_many else "the token's key is not known yet"
        )
        self.wait = wait
        self.code = Code.TOO_MANY if too_many else Code.UNAVAILABLE


class Keys(Protocol):
    """Where the key for a token comes from."""

    @property
    def generation(self) -> int:
        """Another number means other keys."""

    async def find(self, algorithm: str, kid: str | None) -> Key | None:
        """Return the key that such a token must be signed with."""

    def at_hand(self, algorithm: str, kid: str | None) -> Key | None:
        """Return the same if it is known."""

    def again(self, kid: str | None) -> float:
        """Return the seconds until a key that was not found is looked for again; 0 if there is no sense in that."""


class Secret:
    """One secret for all tokens."""

    generation = 0

    def __init__(self, secret: str) -> None:
        self._secret = secret

    async def find(self, algorithm: str, kid: str | None) -> Key | None:
        """Return the secret."""
        return self._secret

    def at_hand(self, algorithm: str, kid: str | None) -> Key | None:
        """Return the secret."""
        return self._secret

    def again(self, kid: str | None) -> float:
        """Return that there is one secret and no other."""
        return 0.0


class Authenticator:
    """Checks tokens. A token that was good is not checked again while it lasts and the keys are the same.

    `signed_in` is called with whoever has come with a good one, each time. `second`: a secret that is as good as the
    first, while one takes the other's place.
    """

    def __init__(
        self, keys: Keys, rules: Rules, failures: Buckets, signed_in: Callable[[User], None] = lambda _: None,
        second: str | None = None,
    ) -> None:  # fmt: skip
        self._second = second
        self._signed_in = signed_in
        self._keys = keys
        self._rules = rules
        self._failures = failures
        self._throttle = LogThrottle()
        self._good: OrderedDict[bytes, User] = OrderedDict()
        self._generation = keys.generation

    async def authenticate(self, token: str, address: str) -> User:
        """Return whose token it is. Raises TokenRefused or NotNow.

        Tokens that are known to be good pass in any case: people behind one address do not pay for each other.
        """
        if (user := self.recognise(token)) is not None:
            return user
        with self._taken_note_of(address):
            user = await self.verify(token)
        return self._accept(token, user)

    def authenticate_now(self, token: str, address: str) -> User | None:
        """Return the same, or None if the key has to be looked for first. Raises TokenRefused or NotNow.

        For a hello, which there is one of: many such tokens at once would hold everybody up.
        """
        if (user := self.recognise(token)) is not None:
            return user
        with self._taken_note_of(address):
            key = self._keys.at_hand(*read_header(token, self._rules))
            if key is None:
                return None
            user = self._check(token, key)
        return self._accept(token, user)

    def recognise(self, token: str) -> User | None:
        """Return whose token it is, who comes with it now, if that is known without looking into it."""
        user = self.known(token)
        if user is not None:
            self._signed_in(user)
        return user

    @contextlib.contextmanager
    def _taken_note_of(self, address: str) -> Iterator[None]:
        """Take note of what is refused meanwhile. Raises NotNow if there was too much of that."""
        wait = self._failures.wait(address, time.monotonic())
        if wait:
            raise NotNow(wait, too_many=True)
        try:
            yield
        except TokenRefused as refused:
            metrics.TOKENS_REFUSED.labels(refused.reason).inc()
            self._log_refusal(refused, address)
            self._failures.take(address, time.monotonic())
            raise
        except NotNow as error:
            if isinstance(error.__cause__, TokenRefused):
                self._log_refusal(error.__cause__, address)
            self._failures.take(address, time.monotonic())  # anybody can make up a key's id
            raise

    def _accept(self, token: str, user: User) -> User:
        self._remember(token, user)
        self._signed_in(user)
        return user

    def _log_refusal(self, refused: TokenRefused, address: str) -> None:
        """Say why, never with the token: somebody may still be let in by it elsewhere."""
        fields = {"reason": refused.reason, "detail": refused.detail or str(refused), "address": address}
        self._throttle.warn(log, refused.reason, "a token was refused", **fields)

    async def verify(self, token: str) -> User:
        """Return whose token it is. Raises TokenRefused or NotNow. Waits only for a key that is not known."""
        algorithm, kid = read_header(token, self._rules)
        key = await self._keys.find(algorithm, kid)
        if key is None:
            check_claims(token, self._rules)  # what would not do with any key is refused for good
            detail = f"{algorithm}, kid {ascii(kid)[:80]}"
            refused = TokenRefused("the token is signed with a key that is not known here", "key", detail)
            if wait := self._keys.again(kid):
                raise NotNow(wait, too_many=False) from refused
            raise refused
        return self._check(token, key)

    def _check(self, token: str, key: Key) -> User:
        try:
            return check(token, key, self._rules)
        except TokenRefused:
            if self._second is not None:
                with contextlib.suppress(TokenRefused):
                    return check(token, self._second, self._rules)
            raise

    def known(self, token: str) -> User | None:
        """Return whose token it is if it was found good before and still is."""
        if len(token) > TOKEN_LIMIT:
            return None
        self._forget_after_change()
        mark = _mark(token)
        user = self._good.get(mark)
        if user is None:
            return None
        if time.time() >= user.expires:
            del self._good[mark]
            return None
        self._good.move_to_end(mark)
        return user

    def _forget_after_change(self) -> None:
        if self._generation != self._keys.generation:
            self._good.clear()
            self._generation = self._keys.generation

    def _remember(self, token: str, user: User) -> None:
        self._forget_after_change()
        self._good[_mark(token)] = user
        if len(self._good) > GOOD_TOKENS:
            self._good.popitem(last=False)


def _mark(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "replace")).digest()


class Guests:
    """Hands out tokens to whoever asks: for trying out."""

    def __init__(self, secret: str, rules: Rules, token_seconds: int) -> None:
        self._secret = secret
        self._rules = rules
        self.token_seconds = token_seconds

    def issue(self, name: str) -> tuple[str, User]:
        """Return a token for a new guest of this name, with an id that nobody else has."""
        now = int(time.time())
        user = User(_guest_id(name), name, now + self.token_seconds)
        claims = {
            "sub": user.id,
            "name": user.name,
            "iat": now,
            "exp": int(user.expires),
            "aud": self._rules.audience,
            "iss": self._rules.issuer,
        }
        return jwt.encode(claims, self._secret, algorithm="HS256"), user


def _guest_id(name: str) -> str:
    """Return an id that can be told by its name, where that has Latin letters, and cannot be guessed."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    slug = re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:SLUG_CHARACTERS]
    return "-".join(part for part in (slug, secrets.token_hex(GUEST_BYTES)) if part)
