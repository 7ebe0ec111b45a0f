"""What was chosen among the finalists of a search, as plain values for its report."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from netwright.comparison.ensemble import Counts, OutOfTimeError, Selection, alone, reduced
from netwright.comparison.mirrored_views import Views
from netwright.comparison.tried_finalists import TriedFinalists


def told_choice(
    chosen: Selection,
    views: Views,
    of_default: Views | None,
    cost: dict[str, Any],
    finalists: TriedFinalists,
) -> dict[str, Any]:
    """The members, what each brings, and the reasons.

    Args:
        chosen: the ensemble, or the single network.
        views: its mirrored views.
        of_default: those of the default, where that is not used and was compared.
        cost: of what is used.
        finalists: from which it was chosen.
    """
    names = [one.finalist.name for one in finalists.tried]
    gain = chosen.gain
    return {
        "members": _members(chosen.counts, finalists),
        "mirror_axes": list(views.axes),
        "metrics": dict(finalists.problem.metrics(views.rows)),
        "reward": finalists.value(chosen.counts, views.rows, 2 ** len(views.axes)),
        "cost": cost,
        "single": names[chosen.single.index(1)],
        "selection": {
            "reason": chosen.reason,
            "proposed": {name: count for name, count in zip(names, chosen.proposed, strict=True) if count},
            "gain": None if gain is None else {**asdict(gain.comparison), "one_sided_p": gain.p_value},
        },
        "mirroring": list(views.tried),
        "default": _default(chosen, of_default, finalists),
        "left_out": finalists.left_out,
    }


def _members(counts: Counts, finalists: TriedFinalists) -> list[dict[str, Any]]:
    """Of each member its weight in the mean, its reward alone, and that of all others without it."""
    size = len(counts)
    return [
        {
            "name": one.finalist.name,
            "choice": one.finalist.choice,
            "reference": one.finalist.reference,
            "weight": count / sum(counts),
            "alone": _reward(alone(member, size), finalists),
            "without": _reward(tuple(c * (i != member) for i, c in enumerate(counts)), finalists),
        }
        for member, (one, count) in enumerate(zip(finalists.tried, counts, strict=True))
        if count
    ]


def _default(chosen: Selection, views: Views | None, finalists: TriedFinalists) -> dict[str, Any] | None:
    """The default as it was compared; None where it is used, or was not compared."""
    default = finalists.default()
    if views is None or default is None or reduced(chosen.counts) == default:
        return None
    return {
        "mirror_axes": list(views.axes),
        "metrics": dict(finalists.problem.metrics(views.rows)),
        "cost": {
            **finalists.cost(default, 2 ** len(views.axes)),
            **finalists.measured(finalists.network(default, views.axes)),
        },
    }


def _reward(counts: Counts, finalists: TriedFinalists) -> float | None:
    """The reward of other networks, as far as there was time for their scores."""
    try:
        return finalists.value(counts, finalists.rows(counts)) if any(counts) else None
    except OutOfTimeError:
        return None
