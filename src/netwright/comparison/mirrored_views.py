"""Chooses along which axes a network's images are mirrored, too, when it predicts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from netwright.comparison.ensemble import Gain, Rows, Rule, compare, words

Axes = tuple[int, ...]
NO_TIME = "no time"
"""Why a view was not tried."""


@dataclass(frozen=True)
class Views:
    """The axes along which views are mirrored, the scores with them, and of each that was tried what it brought."""

    axes: Axes
    rows: Rows
    tried: tuple[dict[str, Any], ...] = ()


@dataclass(frozen=True)
class Viewed:
    """What is asked of a network or an ensemble whose images may be mirrored.

    Args:
        rows: its scores without mirrored views, one row a case.
        mirrored: its scores with views mirrored along some axes; None where there is no time.
        value: what is maximised, from scores and the number of views of each image.
        allowed: whether so many views of each image keep the limits.
    """

    rows: Rows
    mirrored: Callable[[Axes], Rows | None]
    value: Callable[[Rows, int], float]
    allowed: Callable[[int], bool]


def choose_views(known: Viewed, axes: Sequence[int], units: NDArray[np.int64], rule: Rule) -> Views:
    """The axes that are better mirrored beyond chance.

    The axis with the largest gain is taken first, then whether another adds to it is asked. Each is tested at the
    chance of the rule divided by the number of axes (Bonferroni).

    Args:
        known: what is mirrored.
        axes: along which anatomy allows to mirror.
        units: which cases belong together.
        rule: what counts as beyond chance.
    """
    rule = replace(rule, chance=rule.chance / max(1, len(axes)))
    views = Views((), known.rows)
    left = list(axes)
    while left:
        gains: dict[int, tuple[Gain, Rows]] = {}
        for axis in left:
            told = _tried(known, views, axis, gains, units, rule)
            views = replace(views, tried=(*views.tried, told))
        better = {axis: found for axis, found in gains.items() if _pays(known, views, *found)}
        if not better:
            break
        best = max(better, key=lambda axis: better[axis][0].comparison.mean_difference)
        taken = tuple(sorted((*views.axes, best)))
        tried = tuple({**one, "taken": one["taken"] or one["axes"] == list(taken)} for one in views.tried)
        views = Views(taken, better[best][1], tried)
        left = [axis for axis in left if axis != best]
    return views


def _tried(
    known: Viewed,
    views: Views,
    axis: int,
    gains: dict[int, tuple[Gain, Rows]],
    units: NDArray[np.int64],
    rule: Rule,
) -> dict[str, Any]:
    """What one more axis brings; its gain is noted where it is known."""
    axes = tuple(sorted((*views.axes, axis)))
    told: dict[str, Any] = {"axes": list(axes), "gain": None, "taken": False}
    if not known.allowed(2 ** len(axes)):
        return {**told, "reason": "the limits do not allow it"}
    rows = known.mirrored(axes)
    if rows is None:
        return {**told, "reason": NO_TIME}
    gain = compare(lambda some: known.value(some, 1), rows, views.rows, units, rule)
    gains[axis] = gain, rows
    return {**told, "gain": asdict(gain.comparison), "reason": words(gain)}


def _pays(known: Viewed, views: Views, gain: Gain, rows: Rows) -> bool:
    """Whether a view is better beyond chance, also by what it costs where the objective weighs that."""
    before = known.value(views.rows, 2 ** len(views.axes))
    return gain.proven and known.value(rows, 2 ** (len(views.axes) + 1)) > before
