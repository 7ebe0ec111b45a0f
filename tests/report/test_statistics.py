"""Against closed forms, scipy and brute force."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from netwright.report.statistics import (
    EXACT_LIMIT,
    bootstrap_interval,
    holm,
    paired_comparison,
    value_a_group,
)


@pytest.mark.parametrize("size", [8, 30, 60])
@pytest.mark.parametrize("level", [0.8, 0.95])
def test_bootstrap_agrees_with_scipy(size: int, level: float) -> None:
    values = 1 - np.random.default_rng(size).gamma(1.5, 0.05, size)  # skewed, as Dice is
    expected = stats.bootstrap(
        (values,), np.mean, confidence_level=level, n_resamples=20_000, method="BCa", rng=1
    ).confidence_interval
    low, high = bootstrap_interval(values, level=level, resamples=20_000)
    width = expected.high - expected.low
    assert low == pytest.approx(expected.low, abs=0.04 * width)
    assert high == pytest.approx(expected.high, abs=0.04 * width)


def test_bootstrap_of_normal_values_approaches_the_closed_form() -> None:
    values = stats.norm.ppf((np.arange(400) + 0.5) / 400)  # symmetric: mean 0 exactly
    low, high = bootstrap_interval(values)
    half = 1.959964 * values.std() / math.sqrt(400)
    assert (low, high) == pytest.approx((-half, half), abs=0.04 * half)


def test_bootstrap_covers_the_mean_as_often_as_it_says() -> None:
    generator = np.random.default_rng(0)
    mean = 1 - 1.5 * 0.05
    intervals = [
        bootstrap_interval(1 - generator.gamma(1.5, 0.05, 40), seed=i, resamples=1000) for i in range(400)
    ]
    covered = np.mean([low <= mean <= high for low, high in intervals])
    assert 0.90 <= covered <= 0.98


def test_bootstrap_drops_nan_is_seeded_and_needs_two_values() -> None:
    values = np.array([0.8, np.nan, 0.9, 0.7, 0.85, np.nan])
    assert bootstrap_interval(values, seed=4) == bootstrap_interval(values[~np.isnan(values)], seed=4)
    assert bootstrap_interval(values, seed=4) == bootstrap_interval(values, seed=4)
    assert all(math.isnan(x) for x in bootstrap_interval([0.8, np.nan]))
    assert all(math.isnan(x) for x in bootstrap_interval([]))
    assert bootstrap_interval([0.25, 0.25, 0.25]) == (0.25, 0.25)


def test_bootstrap_with_one_far_outlier_keeps_its_order() -> None:
    values = np.r_[np.zeros(999), 1.0]
    low, high = bootstrap_interval(values)
    assert 0 <= low <= values.mean() <= high <= 0.02
    mirrored = bootstrap_interval(-values)
    assert mirrored[0] <= -values.mean() <= mirrored[1] <= 0


def test_bootstrap_of_many_values_stays_small_in_memory() -> None:
    values = np.random.default_rng(0).normal(size=20_000)
    low, high = bootstrap_interval(values, resamples=500)
    assert low < values.mean() < high


@given(st.lists(st.floats(0, 1), min_size=2, max_size=20))
def test_bootstrap_lies_within_the_values(values: list[float]) -> None:
    low, high = bootstrap_interval(values, resamples=200)
    slack = 1e-12
    assert min(values) - slack <= low <= high <= max(values) + slack


def brute_force_p_value(differences: np.ndarray) -> float:
    observed = abs(differences.sum())
    flips = [
        abs(np.dot(signs, differences)) >= observed - 1e-12
        for signs in itertools.product((-1, 1), repeat=len(differences))
    ]
    return float(np.mean(flips))


@pytest.mark.parametrize("size", [2, 5, 9, EXACT_LIMIT])
def test_sign_flip_test_is_exact_for_few_pairs(size: int) -> None:
    generator = np.random.default_rng(size)
    a, b = generator.normal(0.3, 1, size), generator.normal(0, 1, size)
    assert paired_comparison(a, b).p_value == pytest.approx(brute_force_p_value(a - b))


@pytest.mark.parametrize("shift", [0.0, 0.2, 0.4])
def test_sign_flip_test_agrees_with_scipy_for_many_pairs(shift: float) -> None:
    generator = np.random.default_rng(5)
    a, b = generator.normal(shift, 1, 50), generator.normal(0, 1, 50)
    reference = stats.permutation_test(
        (a, b), lambda x, y: np.mean(x - y), permutation_type="samples", vectorized=False,
        n_resamples=4000, rng=0,
    )  # fmt: skip
    comparison = paired_comparison(a, b)
    assert comparison.p_value == pytest.approx(reference.pvalue, abs=0.02)
    assert comparison.p_value == pytest.approx(stats.ttest_rel(a, b).pvalue, abs=0.02)
    assert comparison.mean_difference == pytest.approx(np.mean(a - b))
    assert (comparison.low, comparison.high) == bootstrap_interval(a - b)
    assert comparison.n == 50


def test_sign_flip_test_is_calibrated_under_no_difference() -> None:
    generator = np.random.default_rng(11)
    p_values = [paired_comparison(generator.normal(size=10), np.zeros(10)).p_value for _ in range(400)]
    assert np.mean(np.array(p_values) <= 0.05) == pytest.approx(0.05, abs=0.03)


def test_comparison_is_antisymmetric_and_drops_pairs_with_nan() -> None:
    a, b = np.array([0.9, 0.8, np.nan, 0.7, 0.6]), np.array([0.8, 0.8, 0.9, 0.6, np.nan])
    forward, backward = paired_comparison(a, b), paired_comparison(b, a)
    assert forward.n == 3
    assert forward.mean_difference == pytest.approx(-backward.mean_difference)
    assert forward.p_value == backward.p_value


def test_equal_networks_differ_by_nothing() -> None:
    same = paired_comparison([0.8, 0.9, 0.7], [0.8, 0.9, 0.7])
    assert (same.mean_difference, same.low, same.high, same.p_value) == (0, 0, 0, 1)


def test_comparison_without_pairs_is_nan_and_of_unequal_lengths_raises() -> None:
    assert math.isnan(paired_comparison([np.nan], [0.5]).p_value)
    assert paired_comparison([], []).n == 0
    with pytest.raises(ValueError, match="got 2 and 1"):
        paired_comparison([0.1, 0.2], [0.1])


def test_holm_by_hand() -> None:
    # 0.01 * 4, 0.013 * 3 raised to its predecessor, 0.03 * 2, 0.2 * 1.
    assert holm([0.03, 0.01, 0.2, 0.013]) == pytest.approx((0.06, 0.04, 0.2, 0.04))
    assert holm([0.6, 0.7]) == (1.0, 1.0)
    kept = holm([math.nan, 0.02])
    assert math.isnan(kept[0])
    assert kept[1] == 0.02


groups_of_values = st.lists(
    st.lists(st.floats(0, 1, width=32), min_size=1, max_size=4), min_size=2, max_size=20
)


@given(groups_of_values)
def test_values_of_groups_have_the_mean_of_all_cases(members: list[list[float]]) -> None:
    values = [value for group in members for value in group]
    names = [f"p{number}" for number, group in enumerate(members) for _ in group]
    found = value_a_group(values, names)
    assert found.shape == (len(members),)
    assert found.mean() == pytest.approx(np.mean(values), abs=1e-9)
    if len({len(group) for group in members}) == 1:
        assert sorted(found) == pytest.approx(sorted(np.mean(members, axis=1)), abs=1e-9)


def test_their_spread_is_that_of_resampled_groups() -> None:
    """Against brute force: groups of one to four cases drawn with replacement, the mean of all their cases."""
    rng = np.random.default_rng(0)
    members = [rng.normal(rng.normal(0.8, 0.1), 0.02, size) for size in rng.integers(1, 5, 60)]
    means = [np.concatenate([members[i] for i in rng.integers(0, 60, 60)]).mean() for _ in range(4000)]
    names = [str(number) for number, group in enumerate(members) for _ in group]
    found = value_a_group(np.concatenate(members), names)
    assert found.std() / math.sqrt(60) == pytest.approx(np.std(means), rel=0.06)


def test_a_case_counted_twice_tells_nothing_new() -> None:
    values = np.random.default_rng(1).beta(8, 2, 20)
    names = [str(number) for number in range(20)]
    once, twice = value_a_group(values, names), value_a_group(np.repeat(values, 2), np.repeat(names, 2))
    assert bootstrap_interval(twice) == pytest.approx(bootstrap_interval(values), abs=0.01)
    np.testing.assert_array_equal(once, values)


def test_what_seeds_add_to_a_mean_is_students_interval() -> None:
    """Cases that all agree leave the trainings alone, for which the interval is known in closed form."""
    means = [0.81, 0.84, 0.83]
    low, high = bootstrap_interval([np.mean(means)] * 12, trainings=[means], resamples=200_000)
    expected = stats.t.interval(0.95, 2, np.mean(means), stats.sem(means))
    assert (low, high) == pytest.approx(expected, abs=0.0015)


def test_what_seeds_add_to_a_difference_is_that_of_both_networks() -> None:
    """Many trainings of each: Welch's interval, which is then the normal one."""
    rng = np.random.default_rng(2)
    mine, theirs = rng.normal(0.85, 0.01, 40), rng.normal(0.8, 0.02, 40)
    cases = np.full(10, 0.8)
    found = paired_comparison(cases + 0.05, cases, trainings=[mine, theirs])
    welch = stats.ttest_ind(mine, theirs, equal_var=False).confidence_interval(0.95)
    assert found.high - found.low == pytest.approx(welch.high - welch.low, rel=0.05)
    assert (found.seeds, found.within_noise) == (40, False)


def test_an_interval_over_cases_and_seeds_covers_the_mean_as_often_as_it_says() -> None:
    """Networks whose seed and whose cases both move the score; one over cases alone is far too short."""
    rng = np.random.default_rng(3)
    covered = {"both": 0, "cases": 0}
    for _ in range(150):
        scores = 0.8 + rng.normal(0, 0.05, 25) + rng.normal(0, 0.01, (3, 1)) + rng.normal(0, 0.01, (3, 25))
        cases, seeds = scores.mean(axis=0), [scores.mean(axis=1)]
        for name, trainings in (("both", seeds), ("cases", [])):
            low, high = bootstrap_interval(cases, trainings=trainings, resamples=1000)
            covered[name] += low <= 0.8 <= high
    assert covered["both"] / 150 >= 0.93
    assert covered["cases"] < covered["both"]


def test_a_single_training_leaves_the_interval_as_it_is() -> None:
    values = np.random.default_rng(4).beta(8, 2, 30)
    assert bootstrap_interval(values, trainings=[[0.8]]) == bootstrap_interval(values)


def test_a_training_without_a_score_adds_nothing() -> None:
    cases = np.random.default_rng(0).uniform(0.5, 1.0, 12)
    known = bootstrap_interval(cases, trainings=[[0.7, 0.8, 0.9]])
    assert bootstrap_interval(cases, trainings=[[0.7, 0.8, float("nan"), 0.9]]) == known
