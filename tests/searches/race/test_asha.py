"""Successive halving against algorithm 2 of Li et al. (2020), written down once more."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from netwright.searches.race import Asha, Begin, Candidate, GoOn, Race


def get_job(rungs: list[dict[int, float]], promoted: list[set[int]], eta: int) -> tuple[int | None, int]:
    """The paper's function: (configuration, rung); None: a new one at the lowest rung."""
    for k in reversed(range(len(rungs))):
        top = sorted(rungs[k], key=lambda number: -rungs[k][number])[: len(rungs[k]) // eta]
        promotable = [number for number in top if number not in promoted[k]]
        if promotable:
            return promotable[0], k + 1
    return None, 0


@pytest.mark.parametrize("eta", [2, 3, 4])
@pytest.mark.parametrize("seed", range(3))
def test_jobs_are_those_of_the_paper(eta: int, seed: int) -> None:
    """One worker; the scores of a candidate at different rungs have little to do with one another."""
    rng = np.random.default_rng(seed)
    total, base = 20000.0, 20.0
    rule = Asha(reduction=eta, lowest=base / total, finish=0.3)
    rungs: list[dict[int, float]] = [{} for _ in range(12)]
    promoted: list[set[int]] = [set() for _ in range(12)]
    curves: dict[int, tuple[tuple[float, float], ...]] = {}
    used = 0.0
    while used < 0.6 * total:
        race = Race(
            tuple(Candidate(n, curve) for n, curve in curves.items()), total - used, total, 1, first=10
        )
        decision, (number, level) = rule.decide(race), get_job(rungs, promoted, eta)
        until = base * eta**level
        if number is None:
            assert decision == Begin(until)
            number = len(curves)
        else:
            assert decision == GoOn(number, until)
            promoted[level - 1].add(number)
        before = curves.get(number, ())
        used += until - (before[-1][0] if before else 0.0)
        rungs[level][number] = rng.random()
        curves[number] = (*before, (until, rungs[level][number]))
    assert len(curves) > 50
    assert max(level for level, rung in enumerate(rungs) if rung) >= 2


def finishing(*curves: tuple[tuple[float, float], ...]) -> Race:
    """A race near its end, in which scores have noise: a standard deviation of 0.024 in a curve that ended."""
    candidates = tuple(Candidate(n, curve) for n, curve in enumerate(curves))
    zigzag = tuple((10.0 * n, 0.01 * (-1) ** n) for n in range(1, 40))
    candidates += (Candidate(len(curves), zigzag, ended="it broke a limit"),)
    return Race(candidates, remaining=250, total=1000, workers=1, first=10)


def test_in_the_last_share_the_best_goes_on_while_it_learns() -> None:
    learning, slow = ((50.0, 0.8), (100.0, 0.9)), ((50.0, 0.79), (100.0, 0.8))
    poor = ((50.0, 0.1), (100.0, 0.7))
    assert Asha(part=0.1).decide(finishing(poor, slow, slow, learning)) == GoOn(3, 200)


def test_of_the_second_half_of_the_gain_counts_and_of_the_third_a_third() -> None:
    best = ((100.0, 0.88), (200.0, 0.9))  # 0.02 * log2(1.5) = 0.0117 in the next 100 s
    for second, third, expected in ((0.02, 0.03, 0), (0.03, 0.04, 1), (0.03, 0.05, 2)):
        others = (((50.0, y - gain), (100.0, y)) for y, gain in ((0.8, second), (0.7, third)))
        decision = Asha(part=0.1).decide(finishing(best, *others))
        assert isinstance(decision, GoOn)
        assert decision.number == expected


def test_the_last_share_belongs_to_one_candidate_with_the_threads_of_all_workers() -> None:
    learning, slow = ((50.0, 0.8), (100.0, 0.9)), ((50.0, 0.79), (100.0, 0.8))
    race = replace(finishing(slow, learning), workers=2, joins=2)
    assert Asha(part=0.1).decide(race) == GoOn(1, 200, joined=True)
    busy = (replace(race.candidates[0], running=True), *race.candidates[1:])
    assert Asha(part=0.1).decide(replace(race, candidates=busy)) == GoOn(1, 200, joined=True)
    assert Asha(part=0.1).decide(replace(race, candidates=busy, joins=1)) == GoOn(1, 200)


def test_where_workers_are_joined_no_part_lasts_into_the_last_share() -> None:
    best = Candidate(0, ((10.0, 0.5), (90.0, 0.9)), default=True)
    race = Race((best,), remaining=550, total=1000, workers=2, first=10, joins=2)
    rule = Asha(lowest=0.01, finish=0.5, part=0.2)
    assert rule.decide(race) == GoOn(0, 140)
    assert rule.decide(replace(race, joins=1)) == GoOn(0, 270)


def test_where_none_is_left_to_join_workers_begin_others() -> None:
    ended = Candidate(0, ((10.0, 0.5),), ended="it diverged")
    race = Race((ended, Candidate(1, running=True)), remaining=400, total=1000, workers=2, first=10, joins=2)
    assert isinstance(Asha().decide(race), Begin)


def test_where_none_learns_any_more_the_least_trained_goes_on() -> None:
    race = finishing(((100.0, 0.91), (200.0, 0.9)), ((50.0, 0.9), (100.0, 0.89)))
    assert Asha(part=0.1).decide(race) == GoOn(1, 200)
    busy = replace(race.candidates[1], running=True)
    assert Asha(part=0.1).decide(replace(race, candidates=(race.candidates[0], busy))) == GoOn(0, 300)


def test_where_noise_is_not_known_the_best_goes_on() -> None:
    race = finishing(((100.0, 0.9), (200.0, 0.9)), ((50.0, 0.7), (100.0, 0.89)))
    assert Asha(part=0.1).decide(race) == GoOn(1, 200)
    assert Asha(part=0.1).decide(replace(race, candidates=race.candidates[:2])) == GoOn(0, 300)


def test_one_whose_gain_is_not_known_yet_counts_as_one_that_learns() -> None:
    flat, once = ((50.0, 0.6), (100.0, 0.6)), ((60.0, 0.9),)
    assert Asha(part=0.1).decide(finishing(flat, once)) == GoOn(1, 160)
    broken = ((50.0, float("nan")), (100.0, 0.9))
    assert Asha(part=0.1).decide(finishing(flat, broken)) == GoOn(1, 200)


def test_where_too_few_reached_a_rung_none_is_dropped() -> None:
    candidates = tuple(Candidate(n, ((30.0, 0.5 + n / 100),)) for n in range(3))
    race = Race(candidates[:2], remaining=900, total=1000, workers=1, first=10)
    assert Asha(lowest=0.03).dropped(race) == {}
    assert set(Asha(lowest=0.03).dropped(replace(race, candidates=candidates))) == {0, 1}
    assert Asha(lowest=0.03).dropped(replace(race, remaining=0)) == {}


def test_at_last_all_but_the_best_few_are_dropped() -> None:
    race = finishing(*(((30.0, 0.5 + n / 100), (90.0, 0.6 + n / 100)) for n in range(12)))
    assert set(Asha(lowest=0.03).dropped(race)) == {*range(9), 12}
    assert "the best 3 go on" in Asha(lowest=0.03).dropped(race)[8]
    assert set(Asha(lowest=0.03).dropped(replace(race, remaining=900))) == {*range(8), 12}


def test_the_default_is_trained_in_parts_that_are_not_long() -> None:
    default = Candidate(0, ((30.0, 0.5), (90.0, 0.6)), default=True)
    race = Race((default, Candidate(1, ((90.0, 0.6),))), remaining=600, total=1000, workers=1, first=10)
    assert Asha(lowest=0.03, part=0.05).decide(race) == GoOn(0, 140)


def test_one_that_ended_leaves_its_turn_to_the_next() -> None:
    scores = {0: 0.8, 1: 0.9, 2: 0.95}
    candidates = tuple(
        Candidate(n, ((30.0, y),), ended="it diverged" if n == 2 else "") for n, y in scores.items()
    )
    race = Race(candidates, remaining=900, total=1000, workers=1, first=10)
    assert Asha(lowest=0.03).decide(race) == GoOn(1, 90)
