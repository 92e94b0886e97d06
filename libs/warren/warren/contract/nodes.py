"""`WARREN_AMQP_URL`: where the broker is. A cluster's nodes are named one by one, with commas in between."""

from urllib.parse import SplitResult, unquote, urlsplit

from warren.contract.users import login_of

DEFAULT_PORTS = {"amqp": 5672, "amqps": 5671}
ESCAPES = " (in a password, a comma is %2C and a slash %2F)"


def node_urls(amqp_url: str) -> tuple[str, ...]:
    """Return the URLs of the nodes, each once. Raises ValueError, whose text names no value, so no password."""
    urls = tuple(dict.fromkeys(url.strip() for url in amqp_url.split(",")))
    for url in urls:
        _check(url)
    if len({(login_of(url), vhost_of(url)) for url in urls}) > 1:
        raise ValueError("all nodes of a cluster are reached as the same user and in the same vhost")
    return urls


def host_of(url: str) -> str:
    """Return `host:port` of one node, which may be shown."""
    parts = urlsplit(url)
    return f"{parts.hostname}:{parts.port or DEFAULT_PORTS[parts.scheme]}"


def vhost_of(url: str) -> str:
    """Return the vhost that a node's URL names."""
    return unquote(urlsplit(url).path[1:]) or "/"


def _check(url: str) -> None:
    parts = urlsplit(url)
    if parts.scheme not in DEFAULT_PORTS or not parts.netloc:
        raise ValueError(
            "must be amqp://… or amqps://…, or several of them with commas in between, one for each node of a cluster"
            + ESCAPES
        )
    if not parts.hostname or not _has_port(parts):
        raise ValueError("a URL in it has no host, or a port that is none" + ESCAPES)


def _has_port(parts: SplitResult) -> bool:
    try:
        return parts.port != 0  # without one it is the scheme's
    except ValueError:  # of urllib's, which says what stands there: that may be a part of a password
        return False
