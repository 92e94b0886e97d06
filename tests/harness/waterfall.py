"""Draws a trace: one bar a span, indented under its parent."""

from collections.abc import Iterator, Sequence
from html import escape

from harness.collector import Span

ROW, WIDTH, LEFT, TOP = 30, 460, 330, 44
COLOURS = {"warren-gateway": "#0f766e", "warren-persistence": "#b45309"}


def waterfall(spans: Sequence[Span]) -> str:
    """Return an SVG of one trace's spans."""
    start = min(span.start for span in spans)
    scale = WIDTH / (max(span.end for span in spans) - start)
    rows = [
        _row(number, depth, span, (span.start - start) * scale, max(2.0, (span.end - span.start) * scale))
        for number, (depth, span) in enumerate(_tree(spans, b"", 0))
    ]
    width, height = LEFT + WIDTH + 90, TOP + ROW * len(spans) + 12
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif">'
    keys = "".join(
        f'<text x="{LEFT + 170 * number}" y="24" font-size="13" font-weight="bold" fill="{colour}">{service}</text>'
        for number, (service, colour) in enumerate(COLOURS.items())
    )
    return "\n".join([head, f'<rect width="{width}" height="{height}" fill="#ffffff"/>', keys, *rows, "</svg>", ""])


def _tree(spans: Sequence[Span], parent: bytes, depth: int) -> Iterator[tuple[int, Span]]:
    for span in spans:
        if span.parent == parent:
            yield depth, span
            yield from _tree(spans, span.id, depth + 1)


def _row(number: int, depth: int, span: Span, left: float, width: float) -> str:
    top = TOP + ROW * number
    took = f"{(span.end - span.start) / 1e6:.1f} ms"
    return (
        f'<text x="{12 + 14 * depth}" y="{top + 17}" font-size="13" fill="#1f2937">{escape(span.name)}</text>'
        f'<rect x="{LEFT + left:.1f}" y="{top + 4}" width="{width:.1f}" height="18" rx="3" '
        f'fill="{COLOURS[span.service]}"/>'
        f'<text x="{LEFT + left + width + 6:.1f}" y="{top + 17}" font-size="12" fill="#4b5563">{took}</text>'
    )
