"""A bot's log: one line an event, with what it is about behind it (`room=general seq=7`)."""

import logging

_KNOWN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class Lines(logging.Formatter):
    """Level, message, and the fields that came as `extra`."""

    def __init__(self) -> None:
        super().__init__("%(levelname)s %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's name
        """Return the line."""
        extra = (f"{name}={value!s}" for name, value in vars(record).items() if name not in _KNOWN)
        return " ".join((super().formatMessage(record), *extra))


def configure(level: str) -> None:
    """Log to stderr from this level on. Raises ValueError for one that there is not."""
    handler = logging.StreamHandler()
    handler.setFormatter(Lines())
    logging.basicConfig(level=level.upper(), handlers=[handler])
