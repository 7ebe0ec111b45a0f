"""Several runs side by side: what their networks reached on test cases, and what the searches cost."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from netwright.errors import RunError, SettingsError
from netwright.means import mean_known
from netwright.report.collect.comparison import columns_of, contestant_of, metric_compared
from netwright.report.metrics import Metric
from netwright.report.statistics import PairedComparison, holm, paired_comparison, value_a_group
from netwright.report.summaries import Estimate, Summary, estimate, groups_of, summarise
from netwright.runs.cost import CORE, read_cost
from netwright.runs.drawings import space_to_show
from netwright.runs.folder import RunFolder
from netwright.runs.results import read_results
from netwright.runs.trials import load_search, record_of
from netwright.settings import RunSettings
from netwright.spaces.references import REFERENCES

_OWN = ("seed", "machine", "log", "dataset", "split")
"""Settings in which runs of one search may differ: seed, machine, logs, and the data and its division."""

_MEASURED = (
    "preprocessing.ct_intensities",
    "space.folder",
    "space.fingerprint",
    "training.device",
    "training.early",
    "training.threads",
    "race.used_seconds",
)
"""Settings that are measured on the data or the machine when a run is made."""

_OF_HOURS = (
    "training.epochs",
    "training.seconds",
    "training.steps",
    "supernet.seconds",
    "strategy.population",
)
"""Settings that follow from the hours of a search and from what was measured."""

_OF_PROTOCOL = (
    "preprocessing",
    "slices",
    "images",
    "inpainting",
    "training",
    "train",
    "verdict",
    "objective",
)
"""Tables of settings that a standard network of the final comparison depends on."""

_MOST_TOLD = 3
"""So many differences at most are in the title of a search."""


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
        runs: the run folders.
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
    against_first: PairedComparison | None = None


@dataclass(frozen=True)
class ComparedRuns:
    """Runs side by side. ``untested`` are those without a result on test cases."""

    dataset: str
    metric: Metric
    rows: tuple[ComparedRow, ...]
    untested: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {**asdict(self), "metric": self.metric.name}


@dataclass(frozen=True)
class _Tested:
    """A network of a run that was tested."""

    run: Path
    key: tuple[str, ...]
    title: str
    summary: Summary
    search_seconds: float = math.nan
    device: str = ""
    devices: int = 1


def compare_runs(folders: Sequence[RunFolder]) -> ComparedRuns:
    """The networks of several runs, a row for each way to them: the searched ones first, in the order of the runs.

    Searches are of one row if their settings differ only in seed, data division and machine, and in what was measured
    there. A standard network is the same in all runs that prepare, train and test it alike; a start or a random network
    is that of its search.

    Args:
        folders: of the runs.

    Raises:
        RunError: none of them has been tested, or one cannot be read.
        SettingsError: they are of different data, or scored by different metrics.
    """
    if not folders:
        raise RunError("There is no run to compare: expected the folders of finished runs.")
    settings = {folder.root: folder.settings() for folder in folders}
    dataset, metric = _common(folders, settings)
    titles = _titles(list(settings.values()))
    tested: list[_Tested] = []
    untested = []
    for folder in folders:
        own = list(_tested(folder, settings[folder.root], titles, metric))
        tested += own
        untested += [] if own else [str(folder.root)]
    if not tested:
        raise RunError(
            f"{', '.join(untested)}: no network was tested on test cases yet. Finish a run first, by 'netwright "
            "resume'."
        )
    searched = [one for one in tested if one.summary.searched]
    keys = dict.fromkeys(one.key for one in [*searched, *tested])
    groups = [[one for one in tested if one.key == key] for key in keys]
    rows = _told_apart([_row(group) for group in groups], groups, settings, titles)
    return ComparedRuns(dataset, metric, tuple(_against_first(rows, groups)), tuple(untested))


def _common(folders: Sequence[RunFolder], settings: Mapping[Path, RunSettings]) -> tuple[str, Metric]:
    """The name of the dataset and the metric that all runs have."""
    data = {folder.root: _data(folder, settings[folder.root]) for folder in folders}
    metrics = {root: metric_compared(one) for root, one in settings.items()}
    first = folders[0].root
    for root in settings:
        for what, of_run in (("data", data), ("metric", {r: m.name for r, m in metrics.items()})):
            if of_run[root] != of_run[first]:
                raise SettingsError(
                    f"{first} and {root} cannot be compared: expected runs of the same {what}, found "
                    f"{_told(of_run[first])} and {_told(of_run[root])}. Leave one out."
                )
    return Path(settings[first].dataset.path).name, metrics[first]


def _data(folder: RunFolder, settings: RunSettings) -> tuple[str, frozenset[str], str]:
    """What tells that two runs have the same data, wherever it lies: the name of its folder, its cases, its labels."""
    splits = folder.splits()
    cases = (*splits.training, *splits.validation, *splits.test, *splits.left_out)
    values = sorted((settings.dataset.map_label or {}).items())
    return Path(settings.dataset.path).name, frozenset(cases), str(values)


def _told(value: object) -> str:
    if not isinstance(value, tuple):
        return str(value)
    name, cases, labels = value
    return f"{name} of {len(cases)} cases" + (f" with the labels {labels}" if labels != "[]" else "")


def _values(settings: RunSettings) -> dict[str, str]:
    """All settings of a search by dotted name, without those in which two runs of it may differ."""
    timed = settings.budget.hours is not None
    left_out = (*_OWN, *_MEASURED, *(_OF_HOURS if timed else ()))
    flat = _flat(settings.model_dump(mode="json"))
    return {name: value for name, value in flat.items() if not _is_of(name, left_out)}


def _is_of(name: str, tables: Collection[str]) -> bool:
    """Whether a dotted name, or a table that it is in, is among the names."""
    return any(f"{name}.".startswith(f"{table}.") for table in tables)


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    flat: dict[str, str] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{prefix}{name}.")
        else:
            flat[prefix + name] = f"{value:g}" if isinstance(value, float) else str(value)
    return flat


def _key(settings: RunSettings) -> tuple[str, ...]:
    """What two searches have in common that differ in nothing but seed, division of the data and machine."""
    return tuple(f"{name}={value}" for name, value in sorted(_values(settings).items()))


def _titles(settings: Sequence[RunSettings]) -> dict[tuple[str, ...], str]:
    """A title for each kind of search: its recipe, and the settings in which it differs from others of this recipe."""
    kinds = {_key(one): (one.recipe, _values(one)) for one in settings}
    titles: dict[tuple[str, ...], str] = {}
    for key, (recipe, values) in kinds.items():
        alike = [other for name, other in kinds.values() if name == recipe]
        names = sorted({name for other in alike for name in other})
        apart = [name for name in names if len({other.get(name) for other in alike}) > 1]
        told = [f"{name}={values.get(name, 'none')}" for name in apart[:_MOST_TOLD]]
        title = ", ".join([recipe, *told, *(["..."] if len(apart) > _MOST_TOLD else [])])
        again = sum(known == title or known.startswith(f"{title} (") for known in titles.values())
        titles[key] = f"{title} ({again + 1})" if again else title
    return titles


def _tested(
    folder: RunFolder, settings: RunSettings, titles: Mapping[tuple[str, ...], str], metric: Metric
) -> Iterator[_Tested]:
    results = read_results(folder)
    if not results:
        return
    trials, seconds = load_search(folder)
    space = space_to_show(folder, settings, [record_of(trial) for trial in trials])
    contestants = [contestant_of(folder, result, space) for result in results]
    key = _key(settings)
    make = partial(_Tested, folder.root)
    for summary in summarise(contestants, columns_of(results), metric):
        if not summary.tested:
            continue
        name, title = summary.contestant.name, summary.contestant.title
        if summary.searched:
            yield make(key, titles[key], summary, seconds, *_devices(folder, settings))
        elif name in REFERENCES:
            protocol = (text for text in key if _is_of(text.partition("=")[0], _OF_PROTOCOL))
            yield make(("reference", name, *protocol), title, summary)
        else:
            yield make((*key, name), f"{titles[key]}: {title}", summary)


def _devices(folder: RunFolder, settings: RunSettings) -> tuple[str, int]:
    """The devices of a search: those of its last session. Of runs of earlier versions the workers' cores are known."""
    sessions = read_cost(folder).sessions
    if sessions:
        return sessions[-1].device, sessions[-1].devices
    return CORE, settings.machine.workers * settings.machine.threads


def _row(group: Sequence[_Tested]) -> ComparedRow:
    contestants = [one.summary.contestant for one in group]
    scores = _of_cases(group)
    return ComparedRow(
        title=group[0].title,
        runs=tuple(str(one.run) for one in group),
        score=Spread.of([one.summary.overall.mean for one in group]),
        over_cases=estimate(scores, _patients(group)),
        cases=len(scores),
        parameters=Spread.of([c.parameters for c in contestants]),
        search_seconds=Spread.of([one.search_seconds for one in group]),
        device_seconds=Spread.of([one.search_seconds * one.devices for one in group]),
        device=group[0].device if len({one.device for one in group}) == 1 else "",
        train_seconds=Spread.of([c.train_seconds for c in contestants]),
    )


def _told_apart(
    rows: Sequence[ComparedRow],
    groups: Sequence[Sequence[_Tested]],
    settings: Mapping[Path, RunSettings],
    titles: Mapping[tuple[str, ...], str],
) -> list[ComparedRow]:
    """The rows; a standard network that was trained in several ways is called after the search beside it, too."""
    count = Counter(row.title for row in rows)
    return [
        replace(row, title=f"{row.title}, beside {titles[_key(settings[group[0].run])]}")
        if count[row.title] > 1
        else row
        for row, group in zip(rows, groups, strict=True)
    ]


def _against_first(rows: Sequence[ComparedRow], groups: Sequence[Sequence[_Tested]]) -> list[ComparedRow]:
    """The rows with their comparisons to the first one."""
    comparisons = [_paired(groups[0], group) for group in groups[1:]]
    adjusted = holm([math.nan if found is None else found.p_value for found in comparisons])
    result = [rows[0]]
    for row, found, p_value in zip(rows[1:], comparisons, adjusted, strict=True):
        paired = None if found is None else replace(found, p_value=p_value)
        result.append(replace(row, against_first=paired))
    return result


def _paired(one: Sequence[_Tested], other: Sequence[_Tested]) -> PairedComparison | None:
    mine, theirs = _of_cases(one), _of_cases(other)
    common = [case for case in mine if case in theirs]
    if not common:
        return None
    groups = groups_of(common, _patients([*one, *other]))
    first, second = (value_a_group([scores[case] for case in common], groups) for scores in (mine, theirs))
    return paired_comparison(first, second)


def _patients(group: Sequence[_Tested]) -> dict[str, str]:
    """The patient of each case that shares it with others."""
    patients: dict[str, str] = {}
    for one in group:
        patients |= one.summary.contestant.groups
    return patients


def _of_cases(group: Sequence[_Tested]) -> dict[str, float]:
    """Each test case with its mean score over the runs."""
    scores: dict[str, list[float]] = {}
    for one in group:
        for case, score in one.summary.case_scores.items():
            scores.setdefault(case, []).append(score)
    return {case: mean_known(values) for case, values in scores.items()}
