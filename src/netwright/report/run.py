"""What the parts of the package that give sections of a report know about the run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from netwright.data.base import AnyPrepared
from netwright.report.summaries import SEARCHED, Comparison, Summary
from netwright.settings import RunSettings


@dataclass(frozen=True)
class ReportedRun:
    """A run, as seen by a task that gives sections of its report.

    Args:
        settings: of the run.
        comparison: the final comparison so far.
        predictions: the folder with the searched network's predictions of the test cases.
        prepared: the prepared data.
        test: the test cases.
    """

    settings: RunSettings
    comparison: Comparison
    predictions: Path
    prepared: AnyPrepared
    test: Sequence[Any]

    @property
    def searched(self) -> Summary | None:
        """The searched network in numbers; None where it has not been tested."""
        return next(
            (s for s in self.comparison.summaries if s.contestant.name == SEARCHED and s.contestant.scores),
            None,
        )
