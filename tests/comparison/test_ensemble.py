"""Greedy ensemble selection against brute force, and what it claims of noise."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from netwright.comparison.ensemble import (
    Counts,
    Library,
    OutOfTimeError,
    Rule,
    alone,
    best_single,
    compare,
    greedy,
    propose,
    reduced,
    select,
    unless_better,
)
from netwright.report.statistics import fewest_units

Array = NDArray[np.float64]


def classifiers(probabilities: Array, truths: NDArray[np.int64]) -> Library:
    """Members whose probabilities are (members, cases, classes); the value is the accuracy of their mean."""

    def rows(counts: Counts) -> Array:
        mean = np.tensordot(np.array(counts) / sum(counts), probabilities, 1)
        return np.asarray(mean.argmax(1) == truths, dtype=np.float64)[:, None]

    return Library(len(probabilities), rows, lambda _, given: float(given.mean()))


def regressors(predictions: Array, truths: Array, cost: float = 0.0) -> Library:
    """Members whose predictions are (members, cases); the value is the negative squared error of their mean, less a
    cost a member.
    """

    def rows(counts: Counts) -> Array:
        mean = np.array(counts) @ predictions / sum(counts)
        return -((mean - truths) ** 2)[:, None]

    return Library(
        len(predictions), rows, lambda counts, given: float(given.mean()) - cost * sum(map(bool, counts))
    )


def noisy(seed: int, members: int = 5, cases: int = 40) -> tuple[Array, Array]:
    generator = np.random.default_rng(seed)
    truths = generator.normal(size=cases)
    return truths + generator.normal(size=(members, cases)) * generator.uniform(
        0.5, 1.0, (members, 1)
    ), truths


@pytest.mark.parametrize("seed", range(6))
def test_every_step_is_the_best_of_all_members(seed: int) -> None:
    """Against the algorithm of the paper, written out: a bag of models, and a look at every model each time."""
    predictions, truths = noisy(seed)
    path = greedy(regressors(predictions, truths), np.arange(len(truths)), Rule(steps=8, patience=8))
    bag: list[int] = []
    for step in path:
        errors = [((predictions[[*bag, m]].mean(0) - truths) ** 2).mean() for m in range(len(predictions))]
        assert step.member == int(np.argmin(errors))
        assert step.value == pytest.approx(-min(errors))
        bag.append(step.member)
    values = [step.value for step in path]
    assert values[-1] == max(values)
    assert values[0] == max(-((row - truths) ** 2).mean() for row in predictions)


@pytest.mark.parametrize("seed", range(4))
def test_two_steps_are_the_best_pair_with_the_best_member(seed: int) -> None:
    predictions, truths = noisy(seed, members=4)
    library, cases = regressors(predictions, truths), np.arange(len(truths))
    proposed = propose(library, cases, Rule(steps=2))
    first = int(np.argmax([library.known_value(alone(m, 4), cases) for m in range(4)]))
    pairs = [tuple(np.add(alone(first, 4), alone(m, 4)).tolist()) for m in range(4)]
    assert proposed == max(map(reduced, pairs), key=lambda counts: library.known_value(counts, cases))


def test_it_comes_near_the_best_of_all_ensembles() -> None:
    """Of 4 members taken at most 6 times in all, every one of the 209 ensembles is looked at."""
    for seed in range(5):
        predictions, truths = noisy(seed, members=4)
        library, cases = regressors(predictions, truths), np.arange(len(truths))
        every = [counts for counts in itertools.product(range(7), repeat=4) if 1 <= sum(counts) <= 6]
        best = max(library.known_value(counts, cases) for counts in every)
        found = library.known_value(propose(library, cases, Rule(steps=6, patience=6)), cases)
        single = library.known_value(best_single(library, cases) or (), cases)
        assert found <= best + 1e-12
        assert found - single > 0.95 * (best - single)


def test_weights_come_from_repetitions() -> None:
    """The best mean of 3 and 0 for the truth 2 has the weights 2 and 1."""
    predictions = np.array([[3.0] * 5, [0.0] * 5])
    library = regressors(predictions, np.full(5, 2.0))
    assert propose(library, np.arange(5), Rule()) == (2, 1)


def test_limits_and_costs_are_kept() -> None:
    predictions, truths = noisy(3)
    library, cases = regressors(predictions, truths), np.arange(len(truths))
    assert sum(map(bool, propose(library, cases, Rule()))) > 2
    limited = Library(library.size, library.rows, library.value, lambda counts: sum(map(bool, counts)) <= 2)
    for rule in (Rule(), Rule(bags=6)):
        assert sum(map(bool, propose(limited, cases, rule))) == 2
    costly = regressors(predictions, truths, cost=10.0)
    assert propose(costly, cases, Rule()) == best_single(library, cases)
    none = Library(library.size, library.rows, library.value, lambda counts: False)
    assert select(none, cases, Rule()) is None
    without_first = Library(library.size, library.rows, library.value, lambda counts: not counts[0])
    chosen = select(without_first, cases, Rule())
    assert chosen is not None
    assert not chosen.counts[0]


def test_bags_take_members_of_random_halves() -> None:
    predictions, truths = noisy(1, members=6)
    library, cases = regressors(predictions, truths), np.arange(len(truths))
    one, again = (propose(library, cases, Rule(bags=10)) for _ in range(2))
    assert one == again
    assert sum(map(bool, one)) >= sum(map(bool, propose(library, cases, Rule())))
    assert library.known_value(one, cases) > library.known_value(best_single(library, cases) or (), cases)


def test_a_real_gain_is_taken() -> None:
    predictions, truths = noisy(0)
    chosen = select(regressors(predictions, truths), np.arange(len(truths)), Rule())
    assert chosen is not None
    assert chosen.gain is not None
    assert chosen.gain.proven
    assert chosen.counts == chosen.proposed != chosen.single
    assert "better than one network" in chosen.reason
    # Cases of one patient are one case: five patients of eight equal cases are as good as five cases.
    few = select(regressors(predictions[:, :3], truths[:3]), np.arange(3), Rule())
    assert few is not None
    assert few.counts == few.single, "of three cases nothing can be proven"


def coin_flips(generator: np.random.Generator, cases: int) -> tuple[Array, NDArray[np.int64]]:
    """Eight members that guess one of two classes: of equal quality, and no better together."""
    return generator.dirichlet((1.0, 1.0), size=(8, cases)), generator.integers(0, 2, cases)


def equal_with_common_errors(generator: np.random.Generator, cases: int) -> tuple[Array, NDArray[np.int64]]:
    """Members that differ from one common answer in noise that their mean does not mend: each case is either clear or
    guessed.
    """
    truths = generator.integers(0, 2, cases)
    clear = generator.random(cases) < 0.7
    towards = np.where(clear, truths, generator.integers(0, 2, cases))
    certain = np.where(np.arange(2) == towards[:, None], 0.9, 0.1)
    noise = generator.dirichlet((1.0, 1.0), size=(8, cases))
    return np.where(clear[:, None], certain, noise), truths


@pytest.mark.parametrize(
    ("made", "cases"), [(coin_flips, 12), (coin_flips, 40), (equal_with_common_errors, 40)]
)
def test_of_noise_no_gain_is_claimed(
    made: Callable[[np.random.Generator, int], tuple[Array, NDArray[np.int64]]], cases: int
) -> None:
    """In 100 simulated searches: validation cases to select on, and 400 others that tell the truth."""
    proven, proposed_gains, true_gains, claimed = 0, [], [], []
    repetitions = 100
    for seed in range(repetitions):
        generator = np.random.default_rng(seed)
        probabilities, truths = made(generator, cases + 400)
        seen = classifiers(probabilities[:, :cases], truths[:cases])
        unseen = classifiers(probabilities[:, cases:], truths[cases:])
        chosen = select(seen, np.arange(cases), Rule(seed=seed))
        assert chosen is not None
        proven += chosen.counts != chosen.single
        proposed_gains.append(seen.rows(chosen.proposed).mean() - seen.rows(chosen.single).mean())
        true_gains.append(unseen.rows(chosen.proposed).mean() - unseen.rows(chosen.single).mean())
        if chosen.gain is not None:
            claimed.append(chosen.gain.comparison.mean_difference)
    # Greedy selection alone would have claimed a gain, which is not there on unseen cases.
    assert np.mean(proposed_gains) > 0.02
    assert np.mean(proposed_gains) > 5 * np.std(proposed_gains) / math.sqrt(repetitions)
    assert abs(np.mean(true_gains)) < 3 * np.std(true_gains) / math.sqrt(repetitions) + 0.002
    # The cross-fitted gain is unbiased, and taken for real as often as the rule allows.
    assert abs(np.mean(claimed)) < 3 * np.std(claimed) / math.sqrt(len(claimed))
    assert proven / repetitions < 0.05 + 3 * math.sqrt(0.05 * 0.95 / repetitions)


def test_a_comparison_of_means_is_that_of_the_cases() -> None:
    generator = np.random.default_rng(0)
    one, other = generator.normal(size=(2, 12, 1))
    gain = compare(lambda rows: float(rows.mean()), one, other, np.arange(12), Rule())
    differences = (one - other)[:, 0]
    assert gain.comparison.mean_difference == pytest.approx(differences.mean())
    signs = np.array(list(itertools.product((-1, 1), repeat=12)))
    exact = float(np.mean(signs @ differences >= differences.sum() - 1e-9))
    assert gain.p_value == pytest.approx(exact)
    grouped = compare(lambda rows: float(rows.mean()), one, other, np.arange(12) // 4, Rule())
    assert grouped.comparison.n == 3


def test_many_cases_are_compared_in_groups() -> None:
    generator = np.random.default_rng(0)
    one, other = generator.normal(size=(2, 1000, 1)) + np.array([0.2, 0.0])[:, None, None]
    gain = compare(lambda rows: float(rows.mean()), one, other, np.arange(1000), Rule())
    assert gain.comparison.n == 200
    assert gain.comparison.mean_difference == pytest.approx(float((one - other).mean()))
    assert gain.proven


def test_undefined_values_never_win() -> None:
    predictions, truths = noisy(2)
    library = regressors(predictions, truths)

    def value(counts: Counts, rows: Array) -> float:
        return math.nan if counts[1] else library.value(counts, rows)

    chosen = select(Library(library.size, library.rows, value), np.arange(len(truths)), Rule())
    assert chosen is not None
    assert not chosen.counts[1]


def test_without_time_one_network_is_taken() -> None:
    predictions, truths = noisy(2)
    library, asked = regressors(predictions, truths), []

    def rows(counts: Counts) -> Array:
        asked.append(counts)
        if sum(map(bool, counts)) > 1:
            raise OutOfTimeError
        return library.rows(counts)

    chosen = select(Library(library.size, rows, library.value), np.arange(len(truths)), Rule())
    assert chosen is not None
    assert chosen.counts == chosen.single == best_single(library, np.arange(len(truths)))
    assert "no time" in chosen.reason


@pytest.mark.parametrize("chance", [0.1, 0.05, 0.01])
def test_so_few_cases_prove_nothing_however_large_the_gain(chance: float) -> None:
    fewest, rule = fewest_units(chance), Rule(chance=chance)
    for cases in range(2, fewest + 2):
        better, worse = np.ones((cases, 1)), np.zeros((cases, 1))
        better[:, 0] += np.arange(cases) / 100
        gain = compare(lambda rows: float(rows.mean()), better, worse, np.arange(cases), rule)
        assert gain.proven == (cases >= fewest)


def taken_beside_the_default(seed: int, better: float, members: int = 8, worse: float = 0.0) -> bool:
    """Whether something else than the first member is used.

    The second is truly better by ``better``, and the last two are worse by ``worse``, such as an early snapshot.
    """
    generator = np.random.default_rng(seed)
    truths, units = np.zeros(40), np.arange(40)
    errors = generator.uniform(0.5, 1.0, (members, 40))
    errors[1] -= better
    errors[-2:] *= 1 + worse
    library, rule = regressors(np.sqrt(errors), truths), Rule(steps=1, seed=seed)
    chosen = select(library, units, rule)
    assert chosen is not None
    return not unless_better(chosen, alone(0, members), library, units, rule).counts[0]


def test_the_best_of_many_equals_is_not_taken_for_better_than_the_default() -> None:
    """Asked of one pair alone, another network passes for better than the default in nearly a quarter of these."""
    for worse in (0.0, 50.0):
        taken = sum(taken_beside_the_default(seed, better=0.0, worse=worse) for seed in range(200))
        assert taken <= 200 * (0.05 + 0.03)


@pytest.mark.parametrize("worse", [0.0, 1.0, 50.0])
def test_what_is_truly_better_than_the_default_is_taken_whatever_else_was_compared(worse: float) -> None:
    assert sum(taken_beside_the_default(seed, better=0.15, worse=worse) for seed in range(20)) >= 18
