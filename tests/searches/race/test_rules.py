"""What every rule owes the race, on races of all sizes that are played to the end."""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netwright.errors import SettingsError
from netwright.searches.race import RULES, Begin, Candidate, Decision, GoOn, Race, Rule, expected_scores
from netwright.searches.race.default import SHARE, beaten, default_of, validation_noise

Curve = Callable[[float], float]


@dataclass
class Played:
    """A race in simulated time: what was decided when, and what was known then."""

    race: Race
    decisions: list[tuple[Race, Decision]] = field(default_factory=list)


def curve_of(seed: int, number: int, noise: float = 0.01) -> Curve:
    """A learning curve: some begin fast, some end high; its noise depends on the time alone."""
    rng = np.random.default_rng([seed, number])
    start, end = np.sort(rng.uniform(0.0, 1.0, 2))
    scale, power = 10 ** rng.uniform(0, 3), rng.uniform(0.3, 1.5)

    def score(seconds: float) -> float:
        drawn = np.random.default_rng([seed, number, round(seconds * 1000)])
        return float(end - (end - start) * (1 + seconds / scale) ** -power + noise * drawn.normal())

    return score


def play(rule: Rule, empty: Race, seed: int, ends: float = 0.0) -> Played:
    """Play a race to its end.

    Args:
        rule: who decides.
        empty: the race before its first candidate.
        seed: of the curves.
        ends: the share of candidates that end with their first part.
    """
    every = max(empty.first / 2, empty.total / 100)
    played, rng = Played(empty), np.random.default_rng(seed)
    candidates: dict[int, Candidate] = {}
    parts, now, idle = [], 0.0, empty.workers
    while True:
        while idle:
            race = replace(
                empty, candidates=tuple(candidates.values()), remaining=max(empty.total - now, 0.0)
            )
            decision = rule.decide(race)
            played.decisions.append((race, decision))
            assert len(played.decisions) < 20 + 2 * empty.workers * (2 + empty.total / empty.first), (
                "it never ends"
            )
            needed = empty.joins if isinstance(decision, GoOn) and decision.joined else 1
            if decision is None or needed > idle:
                break
            idle -= needed
            number = decision.number if isinstance(decision, GoOn) else len(candidates)
            before = candidates.setdefault(number, Candidate(number, default=number == 0))
            candidates[number] = replace(before, running=True)
            length = decision.seconds - before.seconds
            heapq.heappush(parts, (now + length, number, decision.seconds, needed))
        if not parts:
            break
        now, number, until, freed = heapq.heappop(parts)
        idle += freed
        before = candidates[number]
        times = [*np.arange(before.seconds + every, until, every), until]
        score = curve_of(seed, number)
        new = tuple((float(at), score(float(at))) for at in times)
        ended = "it diverged" if not before.curve and rng.random() < ends else ""
        candidates[number] = replace(before, curve=before.curve + new, running=False, ended=ended)
    played.race = replace(empty, candidates=tuple(candidates.values()), remaining=0.0)
    return played


races = st.builds(
    lambda total, share, workers, joins: Race(
        (), total, total, workers, first=share * total, joins=min(joins, workers)
    ),
    st.floats(60, 7200),
    st.floats(0.02, 0.3),
    st.integers(1, 5),
    st.integers(1, 3),
)


@pytest.fixture(params=sorted(RULES))
def rule(request: pytest.FixtureRequest) -> Rule:
    return RULES[request.param]()


@pytest.mark.parametrize("name", sorted(RULES))
@settings(max_examples=12, deadline=None)
@given(empty=races, seed=st.integers(0, 2**20), ends=st.sampled_from([0.0, 0.3, 1.0]))
def test_a_race_played_to_its_end_keeps_to_the_contract(
    name: str, empty: Race, seed: int, ends: float
) -> None:
    rule = RULES[name]()
    for race, decision in play(rule, empty, seed, ends).decisions:
        if race.remaining < race.first:
            assert decision is None, "too little is left for a useful part"
            continue
        assert decision is not None, "a worker is idle though a part would fit"
        by_number = {candidate.number: candidate for candidate in race.candidates}
        trained = 0.0
        if isinstance(decision, GoOn):
            candidate = by_number[decision.number]
            assert not candidate.running, "two parts of one candidate at once"
            assert not candidate.ended, "an ended candidate goes on"
            assert race.joins > 1 or not decision.joined, "there is none to be joined"
            if name != "freeze-thaw":  # there an unlikely one may still be worth a short part
                assert decision.number not in rule.dropped(race), "a dropped candidate goes on"
            trained = candidate.seconds
        length = decision.seconds - trained
        assert length >= race.first * (1 - 1e-9)
        assert length <= race.remaining * (1 + 1e-9), "the part ends after the race"
        shuffled = tuple(np.random.default_rng(seed).permutation(np.array(race.candidates, dtype=object)))
        assert rule.decide(replace(race, candidates=shuffled)) == decision
        assert expected_scores(replace(race, candidates=shuffled)) == expected_scores(race)


@pytest.mark.parametrize("name", sorted(RULES))
@settings(max_examples=12, deadline=None)
@given(empty=races, seed=st.integers(0, 2**20))
def test_the_default_gets_its_share_until_it_is_beaten(name: str, empty: Race, seed: int) -> None:
    for race, decision in play(RULES[name](), empty, seed).decisions:
        default = default_of(race)
        if default is None or decision is None or default.running or beaten(race):
            continue
        if default.seconds < SHARE * (race.total - race.remaining):
            assert isinstance(decision, GoOn)
            assert decision.number == default.number


def test_the_first_decision_begins_a_candidate(rule: Rule) -> None:
    assert isinstance(rule.decide(Race((), remaining=600, total=600, workers=2, first=10)), Begin)


def test_every_candidate_is_accounted_for(rule: Rule) -> None:
    """At the end of a race: an expected score of each that was validated, a reason of each that ended."""
    empty = Race((), remaining=1200, total=1200, workers=2, first=10)
    played = play(rule, empty, seed=4, ends=0.3)
    expected, dropped = expected_scores(played.race), rule.dropped(played.race)
    assert set(expected) == {candidate.number for candidate in played.race.candidates}
    assert all(math.isfinite(number) for known in expected.values() for number in known)
    for candidate in played.race.candidates:
        if candidate.ended:
            assert dropped[candidate.number] == candidate.ended
    assert all(dropped.values())


def test_the_best_are_trained_longest(rule: Rule) -> None:
    """Where curves differ clearly and do not cross, one of the best three gets more than any other."""
    empty = Race((), remaining=3600, total=3600, workers=1, first=20)
    candidates = played_flat(rule, empty)
    longest = max(candidates, key=lambda candidate: candidate.seconds)
    best = sorted(candidates, key=lambda candidate: -candidate.score)[:3]
    assert longest in best
    assert longest.seconds > 0.15 * empty.total


def played_flat(rule: Rule, empty: Race) -> tuple[Candidate, ...]:
    candidates: dict[int, Candidate] = {}
    heights = np.random.default_rng(1).uniform(0.2, 0.9, 500)
    remaining = empty.remaining
    while True:
        decision = rule.decide(replace(empty, candidates=tuple(candidates.values()), remaining=remaining))
        if decision is None:
            return tuple(candidates.values())
        number = decision.number if isinstance(decision, GoOn) else len(candidates)
        before = candidates.get(number, Candidate(number, default=number == 0))
        times = np.linspace(before.seconds, decision.seconds, 6)[1:]
        new = tuple((float(t), float(heights[number] * (1 - 0.5 / (1 + t / 60)))) for t in times)
        candidates[number] = replace(before, curve=before.curve + new)
        remaining -= decision.seconds - before.seconds


def test_the_noise_of_validations_is_found_beneath_curves() -> None:
    candidates = [
        Candidate(n, tuple((float(t), curve_of(3, n, noise=0.02)(float(t))) for t in range(10, 600, 10)))
        for n in range(8)
    ]
    assert validation_noise(candidates) == pytest.approx(0.02, rel=0.25)
    assert validation_noise(candidates[:1]) is not None
    assert validation_noise([Candidate(0, ((1.0, 0.5), (2.0, 0.6)))]) is None


def test_the_default_is_beaten_by_what_is_better_beyond_noise_after_as_long() -> None:
    def line(number: int, height: float, seconds: int, default: bool = False) -> Candidate:
        rng = np.random.default_rng(number)
        points = tuple((float(t), height + 0.01 * rng.normal()) for t in range(10, seconds + 1, 10))
        return Candidate(number, points, default=default)

    def race(*candidates: Candidate) -> Race:
        return Race(candidates, remaining=1000, total=2000, workers=1, first=10)

    default = line(0, 0.8, 300, default=True)
    assert not beaten(race(default, line(1, 0.81, 300)))
    assert beaten(race(default, line(1, 0.9, 300)))
    assert not beaten(race(default, line(1, 0.7, 300)))
    later = Candidate(2, ((400.0, 0.95), (500.0, 0.95)))
    assert not beaten(race(default, later)), "it was better only after more training"
    assert not beaten(race(line(0, 0.5, 60, default=True), line(1, 0.9, 300))), "too early"


def test_a_share_out_of_range_is_refused() -> None:
    with pytest.raises(
        SettingsError, match=r"exploration is 1\.5, but expected a number above 0 and at most 1"
    ):
        RULES["short-then-best"](exploration=1.5)
    with pytest.raises(SettingsError, match="finalists is 0, but expected a whole number"):
        RULES["short-then-best"](finalists=0)
