"""From a run folder to the content of its report."""

from __future__ import annotations

import math
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from netwright.data.volumes import read_image, read_label
from netwright.evaluation.outcome import Outcome
from netwright.report.content import Contestant, OverlayCase, ReportContent, TrialRow
from netwright.settings import RunSettings
from netwright.study.folder import RunFolder, write_text
from netwright.study.machine import available_cores
from netwright.study.material import Material
from netwright.study.parts import make_space, problem_of
from netwright.study.records import TrialRecord, best_of, load_trials, path_of, record_of
from netwright.study.segmenter import LabelledCase
from netwright.study.status import read_curves
from netwright.study.verdict import read_results

ROLES = ("worst", "median", "best")


def write_report(folder: RunFolder, settings: RunSettings, material: Material) -> Path:
    """Write ``report.html`` from what the run has so far. Returns its path."""
    from netwright.report.render import render_report

    write_text(folder.report, render_report(report_content(folder, settings, material)))
    return folder.report


def report_content(folder: RunFolder, settings: RunSettings, material: Material) -> ReportContent:
    """Everything that the report shows."""
    records = [record_of(t) for t in load_trials(folder)]
    space = make_space(settings.space)
    best = best_of(records)
    results = read_results(folder)
    return ReportContent(
        title=f"{settings.recipe} on {material.dataset.name}",
        run_name=folder.root.name,
        recipe=settings.recipe,
        facts=_facts(folder, settings, material, records),
        labels=material.prepared.label_names,
        trials=_rows(records, space.describe),
        best_trial=None if best is None else best.number,
        best_curves={} if best is None else read_curves(path_of(folder, best))[1],
        diagrams=()
        if best is None
        else space.diagrams(best.choice, problem_of(settings, material.prepared).task),
        contestants=tuple(_contestant(folder, result, space.describe) for result in results),
        overlays=_overlays(folder, results, material),
        settings=settings.to_yaml(),
        commands=_commands(folder, settings),
        reward_name=_reward_name(settings),
    )


def _reward_name(settings: RunSettings) -> str:
    words = settings.objective.words()
    return f"validation {words.capitalize()}" if settings.objective.plain else f"reward: {words}"


def verdict_of(folder: RunFolder, settings: RunSettings) -> tuple[str, ...]:
    """What came of the final comparison, in sentences; what the search found where there was none."""
    from netwright.report.verdict import verdict_sentences

    space = make_space(settings.space)
    results = read_results(folder)
    if results:
        labels = tuple(next((list(case) for r in results for case in r["scores"].values()), []))
        return verdict_sentences([_contestant(folder, r, space.describe) for r in results], labels)
    best = best_of([record_of(t) for t in load_trials(folder)])
    if best is None or best.reward is None:
        return ("No candidate has been trained.",)
    return (
        f"Best of the search: trial {best.number}, {space.describe(best.choice)}, {best.reward:.3f} on validation.",
    )


def _facts(
    folder: RunFolder, settings: RunSettings, material: Material, records: Sequence[TrialRecord]
) -> tuple[tuple[str, str], ...]:
    dataset, prepared, splits = material.dataset, material.prepared, folder.splits()
    spacing = " x ".join(f"{s:.3g}" for s in prepared.spacing)
    size = " x ".join(map(str, prepared.size))
    training, machine = settings.training, settings.machine
    length = (
        f"{training.epochs} epochs"
        if training.seconds is None
        else f"as many epochs as fit into {training.seconds:.0f} s, at most {training.epochs}"
    )
    counting = " (only networks not met before are counted)" if settings.budget.count == "distinct" else ""
    budget = [f"{settings.budget.trials} trials{counting}"] if settings.budget.trials else []
    budget += [f"{settings.budget.hours:g} h"] if settings.budget.hours else []
    return (
        ("dataset", f"{dataset.name}, {len(dataset.cases)} cases, channels {', '.join(dataset.channels)}"),
        ("labels", ", ".join(f"{value} {name}" for value, name in dataset.labels.items())),
        (
            "parts",
            f"{len(splits.training)} training, {len(splits.validation)} validation, {len(splits.test)} test",
        ),
        ("network input", f"{size} voxels of {spacing} mm"),
        ("search space", f"{settings.space.name}, {_choices(settings)}"),
        ("strategy", settings.strategy.name),
        ("budget", " or ".join(budget) or "none"),
        (
            "each candidate",
            f"{length}, {training.optimizer} {training.learning_rate:g}, batches of {training.batch_size}",
        ),
        (
            "machine",
            f"{platform.machine()}, {available_cores()} cores; {machine.workers} workers of {machine.threads} threads",
        ),
        ("seed", str(settings.seed)),
        ("trials", str(len(records))),
    )


def _choices(settings: RunSettings) -> str:
    space = make_space(settings.space)
    count = getattr(space, "count_choices", None)
    dimensions = f"{len(space.distributions())} dimensions"
    return dimensions if count is None else f"{dimensions}, {count():,} choices"


def _rows(records: Sequence[TrialRecord], describe: Any) -> tuple[TrialRow, ...]:
    began = min((r.started for r in records if r.started is not None), default=0.0)
    rows = []
    for record in records:
        outcome = record.outcome
        rows.append(
            TrialRow(
                number=record.number,
                status=record.status,
                reason=record.reason,
                choice=describe(record.choice) if record.choice else "",
                reward=record.reward,
                parameters=outcome.cost.parameters if outcome else None,
                epochs=outcome.epochs if outcome else 0,
                planned_epochs=outcome.planned_epochs if outcome else 0,
                seconds=0.0 if outcome is None or record.cached_from is not None else outcome.seconds,
                finished_at=None if record.finished is None else record.finished - began,
                cached_from=record.cached_from,
            )
        )
    return tuple(rows)


def _contestant(folder: RunFolder, result: Mapping[str, Any], describe: Any) -> Contestant:
    outcome = Outcome.from_dict(result["outcome"])
    return Contestant(
        name=result["name"],
        title=result["title"],
        description=_description(result, describe),
        status=outcome.status,
        reason=outcome.reason,
        parameters=outcome.cost.parameters,
        train_seconds=outcome.seconds,
        epochs=outcome.epochs,
        inference_ms=outcome.cost.inference_ms,
        scores=result["scores"],
        curves=read_curves(folder.contestant(result["name"]))[1],
    )


def _description(result: Mapping[str, Any], describe: Any) -> str:
    from netwright.spaces.references import REFERENCES

    if result["reference"] is None:
        return str(describe(result["choice"]))
    return REFERENCES[result["reference"]].description


def _overlays(
    folder: RunFolder, results: Sequence[Mapping[str, Any]], material: Material
) -> tuple[OverlayCase, ...]:
    """The winner's worst, median and best test case."""
    winner = next((r for r in results if r["name"] == "searched" and r["scores"]), None)
    if winner is None:
        return ()
    means = {case: float(np.nanmean(list(dice.values()))) for case, dice in winner["scores"].items()}
    ranked = sorted((case for case in means if not math.isnan(means[case])), key=lambda case: means[case])
    picks = dict(zip(ROLES, (ranked[0], ranked[(len(ranked) - 1) // 2], ranked[-1]), strict=True))
    cases = {case.name: case for case in material.test}
    overlays: dict[str, OverlayCase] = {}
    for role, name in picks.items():
        prediction = folder.winner / "predictions" / f"{name}.nii.gz"
        overlays.setdefault(
            name, _overlay(role, cases[name], means[name], prediction, material.dataset.label_values)
        )
    return tuple(overlays.values())


def _overlay(
    role: str, case: LabelledCase, dice: float, prediction: Path, values: Sequence[int]
) -> OverlayCase:
    image = read_image(case.images)
    found = read_label(prediction, image.grid)
    return OverlayCase(
        role=role,
        name=case.name,
        dice=dice,
        image=image.array[0],
        truth=case.classes(image.grid, values),
        prediction=np.searchsorted(np.asarray(values), found).astype(np.uint8),
        spacing=image.spacing,
    )


def _commands(folder: RunFolder, settings: RunSettings) -> tuple[tuple[str, str], ...]:
    root = folder.root
    return (
        (
            "repeat this run",
            f"netwright search {settings.dataset.path} --settings {root}/run.yaml -o NEW_FOLDER",
        ),
        ("use the network", f"netwright predict {root} IMAGES -o LABELS"),
        ("test it on other cases", f"netwright evaluate {root} DATASET"),
        ("look at the trials", f"netwright dashboard {root}"),
    )
