"""How a policy moved, for the report: every coordinate over the rounds, and the means of the last round."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from netwright.strategies.base import Choice
from netwright.strategies.ladder import Ladder, Levels, choice_of
from netwright.strategies.pictures import StepMeans, StrategySection, ValuesOverTime
from netwright.strategies.policy_gradient.rounds import Round

PATH_CAPTION = (
    "One row per coordinate, one column per round; at the right the values of the current policy. The best "
    "trial is one perturbation of a policy, and not always of the last."
)
MEANS_CAPTION = (
    "Mean of the perturbations in which a coordinate went down, stayed or went up. Filled marks show the step of the "
    "policy: it moves if a changed group is better than both others. A missing mark is an empty group."
)
EFFECTS_CAPTION = (
    "The estimated effect of each step, from the results of the last rounds. Filled marks show the step of "
    "the policy."
)


class PolicyState(Protocol):
    """What the states of both variants share."""

    @property
    def ladders(self) -> tuple[Ladder, ...]:
        """One ladder per coordinate."""

    @property
    def policy(self) -> Levels | None:
        """The policy's current levels; None before it has begun."""

    @property
    def rounds(self) -> tuple[Round, ...]:
        """The finished rounds."""


def policy_sections(state: PolicyState, reward_name: str, *, estimated: bool) -> tuple[StrategySection, ...]:
    """The section about a policy; empty before there is one.

    Args:
        state: the strategy's state.
        reward_name: the name of the reward, in words.
        estimated: whether a round's means are effects on the reward's rank, estimated from many rounds.
    """
    if state.policy is None:
        return ()
    order = together([ladder.dimension.name for ladder in state.ladders])
    ladders = [state.ladders[index] for index in order]
    names = tuple(ladder.dimension.name for ladder in ladders)
    policies = np.array([*(finished.policy for finished in state.rounds), state.policy])[:, order]
    highest = np.array([max(len(ladder.values) - 1, 1) for ladder in ladders])
    values = tuple(
        tuple(str(ladder.values[level]) for ladder, level in zip(ladders, row, strict=True))
        for row in policies
    )
    path = ValuesOverTime("path", names, values, policies / highest, "round", PATH_CAPTION)
    pictures: list[ValuesOverTime | StepMeans] = [path]
    if state.rounds:
        last = state.rounds[-1]
        axis = "effect on the reward's rank, in standard deviations" if estimated else f"mean {reward_name}"
        caption = EFFECTS_CAPTION if estimated else MEANS_CAPTION
        heading = "What the last round said"
        pictures.append(
            StepMeans("means", heading, names, last.means[order], last.moves[order], axis, caption)
        )
    told = policy_sentence(state.rounds, reward_name)
    return (StrategySection("policy", "How the policy moved", "Policy", (told,), tuple(pictures)),)


def policy_sentence(rounds: Sequence[Round], reward_name: str) -> str:
    """A sentence with the number of rounds and the gain in reward."""
    means = [(_mean(finished.rewards), number) for number, finished in enumerate(rounds, 1)]
    known = [(mean, number) for mean, number in means if math.isfinite(mean)]
    if not known:
        return "No round with a reward has ended yet: the policy has not moved."
    (first, earliest), (best, when), (last, latest) = known[0], max(known), known[-1]
    counted = f"{len(rounds)} round{'s' * (len(rounds) != 1)}"
    told = f"{counted}, the last of {len(rounds[-1].rewards)} results: mean {reward_name} {first:.3f}"
    if earliest == latest:
        return f"{told}."
    return f"{told} in round {earliest}, {best:.3f} in the best (round {when}), {last:.3f} in round {latest}."


def policy_history(state: PolicyState) -> list[dict[str, Any]]:
    """Every finished round as plain JSON values: policy, group means and moves by coordinate, and the rewards."""
    names = [ladder.dimension.name for ladder in state.ladders]
    return [
        {
            "policy": choice_of(state.ladders, finished.policy),
            "means": {
                name: [None if math.isnan(mean) else mean for mean in means]
                for name, means in zip(names, finished.means.tolist(), strict=True)
            },
            "moves": dict(zip(names, finished.moves.tolist(), strict=True)),
            "rewards": [None if math.isnan(reward) else reward for reward in finished.rewards.tolist()],
        }
        for finished in state.rounds
    ]


def first_policy(state: PolicyState) -> Choice | None:
    """The choice of the first policy; None before there is a policy."""
    if state.policy is None:
        return None
    return choice_of(state.ladders, state.rounds[0].policy if state.rounds else state.policy)


def together(names: Sequence[str]) -> list[int]:
    """Indices of the coordinates, grouped by kind: "height" for layer1.height, "pool" for pool1."""
    sorts = [name.rpartition(".")[2].rstrip("0123456789") for name in names]
    kinds = list(dict.fromkeys(sorts))
    return sorted(range(len(names)), key=lambda index: kinds.index(sorts[index]))


def _mean(rewards: NDArray[np.float64]) -> float:
    """The mean of the rewards that exist; NaN where there is none."""
    known = rewards[np.isfinite(rewards)]
    return float(known.mean()) if known.size else math.nan
