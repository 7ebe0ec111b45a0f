"""Search about a starting choice: what is proposed, and how the evidence moves it."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest

from netwright.errors import SettingsError
from netwright.strategies import Dimension, Observation, Prior, RandomSearch
from netwright.strategies.base import Choice
from netwright.strategies.dimensions import point_of
from netwright.strategies.prior import State

DIMENSIONS = [
    Dimension("width", "integer", 8, 64, step=8),
    Dimension("rate", "float", 1e-5, 1e-1, log=True),
    Dimension("kind", "categorical", 0, 2, 1, choices=("plain", "residual", "depthwise")),
    Dimension("depth", "integer", 2, 6, step=1),
    Dimension("share", "float", 0.0, 1.0),
    Dimension("fixed", "integer", 3, 3, step=1),
]
FIRST: Choice = {"width": 32, "rate": 2e-3, "kind": "plain", "depth": 3, "share": 0.5, "fixed": 3}
AWAY: Choice = {"width": 64, "rate": 1e-5, "kind": "depthwise", "depth": 6, "share": 0.0, "fixed": 3}


def told(strategy: Prior, *results: tuple[Choice, float | None, float | None]) -> State:
    state = strategy.init(DIMENSIONS)
    for number, (choice, reward, fidelity) in enumerate(results):
        status = "complete" if reward is not None else "pruned"
        state = strategy.tell(state, Observation(number, choice, reward, status, None, fidelity))
    return state


def asked(strategy: Prior, state: State, count: int = 300) -> list[tuple[Choice, dict[str, Any]]]:
    return [strategy.ask(state, np.random.default_rng(seed)) for seed in range(count)]


def differences(one: Choice, other: Choice) -> int:
    return sum(one[name] != pytest.approx(other[name]) for name in one)


def test_the_starting_choice_is_first_and_once() -> None:
    strategy = Prior(first=FIRST)
    choice, stamp = strategy.ask(strategy.init(DIMENSIONS), np.random.default_rng(0))
    assert choice == pytest.approx(FIRST)
    assert stamp["kind"] == "start"
    state = told(strategy, (choice, 0.5, 10.0))
    other, _ = strategy.ask(state, np.random.default_rng(0))
    assert other != choice
    waiting, _ = strategy.ask(strategy.init(DIMENSIONS), np.random.default_rng(0), pending=[stamp])
    assert waiting != choice, "it is being trained"
    as_written = told(strategy, (FIRST, 0.5, 10.0))
    assert all(stamp["kind"] != "start" for _, stamp in asked(strategy, as_written, 20)), (
        "rounding is no difference"
    )


def test_a_start_that_failed_is_not_proposed_for_ever() -> None:
    strategy = Prior(first=FIRST)
    state = strategy.init(DIMENSIONS)
    choice, stamp = strategy.ask(state, np.random.default_rng(0))
    state = strategy.tell(state, Observation(0, choice, None, "failed", stamp))
    assert strategy.ask(state, np.random.default_rng(0))[1]["kind"] != "start"


SUGGESTED: list[Choice] = [{"width": 64}, {"rate": 8e-3, "depth": 4}, {"kind": "residual"}, {"share": 0.8}]


def test_suggestions_come_next_in_their_order_and_once() -> None:
    strategy = Prior(first=FIRST, suggestions=SUGGESTED)
    results: list[tuple[Choice, float | None, float | None]] = [(FIRST, 0.5, 10.0)]
    for change in SUGGESTED:
        state = told(strategy, *results)
        choice, stamp = strategy.ask(state, np.random.default_rng(0))
        assert choice == pytest.approx({**FIRST, **change})
        assert stamp["kind"] == "suggestion"
        results.append((choice, 0.4, 10.0))
    assert all(
        stamp["kind"] in ("uniform", "prior") for _, stamp in asked(strategy, told(strategy, *results))
    )


def test_those_that_were_better_after_as_much_training_are_tried_together() -> None:
    strategy = Prior(first=FIRST, suggestions=SUGGESTED)
    changed = [{**FIRST, **change} for change in SUGGESTED]
    # The start has 0.45 after 15 seconds. The third is better than its end alone, and the last has no reward.
    known: list[tuple[Choice, float | None, float | None]] = [(FIRST, 0.4, 10.0), (FIRST, 0.5, 20.0)]
    known += [
        (changed[0], 0.46, 15.0),
        (changed[1], 0.48, 15.0),
        (changed[2], 0.41, 15.0),
        (changed[3], None, 15.0),
    ]
    state = told(strategy, *known)
    choice, stamp = strategy.ask(state, np.random.default_rng(0))
    assert stamp["kind"] == "together"
    assert choice == pytest.approx({**FIRST, **SUGGESTED[0], **SUGGESTED[1]})
    state = told(strategy, *known, (changed[2], 0.52, 20.0))
    choices = []
    for _ in range(3):
        choice, stamp = strategy.ask(state, np.random.default_rng(0))
        choices.append(choice)
        state = strategy.tell(state, Observation(9, choice, 0.5, "complete", stamp, 10.0))
    best = {**FIRST, **SUGGESTED[1], **SUGGESTED[2]}
    assert choices[:2] == [pytest.approx(best), pytest.approx({**best, **SUGGESTED[0]})]
    assert stamp["kind"] not in ("start", "suggestion", "together"), "no more of them"


def test_of_two_suggestions_for_a_dimension_the_better_one_is_taken() -> None:
    strategy = Prior(first=FIRST, suggestions=[{"rate": 4e-3}, {"rate": 8e-3}, {"depth": 4}])
    results = [
        (FIRST, 0.5, 10.0),
        *(
            ({**FIRST, **c}, r, 10.0)
            for c, r in zip(strategy.suggestions or (), (0.6, 0.7, 0.55), strict=True)
        ),
    ]
    state = told(strategy, *results)
    choice, stamp = strategy.ask(state, np.random.default_rng(0))
    assert stamp["kind"] == "together"
    assert choice == pytest.approx({**FIRST, "rate": 8e-3, "depth": 4})


@pytest.mark.parametrize("wrong", ["spce", [3], {"width": 32}, 3])
def test_suggestions_that_are_no_list_of_tables_are_refused(wrong: Any) -> None:
    with pytest.raises(SettingsError, match="expected a list of tables"):
        Prior(first=FIRST, suggestions=wrong)


@pytest.mark.parametrize(
    ("wrong", "named"), [({"kind": "wavy"}, "'kind': 'wavy'"), ({"widht": 32}, "'widht'")]
)
def test_a_suggestion_that_is_no_change_of_the_start_is_refused(wrong: Choice, named: str) -> None:
    with pytest.raises(SettingsError, match=f"suggestions: .*{named}"):
        Prior(first=FIRST, suggestions=[{"depth": 4}, wrong]).init(DIMENSIONS)


def test_suggestions_without_a_start_are_refused() -> None:
    with pytest.raises(SettingsError, match="give it as first"):
        Prior(suggestions=SUGGESTED).init(DIMENSIONS)


@pytest.mark.parametrize("nothing", [None, float("nan")])
def test_beside_a_start_without_a_reward_nothing_is_better(nothing: float | None) -> None:
    strategy = Prior(first=FIRST, suggestions=SUGGESTED)
    results = [({**FIRST, **change}, 0.5, 10.0) for change in SUGGESTED]
    state = told(strategy, (FIRST, nothing, 10.0), *results)
    assert all(stamp["kind"] != "together" for _, stamp in asked(strategy, state, 50))


def test_kinds_come_as_often_as_their_weights_and_neighbours_differ_in_few_dimensions() -> None:
    strategy = Prior(first=FIRST, changes=1.5)
    state = told(strategy, (FIRST, 0.5, 10.0), (AWAY, 0.9, 10.0), ({**AWAY, "depth": 5}, 0.8, 10.0))
    weights = strategy.weights(state)
    assert sum(weights.values()) == pytest.approx(1)
    drawn = asked(strategy, state, 600)
    counts = Counter(stamp["kind"] for _, stamp in drawn)
    for kind, weight in weights.items():
        assert counts[kind] / 600 == pytest.approx(weight, abs=0.07)
    for kind, centre in (("prior", FIRST), ("incumbent", AWAY)):
        changed = [differences(choice, centre) for choice, stamp in drawn if stamp["kind"] == kind]
        assert min(changed) >= 1
        assert 1 <= np.mean(changed) < 2.2


def test_changes_of_every_dimension_come() -> None:
    strategy = Prior(first=FIRST)
    drawn = [
        choice
        for choice, stamp in asked(strategy, told(strategy, (FIRST, 0.5, 1.0)))
        if stamp["kind"] == "prior"
    ]
    for name in ("width", "rate", "kind", "depth", "share"):
        assert 0.1 < np.mean([choice[name] != pytest.approx(FIRST[name]) for choice in drawn]) < 0.7
    assert all(choice["fixed"] == 3 for choice in drawn)
    rates = np.log10([choice["rate"] for choice in drawn])
    assert np.abs(rates - np.log10(2e-3)).max() < 2.7, "near by, on the scale of the dimension"


def test_the_evidence_moves_the_weights() -> None:
    strategy = Prior(first=FIRST)
    near_first = [({**FIRST, "depth": depth}, 0.8 - 0.01 * depth, 10.0) for depth in (4, 5)]
    near_best = [({**AWAY, "depth": depth}, 0.9 - 0.01 * depth, 10.0) for depth in (4, 5)]
    best = (AWAY, 0.95, 10.0)
    for_best = strategy.weights(
        told(strategy, (FIRST, 0.5, 10.0), best, *near_best, ({**FIRST, "depth": 5}, 0.1, 10.0))
    )
    for_first = strategy.weights(
        told(strategy, (FIRST, 0.75, 10.0), best, *near_first, ({**AWAY, "depth": 5}, 0.1, 10.0))
    )
    assert for_best["incumbent"] > 0.6 > 0.1 > for_best["prior"]
    assert for_first["prior"] > 0.6 > 0.1 > for_first["incumbent"]


def test_the_best_is_of_the_longest_trainings_and_each_choice_counts_once() -> None:
    strategy = Prior(first=FIRST)
    long = [({**FIRST, "depth": depth}, 0.8 + 0.01 * depth, 100.0) for depth in (2, 4, 5)]
    state = told(strategy, (FIRST, 0.5, 10.0), (AWAY, 0.99, 10.0), *long)
    assert np.array_equal(strategy.incumbent(state), point_of(DIMENSIONS, long[-1][0]))
    longer = strategy.tell(state, Observation(9, {**FIRST, "depth": 5}, 0.7, "complete", None, 200.0))
    assert len(longer.results) == len(state.results)
    assert not np.array_equal(strategy.incumbent(longer), strategy.incumbent(state)), "it has become worse"
    late = strategy.tell(longer, Observation(10, {**FIRST, "depth": 5}, 0.99, "complete", None, 50.0))
    assert np.array_equal(strategy.incumbent(late), strategy.incumbent(longer)), (
        "a shorter training told late"
    )


def test_without_a_reward_nothing_is_best_and_without_a_start_the_best_stands_alone() -> None:
    strategy = Prior()
    assert strategy.weights(strategy.init(DIMENSIONS)) == {"uniform": 1.0}
    assert strategy.weights(told(strategy, (AWAY, None, 5.0))) == {"uniform": 1.0}
    assert set(strategy.weights(told(strategy, (AWAY, 0.5, 5.0)))) == {"uniform", "incumbent"}


def test_it_is_ahead_of_random_search_from_a_good_start() -> None:
    target = {"width": 48, "kind": "plain", "depth": 4}

    def reward(choice: Choice) -> float:
        off = abs(np.log10(float(choice["rate"] or 0)) + 3.2) / 4 + abs(float(choice["share"] or 0) - 0.7)  # type: ignore[arg-type]
        return -float(off + sum(0.2 * (choice[name] != value) for name, value in target.items()))

    def best(strategy: Prior | RandomSearch, seed: int) -> float:
        state: Any = strategy.init(DIMENSIONS)
        rewards = []
        for number in range(40):
            choice, stamp = strategy.ask(state, np.random.default_rng([seed, number]))
            rewards.append(reward(choice))
            state = strategy.tell(state, Observation(number, choice, rewards[-1], "complete", stamp))
        return max(rewards)

    ahead = np.array([best(Prior(first=FIRST), seed) - best(RandomSearch(), seed) for seed in range(30)])
    assert ahead.mean() > 2 * ahead.std(ddof=1) / len(ahead) ** 0.5


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"uniform": 0}, "uniform is 0, but expected a number above 0 and at most 1"),
        ({"changes": -1.0}, "changes is -1.0, but expected a number above 0"),
        ({"spread": "wide"}, "spread is 'wide'"),
        ({"reduction": 1}, "reduction is 1, but expected a whole number of at least 2"),
    ],
)
def test_options_out_of_range_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        Prior(**options)


def test_a_start_that_is_no_choice_is_refused() -> None:
    with pytest.raises(SettingsError, match="first does not fit the dimensions"):
        Prior(first={**FIRST, "depth": 9}).init(DIMENSIONS)


def test_the_start_is_proposed_to_its_last_digit() -> None:
    rate = Dimension("rate", "float", 0.125, 8.0, log=True)
    strategy = Prior(first={"rate": 1 / 3}, suggestions=[{"rate": 2 / 3}])
    state = strategy.init([rate])
    choice, stamp = strategy.ask(state, np.random.default_rng(0))
    assert choice == {"rate": 1 / 3}
    assert strategy.ask(state, np.random.default_rng(0), [stamp])[0] == {"rate": 2 / 3}


def test_whole_numbers_of_the_start_stay_whole() -> None:
    strategy = Prior(first={"width": 16.0, "rate": 1})
    dimensions = [Dimension("width", "integer", 8, 64, 8), Dimension("rate", "float", 0.125, 8.0, log=True)]
    choice = strategy.ask(strategy.init(dimensions), np.random.default_rng(0))[0]
    assert choice == {"width": 16, "rate": 1.0}
    assert [type(value) for value in choice.values()] == [int, float]
