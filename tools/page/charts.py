"""Geometry of the report's line charts: data in, coordinates out; the template draws them as inline SVG.

Drawn by the page itself rather than by matplotlib, so that the lines follow the reader's light or dark mode.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

WIDTH, HEIGHT = 480, 270  # of the drawing, in SVG units
LEFT, RIGHT, TOP, BOTTOM = 44, 20, 12, 40  # margins for the axes' numbers
POINTS = 240  # at most so many a line; more are averaged in bins, which also calms a noisy loss
MARKERS = 40  # a line with at most so many points shows them

Point = tuple[float, float]


@dataclass(frozen=True)
class Line:
    """A line of a chart in SVG units; `last` is its last value, `number` picks its colour (1, 2, ...).

    values: `x:y` of each point in the data's units, for the page's script.
    """

    name: str
    number: int
    path: str
    markers: list[Point]
    last: float | None
    values: str


@dataclass(frozen=True)
class Chart:
    """A chart in SVG units; ticks are (position, value). x_end: the value at the right end.

    marks: (position, text) of upright lines.
    """

    title: str
    x_label: str
    lines: list[Line]
    x_ticks: list[tuple[float, float]]
    y_ticks: list[tuple[float, float]]
    x_end: float
    marks: list[tuple[float, str]]


def chart(
    title: str,
    x_label: str,
    series: Mapping[str, Sequence[Point]],
    *,
    x_max: float = 0.0,
    y_max: float = 0.0,
    marks: Mapping[str, float] | None = None,
) -> Chart:
    """A chart of `series` {name: [(x, y), ...] sorted by x}, both axes from 0 to the data's greatest value or more.

    marks: {text: x} of upright lines.
    """
    calm = {name: _binned(_finite(points)) for name, points in series.items()}
    everything = [point for points in calm.values() for point in points]
    x_ticks = ticks(max([x_max, *(x for x, _ in everything)]))
    y_ticks = ticks(max([y_max, *(y for _, y in everything)]))
    x_end = x_max or max([x for x, _ in everything], default=0.0) or x_ticks[-1]
    lines = [
        _line(name, number, points, x_end, y_ticks[-1]) for number, (name, points) in enumerate(calm.items(), start=1)
    ]
    return Chart(
        title=title,
        x_label=x_label,
        lines=lines,
        x_ticks=[(_x(value, x_end), value) for value in x_ticks if value <= x_end * 1.001],
        y_ticks=[(_y(value, y_ticks[-1]), value) for value in y_ticks],
        x_end=x_end,
        marks=[(_x(value, x_end), text) for text, value in (marks or {}).items()],
    )


def ticks(highest: float) -> list[float]:
    """Round numbers 0, s, 2s, ... of which the last is at least `highest`; three to seven of them."""
    if not highest > 1e-300:  # nothing, or too little for floats to divide
        return [0.0, 0.5, 1.0]
    power = 10.0 ** math.floor(math.log10(highest))
    step = next(part * power for part in (0.2, 0.5, 1.0, 2.0, 5.0) if highest <= part * power * 5.000001)
    return [float(f"{step * k:.10g}") for k in range(math.ceil(highest / step - 1e-6) + 1)]


def _finite(points: Iterable[Point]) -> list[Point]:
    return [(x, y) for x, y in points if math.isfinite(x) and math.isfinite(y)]


def _binned(points: Sequence[Point]) -> list[Point]:
    """At most `POINTS` points, each the mean of equally many neighbours."""
    size = math.ceil(len(points) / POINTS) or 1
    bins = [points[start : start + size] for start in range(0, len(points), size)]
    return [(sum(x for x, _ in one) / len(one), sum(y for _, y in one) / len(one)) for one in bins]


def _x(value: float, end: float) -> float:
    return round(LEFT + (WIDTH - LEFT - RIGHT) * value / end, 1)


def _y(value: float, end: float) -> float:
    return round(HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * value / end, 1)


def _line(name: str, number: int, points: Sequence[Point], x_end: float, y_end: float) -> Line:
    places = [(_x(x, x_end), _y(y, y_end)) for x, y in points]
    path = "M" + " L".join(f"{x:g} {y:g}" for x, y in places) if places else ""
    values = " ".join(f"{x:.7g}:{y:.4g}" for x, y in points)
    last = points[-1][1] if points else None
    return Line(name, number, path, places if len(places) <= MARKERS else [], last, values)
