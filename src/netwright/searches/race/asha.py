"""Asynchronous successive halving, with wall seconds as the resource.

L. Li, K. Jamieson, A. Rostamizadeh, E. Gonina, J. Ben-tzur, M. Hardt, B. Recht, A. Talwalkar: "A system for massively
parallel hyperparameter tuning" (MLSys 2020), algorithm 2; the halving is that of K. Jamieson and A. Talwalkar:
"Non-stochastic best arm identification and hyperparameter optimization" (AISTATS 2016). Three things differ. A promoted
candidate goes on from its checkpoint. The default keeps a share of the time until it is beaten. And the paper's
algorithm does not know when the race ends; here no candidate begins in the last share of the race, and the best goes
on. Once that one learns no more beyond noise, the next best do, as several are used together in the end where that is
better: each part goes to the one of whom it is expected to bring most, where half of what the second gains counts, and
a third of what the third gains.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from netwright.searches.race.base import Begin, Candidate, Decision, Race
from netwright.searches.race.checks import require_share, require_whole
from netwright.searches.race.default import SIGMAS, owed, validation_noise

BESIDE_WORKERS = 2
"""So many more candidates than there are workers go on in the last share of the race."""


def expected_gain(candidate: Candidate, length: float) -> float:
    """What a candidate would gain in ``length`` more seconds, if each doubling of its training brought as much.

    >>> curve = ((25.0, 0.6), (50.0, 0.7), (100.0, 0.75))
    >>> round(expected_gain(Candidate(0, curve), 100.0), 3)
    0.05
    """
    if not candidate.curve:
        return math.inf
    return _last_doubling(candidate) * math.log2(1 + length / candidate.seconds)


def _last_doubling(candidate: Candidate) -> float:
    return candidate.score - candidate.score_after(candidate.seconds / 2)


def _learns(candidate: Candidate, noise: float | None) -> bool:
    """Whether the last doubling of a training brought more than noise, or that is not known."""
    return noise is None or not candidate.curve or _last_doubling(candidate) > SIGMAS * 2**0.5 * noise


@dataclass(frozen=True)
class Asha:
    """Candidates are promoted from rung to rung: of those that reached one, the best 1 / ``reduction`` go on.

    Args:
        reduction: each rung is this many times as long as the one below it (eta in the paper).
        lowest: seconds of the lowest rung, as a share of the race; at least ``race.first`` seconds.
        finish: the last share of the race, in which the best go on and no candidate begins.
        part: seconds of a part in the last share, as a share of the race.

    Raises:
        SettingsError: a value is out of range.

    >>> rule = Asha()
    >>> rule.decide(Race((), remaining=3600, total=3600, workers=1, first=20))
    Begin(seconds=36.0)
    """

    reduction: int = 3
    lowest: float = 0.01
    finish: float = 0.5
    part: float = 0.08

    def __post_init__(self) -> None:
        require_whole("reduction", self.reduction, least=2)
        for name in ("lowest", "finish", "part"):
            require_share(name, getattr(self, name))

    @property
    def name(self) -> str:
        """Its key in `RULES`."""
        return "asha"

    def decide(self, race: Race) -> Decision:
        """What a free worker does now."""
        if race.over():
            return None
        candidates = race.by_number()
        default = owed(race)
        if default is not None:
            return self._climb(race, default, most=self.part * race.total)
        if self._finishing(race):
            return self._go_on_with_the_best(race)
        for level in range(max(self._level(race, c) for c in candidates) if candidates else -1, -1, -1):
            for candidate in self._promoted(race, level):
                if candidate.waiting and self._level(race, candidate) == level:
                    return self._climb(race, candidate)
        below = [
            candidate for candidate in candidates if candidate.waiting and self._level(race, candidate) < 0
        ]
        return self._climb(race, below[0]) if below else Begin(race.part(self._rung(race, 0)))

    def dropped(self, race: Race) -> dict[int, str]:
        """The candidates that are not among the best of their rung now, and at last all but the best few."""
        reasons = {}
        best = self._best_few(race) if self._finishing(race) else race.by_number()
        for candidate in race.by_number():
            level = self._level(race, candidate)
            if candidate.ended:
                reasons[candidate.number] = candidate.ended
            elif level >= 0 and candidate not in self._promoted(race, level):
                ranked = self._ranked(race, level)
                reasons[candidate.number] = (
                    f"number {ranked.index(candidate) + 1} of {len(ranked)} after {self._rung(race, level):.0f} s; "
                    f"the best of each {self.reduction} go on"
                )
            elif candidate not in best:
                reasons[candidate.number] = (
                    f"in the last {self.finish:.0%} of the time the best {len(best)} go on"
                )
        return reasons

    def _finishing(self, race: Race) -> bool:
        return race.remaining < self.finish * race.total

    def _go_on_with_the_best(self, race: Race) -> Decision:
        """The next part goes to the best while it learns, then to one of the best few, at last to any that waits."""
        best, length = self._best_few(race), race.part(self.part * race.total)
        if best and best[0].waiting and _learns(best[0], validation_noise(race.by_number())):
            return race.go_on(best[0], self.part * race.total)
        waiting = [candidate for candidate in best if candidate.waiting]
        if not waiting:
            others = [candidate for candidate in race.by_number() if candidate.waiting]
            waiting = sorted(others, key=lambda c: -c.score)[:1]
        if not waiting:
            return Begin(race.part(self._rung(race, 0)))

        def gain(candidate: Candidate) -> tuple[float, float]:
            place = best.index(candidate) + 1 if candidate in best else len(best)
            return max(expected_gain(candidate, length), 0.0) / place, -candidate.seconds

        return race.go_on(max(waiting, key=gain), self.part * race.total)

    def _best_few(self, race: Race) -> list[Candidate]:
        """The best candidates that did not end, best first."""
        alive = [candidate for candidate in race.by_number() if not candidate.ended]
        return sorted(alive, key=lambda c: -c.score)[: race.workers + BESIDE_WORKERS]

    def _rung(self, race: Race, level: int) -> float:
        return float(max(self.lowest * race.total, race.first) * self.reduction**level)

    def _level(self, race: Race, candidate: Candidate) -> int:
        """The highest rung that a candidate reached, up to half of the shortest part; -1: none."""
        level = -1
        while candidate.seconds + race.first / 2 >= self._rung(race, level + 1):
            level += 1
        return level

    def _ranked(self, race: Race, level: int) -> list[Candidate]:
        """All candidates that reached a rung, the best first, also those that ended."""
        reached = [candidate for candidate in race.by_number() if self._level(race, candidate) >= level]
        return sorted(reached, key=lambda c: -c.score_after(self._rung(race, level)))

    def _promoted(self, race: Race, level: int) -> list[Candidate]:
        """The best of a rung. The place of one that ended there goes to the next best."""
        ranked = self._ranked(race, level)
        able = [
            candidate for candidate in ranked if not candidate.ended or self._level(race, candidate) > level
        ]
        return able[: len(ranked) // self.reduction]

    def _climb(self, race: Race, candidate: Candidate, most: float = math.inf) -> Decision:
        """Train a candidate to the next rung, for ``most`` seconds at most."""
        following = self._rung(race, self._level(race, candidate) + 1)
        return race.go_on(candidate, min(following - candidate.seconds, most))
