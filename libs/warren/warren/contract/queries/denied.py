"""The answer no, to any query."""

from typing import Literal

from warren.contract.wire import Wire


class Denied(Wire):
    """The answer to a query that can't be answered to this asker."""

    type: Literal["denied"] = "denied"
    code: str
    detail: str
