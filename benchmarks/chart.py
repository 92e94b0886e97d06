"""Line charts as SVG, one panel beside the other, the x axis logarithmic."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

Points = Sequence[tuple[float, float]]

WIDTH, HEIGHT = 420, 300
"""Of a panel."""
LEFT, RIGHT, TOP, BOTTOM = 64, 24, 64, 46
"""Between the edges of a panel and its axes."""
EDGE = 24
"""Where its title and the names of its lines begin: five of them fit."""
COLOURS = ("#3366aa", "#dd7711", "#228844", "#aa3377", "#666666")
STYLE = "text{font:12px sans-serif;fill:#333}.title{font-weight:bold}.grid{stroke:#ddd}.axis{stroke:#999}"


@dataclass(frozen=True, slots=True)
class Panel:
    """What one panel shows: lines by their names. `log`: so is the y axis."""

    title: str
    x: str
    lines: Mapping[str, Points]
    log: bool = False


def draw(panels: Sequence[Panel]) -> str:
    """Return the picture."""
    width = WIDTH * len(panels)
    body = "".join(f'<g transform="translate({WIDTH * at} 0)">{_panel(panel)}</g>' for at, panel in enumerate(panels))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {HEIGHT}" width="{width}" height="{HEIGHT}">'
        f'<style>{STYLE}</style><rect width="100%" height="100%" fill="#fff"/>{body}</svg>\n'
    )


def _panel(panel: Panel) -> str:
    xs = sorted({x for points in panel.lines.values() for x, _ in points})
    ys = [y for points in panel.lines.values() for _, y in points]
    ticks = _decades(ys) if panel.log else _steps(max(ys, default=1.0))
    low, high = math.log(xs[0]), math.log(max(xs[-1], xs[0] * 2))

    def across(x: float) -> float:
        return LEFT + (math.log(x) - low) / (high - low) * (WIDTH - LEFT - RIGHT)

    def up(y: float) -> float:
        share = math.log(max(y, ticks[0]) / ticks[0]) / math.log(ticks[-1] / ticks[0]) if panel.log else y / ticks[-1]
        return HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM)

    parts = [_text(EDGE, 20, panel.title, "start", "title")]
    for tick in ticks:
        parts.append(_line(LEFT, up(tick), WIDTH - RIGHT, up(tick), "grid"))
        parts.append(_text(LEFT - 6, up(tick) + 4, _number(tick), "end"))
    for x in xs:
        parts.append(_line(across(x), HEIGHT - BOTTOM, across(x), HEIGHT - BOTTOM + 4, "axis"))
        parts.append(_text(across(x), HEIGHT - BOTTOM + 18, _number(x), "middle"))
    parts.append(_line(LEFT, HEIGHT - BOTTOM, WIDTH - RIGHT, HEIGHT - BOTTOM, "axis"))
    parts.append(_text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 8, panel.x, "middle"))
    place = float(EDGE)
    for (name, points), colour in zip(panel.lines.items(), COLOURS, strict=False):
        path = " ".join(f"{across(x):.1f},{up(y):.1f}" for x, y in points)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts += [f'<circle cx="{across(x):.1f}" cy="{up(y):.1f}" r="3" fill="{colour}"/>' for x, y in points]
        parts.append(f'<rect x="{place:.0f}" y="34" width="10" height="10" fill="{colour}"/>')
        parts.append(_text(place + 14, 43, name, "start"))
        place += 24 + 6.6 * len(name)
    return "".join(parts)


def _steps(largest: float) -> list[float]:
    """Return round numbers from 0 up to the largest or beyond, 4 to 8 of them."""
    raw = max(largest, 1e-9) / 5
    unit = 10 ** math.floor(math.log10(raw))
    step = next(unit * factor for factor in (1, 2, 5, 10) if unit * factor >= raw)
    return [step * at for at in range(math.ceil(largest / step) + 1)]


def _decades(values: Sequence[float]) -> list[float]:
    """Return the powers of ten around the values."""
    positive = [value for value in values if value > 0] or [1.0]
    low, high = math.floor(math.log10(min(positive))), math.ceil(math.log10(max(positive)))
    return [10.0**at for at in range(low, max(high, low + 1) + 1)]


def _number(value: float) -> str:
    if value >= 1e6:
        return f"{value / 1e6:g} M"
    return f"{value:,.0f}" if value >= 10 or value == int(value) else f"{value:g}"


def _text(x: float, y: float, text: str, anchor: str, kind: str = "") -> str:
    named = f' class="{kind}"' if kind else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{named}>{escape(text)}</text>'


def _line(x1: float, y1: float, x2: float, y2: float, kind: str) -> str:
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" class="{kind}"/>'
