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


def test_in_the_last_share_the_best_goes_on() -> None:
    curves = (((90.0, 0.8),), ((30.0, 0.9),), ((30.0, 0.7),))
    candidates = tuple(Candidate(n, curve) for n, curve in enumerate(curves))
    race = Race(candidates, remaining=250, total=1000, workers=1, first=10)
    for score, expected in ((0.8, GoOn(1, 90)), (0.95, GoOn(0, 270))):
        others = (replace(candidates[0], curve=((30.0, 0.1), (90.0, score))), *candidates[1:])
        assert Asha(lowest=0.03).decide(replace(race, candidates=others)) == expected


def test_one_that_ended_leaves_its_turn_to_the_next() -> None:
    scores = {0: 0.8, 1: 0.9, 2: 0.95}
    candidates = tuple(
        Candidate(n, ((30.0, y),), ended="it diverged" if n == 2 else "") for n, y in scores.items()
    )
    race = Race(candidates, remaining=900, total=1000, workers=1, first=10)
    assert Asha(lowest=0.03).decide(race) == GoOn(1, 90)
