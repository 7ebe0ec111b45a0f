"""What a search limited in hours gives to each candidate."""

from __future__ import annotations

import math

from netwright.planning.context import Context
from netwright.planning.draft import Draft
from netwright.spaces import make_space

CANDIDATES_AN_HOUR = 40
"""Candidates that a search limited in hours aims at, for each hour of each worker."""
FEWEST_CANDIDATES = 12
SHORTEST_SHARE_SECONDS = 10.0
EPOCHS_A_SHARE = 3


def has_time_share(draft: Draft) -> bool:
    """Whether each candidate gets a share of the run's hours, not a number of epochs that the user gave."""
    timed = draft.budget.hours is not None and draft.training.seconds is None
    return timed and draft.supernet is None and "training.epochs" not in draft.user_set


def choose_candidate_time(draft: Draft, context: Context) -> None:
    """An equal share of the hours for each candidate, where there are such shares."""
    if not context.repeats and context.epoch_seconds is not None and has_time_share(draft):
        share_hours(draft, context.epoch_seconds)


def share_hours(draft: Draft, epoch_seconds: float) -> None:
    """Settings of a search limited in hours: an equal share of wall time for each candidate.

    A fixed number of epochs would be a promise that a time limit cannot keep. The share is what lets about
    `CANDIDATES_AN_HOUR` candidates finish in each hour of each worker, yet long enough for a few epochs of the
    starting candidate. The learning rate then falls along a cosine, so that a short training ends settled. Networks
    met before cost no time, and do not count. What the user set stays.

    The paper's population of 10 (n + 1) members would be all that such a search gets to: a controlled random search
    whose population is not set gets 2 (n + 1), kept at the centres of their cells, which is better at every budget
    up to the paper's 300 on two objectives (``benchmarks/crs_population.py``).
    """
    hours = draft.budget.hours
    if hours is None:
        return
    machine_seconds = hours * 3600.0 * draft.machine.workers
    most = draft.budget.trials or math.inf
    candidates = min(most, max(FEWEST_CANDIDATES, CANDIDATES_AN_HOUR * hours * draft.machine.workers))
    share = max(machine_seconds / candidates, EPOCHS_A_SHARE * epoch_seconds, SHORTEST_SHARE_SECONDS)
    changes = {
        "training.seconds": round(share, 1),
        "training.schedule": "cosine",
        "training.patience": None,  # it would end a training before its learning rate has fallen
        "budget.count": "distinct",
    }
    if draft.verdict.schedule == "recipe":
        # What the share of time takes from the candidates is kept for the networks of the comparison.
        kept = {"schedule": draft.training.schedule, "patience": draft.training.patience}
        changes |= {f"train.{name}": getattr(draft.train, name) or value for name, value in kept.items()}
    if draft.objective.per_epoch:
        # Shares of time, not epochs, make episodes alike.
        changes |= {"objective.per_epoch": False, "budget.fewest_epochs": None}
    strategy = draft.strategy
    if strategy.name == "controlled-random-search" and "population" not in strategy.options:
        dimensions = len(make_space(draft.space).distributions())
        changes |= {"strategy.population": 2 * (dimensions + 1), "strategy.cell_centres": True}
    draft.choose(changes)
