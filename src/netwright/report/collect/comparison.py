"""The final comparison of a run, and its verdict in sentences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from netwright.means import mean_known
from netwright.report.collect.facts import notes_of
from netwright.report.metrics import Metric, metric_named, reward_words
from netwright.report.results import Contestant, SeedTraining
from netwright.report.sentences import verdict_sentences
from netwright.report.summaries import Comparison
from netwright.runs.drawings import space_to_show, study_to_show
from netwright.runs.folder import RunFolder
from netwright.runs.results import read_results, training_name, trainings_of, used_training
from netwright.runs.status import read_curves
from netwright.runs.trials import best_of, load_trials, record_of
from netwright.settings import RunSettings
from netwright.spaces.base import Space
from netwright.tasks import task_of_metric
from netwright.training.outcome import Outcome


def comparison_of(
    folder: RunFolder,
    settings: RunSettings,
    space: Space,
    columns: tuple[str, ...],
    metric: str,
    *,
    of_regions: bool = False,
) -> Comparison:
    """The comparison so far.

    Args:
        folder: of the run.
        settings: of the run.
        space: that the run searches.
        columns: what each case has scores for.
        metric: of the task.
        of_regions: whether these columns are regions of a segmentation.
    """
    contestants = tuple(contestant_of(folder, settings, result, space) for result in read_results(folder))
    return Comparison(
        contestants,
        columns,
        metric_named(metric),
        settings.training.batch_size,
        of_regions,
        trained_anew=settings.race is None,
    )


def verdict_of(folder: RunFolder, settings: RunSettings) -> tuple[str, ...]:
    """The verdict of the final comparison in sentences; before there is one, the result of the search."""
    results = read_results(folder)
    records = [record_of(t) for t in load_trials(folder)]
    space = space_to_show(folder, settings, records)
    notes = notes_of(study_to_show(folder, settings, space), len(records))
    if results:
        metric = metric_compared(settings)
        contestants = [contestant_of(folder, settings, result, space) for result in results]
        told = verdict_sentences(contestants, columns_of(results), metric.name)
        return (*told, *notes)
    best = best_of(records)
    if best is None or best.reward is None:
        return ("No candidate has been trained.",)
    objective = settings.objective
    score = None if best.outcome is None else best.outcome.metrics.get(str(objective.metric))
    reached = reward_words(best.reward, str(objective.metric), score, plain=objective.plain)
    title = f"Best of the search: trial {best.number}"
    if settings.supernet is not None:
        title, reached = "The most likely network", f"{reached} with the shared weights"
        if score is None and best.reason:
            return (f"{title}, {space.describe(best.choice)}, {best.reason}.", *notes)
    seen = settings.supernet is not None and settings.supernet.on_all
    where = "on validation" + ", on which it was searched, too" * seen
    return (f"{title}, {space.describe(best.choice)}, {reached} {where}.", *notes)


def columns_of(results: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    """What the cases of the results have scores for: labels, classes, or metrics of pictures."""
    return tuple(dict.fromkeys(label for r in results for case in r["scores"].values() for label in case))


def metric_compared(settings: RunSettings) -> Metric:
    """The metric of a case's scores: the task's, or that of the objective where each case has a score of that name."""
    name = (settings.objective.metric or "dice").partition(".")[0]
    asked = metric_named(name)
    return asked if asked.column else metric_named(task_of_metric(name).metric)


def contestant_of(
    folder: RunFolder, settings: RunSettings, first: Mapping[str, Any], space: Space
) -> Contestant:
    """A network of the final comparison, with all of its trainings.

    Args:
        folder: of the run.
        settings: of the run.
        first: the result of its first training as it is stored, with scores on test cases.
        space: that the run searches.
    """
    groups = folder.splits().groups
    results = trainings_of(folder, first)
    used = used_training(results, settings)
    result = dict(results)[used]
    own = folder.contestant(training_name(first["name"], used))
    trainings = _trainings(results, used, settings) if len(results) > 1 else ()
    scores = mean_scores([training.scores for training in trainings]) if trainings else result["scores"]
    outcome = Outcome.from_dict(result["outcome"])
    return Contestant(
        name=first["name"],
        title=result["title"],
        role=result.get("role"),
        size_mb=outcome.cost.size_mb,
        training_batch_ms=_milliseconds(outcome.cost.seconds_per_batch),
        inference_batch_ms=outcome.cost.inference_ms_per_batch,
        flops=outcome.cost.flops,
        description=_description(result, space),
        status=outcome.status,
        reason=outcome.reason,
        parameters=outcome.cost.parameters,
        train_seconds=outcome.seconds,
        epochs=outcome.epochs,
        inference_ms=outcome.cost.inference_ms,
        scores=scores,
        details=result,
        folder=own,
        curves=read_curves(own)[1],
        groups={case: groups[case] for case in scores if case in groups},
        trainings=trainings,
    )


def _trainings(
    results: Sequence[tuple[int, Mapping[str, Any]]], used: int, settings: RunSettings
) -> tuple[SeedTraining, ...]:
    metric = str(settings.objective.metric)
    judged = settings.train.cases == "training"
    return tuple(
        SeedTraining(
            seed,
            result["outcome"]["status"],
            result["outcome"]["metrics"].get(metric) if judged else None,
            result["scores"],
            used=seed == used,
        )
        for seed, result in results
    )


def mean_scores(trainings: Sequence[Mapping[str, Mapping[str, float]]]) -> dict[str, dict[str, float]]:
    """The scores of each case, each the mean over the trainings that have it.

    >>> mean_scores([{"a": {"dice": 0.5}}, {"a": {"dice": 0.75}}, {}])
    {'a': {'dice': 0.625}}
    """
    found: dict[str, dict[str, list[float]]] = {}
    for scores in trainings:
        for case, row in scores.items():
            for name, score in row.items():
                found.setdefault(case, {}).setdefault(name, []).append(score)
    return {case: {name: mean_known(values) for name, values in row.items()} for case, row in found.items()}


def _milliseconds(seconds: float | None) -> float | None:
    return None if seconds is None else 1e3 * seconds


def _description(result: Mapping[str, Any], space: Space) -> str:
    from netwright.spaces.references import REFERENCES

    if result["reference"] is None:
        return str(result.get("words") or space.describe(result["choice"]))
    return REFERENCES[result["reference"]].description
