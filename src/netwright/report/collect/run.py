"""From a run folder to the content of its report."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import optuna

from netwright.comparison.retrain import ON_ALL
from netwright.data.splits import Splits
from netwright.errors import StorageError
from netwright.execution.resources import available_cores
from netwright.files import read_json, write_json, write_text
from netwright.report import formatting
from netwright.report.collect.one_shot import probability_path, shared_facts
from netwright.report.collect.predictions import confusion, mistakes, overlays, restorations
from netwright.report.collect.strategy import (
    agent_tables,
    layer_choices,
    network_table,
    policy_path,
    policy_rounds,
)
from netwright.report.content import Contestant, ReportContent, TrialRow
from netwright.report.metrics import metric_named, reward_words
from netwright.runs.data import Material
from netwright.runs.drawings import WITHOUT_DRAWINGS, lacks_drawings, shown_space, shown_study
from netwright.runs.folder import RunFolder
from netwright.runs.results import read_results
from netwright.runs.status import read_curves
from netwright.runs.trials import ENDED, TrialRecord, best_of, load_trials, path_of, record_of
from netwright.runs.versions import RESUMED, version_facts
from netwright.searches.components import problem_of
from netwright.settings import RunSettings
from netwright.spaces.base import Space
from netwright.tasks import TASKS
from netwright.tasks.segmentation.metrics.surface_distance import HAUSDORFF
from netwright.tasks.segmentation.postprocessing import read_fitted
from netwright.training.outcome import Outcome

POLICY = "policy.json"
GENERATOR = b'<meta name="generator" content="netwright">'
POLICY_START = b'"rounds": ['
WHOLE = "; the networks of the comparison are trained on validation cases, too, and their curves there are no test"


def write_report(
    folder: RunFolder, settings: RunSettings, material: Material, output: Path | None = None
) -> Path:
    """Write the report of what the run has so far, and ``policy.json`` beside it where a policy was moved.

    ``output``: the file, or the folder for ``report.html`` (a name without an ending is a folder); by default the
    run's own.

    Returns:
        The report's path.

    Raises:
        StorageError: it cannot be written, or another file would be lost.
    """
    from netwright.report.render import render_report

    path = _place(folder, output)
    study = shown_study(folder, settings, _space(folder, settings))
    rounds = [] if study is None else policy_rounds(study)
    if rounds and output is not None:
        _require_own(path.with_name(POLICY))
    write_text(path, render_report(report_content(folder, settings, material, study)))
    if rounds:
        write_json(path.with_name(POLICY), {"rounds": rounds})
    return path


def _space(folder: RunFolder, settings: RunSettings) -> Space:
    return shown_space(folder, settings, [record_of(t) for t in load_trials(folder)])


def _place(folder: RunFolder, output: Path | None) -> Path:
    """Where the report goes; the folder of an ``output`` is made where it is not there.

    Raises:
        StorageError: that cannot be written, or is something else than a report.
    """
    path, advice = folder.report, "Name another place with -o."
    if output is not None:
        path = output / path.name if output.is_dir() or not output.suffix else output
        advice = "Name a file in a folder that can be written."
        if path.suffix.lower() not in (".html", ".htm"):
            raise StorageError(
                f"{path} is no name of a report: expected one that ends in .html, or a folder. Name another with -o."
            )
        _require_own(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(f"{path} cannot be written ({error.strerror or error}). {advice}") from None
    if not os.access(path.parent, os.W_OK):
        raise StorageError(f"{path} cannot be written, as {path.parent} is not writable. {advice}")
    return path


def _require_own(path: Path) -> None:
    """Refuse a file that neither is a report nor lies beside one, so that none of the user's is lost.

    Raises:
        StorageError: it is there, and begins otherwise than what is written here.
    """
    if not os.path.lexists(path):
        return
    own = GENERATOR if path.name != POLICY else POLICY_START
    try:
        with path.open("rb") as file:
            found = own in file.read(1000)
    except OSError:
        found = False
    if not found:
        raise StorageError(
            f"{path} is there already and is no report of netwright: it is kept. Name another place with -o."
        )


def report_content(
    folder: RunFolder, settings: RunSettings, material: Material, study: optuna.Study | None
) -> ReportContent:
    """Everything that the report shows. ``study``: the run's own, None where it has no trial yet."""
    records = [] if study is None else [record_of(t) for t in study.get_trials(deepcopy=False)]
    space = shown_space(folder, settings, records)
    best = best_of(records)
    results = read_results(folder)
    task = problem_of(settings, material.prepared).task
    return ReportContent(
        title=f"{settings.recipe} on {material.dataset.name}",
        run_name=folder.root.name,
        recipe=settings.recipe,
        facts=_facts(folder, settings, material, records, space),
        labels=TASKS[material.prepared.task].score_names(material.prepared),
        trials=_rows(records, space),
        best_trial=None if best is None else best.number,
        best_curves={} if best is None else read_curves(path_of(folder, best))[1],
        diagrams=() if best is None else space.diagrams(best.choice, task),
        contestants=tuple(_contestant(folder, result, space) for result in results),
        overlays=overlays(folder, results, material),
        restorations=restorations(folder, results, material, settings.inpainting),
        settings=settings.to_yaml(),
        commands=_commands(folder, settings),
        reward_name=_reward_name(settings),
        notes=(*_notes(study, len(records)), *((WITHOUT_DRAWINGS,) if lacks_drawings(space) else ())),
        metric=metric_named(task.metric).name,
        penalty=_penalty(settings),
        agent_tables=() if study is None else agent_tables(study, best),
        agent_values=_agent_values(settings),
        layer_choices=layer_choices(space, records),
        policy=None if study is None else policy_path(study),
        shared=probability_path(folder, settings, best),
        network_table=network_table(space, best, task.classes),
        batch_size=settings.training.batch_size,
        confusion=confusion(folder, material),
        mistakes=mistakes(folder, material),
    )


def _reward_name(settings: RunSettings) -> str:
    """Short, for axes; what a reward is made of is among the facts."""
    if not settings.objective.plain:
        return "reward"
    weights = "" if settings.supernet is None else " with the shared weights"
    return f"validation {metric_named(settings.objective.words()).name}{weights}"


def _notes(study: optuna.Study | None, trials: int) -> tuple[str, ...]:
    """Why the search ended before its budget, where it did."""
    ended = None if study is None else study.user_attrs.get(ENDED)
    return () if ended is None else (f"The search ended after {trials} trials: {ended}.",)


def _penalty(settings: RunSettings) -> float | None:
    """What published agents are told of a candidate without a reward."""
    options = settings.strategy.options
    if settings.strategy.name != "q-learning" or options.get("variant") != "published":
        return None
    return float(options.get("penalty", -1.0))


def _agent_values(settings: RunSettings) -> str:
    published = settings.strategy.options.get("variant") == "published"
    return "Q-value" if published else "mean rank of the reward, 0 to 1"


def verdict_of(folder: RunFolder, settings: RunSettings) -> tuple[str, ...]:
    """What came of the final comparison, in sentences; what the search found where there was none."""
    from netwright.report.sentences import verdict_sentences

    results = read_results(folder)
    records = [record_of(t) for t in load_trials(folder)]
    space = shown_space(folder, settings, records)
    notes = _notes(shown_study(folder, settings, space), len(records))
    if results:
        labels = tuple(
            dict.fromkeys(label for r in results for case in r["scores"].values() for label in case)
        )
        metric = metric_named((settings.objective.metric or "dice").partition(".")[0])
        told = verdict_sentences([_contestant(folder, r, space) for r in results], labels, metric.name)
        return (*told, *notes)
    best = best_of(records)
    if best is None or best.reward is None:
        return ("No candidate has been trained.",)
    objective = settings.objective
    score = None if best.outcome is None else best.outcome.metrics.get(str(objective.metric))
    reached = reward_words(best.reward, str(objective.metric), score, plain=objective.plain)
    found = f"Best of the search: trial {best.number}"
    if settings.supernet is not None:
        found, reached = "The likeliest network", f"{reached} with the shared weights"
        if score is None and best.reason:
            return (f"{found}, {space.describe(best.choice)}, {best.reason}.", *notes)
    return (
        f"{found}, {space.describe(best.choice)}, {reached} on validation.",
        *notes,
    )


def _facts(
    folder: RunFolder,
    settings: RunSettings,
    material: Material,
    records: Sequence[TrialRecord],
    space: Space,
) -> tuple[tuple[str, str], ...]:
    splits, machine = folder.splits(), settings.machine
    return (
        *TASKS[material.prepared.task].data_facts(material.dataset, material.prepared, settings),
        (
            "parts",
            f"{len(splits.training)} training, {len(splits.validation)} validation, {len(splits.test)} test"
            + (f", of {_patients(splits)} patients, none of them divided" if splits.groups else "")
            + (WHOLE if settings.train.on == ON_ALL else ""),
        ),
        ("search space", f"{settings.space.name}, {_choices(space)}"),
        ("strategy", settings.strategy.name),
        *(_trial_facts(settings, len(records)) if settings.supernet is None else shared_facts(settings)),
        (
            "machine",
            f"{platform.machine()}, {formatting.counted(available_cores(), 'core')}; "
            f"{formatting.counted(machine.workers, 'worker')} of {formatting.counted(machine.threads, 'thread')}",
        ),
        ("seed", str(settings.seed)),
        *version_facts(folder.settings_file, _resumptions(folder)),
    )


def _resumptions(folder: RunFolder) -> Any:
    file = folder.root / RESUMED
    return read_json(file) if file.exists() else []


def _trial_facts(settings: RunSettings, trials: int) -> tuple[tuple[str, str], ...]:
    training = settings.training
    length = f"{training.epochs} epochs" if training.steps is None else f"{training.steps:,} steps"
    if training.seconds is not None:
        length = f"as many epochs as fit into {training.seconds:.0f} s, at most {length}"
    counting = " (only networks not met before are counted)" if settings.budget.count == "distinct" else ""
    budget = [f"{settings.budget.trials} trials{counting}"] if settings.budget.trials else []
    budget += [f"{settings.budget.hours:g} h"] if settings.budget.hours else []
    return (
        ("reward", settings.objective.words()),
        ("budget", " or ".join(budget) or "none"),
        (
            "each candidate",
            f"{length}, {training.optimizer} {training.learning_rate:g}, batches of {training.batch_size}",
        ),
        ("trials", str(trials)),
    )


def _patients(splits: Splits) -> int:
    cases = (*splits.training, *splits.validation, *splits.test)
    return len({splits.groups.get(case, case) for case in cases})


def _choices(space: Space) -> str:
    count = getattr(space, "count_choices", None)
    dimensions = f"{len(space.distributions())} dimensions"
    return dimensions if count is None else f"{dimensions}, {count():,} choices"


def _rows(records: Sequence[TrialRecord], space: Space) -> tuple[TrialRow, ...]:
    began = min((r.started for r in records if r.started is not None), default=0.0)
    rows = []
    for record in records:
        outcome = record.outcome
        rows.append(
            TrialRow(
                number=record.number,
                status=record.status,
                reason=record.reason,
                choice=record.words or space.describe(record.choice) if record.choice else "",
                reward=record.reward,
                parameters=outcome.cost.parameters if outcome else None,
                epochs=outcome.epochs if outcome else 0,
                planned_epochs=outcome.planned_epochs if outcome else 0,
                seconds=0.0 if outcome is None or record.cached_from is not None else outcome.seconds,
                finished_at=None if record.finished is None else record.finished - began,
                cached_from=record.cached_from,
                phase=record.phase,
            )
        )
    return tuple(rows)


def _contestant(folder: RunFolder, result: Mapping[str, Any], space: Space) -> Contestant:
    groups = folder.splits().groups
    outcome = Outcome.from_dict(result["outcome"])
    return Contestant(
        name=result["name"],
        title=result["title"],
        role=result.get("role"),
        size_mb=outcome.cost.size_mb,
        training_batch_ms=_milliseconds(outcome.cost.seconds_per_batch),
        inference_batch_ms=outcome.cost.inference_ms_per_batch,
        description=_description(result, space),
        status=outcome.status,
        reason=outcome.reason,
        parameters=outcome.cost.parameters,
        train_seconds=outcome.seconds,
        epochs=outcome.epochs,
        inference_ms=outcome.cost.inference_ms,
        scores=result["scores"],
        distances=result.get(HAUSDORFF, {}),
        scores_without_crf=result.get("scores_without_crf", {}),
        scores_with_unkept_crf=result.get("scores_with_unkept_crf", {}),
        crf=read_fitted(folder.contestant(result["name"])),
        curves=read_curves(folder.contestant(result["name"]))[1],
        groups={case: groups[case] for case in result["scores"] if case in groups},
    )


def _milliseconds(seconds: float | None) -> float | None:
    return None if seconds is None else 1e3 * seconds


def _description(result: Mapping[str, Any], space: Space) -> str:
    from netwright.spaces.references import REFERENCES

    if result["reference"] is None:
        return str(result.get("words") or space.describe(result["choice"]))
    return REFERENCES[result["reference"]].description


def _commands(folder: RunFolder, settings: RunSettings) -> tuple[tuple[str, str], ...]:
    root = folder.root
    trials = (("look at the trials", f"netwright dashboard {root}"),) if settings.supernet is None else ()
    return (
        (
            "repeat this run",
            f"netwright search {settings.dataset.path} --settings {root}/run.yaml -o NEW_FOLDER",
        ),
        ("use the network", f"netwright predict {root} IMAGES -o LABELS"),
        ("test it on other cases", f"netwright evaluate {root} DATASET"),
        *trials,
    )
