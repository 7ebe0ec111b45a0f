"""Gives each candidate a short training of the same length, and the rest of the time to the best few.

R. Egele, I. Guyon, Y. Sun, P. Balaprakash: "Is one epoch all you need for multi-fidelity hyperparameter optimization?"
(ESANN 2023). This simple rule is hard to beat: on their benchmarks, training all candidates for one epoch and the best
few to the end is as good as Hyperband and similar methods, and cheaper. Three things differ here. The short training
is a share of the race in wall seconds, because the networks of a space differ in speed. The finalists go on from their
checkpoints; in the paper they begin again. The default is a finalist until it is beaten.
"""

from __future__ import annotations

from dataclasses import dataclass

from netwright.searches.race.base import Begin, Candidate, Decision, Race
from netwright.searches.race.checks import require_share, require_whole
from netwright.searches.race.default import beaten, default_of, owed


@dataclass(frozen=True)
class ShortThenBest:
    """First short trainings of new candidates, then the rest of the time for the best of them in turn.

    Args:
        short: seconds of the short training, as a share of the race; at least ``race.first`` seconds.
        exploration: share of the race in which candidates are begun.
        finalists: how many go on, the default included while it is not beaten; at least as many as there are workers.
        part: seconds of a part of a finalist's training, as a share of the race.

    Raises:
        SettingsError: a value is out of range.

    >>> rule = ShortThenBest()
    >>> rule.decide(Race((), remaining=3600, total=3600, workers=1, first=20))
    Begin(seconds=72.0)
    """

    short: float = 0.02
    exploration: float = 0.4
    finalists: int = 3
    part: float = 0.04

    def __post_init__(self) -> None:
        for name in ("short", "exploration", "part"):
            require_share(name, getattr(self, name))
        require_whole("finalists", self.finalists, least=1)

    @property
    def name(self) -> str:
        """Its key in `RULES`."""
        return "short-then-best"

    @property
    def joins(self) -> bool:
        """Every candidate is trained with the threads of one worker."""
        return False

    def decide(self, race: Race) -> Decision:
        """What a free worker does now."""
        if race.over():
            return None
        default = owed(race)
        if default is not None:
            return race.go_on(default, self.part * race.total)
        short = self._short(race)
        unfinished = [c for c in race.by_number() if c.waiting and c.seconds < short - race.first / 2]
        if self._exploring(race):
            return race.go_on(unfinished[0], short) if unfinished else Begin(race.part(short))
        waiting = [candidate for candidate in self._finalists(race) if candidate.waiting]
        if waiting:
            return race.go_on(min(waiting, key=_least_trained), self.part * race.total)
        others = [candidate for candidate in self._ranked(race) if candidate.waiting]
        return race.go_on(others[0], self.part * race.total) if others else Begin(race.part(short))

    def dropped(self, race: Race) -> dict[int, str]:
        """After the exploration, all candidates except the finalists."""
        reasons = {candidate.number: candidate.ended for candidate in race.by_number() if candidate.ended}
        if self._exploring(race):
            return reasons
        finalists = {candidate.number for candidate in self._finalists(race)}
        ranked = [candidate.number for candidate in self._ranked(race)]
        for position, number in enumerate(ranked):
            if number not in finalists:
                reasons[number] = (
                    f"number {position + 1} of {len(ranked)} after {self._short(race):.0f} s; "
                    f"{len(finalists)} go on"
                )
        return reasons

    def _short(self, race: Race) -> float:
        return max(self.short * race.total, race.first)

    def _exploring(self, race: Race) -> bool:
        return race.total - race.remaining < self.exploration * race.total

    def _ranked(self, race: Race) -> list[Candidate]:
        """The candidates that did not end, by their score after the short training, the best first."""
        alive = [candidate for candidate in race.by_number() if not candidate.ended]
        short = self._short(race)
        return sorted(alive, key=lambda c: -c.score_after(short) if c.curve else float("inf"))

    def _finalists(self, race: Race) -> list[Candidate]:
        ranked, default = self._ranked(race), default_of(race)
        if default in ranked and not beaten(race):
            ranked.insert(0, ranked.pop(ranked.index(default)))
        return ranked[: max(self.finalists, race.workers)]


def _least_trained(candidate: Candidate) -> tuple[float, int]:
    return candidate.seconds, candidate.number
