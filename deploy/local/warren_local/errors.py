"""The one exception root of the local runner."""


class LocalError(Exception):
    """Something the person at the keyboard can act on; the message is the whole explanation."""
