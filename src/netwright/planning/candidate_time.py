"""How much time a search limited in hours gives to each candidate."""

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
    timed = draft.budget.hours is not None and draft.training.seconds is None and draft.race is None
    return timed and draft.supernet is None and "training.epochs" not in draft.user_set


def choose_candidate_time(draft: Draft, context: Context) -> None:
    """Give each candidate an equal share of the hours, if the search is limited in hours."""
    if not context.repeats and context.epoch_seconds is not None and has_time_share(draft):
        share_hours(draft, context.epoch_seconds)


def share_hours(draft: Draft, epoch_seconds: float) -> None:
    """Settings of a search limited in hours: an equal share of wall time for each candidate.

    With a fixed number of epochs, the time limit could not be kept. The share lets about `CANDIDATES_AN_HOUR`
    candidates finish in each hour of each worker, but it is long enough for a few epochs of the starting candidate.
    The learning rate falls along a cosine, so that also a short training ends with a low rate. A network that was
    trained before costs no time, and does not count. What the user set stays.

    A controlled random search whose population is not set gets 2 (n + 1) members, kept at the centres of their cells.
    The paper's 10 (n + 1) would use up the whole search. The smaller population is better at every budget up to the
    paper's 300 on two objectives (``benchmarks/crs_population.py``).
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
        "training.patience": None,  # it could end a training before its learning rate has fallen
        "budget.count": "distinct",
    }
    if draft.verdict.schedule == "recipe":
        # The networks of the comparison are trained with the schedule and the patience that candidates lose here.
        kept = {"schedule": draft.training.schedule, "patience": draft.training.patience}
        changes |= {f"train.{name}": getattr(draft.train, name) or value for name, value in kept.items()}
    if draft.objective.per_epoch:
        # All episodes get the same time, so their rewards need no division by epochs.
        changes |= {"objective.per_epoch": False, "budget.fewest_epochs": None}
    strategy = draft.strategy
    if strategy.name == "controlled-random-search" and "population" not in strategy.options:
        dimensions = len(make_space(draft.space).distributions())
        changes |= {"strategy.population": 2 * (dimensions + 1), "strategy.cell_centres": True}
    draft.choose(changes)
