"""Charts as inline SVG, drawn in the colours of the page."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from mml_report.html import attribute, text

WIDTH, HEIGHT = 460, 260
LEFT, RIGHT, TOP, BOTTOM = 56, 12, 14, 36
MARKED = 40
"""Lines of at most so many points have a dot at each."""
COLOURS = 8
"""The page has so many colours of lines; more lines repeat them."""

Points = Sequence[tuple[float, float]]


def line_chart(
    lines: Mapping[str, Points],
    *,
    x: str,
    y: str,
    title: str,
    square: bool = False,
    whole_x: bool = False,
    dots: bool = False,
) -> str:
    """Draw lines over one pair of axes.

    Args:
        lines: Name of each line → its points; what is no finite number is left out.
        x: Label of the horizontal axis.
        y: Label of the vertical axis.
        title: What the chart shows, for those who cannot see it.
        square: Whether both axes are alike, with the diagonal; of lines they go from 0 to 1.
        whole_x: Whether only whole numbers are written at the horizontal axis.
        dots: Whether points are drawn that no line joins.

    Returns:
        An ``svg`` element; empty where no line has a point.
    """
    kept = {
        name: [(a, b) for a, b in points if math.isfinite(a) and math.isfinite(b)]
        for name, points in lines.items()
    }
    kept = {name: points for name, points in kept.items() if points}
    if not kept:
        return ""
    xs = [a for points in kept.values() for a, _ in points]
    ys = [b for points in kept.values() for _, b in points]
    x_range, y_range = _span(xs), _span(ys)
    if square:
        x_range = y_range = _span([*xs, *ys]) if dots else (0.0, 1.0)

    def place(a: float, b: float) -> str:
        return f"{_across(a, x_range):.1f},{_up(b, y_range):.1f}"

    parts = [
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{attribute(title)}">',
        *_axes(x_range, y_range, x, y, whole_x=whole_x),
    ]
    if square:
        low, high = x_range
        parts.append(f'<polyline class="guide" points="{place(low, low)} {place(high, high)}"/>')
    for number, (name, points) in enumerate(kept.items()):
        colour = number % COLOURS
        if not dots:
            drawn = " ".join(place(a, b) for a, b in points)
            said = f"<title>{attribute(name)}</title>"
            parts.append(f'<polyline class="line c{colour}" points="{drawn}">{said}</polyline>')
        if dots or len(points) <= MARKED:
            places = [(_across(a, x_range), _up(b, y_range)) for a, b in points]
            parts += [f'<circle class="dot c{colour}" cx="{a:.1f}" cy="{b:.1f}" r="2"/>' for a, b in places]
    parts.append("</svg>")
    legend = "".join(
        f'<li><span class="key c{number % COLOURS}"></span>{text(name)}</li>'
        for number, name in enumerate(kept)
    )
    return f'{"".join(parts)}<ul class="legend">{legend}</ul>'


def _span(values: Sequence[float]) -> tuple[float, float]:
    least, most = min(values), max(values)
    if least == most:
        margin = abs(least) * 0.1 or 0.5
        return least - margin, most + margin
    return least, most


def _across(value: float, span: tuple[float, float]) -> float:
    return LEFT + (value - span[0]) / (span[1] - span[0]) * (WIDTH - LEFT - RIGHT)


def _up(value: float, span: tuple[float, float]) -> float:
    return HEIGHT - BOTTOM - (value - span[0]) / (span[1] - span[0]) * (HEIGHT - TOP - BOTTOM)


def _axes(
    x_range: tuple[float, float], y_range: tuple[float, float], x: str, y: str, *, whole_x: bool
) -> list[str]:
    parts = []
    for tick in ticks(*y_range):
        height = _up(tick, y_range)
        parts.append(
            f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{height:.1f}" y2="{height:.1f}"/>'
        )
        parts.append(
            f'<text class="tick" x="{LEFT - 6}" y="{height + 4:.1f}" text-anchor="end">{tick:g}</text>'
        )
    for tick in ticks(*x_range):
        if whole_x and tick != round(tick):
            continue
        across, below = _across(tick, x_range), HEIGHT - BOTTOM + 15
        parts.append(f'<text class="tick" x="{across:.1f}" y="{below}" text-anchor="middle">{tick:g}</text>')
    middle, centre = (TOP + HEIGHT - BOTTOM) / 2, (LEFT + WIDTH) / 2
    parts.append(
        f'<text class="label" x="{centre}" y="{HEIGHT - 4}" text-anchor="middle">{attribute(x)}</text>'
    )
    parts.append(
        f'<text class="label" x="12" y="{middle}" text-anchor="middle" '
        f'transform="rotate(-90 12 {middle})">{attribute(y)}</text>'
    )
    return parts


def ticks(least: float, most: float, about: int = 5) -> list[float]:
    """Return round numbers in a span, about so many."""
    raw = (most - least) / about
    unit = 10.0 ** math.floor(math.log10(raw))
    step = next(factor * unit for factor in (1, 2, 5, 10) if factor * unit >= raw)
    first = math.ceil(least / step - 1e-9)
    count = math.floor(most / step + 1e-9) - first + 1
    return [round((first + number) * step, 12) for number in range(count)]
