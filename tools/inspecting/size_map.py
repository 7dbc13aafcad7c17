"""Geometry of the chart of box sizes: width over height at the network's input, both axes logarithmic.

A step along an axis is a factor, so how well an anchor fits is the same distance everywhere.
"""

import math
from dataclasses import dataclass

import numpy as np

from detector.data.boxes import Floats
from tools.inspecting.anchors import MATCHED, Anchors
from tools.inspecting.suspicious import TINY

SIDE, LEFT, TOP, RIGHT, BOTTOM = 400, 46, 10, 12, 42  # of the square, and the margins around it, in SVG units
CELLS = 32  # on each axis
LOWEST = 4.0  # pixels; boxes below are in the first cell
FAINTEST = 0.25  # opacity of a cell with one box


@dataclass(frozen=True)
class Cell:
    """x, y: of its corner. opacity: grows with the logarithm of the count. text: what it holds."""

    x: float
    y: float
    opacity: float
    text: str


@dataclass(frozen=True)
class SizeMap:
    """All in SVG units. unmatched: a path over the sizes that no anchor fits. tiny: ends of the line of `TINY`."""

    cells: list[Cell]
    cell: float
    unmatched: str
    anchors: list[tuple[float, float]]
    ticks: list[tuple[float, float, str]]
    tiny: tuple[float, float, float, float]


def drawn(boxes: Floats, anchors: Anchors) -> SizeMap:
    """The chart of (N, 4) boxes [xmin, ymin, xmax, ymax] in pixels of the input."""
    end = float(anchors.size)
    sides = (boxes[:, 2:] - boxes[:, :2]).clip(LOWEST, end)
    edges = np.geomspace(LOWEST, end, CELLS + 1)
    edges[0], edges[-1] = LOWEST, end
    counts, _, _ = np.histogram2d(sides[:, 0], sides[:, 1], bins=(edges, edges))
    middles = np.sqrt(edges[:-1] * edges[1:])
    shapes = np.stack(np.meshgrid(middles, middles, indexing="ij"), axis=-1).reshape(-1, 2)
    fit = anchors.fits(shapes).reshape(CELLS, CELLS)
    tick = [2.0**power for power in range(round(math.log2(LOWEST)), int(math.log2(end)) + 1)]
    shown = [(w, h) for w, h in anchors.shapes.tolist() if LOWEST <= w <= end and LOWEST <= h <= end]
    return SizeMap(
        cells=_cells(counts, edges),
        cell=round(SIDE / CELLS, 2),
        unmatched="".join(_square(w, h) for w, h in np.argwhere(fit < MATCHED).tolist()),
        anchors=[(_x(w, end), _y(h, end)) for w, h in shown],
        ticks=[(_x(value, end), _y(value, end), f"{value:g}") for value in tick],
        tiny=(_x(LOWEST, end), _y(TINY**2 / LOWEST, end), _x(TINY**2 / LOWEST, end), _y(LOWEST, end)),
    )


def _cells(counts: Floats, edges: Floats) -> list[Cell]:
    most = math.log(max(2.0, float(counts.max())))
    cells = []
    for w, h in np.argwhere(counts > 0).tolist():
        number = int(counts[w, h])
        opacity = FAINTEST + (1 - FAINTEST) * math.log(number) / most
        ranges = [f"{edges[k]:.0f} to {edges[k + 1]:.0f}" for k in (w, h)]
        x, y = _corner(w, h)
        cells.append(Cell(x, y, round(opacity, 2), f"{number:,} × {ranges[0]} px wide, {ranges[1]} px high"))
    return cells


def _corner(w: int, h: int) -> tuple[float, float]:
    return round(LEFT + SIDE * w / CELLS, 2), round(TOP + SIDE * (CELLS - 1 - h) / CELLS, 2)


def _square(w: int, h: int) -> str:
    x, y = _corner(w, h)
    side = round(SIDE / CELLS, 2)
    return f"M{x:g} {y:g}h{side:g}v{side:g}h-{side:g}z"


def _share(value: float, end: float) -> float:
    return math.log(value / LOWEST) / math.log(end / LOWEST)


def _x(value: float, end: float) -> float:
    return round(LEFT + SIDE * _share(value, end), 1)


def _y(value: float, end: float) -> float:
    return round(TOP + SIDE * (1 - _share(value, end)), 1)
