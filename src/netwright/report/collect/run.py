"""Makes the report of a run folder: asks every part of the package for its sections."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

import optuna

from netwright.files import write_json, write_text
from netwright.report.collect.comparison import comparison_of
from netwright.report.collect.facts import facts_of, notes_of
from netwright.report.collect.front import front_to_show
from netwright.report.collect.one_shot import probability_path
from netwright.report.collect.output import HISTORY, report_path, require_own
from netwright.report.collect.race import final_choice_of, racers_of
from netwright.report.collect.search import (
    best_curves,
    changed_dimensions,
    penalty_of,
    reward_name,
    trial_rows,
)
from netwright.report.collect.space import space_sections
from netwright.report.collect.strategy import strategy_history, strategy_report
from netwright.report.draw.comparison import comparison_sections
from netwright.report.draw.front import front_sections
from netwright.report.draw.one_shot import one_shot_section
from netwright.report.draw.race import FinalChoice, race_sections
from netwright.report.draw.repetition import repetition_section
from netwright.report.draw.search import SearchCourse, search_sections
from netwright.report.draw.strategy import strategy_sections
from netwright.report.run import ReportedRun
from netwright.report.sections import Page, Section, render_page
from netwright.runs.data import RunData
from netwright.runs.drawings import left_out, space_to_show, study_to_show
from netwright.runs.folder import RunFolder
from netwright.runs.only_default import why_only_default
from netwright.runs.results import winner_folder
from netwright.runs.trials import TrialRecord, best_of, load_trials, record_of
from netwright.searches.components import problem_of
from netwright.settings import RunSettings
from netwright.spaces.base import Space
from netwright.tasks import TASKS


def write_report(
    folder: RunFolder, settings: RunSettings, run_data: RunData, output: Path | None = None
) -> Path:
    """Writes the report of everything that the run has so far. If a policy was learned, writes ``policy.json`` beside
    it.

    Args:
        folder: of the run.
        settings: of the run.
        run_data: its data.
        output: the file, or the folder for ``report.html`` (a name without an ending is a folder); by default the run
            folder.

    Returns:
        The report's path.

    Raises:
        StorageError: it cannot be written, or another file would be lost.
    """
    path = report_path(folder, output)
    study = study_to_show(folder, settings, _space(folder, settings))
    rounds = strategy_history(study)
    if rounds and output is not None:
        require_own(path.with_name(HISTORY))
    write_text(path, render_page(report_page(folder, settings, run_data, study)))
    if rounds:
        write_json(path.with_name(HISTORY), {"rounds": rounds})
    return path


def _space(folder: RunFolder, settings: RunSettings) -> Space:
    return space_to_show(folder, settings, [record_of(t) for t in load_trials(folder)])


def report_page(
    folder: RunFolder, settings: RunSettings, run_data: RunData, study: optuna.Study | None
) -> Page:
    """Everything that the report shows.

    Args:
        folder: of the run.
        settings: of the run.
        run_data: its data.
        study: of the run; None where it has no trial yet.
    """
    records = [] if study is None else [record_of(t) for t in study.get_trials(deepcopy=False)]
    space = space_to_show(folder, settings, records)
    best = best_of(records)
    task = TASKS[run_data.prepared.task]
    shown = problem_of(settings, run_data.prepared).task
    columns, regions = task.score_names(run_data.prepared), bool(getattr(shown, "regions", ()))
    comparison = comparison_of(folder, settings, space, columns, task.metric, of_regions=regions)
    predictions = winner_folder(folder) / "predictions"
    run = ReportedRun(settings, comparison, predictions, run_data.prepared, run_data.test)
    path = probability_path(folder, settings, best)
    chosen = final_choice_of(folder)
    used = _used(records, chosen, best)
    search = SearchCourse(
        trials=trial_rows(records, space),
        best_trial=None if best is None else best.number,
        reward_name=reward_name(settings),
        facts=facts_of(folder, settings, run_data, records, space),
        best_curves=best_curves(folder, used),
        penalty=penalty_of(study),
        one_shot=path is not None,
        changes=changed_dimensions(study),
        used_trial=None if used is None else used.number,
    )
    notes = (*notes_of(study, len(records)), *left_out(settings, space))
    sections: tuple[Section, ...] = (
        *comparison_sections(comparison),
        *task.report_sections(run),
        *search_sections(search, comparison),
        *front_sections(front_to_show(folder, settings, records, space)),
        *(() if path is None else (one_shot_section(path),)),
        *race_sections(
            racers_of(folder, settings, records),
            search.reward_name,
            chosen,
            why_only_default(folder, settings),
        ),
        *strategy_sections(strategy_report(study, best, search.reward_name)),
        *space_sections(
            space, records, used, shown, comparison.searched, 1 if chosen is None else len(chosen.members)
        ),
        repetition_section(_commands(folder, settings), settings.to_yaml(), notes),
    )
    title = f"{settings.recipe} on {run_data.dataset.name}"
    return Page(title, f"{settings.recipe} · {folder.root.name}", sections)


def _used(
    records: Sequence[TrialRecord], chosen: FinalChoice | None, best: TrialRecord | None
) -> TrialRecord | None:
    """The trial whose network is used, of several the first; the best one where the search ends with that.

    Args:
        records: of the run.
        chosen: in the end of a race; None: there is no such end, or it has not come yet.
        best: of the trials.
    """
    first = None if chosen is None else chosen.members[0][0]
    return next((record for record in records if str(record.number) == first), best)


def _commands(folder: RunFolder, settings: RunSettings) -> tuple[tuple[str, str], ...]:
    root, data = (shlex.quote(str(path)) for path in (folder.root, settings.dataset.path))
    trials = (("look at the trials", f"netwright dashboard {root}"),) if settings.supernet is None else ()
    return (
        (
            "repeat this run",
            f"netwright search {data} --settings {root}/run.yaml -o NEW_FOLDER",
        ),
        ("use the network", f"netwright predict {root} IMAGES -o LABELS"),
        ("use it without netwright", f"netwright export {root} --format onnx"),
        ("test it on other cases", f"netwright evaluate {root} DATASET"),
        *trials,
    )
