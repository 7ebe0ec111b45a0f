"""Shows a trial's network on validation cases, as the report shows the searched network on test cases."""

from __future__ import annotations

from pathlib import Path

from netwright.comparison.finish import keep_network
from netwright.models.store import load_trained
from netwright.report.metrics import metric_named
from netwright.report.results import Contestant
from netwright.report.run import ReportedRun
from netwright.report.sections import Section
from netwright.report.summaries import SEARCHED, Comparison
from netwright.runs.data import RunData
from netwright.runs.folder import RunFolder
from netwright.runs.trials import TrialRecord, path_of
from netwright.settings import RunSettings
from netwright.tasks import TASKS
from netwright.training.device import threads


def validation_sections(
    folder: RunFolder, settings: RunSettings, data: RunData, record: TrialRecord, work: Path, most: int
) -> tuple[Section, ...]:
    """The sections of the task's report for a trial's network on validation cases, made with one thread.

    Args:
        folder: of the run.
        settings: of the run.
        data: of the run.
        record: of the trial, whose weights are in its folder.
        work: an empty folder for the network and its predictions.
        most: the number of pictures; a volume is shown alone.

    Raises:
        NetwrightError: weights or data cannot be read.
    """
    prepared, task = data.prepared, TASKS[data.prepared.task]
    names = folder.splits().validation
    names = names[: 1 if data.dataset.kind == "volumes" else most]
    cases = task.test_cases(data.dataset, prepared, names)
    keep_network(path_of(folder, record), work, settings, prepared, record.choice)
    predictions = work / "predictions"
    with threads(1):
        results = load_trained(work, settings, "cpu").results(cases, predictions)
    shown = Contestant(
        name=SEARCHED,
        title=f"trial {record.number}",
        description=record.words,
        status=record.status,
        reason=record.reason,
        parameters=None,
        train_seconds=0.0,
        epochs=0,
        inference_ms=None,
        scores=results["scores"],
        folder=work,
    )
    comparison = Comparison((shown,), task.score_names(prepared), metric_named(task.metric))
    return task.report_sections(ReportedRun(settings, comparison, predictions, prepared, cases))
