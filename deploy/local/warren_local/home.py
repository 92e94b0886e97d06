"""Where the repository is, and where the runner keeps its state."""

import contextlib
import hmac
import os
import secrets
from pathlib import Path


def repository() -> Path:
    """The repository's top folder; the package is installed editable, so it lies inside."""
    return Path(__file__).resolve().parents[3]


def warren_home() -> Path:
    """The state folder: `WARREN_HOME`, or `.warren` in the repository."""
    return Path(os.environ.get("WARREN_HOME") or repository() / ".warren").resolve()


def secret(home: Path, name: str = "secret") -> str:
    """A secret (64 hex digits), made once and readable by its owner alone; by default the one all gateways share."""
    path = home / name
    if not path.exists():
        home.mkdir(parents=True, exist_ok=True)
        # Written beside and linked: a runner killed here leaves no short secret; who comes second takes the first one.
        new = home / f"{name}.{secrets.token_hex(4)}"
        with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(secrets.token_hex(32))
        with contextlib.suppress(FileExistsError):
            path.hardlink_to(new)
        new.unlink()
    return path.read_text().strip()


def broker_password(home: Path, user: str) -> str:
    """A broker user's password, from a secret that no service is told."""
    return hmac.digest(secret(home, "broker-secret").encode(), user.encode(), "sha256").hex()
