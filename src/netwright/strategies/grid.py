"""Every dimension as a finite, ordered list of values, for agents that have tables."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from itertools import pairwise
from typing import NamedTuple

from netwright.errors import SettingsError
from netwright.strategies.base import Dimension, Value
from netwright.strategies.dimensions import position_of, value_at

MOST_LEVELS = 16
"""A dimension with more values, or a continuous one, is divided into this many cells of equal width."""


class Axis:
    """The values of one dimension: ``values`` in order; `level_of` gives the index for any value.

    ``ordered`` says whether neighbouring values are similar. That is true for numbers, and for the choices of a
    categorical dimension if they are three or more rising numbers.

    >>> axis = Axis(Dimension("kernels", "categorical", 0, 2, 1, choices=(16, 32, 64)))
    >>> axis.level_of(32), axis.ordered
    (1, True)
    """

    def __init__(self, dimension: Dimension, most: int = MOST_LEVELS) -> None:
        count = None
        if dimension.step is not None:
            count = round((dimension.high - dimension.low) / dimension.step) + 1
        whole = dimension.kind == "categorical" or (count is not None and count <= most)
        self.dimension = dimension
        self._whole = whole
        if whole and dimension.kind == "categorical":
            self.values: tuple[Value, ...] = dimension.choices
        elif whole:
            assert count is not None
            assert dimension.step is not None
            listed = [dimension.low + i * dimension.step for i in range(count)]
            self.values = tuple(
                int(v) if dimension.kind == "integer" else min(v, dimension.high) for v in listed
            )
        else:
            centres = [value_at(dimension, (i + 0.5) / most) for i in range(most)]
            self.values = tuple(dict.fromkeys(centres))

    def __len__(self) -> int:
        return len(self.values)

    @cached_property
    def ordered(self) -> bool:
        """Whether neighbouring values are similar."""
        if self.dimension.kind != "categorical":
            return True
        numbers = [v for v in self.values if isinstance(v, (int, float)) and not isinstance(v, bool)]
        rising = all(a < b for a, b in pairwise(numbers))
        return len(numbers) == len(self.values) > 2 and rising

    def level_of(self, value: Value) -> int:
        """The index of the value that represents ``value``.

        Raises:
            ValueError: the dimension has no such value.
        """
        if value in self.values:
            return self.values.index(value)
        if self.dimension.kind == "categorical":
            nan = [level for level, known in enumerate(self.values) if known != known]
            if value != value and nan:  # a stored NaN is not equal to another NaN, nor to itself
                return nan[0]
            raise ValueError(f"{self.dimension.name!r} is one of {self.values}, not {value!r}")
        position = position_of(self.dimension, value)
        return min(range(len(self)), key=lambda level: abs(self._positions[level] - position))

    @cached_property
    def _positions(self) -> list[float]:
        """The position of each value in [0, 1]."""
        return [position_of(self.dimension, known) for known in self.values]


class Agent(NamedTuple):
    """One agent: its ``name``, and the indices of the dimensions that it chooses."""

    name: str
    dimensions: tuple[int, ...]


def make_agents(
    dimensions: Sequence[Dimension],
    agents: Sequence[Sequence[str]] | None,
    edges: Sequence[Sequence[int]] | None,
) -> tuple[tuple[Agent, ...], tuple[tuple[int, int], ...]]:
    """The agents for the given dimensions, and the edges between them as pairs of indices (i, j), i < j.

    Args:
        dimensions: those that the strategy sees. A dimension in ``agents`` that is not among them (for example
            because it has one value only) is left out. An agent without any dimension is left out too, and its
            neighbours are connected.
        agents: names of the dimensions of each agent; None: one agent per dimension.
        edges: pairs of indices into ``agents``; None: the chain in their order.

    Raises:
        SettingsError: a dimension belongs to no agent or to two, or an edge does not lead forwards.
    """
    if agents is None:
        agents = [[d.name] for d in dimensions]
    if edges is None:
        edges = [(i, i + 1) for i in range(len(agents) - 1)]
    if not all(_is_names(names) for names in agents):
        raise SettingsError(f"agents: expected a list of names for each agent, got {agents!r}.")
    index = {d.name: i for i, d in enumerate(dimensions)}
    named = [name for names in agents for name in names]
    lost = sorted(set(index) - set(named)) or sorted({name for name in named if named.count(name) > 1})
    if lost:
        raise SettingsError(f"agents: expected each dimension to belong to one agent; {lost[0]!r} does not.")
    count = len(agents)
    for edge in edges:
        if not _is_edge(edge, count):
            raise SettingsError(f"edges: expected pairs (i, j) with 0 <= i < j < {count}, got {edge!r}.")
    pairs = {(int(i), int(j)) for i, j in edges}
    members = [tuple(index[name] for name in names if name in index) for names in agents]
    for gone in (i for i in range(count) if not members[i]):
        before = [i for i, j in pairs if j == gone]
        after = [j for i, j in pairs if i == gone]
        pairs = {pair for pair in pairs if gone not in pair} | {(i, j) for i in before for j in after}
    kept = [i for i in range(count) if members[i]]
    new_index = {old: new for new, old in enumerate(kept)}
    graph_agents = tuple(Agent(_agent_name(agents[i]), members[i]) for i in kept)
    return graph_agents, tuple(sorted((new_index[i], new_index[j]) for i, j in pairs))


def _is_names(names: object) -> bool:
    if not isinstance(names, Sequence) or isinstance(names, str):
        return False
    return all(isinstance(name, str) for name in names)


def _is_edge(edge: object, count: int) -> bool:
    if not isinstance(edge, Sequence) or len(edge) != 2:
        return False
    return all(isinstance(i, int) for i in edge) and 0 <= edge[0] < edge[1] < count


def _agent_name(names: Sequence[str]) -> str:
    """The common start of the names of an agent's dimensions, up to the last point; all names if there is none."""
    prefixes = {name.rpartition(".")[0] for name in names}
    return prefixes.pop() if len(prefixes) == 1 and "" not in prefixes else ", ".join(names)
