"""Who is trained next: rules for a race of trainings that can each go on at any moment, one file each."""

from __future__ import annotations

from collections.abc import Callable

from netwright.searches.race.asha import Asha
from netwright.searches.race.base import Begin, Candidate, Decision, GoOn, Race, Rule, best_waiting
from netwright.searches.race.expected import Expected, expected_scores
from netwright.searches.race.freeze_thaw import FreezeThaw
from netwright.searches.race.short_then_best import ShortThenBest

RULES: dict[str, Callable[..., Rule]] = {
    "asha": Asha,
    "freeze-thaw": FreezeThaw,
    "short-then-best": ShortThenBest,
}
"""Name to constructor. The keywords of the constructor are the rule's options."""

__all__ = [
    "RULES",
    "Asha",
    "Begin",
    "Candidate",
    "Decision",
    "Expected",
    "FreezeThaw",
    "GoOn",
    "Race",
    "Rule",
    "ShortThenBest",
    "best_waiting",
    "expected_scores",
]
