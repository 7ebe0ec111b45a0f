"""The report of a series of runs: the runs side by side, and what is known of the ensemble of folds."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from netwright.report.collect.compared_page import write_compared
from netwright.report.collect.runs import compare_runs
from netwright.report.compared import ComparedRuns
from netwright.report.draw.compared import spread_words
from netwright.report.metrics import metric_named
from netwright.runs.folder import RunFolder
from netwright.runs.marks import FINISHED
from netwright.runs.series import begun_runs, ensemble_metrics, read_plan


def write_series(root: Path, output: Path | None = None) -> Path:
    """Writes the report of a series of runs, and its numbers as CSV. Returns the path of the report.

    Args:
        root: of the series.
        output: the file, or a folder for ``report.html``; None: the folder of the series.

    Raises:
        RunError: no run has been tested yet, or one cannot be read.
        StorageError: it cannot be written, or another file would be lost.
    """
    compared = compare_runs(begun_runs(root, read_plan(root)))
    name = RunFolder(root).report.name
    path = root if output is None else output
    return write_compared(
        compared, path / name if path.is_dir() else path, tuple(ensemble_words(root, compared))
    )


def ensemble_words(root: Path, compared: ComparedRuns) -> Iterator[str]:
    """How good the networks of the folds are known to be, in sentences; nothing where they are not used as one.

    Args:
        root: of the series.
        compared: its runs.
    """
    if not (root / FINISHED).exists():  # as after a kill, when the ensemble may be there, but not its test
        return
    metric, first, tested = compared.metric, compared.rows[0], ensemble_metrics(root)
    if tested is None:
        score = first.over_cases
        interval, folds = metric.interval(score.low, score.high), len(first.runs)
        yield (
            f"Out of fold, {first.title} reaches {metric.value(score.mean)} {metric.name}"
            + (f" (95 % interval {interval})" if interval else "")
            + f": each of {metric.count(first.cases)} was tested by a network that had not seen it."
        )
        yield (
            f"The interval is over the {metric.cases}. It does not hold that other training {metric.cases} or "
            f"a second search would give other networks: the means of the {folds} folds are "
            f"{spread_words(first.score, metric.value)} (standard deviation)."
        )
        yield "The networks of all folds, used as one, have seen every case, so they are not tested together."
        return
    name, value = next(iter(tested.items()))
    metric = metric_named(name)
    yield f"The networks of all folds, used as one, reach {metric.value(value)} {metric.name} on the test cases."
    yield "Other scores are those of each fold's network on the same cases."
