"""Settings of the gateway."""

import ipaddress
from typing import Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import SettingsConfigDict
from warren.contract.ids import RoomId, Title, is_reserved
from warren.ops.settings import ServiceSettings
from warren.rates import Rate

from warren_gateway.auth.tokens import ASYMMETRIC, SYMMETRIC, Rules

GUEST_ISSUER = "warren-guest"


class Settings(ServiceSettings):
    """Read from `WARREN_…` variables; an empty one counts as not given."""

    # What is wrong is named without its value, which may be a secret.
    model_config = SettingsConfigDict(env_ignore_empty=True, hide_input_in_errors=True)

    port: int = 8000
    auth: Literal["guest", "jwt"] = "guest"
    """How people prove who they are. `guest`: whoever asks gets a token, to try it out. `jwt`: an issuer's tokens."""
    secret: SecretStr | None = Field(default=None, min_length=32)
    """Signs tokens (HS256): the gateway's own for guests, the issuer's in `jwt` mode; the same on every gateway."""
    second_secret: SecretStr | None = Field(default=None, min_length=32)
    """Tokens signed with this one are taken, too, and none is signed with it: for going from one secret to another."""
    token_seconds: int = Field(default=30 * 24 * 3600, ge=1)
    """How long a guest token is good for."""
    jwks: str | None = None
    """The issuer's public keys, for `jwt` mode: an http(s) URL, or a file."""
    jwks_seconds: float = Field(default=600.0, gt=0)
    """How often they are read again, so that a key that was taken back stops working."""
    algorithms: str = ""
    """Comma-separated: what tokens may be signed with. If empty, HS256 for a secret; RS256, ES256, EdDSA for keys."""
    issuer: str | None = None
    """`iss` of the tokens that are taken; required in `jwt` mode."""
    audience: str = "warren"
    """`aud` of the tokens that are taken."""
    user_claim: str = "sub"
    """The claim that people are known by, for issuers whose `sub` is no user id (`[A-Za-z0-9_.@+-]`, 128 at most)."""
    name_claim: str = "name"
    """The claim that people are shown by; without it `preferred_username`, else `sub`."""
    origins: str = "*"
    """Comma-separated origins whose pages may use this gateway (WebSocket and CORS); `*` is any."""
    trusted_proxies: str = ""
    """Comma-separated addresses or networks of proxies whose `X-Forwarded-For` is believed."""
    docs: bool = False
    """Whether there is a page at `/docs` to try the API; it loads scripts from a CDN."""

    peers: str = ""
    """Comma-separated: where all gateways are, `http://host:port`; each address of a name is one. They are asked
    whether they do better while this one cannot work, so that `/readyz` is 503 on it alone, not on all at once."""

    landing_room: RoomId | None = None
    """The room in which who is new lands: public, made when a gateway starts unless it is there."""
    landing_title: Title = "General"
    """What that room is called when it is made."""

    frames_per_second: float = Field(default=50.0, gt=0)
    frames_burst: int = Field(default=500, ge=1)
    """A connection: frames of any kind. More closes it with 4505."""
    messages_per_second: float = Field(default=10.0, gt=0)
    messages_burst: int = Field(default=100, ge=1)
    """A connection: sends. The burst is what `unanswered` lets wait, so that an outbox can be emptied at once."""
    joins_per_second: float = Field(default=10.0, gt=0)
    joins_burst: int = Field(default=400, ge=1)
    """A connection: subscriptions. The burst is twice `rooms_per_connection`: all of them again after a reset."""
    typing_per_second: float = Field(default=1.0, gt=0)
    typing_burst: int = Field(default=10, ge=1)
    """A connection: `typing`. A client says so every 3 s."""
    statuses_per_second: float = Field(default=0.5, gt=0)
    statuses_burst: int = Field(default=20, ge=1)
    """A connection: changes between online and away; each concerns all its rooms."""
    refusals_per_second: float = Field(default=1.0, gt=0)
    refusals_burst: int = Field(default=200, ge=1)
    """A connection: frames refused as invalid or too many. More closes it with 4505: it does not listen."""
    unanswered: int = Field(default=100, ge=1)
    """A connection: sends that wait for their ack at once."""
    rooms_per_connection: int = Field(default=200, ge=1, le=300)
    """A connection: rooms subscribed to at once. The cursors of all must leave room for events in a poll's answer."""

    person_messages_per_second: float = Field(default=20.0, gt=0)
    person_messages_burst: int = Field(default=200, ge=1)
    """A person: sends over all connections and HTTP."""
    person_changes_per_second: float = Field(default=5.0, gt=0)
    person_changes_burst: int = Field(default=100, ge=1)
    """A person: what changes rooms and memberships. The burst invites a large team at once."""
    person_reads_per_second: float = Field(default=20.0, gt=0)
    person_reads_burst: int = Field(default=200, ge=1)
    """A person: requests that read (history, lists, search)."""
    person_joins_per_second: float = Field(default=50.0, gt=0)
    person_joins_burst: int = Field(default=2_000, ge=1)
    """A person: rooms to follow, over all connections and polls, where the store has to be asked for their access
    or what they missed. The burst is ten devices that come back with `rooms_per_connection` each."""
    person_typing_per_second: float = Field(default=1.0, gt=0)
    person_typing_burst: int = Field(default=10, ge=1)
    """A person: `typing` over HTTP."""
    connections_per_person: int = Field(default=20, ge=1)
    """A person: WebSockets, streams and waiting polls at once. More is closed with 4029, or answered 429."""

    address_requests_per_second: float = Field(default=200.0, gt=0)
    address_requests_burst: int = Field(default=2_000, ge=1)
    """An address: HTTP requests. Enough for 500 people behind one router who all begin within a minute."""
    address_connects_per_second: float = Field(default=50.0, gt=0)
    address_connects_burst: int = Field(default=1_000, ge=1)
    """An address: new WebSockets. 500 people with two tabs each come back at once when their router does."""
    connections_per_address: int = Field(default=2_000, ge=1)
    """An address: WebSockets open at once."""
    address_failures_per_second: float = Field(default=10.0, gt=0)
    address_failures_burst: int = Field(default=300, ge=1)
    """An address: bad tokens. Beyond it no token from there is checked that is not known to be good."""

    outbox_bytes: int = Field(default=2 * 1024 * 1024, ge=2 * 1024 * 1024)
    """What may wait for a reader in the socket's buffer; more closes it with 4008. At least what one step of a replay
    sends to a healthy reader, even when each text is as long as it may be."""
    replay_bytes: int = Field(default=256 * 1024 * 1024, ge=1024 * 1024)
    """What is kept of the latest events of all rooms together, for those who come back. Beyond it the rooms that were
    used least recently give up theirs, and are served from the store."""
    keep_alive_seconds: int = Field(default=15, ge=1, le=30)
    """How often an event stream shows that it lives: less than what any proxy on the way takes for dead."""
    drain_seconds: float = Field(default=0.0, ge=0, le=600)
    """Over how long clients are sent away when the process is told to stop."""
    heads_seconds: float = Field(default=10.0, gt=0)
    """How often the heads of all rooms are compared with the store, to find a lost tail."""

    @field_validator("landing_room")
    @classmethod
    def _by_hand(cls, room: str | None) -> str | None:
        if room is not None and is_reserved(room):
            raise ValueError("ids that begin with me- or dm- are not for rooms made by hand")
        return room

    @field_validator("jwks")
    @classmethod
    def _readable(cls, source: str | None) -> str | None:
        if source is not None and "://" in source:
            parts = urlsplit(source)
            if parts.scheme not in ("http", "https", "file") or (parts.scheme != "file" and not parts.hostname):
                raise ValueError("must be an http or https URL, or a file")
        return source

    @field_validator("peers")
    @classmethod
    def _addresses(cls, peers: str) -> str:
        for peer in _listed(peers):
            parts = urlsplit(peer)
            if parts.scheme != "http" or not parts.hostname or parts.path:
                raise ValueError("must be like http://gateway-replicas:8000")
        return ",".join(_listed(peers))

    @field_validator("trusted_proxies")
    @classmethod
    def _networks(cls, proxies: str) -> str:
        for proxy in _listed(proxies):
            ipaddress.ip_network(proxy)  # raises ValueError that says what is wrong
        return ",".join(_listed(proxies))

    @field_validator("origins")
    @classmethod
    def _origins(cls, origins: str) -> str:
        for origin in _listed(origins):
            parts = urlsplit(origin)
            if origin != "*" and (not parts.scheme or not parts.netloc or origin != f"{parts.scheme}://{parts.netloc}"):
                raise ValueError("must be like https://chat.example.org, without a path or a slash at the end, or *")
        return ",".join(_listed(origins))

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.auth == "guest":
            return self._consistent_guest()
        if (self.secret is None) == (self.jwks is None):
            raise ValueError("WARREN_AUTH=jwt needs WARREN_SECRET (HS256) or WARREN_JWKS (public keys), and not both")
        if self.issuer is None:
            raise ValueError("WARREN_AUTH=jwt needs WARREN_ISSUER: whose tokens are taken")
        if self.jwks is not None and self.second_secret is not None:
            raise ValueError("WARREN_SECOND_SECRET needs WARREN_SECRET")
        possible = SYMMETRIC if self.jwks is None else ASYMMETRIC
        if not self.rules.algorithms <= possible:
            # A public key is no secret: were both families allowed, anybody could sign with it.
            raise ValueError(f"WARREN_ALGORITHMS can only name {', '.join(sorted(possible))} with this kind of key")
        return self

    def _consistent_guest(self) -> Self:
        if self.secret is None:
            raise ValueError("WARREN_AUTH=guest needs WARREN_SECRET, of 32 characters at least")
        if self.jwks is not None or self.issuer is not None or self.algorithms or self.user_claim != "sub":
            raise ValueError("WARREN_JWKS, _ISSUER, _ALGORITHMS and _USER_CLAIM need WARREN_AUTH=jwt")
        return self

    @property
    def rules(self) -> Rules:
        """Which tokens are taken."""
        derived = SYMMETRIC if self.jwks is None else ASYMMETRIC
        algorithms = frozenset(_listed(self.algorithms)) or derived
        return Rules(algorithms, self.issuer or GUEST_ISSUER, self.audience, self.name_claim, self.user_claim)

    @property
    def allowed_origins(self) -> list[str]:
        """The origins, one by one."""
        return _listed(self.origins)

    @property
    def all_peers(self) -> list[str]:
        """Where gateways are, one by one."""
        return _listed(self.peers)

    def rate(self, what: str) -> Rate:
        """Return the limit that `<what>_per_second` and `<what>_burst` make."""
        return Rate(getattr(self, f"{what}_per_second"), getattr(self, f"{what}_burst"))


def _listed(text: str) -> list[str]:
    return [item.strip() for item in text.split(",") if item.strip()]
