"""Several runs side by side, as plain data for tables, figures and files."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from netwright.means import mean_known
from netwright.report.metrics import Metric
from netwright.report.results import TrialRow
from netwright.report.statistics import PairedComparison
from netwright.report.summaries import Estimate


@dataclass(frozen=True)
class Spread:
    """The mean over runs and their standard deviation (n - 1 in the denominator). NaN where there is none."""

    mean: float
    deviation: float

    @classmethod
    def of(cls, values: Sequence[float | None]) -> Spread:
        """That of the values that are known.

        >>> Spread.of([1.0, None, 3.0])
        Spread(mean=2.0, deviation=1.4142135623730951)
        """
        known = [value for value in values if value is not None and not math.isnan(value)]
        deviation = float(np.std(known, ddof=1)) if len(known) > 1 else math.nan
        return cls(mean_known(known), deviation)


@dataclass(frozen=True)
class ComparedRow:
    """One way to a network, over all runs that took it.

    Args:
        title: the recipe of the searches, or the name of a network of the final comparisons.
        runs: the run folders in which it was tested, or the files with another program's scores.
        failed: in words, how many more of them failed, and why: "2 out of memory"; "": none.
        score: of each run, the mean over its test cases.
        over_cases: the mean over all test cases, each with its mean over the runs that tested it. In a cross-validation
            each case has one score, of networks that did not see it.
        cases: how many these are.
        parameters: of the networks.
        search_seconds: wall time of each search; NaN for networks that nobody searched.
        device_seconds: the same, times the GPUs that it used, or the cores where there were none.
        device: "GPU" or "core"; "" for networks that nobody searched, or where runs differ in it.
        train_seconds: of the network that was tested.
        against_first: the first row minus this one, over the test cases that both have; a case counts with its mean
            over the runs. The p-value is adjusted for the number of rows (Holm). None for the first row, and where no
            case is common.
    """

    title: str
    runs: tuple[str, ...]
    score: Spread
    over_cases: Estimate
    cases: int
    parameters: Spread
    search_seconds: Spread
    device_seconds: Spread
    device: str
    train_seconds: Spread
    failed: str = ""
    against_first: PairedComparison | None = None


@dataclass(frozen=True)
class ComparedNetwork:
    """A network of one run.

    Args:
        run: the folder of the run, or the file with another program's scores.
        recipe: of the run, or the name of another program.
        row: the title of its row.
        group: the same without the setting that the runs are compared by.
        searched: whether the search found it.
        seed: of the run; None: another program's network.
        settings: of the run, those in which the searches differ.
        status: of its training.
        description: its architecture in words.
        score: over its test cases.
        parameters: of it.
        search_seconds: wall time of the search; NaN where nobody searched it.
        device_seconds: the same, times the devices.
        device: "GPU" or "core".
        train_seconds: of its training.
        course: the trials of the search that found it, without those of a search inside one training.
    """

    run: str
    recipe: str
    row: str
    group: str
    searched: bool
    seed: int | None
    settings: Mapping[str, str]
    status: str
    description: str
    score: Estimate
    parameters: int | None
    search_seconds: float
    device_seconds: float
    device: str
    train_seconds: float
    course: tuple[TrialRow, ...] = field(default=(), repr=False)


@dataclass(frozen=True)
class ComparedRuns:
    """Runs side by side.

    Args:
        dataset: of all runs.
        metric: of the scores.
        rows: one for each way to a network.
        untested: the runs without a result on test cases.
        networks: of each run.
        settings: the names of those in which the searches differ.
        by: the setting that figures are drawn over; None: the searches are drawn one beside the other.
        reward_name: what the trials' ``reward`` is, in words.
    """

    dataset: str
    metric: Metric
    rows: tuple[ComparedRow, ...]
    untested: tuple[str, ...]
    networks: tuple[ComparedNetwork, ...] = ()
    settings: tuple[str, ...] = ()
    by: str | None = None
    reward_name: str = "reward"

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON, without the trials."""
        values = {**asdict(self), "metric": self.metric.name}
        values["networks"] = [{k: v for k, v in one.items() if k != "course"} for one in values["networks"]]
        return values
