"""The dimensions of a space as a table: what each is searched among, and where a search starts."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from netwright.errors import SettingsError
from netwright.spaces.base import Choice, Value


@dataclass(frozen=True)
class Dimension:
    """One dimension: its distribution, and its value in the starting choice."""

    distribution: BaseDistribution
    start: Value

    @property
    def single(self) -> bool:
        """Whether it has one value, so that there is nothing to search."""
        return bool(self.distribution.single())

    def words(self) -> str:
        """Its values in words, for messages."""
        distribution = self.distribution
        if isinstance(distribution, CategoricalDistribution):
            return f"one of {', '.join(map(str, distribution.choices))}"
        assert isinstance(distribution, IntDistribution | FloatDistribution)
        step = f" in steps of {distribution.step:g}" if distribution.step not in (None, 1) else ""
        return f"from {distribution.low:g} to {distribution.high:g}{step}"

    def allows(self, value: Value) -> bool:
        """Whether it is one of the values that are searched."""
        distribution = self.distribution
        if isinstance(distribution, CategoricalDistribution):
            return any(type(value) is type(known) and value == known for known in distribution.choices)
        assert isinstance(distribution, IntDistribution | FloatDistribution)
        if isinstance(value, bool | str) or (
            isinstance(distribution, IntDistribution) and value != int(value)
        ):
            return False
        steps = (value - distribution.low) / distribution.step if distribution.step else 0.0
        return distribution.low <= value <= distribution.high and abs(steps - round(steps)) < 1e-9


def one_of(*choices: Value, start: Value | None = None) -> Dimension:
    """One of several values, in order if they have one. ``start`` is the first by default."""
    return Dimension(CategoricalDistribution(choices), choices[0] if start is None else start)


def whole(low: int, high: int, start: int, step: int = 1) -> Dimension:
    """A whole number from ``low`` to ``high``. A start outside is moved to the nearer bound.

    Args:
        low: the smallest value.
        high: the largest value.
        start: of a search.
        step: between values.
    """
    return Dimension(IntDistribution(low, high, step=step), min(max(start, low), high))


def real(low: float, high: float, start: float, *, step: float | None = None, log: bool = False) -> Dimension:
    """A real number, on a logarithmic scale with ``log``.

    Args:
        low: the smallest value.
        high: the largest value.
        start: of a search.
        step: between values; None: any value.
        log: whether the scale is logarithmic.
    """
    return Dimension(FloatDistribution(low, high, step=step, log=log), start)


Table = Mapping[str, Dimension]


def started(table: Table, start: object) -> dict[str, Dimension]:
    """The dimensions with other starts. A whole number is moved to the nearest that there is.

    Args:
        table: all dimensions.
        start: name -> value.

    Raises:
        SettingsError: naming the dimension and its values.
    """
    if not isinstance(start, Mapping):
        raise SettingsError(f"start: expected a value for each named dimension, got {start!r}.")
    changed = dict(table)
    for name, value in start.items():
        if name not in table:
            raise _unknown("start", name, table)
        dimension = table[name]
        bounds, moved = dimension.distribution, value
        if isinstance(bounds, IntDistribution) and type(value) is int:
            nearest = bounds.low + round((value - bounds.low) / bounds.step) * bounds.step
            moved = min(max(nearest, bounds.low), bounds.high)
        if not dimension.allows(moved):
            raise SettingsError(f"start.{name}: expected {dimension.words()}, got {value!r}.")
        changed[name] = replace(dimension, start=moved)
    return changed


def searched(table: Table, fixed: Choice) -> dict[str, BaseDistribution]:
    """The distributions of all dimensions that are not fixed and have several values, in the table's order."""
    return {
        name: dimension.distribution
        for name, dimension in table.items()
        if name not in fixed and not dimension.single
    }


def values_of(table: Table, fixed: Choice, choice: Choice) -> dict[str, Value]:
    """A value for each dimension: the fixed value, or that of the choice, or the starting value.

    Args:
        table: all dimensions.
        fixed: values that are not searched.
        choice: of the space.
    """
    return {name: fixed.get(name, choice.get(name, dimension.start)) for name, dimension in table.items()}


def changed_words(table: Table, canonical: Choice, names: Collection[str]) -> list[str]:
    """What a choice changes in the start, of some dimensions: ``dice share 0.35``.

    Args:
        table: all dimensions.
        canonical: the searched values that matter.
        names: of the dimensions that are told.
    """
    changes = (
        f"{name} {value:g}" if isinstance(value, float) else f"{name} {value}"
        for name, value in canonical.items()
        if name in names and value != table[name].start
    )
    return [change.replace("_", " ") for change in changes]


def suggested(
    table: Table, fixed: Choice, changes: Sequence[Mapping[str, Value]]
) -> tuple[dict[str, Value], ...]:
    """The changes, without what is not searched and what is no change.

    Args:
        table: all dimensions.
        fixed: values that are not searched.
        changes: of the starting choice.
    """
    known = searched(table, fixed)
    kept = (
        {
            name: value
            for name, value in change.items()
            if name in known and table[name].allows(value) and value != table[name].start
        }
        for change in changes
    )
    return tuple(change for change in kept if change)


def require_fixed(table: Table, fixed: object) -> None:
    """Refuse fixed values that the space does not have.

    Raises:
        SettingsError: naming the dimension and its values.
    """
    if not isinstance(fixed, Mapping):
        raise SettingsError(f"fixed: expected a value for each named dimension, got {fixed!r}.")
    for name, value in fixed.items():
        if name not in table:
            raise _unknown("fixed", name, table)
        if not table[name].allows(value):
            raise SettingsError(f"fixed.{name}: expected {table[name].words()}, got {value!r}.")


def _unknown(option: str, name: str, table: Table) -> SettingsError:
    near = difflib.get_close_matches(name, table, n=1)
    advice = f"Did you mean {near[0]}? " if near else ""
    return SettingsError(f"{option}: there is no dimension {name!r}. {advice}There are: {', '.join(table)}.")
