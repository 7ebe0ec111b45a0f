"""States share what they keep; each proposes as if it had been folded alone, whatever was told to others meanwhile."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from netwright.strategies import STRATEGIES, Observation
from netwright.strategies.base import Dimension, OwnProposalsOnly

DIMENSIONS = (
    Dimension("width", "integer", 8, 32, step=1),
    Dimension("operation", "categorical", 0, 2, step=1, choices=("none", "skip", "convolution")),
    Dimension("rate", "float", 1e-5, 1e-1, log=True),
)
FIRST = {"width": 16, "operation": "skip", "rate": 1e-3}
MEMBERS: dict[str, tuple[str, dict[str, Any]]] = {
    **{name: (name, {}) for name in STRATEGIES},
    "cma-es": ("cma-es", {"population": 5}),
    "controlled-random-search": ("controlled-random-search", {"population": 5}),
    "policy-gradient pooled": ("policy-gradient", {"variant": "pooled"}),
    "prior with a start": ("prior", {"first": FIRST, "suggestions": [{"width": 20}, {"operation": "none"}]}),
    "q-learning published": ("q-learning", {"variant": "published", "exploration": 8}),
}
STATES = 40
FOREIGN = 60
"""As many as every strategy needs to leave its beginning."""


@pytest.mark.parametrize("member", sorted(MEMBERS))
def test_states_that_were_gone_on_with_propose_what_they_would_alone(member: str) -> None:
    """Each step goes on from the last state or from an earlier one. Then four threads ask all of them again."""
    name, options = MEMBERS[member]
    shared, chance = STRATEGIES[name](**options), np.random.default_rng(1)
    states, told = [shared.init(DIMENSIONS)], [tuple[Observation, ...]()]
    for number in range(STATES):
        at = -1 if chance.random() < 0.8 else int(chance.integers(len(states)))
        choice, stamp = shared.ask(states[at], np.random.default_rng(number))
        status = ("complete", "complete", "complete", "pruned", "failed")[chance.integers(5)]
        reward = float(chance.integers(6)) if status == "complete" else None
        fidelity = float(3 ** chance.integers(3))
        shown = {} if status == "failed" else choice
        result = Observation(len(told[at]), shown, reward, status, stamp, fidelity)  # type: ignore[arg-type]
        states, told = [*states, shared.tell(states[at], result)], [*told, (*told[at], result)]

    def alone(results: tuple[Observation, ...]) -> Any:
        strategy = STRATEGIES[name](**options)
        state = strategy.init(DIMENSIONS)
        for result in results:
            state = strategy.tell(state, result)
        return strategy.ask(state, np.random.default_rng(7))

    order = chance.permutation(len(states)).tolist()
    with ThreadPoolExecutor(4) as threads:
        asked = threads.map(lambda i: shared.ask(states[i], np.random.default_rng(7)), order)
        found = dict(zip(order, asked, strict=True))
    assert found == {i: alone(told[i]) for i in range(len(states))}


@pytest.mark.parametrize("member", sorted(set(MEMBERS) - {"random"}))
def test_a_strategy_learns_from_trials_from_elsewhere_unless_it_says_otherwise(member: str) -> None:
    """The same random numbers draw other choices from what was learned."""
    name, options = MEMBERS[member]
    strategy, chance = STRATEGIES[name](**options), np.random.default_rng(1)
    before = state = strategy.init(DIMENSIONS)
    for number in range(FOREIGN):
        width = int(chance.integers(8, 33))
        choice = {"width": width, "operation": "skip", "rate": 1e-1}
        state = strategy.tell(state, Observation(number, choice, -float(width), "complete", None))

    def asked(known: Any) -> list[Any]:
        choices, pending, rng = [], [], np.random.default_rng(0)
        for _ in range(20):
            choice, stamp = strategy.ask(known, rng, pending)
            choices, pending = [*choices, choice], [*pending, stamp]
        return choices

    assert (asked(before) == asked(state)) == isinstance(strategy, OwnProposalsOnly)
