"""The Pareto front of a search with several objectives: which trials, and how much of the objectives they dominate."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from netwright.objective import ObjectiveSettings
from netwright.pareto import hypervolume, pareto_front
from netwright.runs.trials import TrialRecord

TRAINED = "front.json"
"""In the folder of a member that was trained with the full protocol: what was asked for, and the outcome."""
BEYOND = 0.1
"""How far beyond the worst value the hypervolume reaches, in units of the range of an objective."""


def front_of(records: Iterable[TrialRecord], objective: ObjectiveSettings) -> list[TrialRecord]:
    """The trials that no other one beats, the best of the first objective first.

    A network that was proposed several times is there once, with the trial that trained it.

    Args:
        records: of all trials.
        objective: of the run. With a single objective there is no front.
    """
    if not objective.several:
        return []
    trained = [record for record in records if record.values and record.cached_from is None]
    return [trained[index] for index in front_indices([r.values for r in trained], objective)]


def front_indices(values: Sequence[Sequence[float]], objective: ObjectiveSettings) -> tuple[int, ...]:
    """Which of the trials with these values no other one beats, the best of the first objective first."""
    return pareto_front(_costs(values, objective))


def dominated_share(values: Sequence[Sequence[float]], objective: ObjectiveSettings) -> list[float]:
    """The hypervolume after each trial, as a share of the box from the best value of each objective to `BEYOND` the
    worst, so that the ends of the front count, too.

    An objective that is the same in all trials does not count.

    Args:
        values: of the trials, in order.
        objective: of the run.
    """
    costs = _costs(values, objective)
    if not len(costs):
        return []
    low, high = costs.min(axis=0), costs.max(axis=0)
    differ = high > low
    if not differ.any():
        return [1.0] * len(costs)
    scaled = (costs[:, differ] - low[differ]) / (high - low)[differ]
    bound = np.full(scaled.shape[1], 1 + BEYOND)
    kept: list[int] = []
    shares: list[float] = []
    for index in range(len(scaled)):
        beaten = any((scaled[other] <= scaled[index]).all() for other in kept)
        if not beaten:
            kept = [other for other in kept if not (scaled[index] <= scaled[other]).all()] + [index]
        shares.append(shares[-1] if beaten else hypervolume(scaled[kept], bound) / float(bound.prod()))
    return shares


def _costs(values: Sequence[Sequence[float]], objective: ObjectiveSettings) -> NDArray[np.float64]:
    """Shape (trials, objectives): what is maximised with the opposite sign."""
    signs = np.array(objective.signs)
    return -signs * np.asarray(values, dtype=np.float64).reshape(-1, len(signs))
