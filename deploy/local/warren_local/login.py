"""How people sign in, as whoever runs `up` says in the environment: as guests, if nothing is said."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self


@dataclass(frozen=True)
class Login:
    """What gateways and UI are told beyond the environment that they inherit."""

    gateway: Mapping[str, str] = field(default_factory=dict)
    ui: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, told: Mapping[str, str], address: str, cookie_secret: str) -> Self:
        """Make one word of both: `WARREN_AUTH=oidc` is the UI's mode, for which gateways are in theirs, `jwt`.

        `address` is the UI's, and both it and `cookie_secret` are used where the environment has none.
        """
        mode = told.get("WARREN_AUTH") or "guest"
        if mode == "guest":
            return cls()
        # The secret that guests' tokens are signed with would stand beside the issuer's keys; an empty one is none.
        gateway = {"WARREN_AUTH": mode, "WARREN_SECRET": told.get("WARREN_SECRET", "")}
        if mode != "oidc":
            return cls(gateway, {"WARREN_AUTH": "guest"})
        audience = told.get("WARREN_AUDIENCE") or told.get("WARREN_OIDC_CLIENT_ID", "")
        ui = {
            "WARREN_AUTH": "oidc",
            "WARREN_OIDC_REDIRECT_URI": told.get("WARREN_OIDC_REDIRECT_URI") or f"{address}/oauth2callback",
            "WARREN_COOKIE_SECRET": told.get("WARREN_COOKIE_SECRET") or cookie_secret,
        }
        return cls({**gateway, "WARREN_AUTH": "jwt", "WARREN_AUDIENCE": audience}, ui)
