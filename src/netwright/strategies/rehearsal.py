"""A rehearsal of a user's own strategy before its search: what would fail or mislead a search is told before it."""

from __future__ import annotations

from typing import Any

import numpy as np

from netwright.errors import StrategyFailed
from netwright.strategies.base import Choice, Observation, Stamp, Status
from netwright.strategies.own import OwnStrategy
from netwright.strategies.view import Distributions, dimensions_of, proposal_of

RESULTS: tuple[tuple[Status, float | None, bool], ...] = (
    ("complete", 1.0, True),
    ("pruned", None, True),
    ("complete", 0.5, False),
    ("failed", None, True),
)
"""Of the rehearsed trials: status, reward, and whether the strategy proposed the trial, so that it has a stamp."""


def rehearse(strategy: OwnStrategy, distributions: Distributions) -> None:
    """Ask a strategy for some choices, and tell it a result of each kind.

    Raises:
        StrategyFailed: it fails, proposes what is no choice, or does not keep to what makes a search repeatable: the
            same proposal for the same state and generator, also after that state was told a result.
    """
    free = {name: distribution for name, distribution in distributions.items() if not distribution.single()}
    if not free:
        return
    first = strategy.init(dimensions_of(free))

    def proposed(state: Any, number: int = 0, pending: tuple[Stamp, ...] = ()) -> tuple[Choice, Stamp]:
        choice, stamp = strategy.ask(state, np.random.default_rng(number), pending)
        return proposal_of(strategy, choice, free), stamp

    once = proposed(first)
    if proposed(first) != once:
        raise StrategyFailed(
            f"strategy: ask() of {strategy.code} gave two proposals for the same state and generator; expected the "
            "same one, so that a search can be resumed. Draw all random numbers from rng, and change nothing in ask()."
        )
    state = first
    for number, (status, reward, own) in enumerate(RESULTS):
        choice, stamp = proposed(state, number)
        shown = {} if status == "failed" else choice
        state = strategy.tell(state, Observation(number, shown, reward, status, stamp if own else None))
    proposed(state, len(RESULTS), (once[1],))
    if proposed(first) != once:
        raise StrategyFailed(
            f"strategy: tell() of {strategy.code} changes the state that it is given: it proposes something else then "
            "than before. Return a new state: (*state, new) in place of state.append(new)."
        )
