"""Asynchronous successive halving, with wall seconds as the resource.

L. Li, K. Jamieson, A. Rostamizadeh, E. Gonina, J. Ben-tzur, M. Hardt, B. Recht, A. Talwalkar: "A system for massively
parallel hyperparameter tuning" (MLSys 2020), algorithm 2; the halving is that of K. Jamieson and A. Talwalkar:
"Non-stochastic best arm identification and hyperparameter optimization" (AISTATS 2016). Three things differ. A promoted
candidate goes on from its checkpoint. The default keeps a share of the time until it is beaten. And the paper's
algorithm does not know when the race ends; here no candidate begins in the last share of the race while one can go on,
and the best does. Once that one learns no more beyond noise, the next best do, as several are used together in the end
where that is better: each part goes to the one of whom it is expected to bring most, where half of what the second
gains counts, and a third of what the third gains. Where workers share the CPU of one machine, each of these parts
gets the threads of several: one network that is trained nearly twice as fast is better than two.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from netwright.searches.race.base import Begin, Candidate, Decision, GoOn, Race
from netwright.searches.race.checks import require_share, require_whole
from netwright.searches.race.default import SIGMAS, owed, validation_noise

BESIDE_WORKERS = 2
"""So many more candidates than are trained at once go on in the last share of the race."""


def expected_gain(candidate: Candidate, length: float) -> float:
    """What a candidate would gain in ``length`` more seconds, if each doubling of its training brought as much.

    >>> curve = ((25.0, 0.6), (50.0, 0.7), (100.0, 0.75))
    >>> round(expected_gain(Candidate(0, curve), 100.0), 3)
    0.05
    """
    doubling = _last_doubling(candidate)
    return math.inf if doubling is None else doubling * math.log2(1 + length / candidate.seconds)


def _last_doubling(candidate: Candidate) -> float | None:
    """What the second half of a training brought; None: there was no validation in its first half, or no score."""
    half = candidate.seconds / 2
    if not candidate.curve or candidate.curve[0][0] > half:
        return None
    gain = candidate.score - candidate.score_after(half)
    return gain if math.isfinite(gain) else None


def _learns(candidate: Candidate, noise: float | None) -> bool:
    """Whether the last doubling of a training brought more than noise, or that is not known."""
    doubling = _last_doubling(candidate)
    return noise is None or doubling is None or doubling > SIGMAS * 2**0.5 * noise


@dataclass(frozen=True)
class Asha:
    """Candidates are promoted from rung to rung: of those that reached one, the best 1 / ``reduction`` go on.

    Args:
        reduction: each rung is this many times as long as the one below it (eta in the paper).
        lowest: seconds of the lowest rung, as a share of the race; at least ``race.first`` seconds.
        finish: the last share of the race, in which the best go on and no candidate begins.
        part: seconds of a part in the last share, and the most of one that the default is owed, as a share of the race.

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

    @property
    def joins(self) -> bool:
        """The last share of the race belongs to few candidates, which get the threads of all workers."""
        return True

    def decide(self, race: Race) -> Decision:
        """What a free worker does now."""
        if race.over():
            return None
        candidates = race.by_number()
        default = owed(race)
        if self._finishing(race):
            return self._finish(race, default)
        if default is not None:
            return self._climb(race, default, most=self.part * race.total)
        for level in range(max(self._level(race, c) for c in candidates) if candidates else -1, -1, -1):
            for candidate in self._promoted(race, level):
                if candidate.waiting and self._level(race, candidate) == level:
                    return self._climb(race, candidate)
        below = [
            candidate for candidate in candidates if candidate.waiting and self._level(race, candidate) < 0
        ]
        return self._climb(race, below[0]) if below else Begin(race.part(self._rung(race, 0)))

    def dropped(self, race: Race) -> dict[int, str]:
        """The candidates that are not among the best of their rung now; near the end all but the best few."""
        reasons = {candidate.number: candidate.ended for candidate in race.by_number() if candidate.ended}
        best, goes_on = self._best(race)[: self._few(race)], owed(race)
        for candidate in race.by_number():
            level = self._level(race, candidate)
            if candidate.ended or candidate == goes_on:
                continue
            if self._finishing(race) and candidate not in best:
                reason = f"in the last {self.finish:.0%} of the time the best {len(best)} go on"
                reasons[candidate.number] = self._place(race, candidate, level) + reason
            elif not self._finishing(race) and self._is_left_behind(race, candidate, level):
                reason = f"the best of each {self.reduction} go on"
                reasons[candidate.number] = self._place(race, candidate, level) + reason
        return reasons

    def _is_left_behind(self, race: Race, candidate: Candidate, level: int) -> bool:
        """Whether enough others reached its rung, and it is not promoted."""
        if level < 0 or len(self._ranked(race, level)) < self.reduction:
            return False
        return candidate not in self._promoted(race, level)

    def _place(self, race: Race, candidate: Candidate, level: int) -> str:
        """For a report: where a candidate stands in its rung."""
        if level < 0:
            return ""
        ranked = self._ranked(race, level)
        return (
            f"number {ranked.index(candidate) + 1} of {len(ranked)} after {self._rung(race, level):.0f} s; "
        )

    def _finishing(self, race: Race) -> bool:
        return self._before_finish(race) < 0

    def _before_finish(self, race: Race) -> float:
        """Seconds to the last share of the race."""
        return race.remaining - self.finish * race.total

    def _finish(self, race: Race, default: Candidate | None) -> Decision:
        """A part of the last share: of the default if it is owed one, else of the best.

        Where workers can be joined, it gets the threads of several.
        """
        if default is None:
            decision = self._go_on_with_the_best(race)
        else:
            decision = self._climb(race, default, most=self.part * race.total)
        return replace(decision, joined=race.joins > 1) if isinstance(decision, GoOn) else decision

    def _go_on_with_the_best(self, race: Race) -> Decision:
        """The next part goes to the best while it learns, then to one of the best few, at last to any that waits."""
        best, length = self._best(race), race.part(self.part * race.total)
        waiting = [candidate for candidate in best if candidate.waiting]
        if not waiting:
            return Begin(race.part(self._rung(race, 0)))
        if waiting[0] is best[0] and _learns(best[0], validation_noise(race.by_number())):
            return race.go_on(best[0], length)
        few = [candidate for candidate in best[: self._few(race)] if candidate.waiting] or waiting[:1]

        def gain(candidate: Candidate) -> tuple[float, float]:
            place = best.index(candidate) + 1
            return max(expected_gain(candidate, length), 0.0) / place, -candidate.seconds

        return race.go_on(max(few, key=gain), length)

    def _best(self, race: Race) -> list[Candidate]:
        """The candidates that did not end, the best first."""
        alive = [candidate for candidate in race.by_number() if not candidate.ended]
        return sorted(alive, key=lambda c: -c.score)

    def _few(self, race: Race) -> int:
        """How many go on in the last share of the race."""
        return race.places + BESIDE_WORKERS

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
        """Train a candidate to the next rung, for ``most`` seconds at most.

        Where workers are joined in the last share, it ends about when that begins, so that no worker waits for it long.
        """
        following = self._rung(race, self._level(race, candidate) + 1)
        if race.joins > 1 and not self._finishing(race):
            most = min(most, self._before_finish(race))
        return race.go_on(candidate, min(following - candidate.seconds, most))
