"""What a search limited in hours gives to each candidate."""

from __future__ import annotations

import math
from collections.abc import Collection

from netwright.settings import RunSettings, override, parse_settings
from netwright.spaces import make_space

CANDIDATES_AN_HOUR = 40
"""Candidates that a search limited in hours aims at, for each hour of each worker."""
FEWEST_CANDIDATES = 12
SHORTEST_SHARE_SECONDS = 10.0
EPOCHS_A_SHARE = 3


def with_time_share(settings: RunSettings, epoch_seconds: float, said: Collection[str] = ()) -> RunSettings:
    """Settings of a search limited in hours: an equal share of wall time for each candidate.

    A fixed number of epochs would be a promise that a time limit cannot keep. The share is what lets about
    `CANDIDATES_AN_HOUR` candidates finish in each hour of each worker, yet long enough for a few epochs of the
    starting candidate. The learning rate then falls along a cosine, so that a short training ends settled. Networks
    met before cost no time, and do not count. What the user ``said``, by dotted names, stays.

    The paper's population of 10 (n + 1) members would be all that such a search gets to: a controlled random search
    whose population is not set gets 2 (n + 1), kept at the centres of their cells, which is better at every budget
    up to the paper's 300 on two objectives (``benchmarks/crs_population.py``).
    """
    hours = settings.budget.hours
    if hours is None:
        return settings
    machine_seconds = hours * 3600.0 * settings.machine.workers
    most = settings.budget.trials or math.inf
    candidates = min(most, max(FEWEST_CANDIDATES, CANDIDATES_AN_HOUR * hours * settings.machine.workers))
    share = max(machine_seconds / candidates, EPOCHS_A_SHARE * epoch_seconds, SHORTEST_SHARE_SECONDS)
    changes = {
        "training.seconds": round(share, 1),
        "training.schedule": "cosine",
        "training.patience": None,  # it would end a training before its learning rate has fallen
        "budget.count": "distinct",
    }
    if settings.verdict.schedule == "recipe":
        # What the share of time takes from the candidates is kept for the networks of the comparison.
        kept = {"schedule": settings.training.schedule, "patience": settings.training.patience}
        changes |= {f"train.{name}": getattr(settings.train, name) or value for name, value in kept.items()}
    if settings.objective.per_epoch:
        # Shares of time, not epochs, make episodes alike.
        changes |= {"objective.per_epoch": False, "budget.fewest_epochs": None}
    strategy = settings.strategy
    if strategy.name == "controlled-random-search" and "population" not in strategy.options:
        dimensions = len(make_space(settings.space).distributions())
        changes |= {"strategy.population": 2 * (dimensions + 1), "strategy.cell_centres": True}
    chosen = {name: value for name, value in changes.items() if name not in said}
    return parse_settings(override(settings.model_dump(mode="json"), chosen))
