"""What `Prior` knows of each choice: a mapping that grows with a fold, in columns, as large studies are to be fast."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from netwright.strategies.dimensions import Point

Key = tuple[float, ...]
Column = NDArray[np.float64]
Rows = NDArray[np.int64]

_GROWING = threading.Lock()
CENTRES_KEPT = 4
"""So many centres have their densities kept: the start, and the last few that were the best."""
MOST_INSERTED = 10
"""More new results than this are sorted at once."""


@dataclass(frozen=True, eq=False)
class Result:
    """What is known of a choice: its point, and its rewards (-inf: none), ascending by the training before them."""

    point: Point
    curve: tuple[tuple[float, float], ...]

    @property
    def fidelity(self) -> float:
        """The longest training."""
        return self.curve[-1][0]

    @property
    def reward(self) -> float:
        """The reward after the longest training."""
        return self.curve[-1][1]

    def reward_after(self, fidelity: float) -> float:
        """The reward after so much training: on the line between two that are known, or that of the nearest."""
        fidelities, rewards = np.array(self.curve).T
        return float(np.interp(fidelity, fidelities, rewards))


@dataclass(eq=False)
class _Ranking:
    """The first ``size`` places of a line, those with a reward in order: the best last, of equal ones the first.

    So a good result moves few others. ``rewards``, ``order`` (the places) and ``gaps`` have room for more than
    ``count``. ``gaps``: by how much the logarithm of the density about the first of two ``centres`` is greater than
    about the second; NaN: not computed yet. ``least`` and ``most`` are the shortest and the longest training.
    """

    rewards: Column = field(default_factory=lambda: np.zeros(0))
    order: Rows = field(default_factory=lambda: np.zeros(0, np.int64))
    gaps: Column = field(default_factory=lambda: np.zeros(0))
    centres: bytes = b""
    size: int = 0
    count: int = 0
    least: float = math.inf
    most: float = -math.inf

    def advance(self, line: _Line, size: int) -> None:
        """Add places of a line up to a size."""
        new = np.arange(self.size, size)[line.reward[self.size : size] > -math.inf]
        count = self.count + len(new)
        if count > len(self.order):
            self.rewards, self.order = np.pad(self.rewards, (0, count)), np.pad(self.order, (0, count))
            self.gaps = np.pad(self.gaps, (0, count))
        if len(new) > MOST_INSERTED:
            places = np.concatenate([self.order[: self.count], new])
            places = places[np.lexsort((-places, line.reward[places]))]
            self.rewards[:count], self.order[:count], self.gaps[:count] = (
                line.reward[places],
                places,
                math.nan,
            )
        else:
            for last, place in enumerate(new.tolist(), self.count):
                at = int(np.searchsorted(self.rewards[:last], line.reward[place]))
                values = line.reward[place], place, math.nan
                for column, value in zip((self.rewards, self.order, self.gaps), values, strict=True):
                    column[at + 1 : last + 1] = column[at:last]
                    column[at] = value
        if len(new):
            self.least = min(self.least, float(line.fidelity[new].min()))
            self.most = max(self.most, float(line.fidelity[new].max()))
        self.size, self.count = size, count

    def gaps_about(self, centres: bytes) -> Column:
        """Those of all places, of which some may be computed: (count,), to be changed."""
        if self.centres != centres:
            self.gaps[:], self.centres = math.nan, centres
        return self.gaps[: self.count]


@dataclass(eq=False)
class _Line:
    """What all mappings share that were grown from one another; each sees the first places only.

    The columns have room for more places. A choice without a result has the reward -inf and the point 0.
    """

    places: dict[Key, int] = field(default_factory=dict)
    items: list[Result | None] = field(default_factory=list)
    fidelity: Column = field(default_factory=lambda: np.zeros(0))
    reward: Column = field(default_factory=lambda: np.zeros(0))
    points: Column = field(default_factory=lambda: np.zeros((0, 0)))
    densities: dict[bytes, Column] = field(default_factory=dict)
    """For a centre the logarithm of the density at each place; NaN: not computed yet."""
    ranking: _Ranking = field(default_factory=lambda: _Ranking())

    def copy(self, size: int) -> _Line:
        """The first places, to be changed."""
        return _Line(
            {key: place for key, place in self.places.items() if place < size},
            self.items[:size],
            self.fidelity[:size].copy(),
            self.reward[:size].copy(),
            self.points[:size].copy(),
            {centre: known[:size].copy() for centre, known in self.densities.items()},
        )  # without the ranking, which holds for unchanged places alone

    def put(self, place: int, key: Key, item: Result | None) -> None:
        """Set a place, which may be the next one."""
        if place == len(self.fidelity):
            more = max(64, place)
            self.fidelity, self.reward = (np.pad(c, (0, more)) for c in (self.fidelity, self.reward))
            points = np.zeros((place + more, len(key)))
            points[:place] = self.points[:place].reshape(place, len(key))
            self.points = points
        self.places[key] = place
        self.items[place : place + 1] = [item]
        self.fidelity[place] = 0.0 if item is None else item.fidelity
        self.reward[place] = -math.inf if item is None else item.reward
        self.points[place] = 0.0 if item is None else item.point
        for known in self.densities.values():
            known[place : place + 1] = math.nan


class Results(Mapping[Key, Result | None]):
    """Results by choice, in the order in which the choices first came; None: it failed. Immutable."""

    def __init__(self) -> None:
        self._line = _Line()
        self._size = 0
        self._failed = 0

    def __getitem__(self, key: Key) -> Result | None:
        place = self._line.places.get(key, self._size)
        if place >= self._size:
            raise KeyError(key)
        return self._line.items[place]

    def __iter__(self) -> Iterator[Key]:
        return (key for key, place in list(self._line.places.items()) if place < self._size)

    def __len__(self) -> int:
        return self._size

    @property
    def known(self) -> int:
        """How many choices have a result, with or without a reward."""
        return self._size - self._failed

    def with_result(self, key: Key, result: Result | None) -> Results:
        """These results and one more, or another one for a choice."""
        before, new = self.get(key), key not in self
        grown = Results()
        with _GROWING:
            last = new and len(self._line.items) == self._size
            grown._line = self._line if last else self._line.copy(self._size)
            grown._line.put(self._size if new else self._line.places[key], key, result)
        grown._size = self._size + new
        grown._failed = self._failed + (result is None) - (before is None and not new)
        return grown

    def best(self, reduction: int) -> Point | None:
        """The best of those that are compared, of equal ones the first; None: there are none.

        Args:
            reduction: compared are the longest trainings, at least this many, and one of its square of all.
        """
        with _GROWING:
            compared = self._compared(self._ranking(), reduction)
            item = self._line.items[int(compared[-1])] if len(compared) else None
        return None if item is None else item.point

    def evidence(
        self, first: Point, second: Point, density: Callable[[Point, Point], float], reduction: int
    ) -> tuple[float, float]:
        """How much better the first of two centres explains the best of those that are compared than the second.

        The weight of the i-th best of n is n - i + 1; a centre itself has none.

        Args:
            first: a point.
            second: another one.
            density: the logarithm of the density of a point about a centre.
            reduction: the best are one of this many, and at least this many; see `best`.

        Returns:
            The sum of the weighted differences, and that of the weights.
        """
        with _GROWING:
            ranking = self._ranking()
            compared = self._compared(ranking, reduction)
            gaps = np.full(len(compared), math.nan)
            if len(compared) == ranking.count:
                gaps = ranking.gaps_about(first.tobytes() + second.tobytes())
            count = min(max(math.ceil(len(compared) / reduction), reduction), len(compared))
            top, gaps = compared[len(compared) - count :], gaps[len(compared) - count :]
            if len(new := np.flatnonzero(np.isnan(gaps))):
                about = (self._densities(top[new], centre, density) for centre in (first, second))
                gaps[new] = next(about) - next(about)
            weight = count * (count + 1) / 2
            for place in {self.place_of(first), self.place_of(second)}:
                for at in np.flatnonzero(top == place).tolist():
                    gaps[at] = 0.0
                    weight -= at + 1
            # From the best on, one after the other: numpy's sum would round otherwise.
            sums = np.cumsum((np.arange(1.0, count + 1.0) * gaps)[::-1])
        return (float(sums[-1]) if count else 0.0), weight

    def _ranking(self) -> _Ranking:
        """The order of these results. It is valid under the lock alone."""
        # Where others have gone on, the line's has too many places.
        ranking = self._line.ranking if self._line.ranking.size <= self._size else _Ranking()
        ranking.advance(self._line, self._size)
        return ranking

    def _compared(self, ranking: _Ranking, reduction: int) -> Rows:
        """The places of those that are compared, best last. It is valid under the lock alone."""
        known = ranking.order[: ranking.count]
        count = max(reduction, math.ceil(len(known) / reduction**2))
        if len(known) <= count or ranking.least == ranking.most:
            return known
        fidelities = self._line.fidelity[known]
        least = np.partition(fidelities, len(known) - count)[len(known) - count]
        longest: Rows = known[fidelities >= least]
        return longest

    def place_of(self, point: Point) -> int:
        """The place of the result at a point; -1: there is none."""
        place = self._line.places.get(key_of(point), self._size)
        return place if place < self._size and np.array_equal(self._line.points[place], point) else -1

    def _densities(self, places: Rows, centre: Point, density: Callable[[Point, Point], float]) -> Column:
        """The densities about a centre at some places, (places,), each computed once. For use under the lock.

        Args:
            places: of results.
            centre: of the density.
            density: of a point about a centre.
        """
        line = self._line
        kept = line.densities.pop(centre.tobytes(), np.zeros(0))
        if len(kept) < len(line.fidelity):
            kept = np.pad(kept, (0, len(line.fidelity) - len(kept)), constant_values=math.nan)
        for place in places[np.isnan(kept[places])].tolist():
            kept[place] = density(line.points[place], centre)
        line.densities[centre.tobytes()] = kept
        while len(line.densities) > CENTRES_KEPT:
            del line.densities[next(iter(line.densities))]
        found: Column = kept[places]
        return found


def key_of(point: Point) -> Key:
    """A key that is equal for equal points, also if numbers differ by the rounding of a logarithm."""
    return tuple(np.round(point, 9).tolist())
