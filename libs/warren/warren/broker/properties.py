"""Reads the properties of messages whatever is in them: who may publish puts there what they like.

pamqp raises for a text that is not UTF-8, for a moment after the year 9999 and for tables in tables without end;
aiormq then ends the connection, and RabbitMQ delivers the same message on the next one. RabbitMQ does not look into
them. So here such a text is empty, and a header that makes no sense is one without properties: it comes from nobody.
"""

from collections.abc import Callable

from pamqp import decode
from pamqp.commands import Basic
from pamqp.header import ContentHeader

_unmarshal: Callable[[ContentHeader, bytes], None] = ContentHeader.unmarshal
_short_str = decode.short_str


def install() -> None:
    """Have all connections of this process read so; may be repeated."""
    decode.METHODS["shortstr"] = _read_text
    ContentHeader.unmarshal = _read_header  # type: ignore[method-assign,assignment]


def _read_text(value: bytes) -> tuple[int, str]:
    try:
        return _short_str(value)
    except UnicodeDecodeError:
        return value[0] + 1, ""


def _read_header(header: ContentHeader, data: bytes) -> None:
    try:
        _unmarshal(header, data)
    except Exception:
        header.properties = Basic.Properties()
