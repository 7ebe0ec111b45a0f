"""Asynchronous successive halving, with wall seconds as the resource.

L. Li, K. Jamieson, A. Rostamizadeh, E. Gonina, J. Ben-tzur, M. Hardt, B. Recht, A. Talwalkar: "A system for massively
parallel hyperparameter tuning" (MLSys 2020), algorithm 2; the halving is that of K. Jamieson and A. Talwalkar:
"Non-stochastic best arm identification and hyperparameter optimization" (AISTATS 2016). Three things differ. A promoted
candidate goes on from its checkpoint. The race has an end, of which the paper's algorithm knows nothing: in its last
share nothing is begun, and the best so far go on. The default has a share of its own until it is beaten.
"""

from __future__ import annotations

from dataclasses import dataclass

from netwright.searches.race.base import Begin, Candidate, Decision, Race
from netwright.searches.race.checks import require_share, require_whole
from netwright.searches.race.default import owed


@dataclass(frozen=True)
class Asha:
    """Candidates climb rungs: of those that reached one, the best of each ``reduction`` go on to the next.

    Args:
        reduction: each rung is this many times as long as the one below it (eta in the paper).
        lowest: seconds of the lowest rung, as a share of the race; at least ``race.first`` seconds.
        finish: the last share of the race, in which the best go on and none begins.

    Raises:
        SettingsError: a value is out of range.

    >>> rule = Asha()
    >>> rule.decide(Race((), remaining=3600, total=3600, workers=1, first=20))
    Begin(seconds=36.0)
    """

    reduction: int = 3
    lowest: float = 0.01
    finish: float = 0.3

    def __post_init__(self) -> None:
        require_whole("reduction", self.reduction, least=2)
        for name in ("lowest", "finish"):
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
            return self._climb(race, default)
        if self._finishing(race):
            waiting = [candidate for candidate in candidates if candidate.waiting]
            best = max(waiting, key=lambda c: (c.score, -c.number), default=None)
            return Begin(race.part(self._rung(race, 0))) if best is None else self._climb(race, best)
        for level in range(max(self._level(race, c) for c in candidates) if candidates else -1, -1, -1):
            for candidate in self._promoted(race, level):
                if candidate.waiting and self._level(race, candidate) == level:
                    return self._climb(race, candidate)
        below = [
            candidate for candidate in candidates if candidate.waiting and self._level(race, candidate) < 0
        ]
        return self._climb(race, below[0]) if below else Begin(race.part(self._rung(race, 0)))

    def expected(self, race: Race) -> dict[int, float]:
        """The last score of each: this rule looks no further."""
        return {candidate.number: candidate.score for candidate in race.by_number() if candidate.curve}

    def dropped(self, race: Race) -> dict[int, str]:
        """Those that are not among the best of their rung, as things stand."""
        reasons = {}
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
        return reasons

    def _finishing(self, race: Race) -> bool:
        return race.remaining < self.finish * race.total

    def _rung(self, race: Race, level: int) -> float:
        return float(max(self.lowest * race.total, race.first) * self.reduction**level)

    def _level(self, race: Race, candidate: Candidate) -> int:
        """The highest rung that it reached; -1: none. Half of the shortest part is no matter."""
        level = -1
        while candidate.seconds + race.first / 2 >= self._rung(race, level + 1):
            level += 1
        return level

    def _ranked(self, race: Race, level: int) -> list[Candidate]:
        """All that reached a rung, the best there first, whatever became of them."""
        reached = [candidate for candidate in race.by_number() if self._level(race, candidate) >= level]
        return sorted(reached, key=lambda c: -c.score_after(self._rung(race, level)))

    def _promoted(self, race: Race, level: int) -> list[Candidate]:
        """The best of a rung; one that ended there leaves its turn to the next."""
        ranked = self._ranked(race, level)
        able = [
            candidate for candidate in ranked if not candidate.ended or self._level(race, candidate) > level
        ]
        return able[: len(ranked) // self.reduction]

    def _climb(self, race: Race, candidate: Candidate) -> Decision:
        """To the next rung."""
        following = self._rung(race, self._level(race, candidate) + 1)
        return race.go_on(candidate, following - candidate.seconds)
