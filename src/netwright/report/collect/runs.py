"""Several runs side by side: what their networks reached on test cases, and what the searches cost."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from netwright.comparison.contestants import RANDOM
from netwright.errors import RunError, SettingsError
from netwright.means import mean_known
from netwright.report import formatting
from netwright.report.collect.comparison import columns_of, contestant_of, metric_compared
from netwright.report.collect.nnunet_summary import NNUNET, NNUNetSummary
from netwright.report.collect.search import reward_name, trial_rows
from netwright.report.collect.searches import OF_PROTOCOL, Key, is_of, key_of, settings_apart, titles_of
from netwright.report.compared import ComparedNetwork, ComparedRow, ComparedRuns, Spread
from netwright.report.metrics import METRICS, Metric
from netwright.report.results import TrialRow
from netwright.report.statistics import PairedComparison, holm, paired_comparison, value_a_group
from netwright.report.summaries import ORIGINAL, Summary, estimate, groups_of, summarise
from netwright.runs.cost import CORE, read_cost
from netwright.runs.drawings import space_to_show
from netwright.runs.folder import RunFolder
from netwright.runs.results import read_results
from netwright.runs.trials import load_search, record_of
from netwright.settings import RunSettings
from netwright.spaces.references import REFERENCES
from netwright.training.outcome import Status


@dataclass(frozen=True)
class _Tested:
    """A network of a run that was tested, or whose training failed; ``settings`` None: another program's."""

    source: Path
    settings: RunSettings | None
    key: Key
    title: str
    summary: Summary
    search_seconds: float = math.nan
    device: str = ""
    devices: int = 1
    course: tuple[TrialRow, ...] = ()


def compare_runs(
    folders: Sequence[RunFolder], by: str | None = None, summaries: Sequence[NNUNetSummary] = ()
) -> ComparedRuns:
    """The networks of several runs, a row for each way to them: the searched ones first, in the order of the runs.

    Searches are of one row if their settings differ only in seed, data division and machine, and in what was measured
    there. A standard network is the same in all runs that prepare, train and test it alike, an original or random
    network in those of them that search the same space; a start is that of its search.

    Args:
        folders: of the runs.
        by: a setting in which the searches differ, which figures are drawn over; None: the only one, if they differ in
            one.
        summaries: what nnU-Net reached on cases of the same data.

    Raises:
        RunError: none of them has been tested, or one cannot be read.
        SettingsError: they are of different data, scored by different metrics, or do not differ in ``by``.
    """
    if not folders:
        raise RunError("There is no run to compare: expected the folders of finished runs.")
    settings = [folder.settings() for folder in folders]
    dataset, metric = _common(folders, dict(zip((f.root for f in folders), settings, strict=True)))
    apart = settings_apart(settings, by)
    titles = titles_of(settings)
    networks: list[_Tested] = []
    untested = []
    for folder, own in zip(folders, settings, strict=True):
        found = list(_networks(folder, own, titles, metric))
        networks += found
        untested += [] if any(one.summary.tested for one in found) else [str(folder.root)]
    if len(untested) == len(folders):
        raise RunError(
            f"{', '.join(untested)}: no network was tested on test cases yet. Finish a run first, by 'netwright "
            "resume'."
        )
    networks += [_of_nnunet(summary, networks, metric) for summary in summaries]
    networks.sort(key=lambda one: (not one.summary.searched, not one.summary.tested))
    groups = [[one for one in networks if one.key == key] for key in dict.fromkeys(n.key for n in networks)]
    rows = _told_apart([_row(group) for group in groups], groups, titles)
    by = by or (next(iter(apart[0])) if len(apart[0]) == 1 else None)
    return ComparedRuns(
        dataset,
        metric,
        tuple(_against_first(rows, groups)),
        tuple(untested),
        _compared(rows, groups, dict(zip((f.root for f in folders), apart, strict=True)), by),
        tuple(apart[0]),
        by,
        reward_name(settings[0]) if len(set(map(reward_name, settings))) == 1 else "reward",
    )


def _compared(
    rows: Sequence[ComparedRow],
    groups: Sequence[Sequence[_Tested]],
    apart: Mapping[Path, dict[str, str]],
    by: str | None,
) -> tuple[ComparedNetwork, ...]:
    """Each network of each run, in the order of the rows."""
    titles = titles_of([one.settings for group in groups for one in group if one.settings], by)
    return tuple(
        ComparedNetwork(
            run=str(one.source),
            recipe=NNUNET if one.settings is None else one.settings.recipe,
            row=row.title,
            group=titles[key_of(one.settings, by)] if one.settings and one.summary.searched else row.title,
            searched=one.summary.searched,
            seed=None if one.settings is None else one.settings.seed,
            settings=apart.get(one.source, {}),
            status=one.summary.contestant.status,
            description=one.summary.contestant.description,
            score=one.summary.overall,
            parameters=one.summary.contestant.parameters,
            search_seconds=one.search_seconds,
            device_seconds=one.search_seconds * one.devices,
            device=one.device,
            train_seconds=one.summary.contestant.train_seconds,
            course=one.course,
        )
        for row, group in zip(rows, groups, strict=True)
        for one in group
    )


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
    labels = [str(values)] if values or not settings.dataset.regions else []
    regions = [str(settings.dataset.regions)] if settings.dataset.regions else []
    return Path(settings.dataset.path).name, frozenset(cases), " in ".join([*labels, *regions])


def _told(value: object) -> str:
    if not isinstance(value, tuple):
        return str(value)
    name, cases, labels = value
    return f"{name} of {len(cases)} cases" + (f" with the labels {labels}" if labels != "[]" else "")


def _networks(
    folder: RunFolder, settings: RunSettings, titles: Mapping[Key, str], metric: Metric
) -> Iterator[_Tested]:
    """The networks of a run that were tested, and those beside the searched one whose training failed."""
    results = read_results(folder)
    if not results:
        return
    trials, seconds = load_search(folder)
    records = [record_of(trial) for trial in trials]
    space = space_to_show(folder, settings, records)
    contestants = [contestant_of(folder, settings, result, space) for result in results]
    key = key_of(settings)
    make = partial(_Tested, folder.root, settings)
    for summary in summarise(contestants, columns_of(results), metric):
        if not summary.tested and (summary.searched or summary.contestant.status == Status.COMPLETE):
            continue
        name, title = summary.contestant.name, summary.contestant.title
        if summary.searched:
            course = trial_rows(records, space) if settings.supernet is None else ()
            yield make(key, titles[key], summary, seconds, *_devices(folder, settings), course)
        elif name in REFERENCES or summary.contestant.role in (ORIGINAL, RANDOM):
            tables = OF_PROTOCOL if name in REFERENCES else (*OF_PROTOCOL, "space")
            alike = (text for text in key if is_of(text.partition("=")[0], tables))
            yield make(("alike", name, *alike), title, summary)
        else:
            yield make((*key, name), f"{titles[key]}: {title}", summary)


def _of_nnunet(summary: NNUNetSummary, networks: Sequence[_Tested], metric: Metric) -> _Tested:
    """A network of nnU-Net, as one more way beside those of the runs.

    Raises:
        SettingsError: the runs are not scored by Dice, or have other cases or labels.
    """
    if metric.name != METRICS["dice"].name:
        raise SettingsError(
            f"{summary.path} has Dice, and the runs are compared by {metric.name}: expected runs that are "
            "scored by Dice, too. Leave it out."
        )
    ours = [one.summary for one in networks if one.summary.tested]
    if not any(case in one.case_scores for one in ours for case in summary.scores):
        mine, theirs = (next(iter(scores)) for scores in (ours[0].case_scores, summary.scores))
        raise SettingsError(
            f"{summary.path} has no test case of the runs: expected cases such as {mine}, found {theirs}. Let nnU-Net "
            "predict the runs' test cases, under their names, and evaluate that folder."
        )
    labels = {tuple(one.labels) for one in ours}
    if all(len(names) != len(summary.labels) for names in labels):
        raise SettingsError(
            f"{summary.path} has the labels {', '.join(summary.labels)}: expected as many as the runs, which have "
            f"{', '.join(next(iter(labels)))}. Evaluate the same labels with nnUNetv2_evaluate_folder -l."
        )
    groups = {case: group for one in ours for case, group in one.contestant.groups.items()}
    contestant = replace(
        summary.contestant, groups={case: groups[case] for case in summary.scores if case in groups}
    )
    (found,) = summarise([contestant], summary.labels, metric)
    return _Tested(summary.path, None, (NNUNET, summary.title), summary.title, found)


def _devices(folder: RunFolder, settings: RunSettings) -> tuple[str, int]:
    """The devices of a search: those of its last session. Of runs of earlier versions the workers' cores are known."""
    sessions = read_cost(folder).sessions
    if sessions:
        return sessions[-1].device, sessions[-1].devices
    return CORE, settings.machine.workers * settings.machine.threads


def _row(group: Sequence[_Tested]) -> ComparedRow:
    contestants = [one.summary.contestant for one in group]
    tested = [one for one in group if one.summary.tested]
    scores = _of_cases(tested)
    failed = Counter(one.summary.contestant.status for one in group if not one.summary.tested)
    return ComparedRow(
        title=group[0].title,
        runs=tuple(str(one.source) for one in tested),
        score=Spread.of([one.summary.overall.mean for one in tested]),
        over_cases=estimate(scores, _patients(tested)),
        cases=len(scores),
        parameters=Spread.of([c.parameters for c in contestants]),
        search_seconds=Spread.of([one.search_seconds for one in group]),
        device_seconds=Spread.of([one.search_seconds * one.devices for one in group]),
        device=group[0].device if len({one.device for one in group}) == 1 else "",
        train_seconds=Spread.of([one.summary.contestant.train_seconds for one in tested]),
        failed=", ".join(f"{count} {formatting.status(status)}" for status, count in failed.items()),
    )


def _told_apart(
    rows: Sequence[ComparedRow], groups: Sequence[Sequence[_Tested]], titles: Mapping[Key, str]
) -> list[ComparedRow]:
    """The rows; a network that stands beside several searches in several ways is called after the search, too."""
    count = Counter(row.title for row in rows)
    return [
        replace(row, title=f"{row.title}, beside {titles[key_of(group[0].settings)]}")
        if count[row.title] > 1 and group[0].settings
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
