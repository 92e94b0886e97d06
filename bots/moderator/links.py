"""Where the links in a text lead, as a browser understands them (the WHATWG's URL standard, by Ada)."""

import re
from collections.abc import Iterator

from ada_url import URL

_LINK = re.compile(r"(?<![^\W_])(https?:[/\\]+)([^\s<>\"]+)", re.IGNORECASE)
"""What may be a link. Browsers take a backslash for a slash, and any number of them."""
_AUTHORITY = re.compile(r"[^/\\?#]*")
_SENTENCE = re.compile(r"[,;!)，、！？；）」』】》〉]")
"""What goes on behind a link without a blank between."""
_DOTS_AND_LOGIN = re.compile(r"[.。．｡@]")


def hosts_in(text: str) -> Iterator[str | None]:
    """Yield the host of each link in a text; None for a link that a browser can make nothing of."""
    for scheme, rest in _LINK.findall(text):
        if trimmed := _trimmed(rest):
            yield host_of(scheme + trimmed)


def host_of(url: str) -> str | None:
    """Return the host of a URL: small letters, ASCII (IDNA), without a dot at its end. None if there is none."""
    try:
        return URL(url).hostname.rstrip(".") or None
    except ValueError:
        return None


def normal_host(host: str) -> str:
    """Return a host as `host_of` does. Raises ValueError for what is none."""
    url = f"http://[{host}]/" if ":" in host and "[" not in host else f"http://{host}/"
    found = host_of(url)
    if found is None or URL(url).href.rstrip("./") != f"http://{found}":
        raise ValueError(f"{host!r} is no host")
    return found


def _trimmed(rest: str) -> str:
    """Return a link, without its scheme, as far as it reaches; what is behind it is the sentence's.

    A host ends with a letter or digit. A comma ends it, too, unless there is a dot behind: that would be another host.
    """
    authority = _AUTHORITY.match(rest)
    comma = _SENTENCE.search(authority[0]) if authority else None
    if authority and comma and not _DOTS_AND_LOGIN.search(authority[0].rstrip(".。"), comma.end()):
        rest = rest[: comma.start()]
    end = len(rest)
    while end and not rest[end - 1].isalnum() and not (rest[end - 1] == "]" and "[" in rest[:2]):
        end -= 1
    return rest[:end]
