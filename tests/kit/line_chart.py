"""A line chart as SVG for the documentation: small, without a library, the same from the same data."""

import math
from collections.abc import Mapping, Sequence
from xml.sax.saxutils import escape

COLOURS = ("#1b6ca8", "#c1440e", "#3f7d20", "#7b2d8b")

_WIDTH, _HEIGHT = 640, 240
_LEFT, _TOP, _RIGHT, _BOTTOM = 52, 26, _WIDTH - 120, _HEIGHT - 34
_STEPS = 4
_FONT = 'font-family="sans-serif" font-size="11"'


def line_chart(
    title: str,
    seconds: float,
    unit: str,
    lines: Mapping[str, Sequence[float | None]],
    *,
    logarithmic: bool = False,
    shaded: tuple[float, float] | None = None,
    bound: float | None = None,
    axis: str = "seconds",
    spacing: float = 1.0,
) -> str:
    """A chart of lines by name: a value each `spacing` seconds (None: a gap), over `seconds` (or what `axis` names).

    `shaded` marks a part of the run, `bound` a value that should not be passed.
    """
    values = [value for line in lines.values() for value in line if value is not None]
    low, high = _range([*values, *([] if bound is None else [bound])], logarithmic)

    def x(second: float) -> float:
        return _LEFT + second / seconds * (_RIGHT - _LEFT)

    def y(value: float) -> float:
        part = math.log10(max(value, low) / low) / math.log10(high / low) if logarithmic else value / high
        return _BOTTOM - part * (_BOTTOM - _TOP)

    svg = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" {_FONT}>',
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="#ffffff"/>',
        f'<text x="{_LEFT}" y="14" font-weight="bold">{escape(title)}</text>',
    ]
    if shaded is not None:
        start, end = map(x, shaded)
        size = f'width="{end - start:.1f}" height="{_BOTTOM - _TOP}"'
        svg.append(f'<rect x="{start:.1f}" y="{_TOP}" {size} fill="#f2e6d8"/>')
    svg.append(f'<polyline points="{_LEFT},{_TOP} {_LEFT},{_BOTTOM} {_RIGHT},{_BOTTOM}" fill="none" stroke="#888"/>')
    svg += [
        f'<text x="{_LEFT - 6}" y="{y(value):.1f}" text-anchor="end" dy="4">{value:g}</text>'
        for value in _ticks(low, high, logarithmic)
    ]
    svg += [
        f'<text x="{x(second):.1f}" y="{_BOTTOM + 16}" text-anchor="middle">{second:g}</text>'
        for second in (seconds * step / _STEPS for step in range(_STEPS + 1))
    ]
    svg.append(f'<text x="{_RIGHT}" y="{_BOTTOM + 30}" text-anchor="end">{escape(axis)}; {escape(unit)}</text>')
    if bound is not None:
        level = f'y1="{y(bound):.1f}" y2="{y(bound):.1f}"'
        svg.append(f'<line x1="{_LEFT}" x2="{_RIGHT}" {level} stroke="#000" stroke-dasharray="4 4"/>')
    for at, ((name, line), colour) in enumerate(zip(lines.items(), COLOURS, strict=False)):
        filled = (((second + 0.5) * spacing, value) for second, value in enumerate(line) if value is not None)
        points = " ".join(f"{x(second):.1f},{y(value):.1f}" for second, value in filled)
        svg.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="1.4"/>')
        svg.append(f'<text x="{_RIGHT + 10}" y="{_TOP + 12 + 18 * at}" fill="{colour}">{escape(name)}</text>')
    return "\n".join([*svg, "</svg>"]) + "\n"


def _range(values: Sequence[float], logarithmic: bool) -> tuple[float, float]:
    high = max(values, default=1.0) or 1.0
    if not logarithmic:
        return 0.0, _round_up(high)
    low = min((value for value in values if value > 0), default=0.1)
    return 10.0 ** math.floor(math.log10(low)), 10.0 ** math.ceil(math.log10(high) + 1e-9)


def _round_up(value: float) -> float:
    """The next value that four steps divide well."""
    unit = 10.0 ** math.floor(math.log10(value))
    return next(unit * factor for factor in (1, 2, 4, 8, 10) if unit * factor >= value)


def _ticks(low: float, high: float, logarithmic: bool) -> list[float]:
    if not logarithmic:
        return [high * step / _STEPS for step in range(_STEPS + 1)]
    return [10.0**power for power in range(round(math.log10(low)), round(math.log10(high)) + 1)]
