"""What a user sets, beside the dataset and the recipe."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from netwright.settings import RunSettings
from netwright.settings.old_names import rename_assignments


@dataclass(frozen=True)
class UserSettings:
    """Settings that a user gave. None means the recipe's value, or one chosen for the data and the machine.

    Args:
        trials: the most candidates.
        hours: the longest wall time of the search.
        verdict_hours: wall time of the final comparison.
        workers: candidates that train at once.
        epochs: of each candidate.
        seed: all random numbers come from it.
        format: of the dataset.
        map_label: label value on disk -> label value that it is read as, or -1, so that its voxels are ignored.
        regions: name -> label values, to be learned in place of the labels, in the order in which they are written.
        assignments: any other setting by its dotted name.
        repeat: the settings of a run to repeat, in place of a recipe's.
        trust_code: whether the code that ``repeat`` names may run even if no search of this user ran it. Code that
            ``assignments`` name may always run.
    """

    trials: int | None = None
    hours: float | None = None
    verdict_hours: float | None = None
    workers: int | None = None
    epochs: int | None = None
    seed: int | None = None
    format: str | None = None
    map_label: Mapping[int, int] | None = None
    regions: Mapping[str, Sequence[int]] | None = None
    assignments: Mapping[str, Any] | None = None
    repeat: RunSettings | None = None
    trust_code: bool = False

    def values(self) -> dict[str, Any]:
        """All settings that were given, by dotted name."""
        options = {
            "seed": self.seed,
            "budget.trials": self.trials,
            "budget.hours": self.hours,
            "verdict.hours": self.verdict_hours,
            "training.epochs": self.epochs,
            "machine.workers": self.workers,
        }
        given = {name: value for name, value in options.items() if value is not None}
        return {**given, **rename_assignments(self.assignments or {})}

    def user_set(self) -> frozenset[str]:
        """The dotted names of all settings that were given, with the names in a table that was given whole."""
        return frozenset(_names(self.values()))


def _names(values: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    for name, value in values.items():
        yield f"{prefix}{name}"
        if isinstance(value, Mapping):
            yield from _names(value, f"{prefix}{name}.")
