"""Tokens as the gateways take them, and as they must not take them."""

import base64
import hmac
import json
import time
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key as generate_rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from harness.stack import SECRET

ISSUER = "https://login.example.org"


def claims_of(user: str, *, expires_in: float = 3_600, issuer: str = "warren-guest", **claims: Any) -> dict[str, Any]:
    """Return the claims of a good token; further claims replace the right ones, None leaves one out."""
    now = int(time.time())
    payload = {
        "sub": user,
        "name": user,
        "iat": now,
        "exp": now + int(expires_in),
        "aud": "warren",
        "iss": issuer,
        **claims,
    }
    return {name: value for name, value in payload.items() if value is not None}


def token(user: str, *, secret: str = SECRET, expires_in: float = 3_600, **claims: Any) -> str:
    """Return a guest's token for `user`; further claims replace the right ones, None leaves one out."""
    return jwt.encode(claims_of(user, expires_in=expires_in, **claims), secret, algorithm="HS256")


def forged(header: dict[str, Any], secret: bytes = b"", claims: dict[str, Any] | None = None) -> str:
    """Return a token that no library would make: any header and claims, signed with HMAC-SHA256 if at all."""
    payload = claims_of("mallory", issuer=ISSUER) if claims is None else claims
    said = b".".join(base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=") for part in (header, payload))
    signature = hmac.digest(secret, said, "sha256") if secret else b""
    return b".".join([said, base64.urlsafe_b64encode(signature).rstrip(b"=")]).decode()


class SigningKey:
    """A key pair of a token issuer."""

    def __init__(self, kid: str | None, algorithm: str = "ES256") -> None:
        self.kid = kid
        self.algorithm = algorithm
        self._private: Any = {
            "RS256": lambda: generate_rsa(65_537, 2_048),
            "ES256": lambda: generate_private_key(SECP256R1()),
            "EdDSA": Ed25519PrivateKey.generate,
        }[algorithm]()

    @property
    def jwk(self) -> dict[str, Any]:
        """The public half, as a JWK set has it."""
        made: Any = jwt.get_algorithm_by_name(self.algorithm)
        found = made.to_jwk(self._private.public_key(), as_dict=True)
        found.pop("key_ops", None)
        return {**found, "use": "sig", "alg": self.algorithm, **({"kid": self.kid} if self.kid else {})}

    @property
    def pem(self) -> bytes:
        """The public half, as people put it into files."""
        found: bytes = self._private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        return found

    def token(
        self, user: str, *, kid: str | None = None, expires_in: float = 3_600, issuer: str = ISSUER, **claims: Any
    ) -> str:
        """Return a token for `user` under this key, naming `kid` if that is not the key's own."""
        named = kid or self.kid
        return jwt.encode(
            claims_of(user, expires_in=expires_in, issuer=issuer, **claims),
            self._private,
            algorithm=self.algorithm,
            headers={"kid": named} if named else None,
        )
