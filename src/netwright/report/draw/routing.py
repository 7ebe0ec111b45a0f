"""Routes an arrow between two boxes: straight where possible, else around what lies between."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

Point = tuple[float, float]

CLEARANCE = 7.0
STEP = 6.0
BULGES = (0.0, 36.0, 60.0, 90.0, 130.0, 180.0, 240.0, 320.0, 420.0)
BLOCKED, CROWDED = 1000.0, 12.0

SLANTED, UNUSUAL = 1.5, 1.2
"""Factors on the length of a curve. The first is for an S or a bow where one corner would do. The second is for a
corner on the unusual side: a U is drawn down first and then across; on the way up, across first."""

CORNER = 10.0
"""Radius of a rounded corner, in pixels."""

_U = np.linspace(0, 1, 24)[:, None]
_WEIGHTS = np.stack([(1 - _U) ** 3, 3 * _U * (1 - _U) ** 2, 3 * _U**2 * (1 - _U), _U**3])
"""Of a cubic Bezier segment's four controls, at 24 points along it."""


@dataclass(frozen=True)
class Box:
    """A rectangle by its centre and size, in pixels; y grows downwards."""

    x: float
    y: float
    width: float
    height: float

    @property
    def centre(self) -> Point:
        """The middle."""
        return self.x, self.y

    @property
    def left(self) -> float:
        """The left side's x."""
        return self.x - self.width / 2

    @property
    def top(self) -> float:
        """The upper side's y."""
        return self.y - self.height / 2

    @property
    def corners(self) -> list[Point]:
        """Upper left and lower right."""
        return [(self.left, self.top), (self.left + self.width, self.top + self.height)]

    def count(self, points: NDArray[np.float64], margin: float = 0.0) -> int:
        """How many of the points, shape (n, 2), lie within, or closer than ``margin``."""
        dx, dy = np.abs(points - self.centre).T
        return int(np.count_nonzero((dx <= self.width / 2 + margin) & (dy <= self.height / 2 + margin)))

    def overlaps(self, other: Box) -> bool:
        """Whether two rectangles share an area."""
        dx, dy = abs(other.x - self.x), abs(other.y - self.y)
        return 2 * dx < self.width + other.width and 2 * dy < self.height + other.height

    def port(self, dx: float, dy: float) -> Point:
        """The middle of the side that looks in the direction (dx, dy), one of which is 0."""
        return self.x + math.copysign(self.width / 2, dx) * (dx != 0), self.y + math.copysign(
            self.height / 2, dy
        ) * (dy != 0)


@dataclass(frozen=True)
class Curve:
    """A chain of cubic Bezier segments: start, then three points a segment."""

    controls: tuple[Point, ...]
    weight: float = 1.0

    @cached_property
    def points(self) -> NDArray[np.float64]:
        """Samples about `STEP` apart along the curve, ends included, shape (n, 2)."""
        controls = np.asarray(self.controls)
        dense = np.concatenate(
            [(_WEIGHTS * controls[i : i + 4, None]).sum(axis=0) for i in range(0, len(controls) - 1, 3)]
        )
        along = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(dense, axis=0).T))])
        lengths = np.linspace(0, along[-1], max(16, round(along[-1] / STEP)))
        return np.stack([np.interp(lengths, along, dense[:, axis]) for axis in (0, 1)], axis=1)

    @property
    def shortest(self) -> float:
        """A length that the samples have at least: that of the chords between the ends and middles of the segments.

        Samples cut the corners, hence the twentieth and the 10 pixels less.
        """
        chords = 0.0
        for i in range(0, len(self.controls) - 1, 3):
            a, b, c, d = self.controls[i : i + 4]
            middle = (
                (a[0] + 3 * b[0] + 3 * c[0] + d[0]) / 8,
                (a[1] + 3 * b[1] + 3 * c[1] + d[1]) / 8,
            )
            chords += math.dist(a, middle) + math.dist(middle, d)
        return 0.95 * chords - 10

    @cached_property
    def extent(self) -> tuple[float, float, float, float]:
        """The smallest x and y of its samples, and the largest."""
        (left, top), (right, bottom) = self.points.min(axis=0), self.points.max(axis=0)
        return float(left), float(top), float(right), float(bottom)

    @property
    def joints(self) -> tuple[Point, ...]:
        """Both ends, and where one segment meets the next."""
        return self.controls[::3]

    def at(self, share: float) -> Point:
        """The point at a share, in [0, 1], of the curve's length."""
        x, y = self.points[round(share * (len(self.points) - 1))]
        return float(x), float(y)

    def path(self) -> str:
        """The ``d`` of an SVG path."""
        text = [f"{x:.1f} {y:.1f}" for x, y in self.controls]
        segments = (f"C{' '.join(text[i : i + 3])}" for i in range(1, len(text), 3))
        return f"M{text[0]}{''.join(segments)}"


def route(source: Box, target: Box, obstacles: Sequence[Box], drawn: Sequence[Curve]) -> Curve:
    """The best curve of a fixed set: it crosses no box, keeps away from arrows drawn before, and is short.

    The widest bulge avoids every box of its row. So there is a way around in every grid.

    Args:
        source: box at the start.
        target: box at the end.
        obstacles: other boxes.
        drawn: arrows that are there already.
    """
    sizes = np.array([(box.x, box.y, box.width, box.height) for box in obstacles]).reshape(-1, 4)
    best, least = Curve((source.centre,) * 4), (math.inf, math.inf, 0)
    bounded = ((curve.shortest, i, curve) for i, curve in enumerate(candidates(source, target)))
    for shortest, i, curve in sorted(bounded, key=lambda entry: entry[:2]):
        if curve.weight * shortest > least[0]:
            continue
        alone = _cost(curve, source, target, sizes)
        if alone > least[0]:
            continue
        cost = alone + CROWDED * sum(_crowding(curve, other) for other in drawn)
        if (cost, alone, i) < least:
            best, least = curve, (cost, alone, i)
    return best


def _cost(curve: Curve, source: Box, target: Box, obstacles: NDArray[np.float64]) -> float:
    """The weighted length, and far more for each sample within a box.

    Args:
        curve: from source to target.
        source: the box where it begins.
        target: the box where it ends.
        obstacles: x, y, width and height of the other boxes, shape (n, 4). They are compared with all samples at once.
    """
    inner = curve.points[1:-1]
    left, top, right, bottom = curve.extent
    reach = obstacles[:, 2:] / 2 + CLEARANCE
    low, high = obstacles[:, :2] - reach - 1, obstacles[:, :2] + reach + 1  # a pixel more, against rounding
    near = (low <= (right, bottom)).all(axis=1) & (high >= (left, top)).all(axis=1)
    within = np.abs(inner - obstacles[near, None, :2]) <= reach[near, None]
    blocked = int(np.count_nonzero(within[..., 0] & within[..., 1]))
    blocked += source.count(inner, -1) + target.count(inner, -1)
    length = float(np.hypot(*np.diff(curve.points, axis=0).T).sum())
    return BLOCKED * blocked + curve.weight * length


def _crowding(curve: Curve, other: Curve) -> int:
    """The number of pairs of samples that lie close together. The first and last steps do not count: arrows may meet
    there.

    Arrows from one box may share their straight first leg, and arrows to one box their last.
    """
    (left, top, right, bottom), (x, y, farthest_x, farthest_y) = curve.extent, other.extent
    if max(x - right, left - farthest_x, y - bottom, top - farthest_y) >= CLEARANCE:
        return 0
    mine, theirs = curve.points[5:-5], other.points[5:-5]
    for end in (0, -1):
        if curve.controls[end] == other.controls[end]:
            mine = mine[(np.abs(mine - curve.controls[end]) > 0.5).all(axis=1)]
    distances = np.hypot(*(mine[:, None] - theirs[None]).transpose(2, 0, 1))
    return int(np.count_nonzero(distances < CLEARANCE))


def candidates(source: Box, target: Box) -> Iterator[Curve]:
    """The curves from which `route` chooses."""
    dx, dy = target.x - source.x, target.y - source.y
    sideways, downwards = math.copysign(1, dx), math.copysign(1, dy)
    aligned = abs(dy) < 1 or abs(dx) < 1
    if abs(dx) >= 1:
        yield _bezier(source.port(sideways, 0), target.port(-sideways, 0), (sideways, 0), aligned)
    if abs(dy) >= 1:
        yield _bezier(source.port(0, downwards), target.port(0, -downwards), (0, downwards), aligned)
    if not aligned:
        down, up = (1.0, UNUSUAL) if dy > 0 else (UNUSUAL, 1.0)
        yield _elbow(source.port(0, downwards), target.port(-sideways, 0), vertical_first=True, weight=down)
        yield _elbow(source.port(sideways, 0), target.port(0, -downwards), vertical_first=False, weight=up)
    for bulge in BULGES[1:]:
        for side in (-1.0, 1.0):
            if abs(dx) >= 1:
                yield _around(source.port(0, side), target.port(0, side), (0, side * bulge))
                yield _arc(source.port(sideways, 0), target.port(-sideways, 0), (0, side * bulge))
            if abs(dy) >= 1:
                yield _around(source.port(side, 0), target.port(side, 0), (side * bulge, 0))
                yield _arc(source.port(0, downwards), target.port(0, -downwards), (side * bulge, 0))


def _bezier(start: Point, end: Point, leaving: Point, straight: bool) -> Curve:
    """A straight line, or an S that leaves and arrives in the same direction."""
    if straight:
        return Curve((start, _between(start, end, 1 / 3), _between(start, end, 2 / 3), end))
    half_x, half_y = (end[0] - start[0]) / 2 * abs(leaving[0]), (end[1] - start[1]) / 2 * abs(leaving[1])
    inner = (start[0] + half_x, start[1] + half_y), (end[0] - half_x, end[1] - half_y)
    return Curve((start, *inner, end), weight=SLANTED)


def _elbow(start: Point, end: Point, *, vertical_first: bool, weight: float) -> Curve:
    """Two straight legs with one rounded corner."""
    corner = (start[0], end[1]) if vertical_first else (end[0], start[1])
    before = _towards(corner, start, CORNER)
    after = _towards(corner, end, CORNER)
    return Curve(
        (
            start,
            *(_between(start, before, s) for s in (1 / 3, 2 / 3)),
            before,
            *(_between(before, corner, 0.55), _between(after, corner, 0.55)),
            after,
            *(_between(after, end, s) for s in (1 / 3, 2 / 3)),
            end,
        ),
        weight,
    )


def _arc(start: Point, end: Point, bulge: Point) -> Curve:
    """A bow between two sides that face each other, pushed aside by ``bulge``."""
    inner = [
        (x + 4 / 3 * bulge[0], y + 4 / 3 * bulge[1])
        for x, y in (_between(start, end, 0.2), _between(start, end, 0.8))
    ]
    slanted = abs(start[0] - end[0]) > 1 and abs(start[1] - end[1]) > 1
    return Curve((start, *inner, end), weight=SLANTED if slanted else 1.0)


def _around(start: Point, end: Point, bulge: Point) -> Curve:
    """Leaves one side, goes along, and enters the same side of the other box, with rounded corners."""
    if bulge[0]:
        edge = (max if bulge[0] > 0 else min)(start[0], end[0]) + bulge[0]
        first, second = (edge, start[1]), (edge, end[1])
    else:
        edge = (max if bulge[1] > 0 else min)(start[1], end[1]) + bulge[1]
        first, second = (start[0], edge), (end[0], edge)
    a, b = _towards(first, start, 2 * CORNER), _towards(first, second, 2 * CORNER)
    c, d = _towards(second, first, 2 * CORNER), _towards(second, end, 2 * CORNER)
    thirds = (1 / 3, 2 / 3)
    return Curve(
        (
            start,
            *(_between(start, a, s) for s in thirds),
            *(a, _between(a, first, 0.55), _between(b, first, 0.55), b),
            *(_between(b, c, s) for s in thirds),
            *(c, _between(c, second, 0.55), _between(d, second, 0.55), d),
            *(_between(d, end, s) for s in thirds),
            end,
        )
    )


def _between(a: Point, b: Point, share: float) -> Point:
    return a[0] + share * (b[0] - a[0]), a[1] + share * (b[1] - a[1])


def _towards(corner: Point, other: Point, distance: float) -> Point:
    """The point ``distance`` from ``corner`` on the way to ``other``, at most half way."""
    length = math.dist(corner, other)
    return _between(corner, other, min(0.5, distance / length) if length else 0.0)
