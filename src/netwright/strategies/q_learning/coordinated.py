"""Agents that share pair tables and choose jointly, by Thompson sampling in a Bayesian linear model."""

from __future__ import annotations

import math
import threading
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np

from netwright.strategies.base import Choice, Dimension, Observation, Stamp
from netwright.strategies.q_learning.joint_choice import choose, key_of
from netwright.strategies.q_learning.layout import Layout
from netwright.strategies.q_learning.posterior import Model, fit_prior


class Memo:
    """The model of the last state that was asked of, to be continued where the next state begins with it."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.rows: tuple[bytes, ...] = ()
        self.values: tuple[Any, ...] = ()
        self.fitted = 0
        self.model: Model | None = None


@dataclass(frozen=True, eq=False)
class State:
    """What was observed; immutable.

    ``rows``: levels of each candidate; ``rewards``: theirs, None ranks last. ``failed``: levels that were proposed
    and came to nothing, not to be proposed again.
    """

    layout: Layout
    rows: tuple[bytes, ...] = ()
    rewards: tuple[float | None, ...] = ()
    failed: frozenset[bytes] = frozenset()
    memo: Memo = field(default_factory=Memo, repr=False)


@dataclass(frozen=True)
class CoordinatedAgents:
    agents: tuple[tuple[str, ...], ...] | None = None
    edges: tuple[tuple[int, int], ...] | None = None

    @property
    def name(self) -> str:
        """Short name, as in `STRATEGIES`."""
        return "q-learning"

    @property
    def settings(self) -> Mapping[str, Any]:
        """Every setting, as plain JSON values."""
        return {"variant": "coordinated", **asdict(self)}

    def init(self, dimensions: Sequence[Dimension]) -> State:
        return State(Layout(dimensions, self.agents, self.edges))

    def ask(
        self, state: State, rng: np.random.Generator, pending: Sequence[Stamp] = ()
    ) -> tuple[Choice, Stamp]:
        layout = state.layout
        seen = {*state.failed, *(key_of(np.array(stamp["levels"])) for stamp in pending)}
        if layout.whole:
            seen.update(state.rows)
        first = first_proposals(layout)
        if len(state.rows) < first:
            levels, kind = layout.spread(state.rows, seen, rng), "first"
        else:
            levels, kind = self._joint(state, seen, rng), "joint"
        return layout.choice_of(levels, rng), {"kind": kind, "levels": levels.tolist()}

    def _joint(self, state, seen, rng):
        layout = state.layout
        X = np.frombuffer(b"".join(state.rows), dtype=np.int32).reshape(len(state.rows), -1).astype(np.int64)
        y = targets(state.rewards)
        model = self._model(state, X, y)
        u, W = model.draw(y, rng)
        top = X[np.argsort(-y, kind="stable")[:8]]
        return layout.best(u, W, seen, top, rng)

    def _model(self, state, X, y):
        memo = state.memo
        n = len(X)
        with memo.lock:
            counts = [first_proposals(state.layout)]
            while counts[-1] <= n:
                counts.append(max(counts[-1] + 1, int(counts[-1] * 1.2)))
            base = counts[-2]
            if (
                memo.model is None
                or memo.fitted != base
                or memo.rows != state.rows[: len(memo.rows)]
                or memo.values != state.rewards[:base]
            ):
                yb = targets(state.rewards[:base])
                prior = fit_prior(state.layout, X[:base], yb)
                memo.model = Model(state.layout, prior, X[:base])
                memo.fitted = base
                memo.values = state.rewards[:base]
            for x in X[memo.model.n :]:
                memo.model.extend(x)
            memo.rows = state.rows
            return memo.model

    def tell(self, state: State, observation: Observation) -> State:
        if observation.status == "failed":
            if observation.stamp is None:
                return state
            return replace(state, failed=state.failed | {key_of(np.array(observation.stamp["levels"]))})
        reward = observation.reward
        if reward is not None and math.isnan(reward):
            reward = None
        row = key_of(state.layout.levels_of(observation.choice))
        return replace(state, rows=(*state.rows, row), rewards=(*state.rewards, reward))


def first_proposals(layout):
    return 10


def targets(rewards):
    values = np.array([-np.inf if reward is None else reward for reward in rewards])
    _, place, count = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(count) - count / 2)[place] / len(values) - 0.5
