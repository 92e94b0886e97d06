"""What only RabbitMQ's management API can do from another machine: import definitions."""

import base64
import json
from collections.abc import Mapping
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import unquote, urlsplit
from urllib.request import Request, urlopen

from warren.broker.declare import NotDeclared
from warren.broker.errors import Unavailable

TIMEOUT = 30.0
"""Seconds for an import; in a cluster it waits for a majority of the nodes."""


def import_definitions(management: str, operator_url: str, definitions: Mapping[str, Any]) -> None:
    """Have the broker take these definitions, as the user whom the AMQP URL names; what else is there stays.

    `management` is the API's base URL, such as http://rabbitmq:15672. Raises NotDeclared if the broker will not, and
    Unavailable if there is none.
    """
    if urlsplit(management).scheme not in ("http", "https"):
        raise NotDeclared(f"{management} is no http or https URL")
    operator = urlsplit(operator_url)
    login = f"{unquote(operator.username or '')}:{unquote(operator.password or '')}"
    headers = {
        "Authorization": f"Basic {base64.b64encode(login.encode()).decode()}",
        "Content-Type": "application/json",
    }
    address = f"{management.rstrip('/')}/api/definitions"
    request = Request(address, json.dumps(definitions).encode(), headers, method="POST")  # noqa: S310 - checked above
    try:
        with urlopen(request, timeout=TIMEOUT):  # noqa: S310
            pass
    except HTTPError as error:
        user = operator.username or "nobody"
        raise NotDeclared(f"{address} answered {error.code} {error.reason} to {user}") from error
    except (URLError, OSError) as error:
        raise Unavailable(f"{address} is not to be had: {getattr(error, 'reason', error)}") from error
