"""What only RabbitMQ's management API can do from another machine: import definitions, delete users."""

import base64
import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import quote, unquote, urlsplit
from urllib.request import Request, urlopen

from warren.broker.declare import NotDeclared
from warren.broker.errors import Unavailable
from warren.contract.nodes import node_urls

TIMEOUT = 30.0
"""Seconds for an import; in a cluster it waits for a majority of the nodes."""


def import_definitions(management: str, operator_url: str, definitions: Mapping[str, Any]) -> None:
    """Have the broker take these definitions, as the user whom the AMQP URL names; what else is there stays.

    `management` is the API's base URL, such as http://rabbitmq:15672. Raises NotDeclared if the broker will not, and
    Unavailable if there is none.
    """
    _ask(management, operator_url, "POST", "/api/definitions", json.dumps(definitions).encode())


def delete_user(management: str, operator_url: str, user: str) -> None:
    """Have the broker end this user's connections and forget the user. Raises NotDeclared or Unavailable."""
    for path in (f"/api/connections/username/{quote(user)}", f"/api/users/{quote(user)}"):
        _ask(management, operator_url, "DELETE", path, may_be_gone=True)


def _ask(
    management: str, operator_url: str, method: str, path: str, body: bytes | None = None, *, may_be_gone: bool = False
) -> None:
    if urlsplit(management).scheme not in ("http", "https"):
        raise NotDeclared(f"{management} is no http or https URL")
    operator = urlsplit(node_urls(operator_url)[0])
    login = f"{unquote(operator.username or '')}:{unquote(operator.password or '')}"
    headers = {
        "Authorization": f"Basic {base64.b64encode(login.encode()).decode()}",
        "Content-Type": "application/json",
    }
    address = f"{management.rstrip('/')}{path}"
    request = Request(address, body, headers, method=method)  # noqa: S310 - checked above
    try:
        with urlopen(request, timeout=TIMEOUT):  # noqa: S310
            pass
    except HTTPError as error:
        if may_be_gone and error.code == HTTPStatus.NOT_FOUND:
            return
        user = operator.username or "nobody"
        raise NotDeclared(f"{address} answered {error.code} {error.reason} to {user}") from error
    except (URLError, OSError) as error:
        raise Unavailable(f"{address} is not to be had: {getattr(error, 'reason', error)}") from error
