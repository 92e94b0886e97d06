"""Structured logs: one JSON object a line, with the service, the replica and whatever the call adds."""

import logging
import sys

from pythonjsonlogger.json import JsonFormatter


def configure_logs(service: str, replica: str, level: str) -> None:
    """Send all logging of this process to standard error as JSON lines."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        JsonFormatter(
            "{asctime}{levelname}{name}{message}",
            style="{",
            rename_fields={"asctime": "at", "levelname": "level", "name": "logger"},
            static_fields={"service": service, "replica": replica},
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level.upper())
    logging.getLogger("aiormq.connection").setLevel(logging.CRITICAL)  # says what SupervisedConnection says
    for chatty in ("aio_pika", "aiormq", "pymongo", "asyncio", "websockets", "httpx", "httpcore"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        logger = logging.getLogger(name)
        logger.handlers = []
        logger.propagate = True
        # A line a connection or request is the metrics' business, not the log's, and bad ones would fill it.
        logger.setLevel(logging.ERROR)
