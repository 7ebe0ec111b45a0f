"""Extrapolated curves: against curves whose end is known, and what is decided by them."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netwright.errors import SettingsError
from netwright.searches.race import Begin, Candidate, FreezeThaw, GoOn, Race, expected_scores
from netwright.searches.race.extrapolation import averaged, extrapolate, shapes
from netwright.searches.race.freeze_thaw import expected_maximum, field_of

TOTAL = 3600.0


def true_score(number: int, seconds: np.ndarray) -> np.ndarray:
    """A curve that is none of the model's: a sum of a fast exponential and a slow power law."""
    rng = np.random.default_rng([5, number])
    end, fast, slow = rng.uniform(0.7, 0.9), rng.uniform(10, 60), rng.uniform(50, 400)
    rise = 0.6 * np.exp(-seconds / fast) + 0.4 * (1 + seconds / slow) ** -rng.uniform(0.6, 1.2)
    return np.asarray(end - 0.6 * end * rise)


def candidate(number: int, seconds: float, noise: float = 0.004, **more: bool) -> Candidate:
    times = np.arange(10.0, seconds + 1, 10.0)
    scores = true_score(number, times) + noise * np.random.default_rng(number).normal(size=len(times))
    return Candidate(number, tuple(zip(times.tolist(), scores.tolist(), strict=True)), **more)


def mixed_race(count: int = 40, **more: float) -> Race:
    lengths = np.random.default_rng(2).choice([40, 80, 160, 400, 900], count)
    candidates = tuple(candidate(n, float(lengths[n]), default=n == 0) for n in range(count))
    return Race(candidates, remaining=more.get("remaining", 1800.0), total=TOTAL, workers=1, first=20)


def test_shapes_rise_from_nothing_to_one() -> None:
    values = shapes(np.linspace(0, 1, 200))
    assert values[0] == pytest.approx(0, abs=0.01)
    assert values[-1] == pytest.approx(1, abs=1e-3)
    assert (np.diff(values, axis=0) >= -1e-12).all()


def test_three_of_four_ends_lie_within_the_spread_and_the_spread_grows() -> None:
    """Of curves that the model does not have, for horizons of twice to forty times the training so far."""
    field = field_of(mixed_race(80))
    assert field is not None
    within = []
    before = np.zeros(80)
    for factor in (2.0, 6.0, 40.0):
        later = np.minimum(field.curves.last * factor, 1.0)
        mean, sd = field.curves.at(later)
        assert (sd >= before - 1e-6).mean() > 0.9
        before = sd
        truth = [true_score(c.number, t * TOTAL) for c, t in zip(field.candidates, later, strict=True)]
        errors = (np.array(truth) - field.best) / field.scale - mean
        within.append(np.abs(errors) < 1.28 * sd)
    assert 0.72 < np.mean(within) <= 1, "80 % under the model"


def test_a_long_curve_is_foretold_better_than_by_its_last_score() -> None:
    curves = [candidate(n, 400.0) for n in range(30)]
    field = field_of(Race(tuple(curves), remaining=2000, total=TOTAL, workers=1, first=20))
    assert field is not None
    expected = expected_scores(Race(tuple(curves), remaining=2000, total=TOTAL, workers=1, first=20))
    truth = np.array([true_score(n, np.array(2400.0)) for n in range(30)])
    foretold = np.array([expected[n].score for n in range(30)])
    last = np.array([curve.score for curve in curves])
    assert np.abs(foretold - truth).mean() < 0.5 * np.abs(last - truth).mean()


def test_what_is_expected_of_each_has_its_own_time_and_is_less_sure_the_later_it_is() -> None:
    race = Race(
        tuple(candidate(n, 300.0) for n in range(8)), remaining=2000, total=TOTAL, workers=1, first=20
    )
    none = expected_scores(race, dict.fromkeys(range(8), 0.0))
    for one in race.candidates:
        assert none[one.number].score == pytest.approx(one.score, abs=3 * none[one.number].deviation + 0.02)
    later = expected_scores(race, {n: 2000.0 * (n == 3) for n in range(8)})
    assert later[3] == expected_scores(race)[3]
    assert later[3].score > none[3].score
    assert later[3].deviation > none[3].deviation
    assert all(later[n] == none[n] for n in range(8) if n != 3)


def test_nothing_is_expected_to_end_below_all_that_was_seen() -> None:
    """Two accuracies that fall: the line through them leads below zero."""
    falling = Candidate(0, ((2.0, 0.9), (4.0, 0.5)))
    others = tuple(Candidate(n, ((2.0, 0.3 + 0.01 * n), (4.0, 0.4 + 0.02 * n))) for n in range(1, 4))
    expected = expected_scores(Race((falling, *others), remaining=400, total=420, workers=1, first=2))
    assert all(score >= 0.31 for score, _ in expected.values())


def test_given_a_shape_the_fit_is_that_of_least_squares() -> None:
    """Many exact points of a straight combination of 1 and one shape: its end is read off the fit."""
    times = np.linspace(0.02, 0.4, 12)
    shape = shapes(times)[:, 4]
    curve = averaged(tuple(zip(times.tolist(), (-0.8 + 0.75 * shape).tolist(), strict=True)))
    fitted, _ = extrapolate([curve], total=1.0, noise=1e-4)
    assert fitted.means[0, 0, 4] == pytest.approx(-0.8, abs=2e-3)
    assert fitted.means[1, 0, 4] == pytest.approx(-0.05, abs=2e-3)


@settings(max_examples=20, deadline=None)
@given(st.floats(-3, 3), st.floats(0, 2), st.floats(-3, 3))
def test_the_expected_maximum_is_that_of_draws(mean: float, sd: float, other: float) -> None:
    draws = np.maximum(mean + sd * np.random.default_rng(0).normal(size=200_000), other)
    found = expected_maximum(np.array([mean]), np.array([sd]), np.array([other]))
    assert found[0] == pytest.approx(draws.mean(), abs=0.02)


@pytest.mark.parametrize(("scale", "shift"), [(100.0, 0.0), (0.01, -5.0), (20.0, 30.0)])
def test_the_unit_of_the_score_does_not_matter(scale: float, shift: float) -> None:
    race = mixed_race()
    other = replace(
        race,
        candidates=tuple(
            replace(c, curve=tuple((t, shift + scale * y) for t, y in c.curve)) for c in race.candidates
        ),
    )
    rule = FreezeThaw()
    assert rule.decide(other) == rule.decide(race)
    found = expected_scores(other)
    for number, (score, deviation) in expected_scores(race).items():
        assert found[number].score == pytest.approx(shift + scale * score, abs=1e-5 * scale)
        assert found[number].deviation == pytest.approx(scale * deviation, abs=1e-5 * scale)


def test_a_decision_among_a_hundred_takes_milliseconds() -> None:
    race, rule = mixed_race(100), FreezeThaw()
    times = []
    for _ in range(7):
        start = time.process_time()
        rule.decide(race)
        times.append(time.process_time() - start)
    assert min(times) < 0.1, "about 10 ms on an idle core"


def test_scores_that_are_no_numbers_and_hopeless_ones_disturb_nothing() -> None:
    race, rule = mixed_race(), FreezeThaw()
    broken = (
        Candidate(100, ((20.0, float("nan")),)),
        Candidate(101, ((20.0, -1e9), (40.0, -1e9))),
        Candidate(102, ended="out of memory"),
        Candidate(103, running=True),
        Candidate(104, tuple((20.0 * i, 0.1) for i in range(1, 46))),
    )
    more = replace(race, candidates=race.candidates + broken)
    expected = expected_scores(more)
    assert max(expected, key=lambda number: expected[number].score) in {c.number for c in race.candidates}
    assert rule.decide(more) is not None
    assert rule.dropped(more)[102] == "out of memory"
    assert "expected to reach" in rule.dropped(more)[104]


def test_near_the_end_the_best_goes_on_and_none_is_begun() -> None:
    race = mixed_race(remaining=60.0)
    rule = FreezeThaw()
    decision, expected = rule.decide(race), expected_scores(race)
    assert isinstance(decision, GoOn)
    assert decision.number in sorted(expected, key=lambda number: -expected[number].score)[:3]


def test_at_first_candidates_are_begun() -> None:
    few = tuple(candidate(n, 400.0, default=n == 0) for n in range(3))
    race = Race(few, remaining=TOTAL - 1200, total=TOTAL, workers=1, first=20)
    assert isinstance(FreezeThaw().decide(race), Begin)


def test_options_out_of_range_are_refused() -> None:
    with pytest.raises(SettingsError, match="growth is 0, but expected a number above 0"):
        FreezeThaw(growth=0)
