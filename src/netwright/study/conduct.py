"""A run from beginning to end: search, final comparison, report. Each part goes on from wherever it stands."""

from __future__ import annotations

import time
from collections.abc import Callable

import optuna

from netwright.errors import RunError
from netwright.settings import RunSettings
from netwright.study.clock import SPENT
from netwright.study.executor import LocalExecutor
from netwright.study.folder import RunFolder, write_json
from netwright.study.machine import process_limit_mb
from netwright.study.material import Material, open_material
from netwright.study.parts import make_sampler, make_space
from netwright.study.records import STUDY_NAME, best_of, count_statuses, open_storage, record_of
from netwright.study.search import Search
from netwright.study.status import COMPARING, FINISHED, RunStatus, read_status, status_of
from netwright.study.verdict import Verdict, entries

OnStatus = Callable[[RunStatus], None]


def conduct(folder: RunFolder, on_status: OnStatus | None = None) -> None:
    """Take the run to its end. Ctrl-C and kills lose nothing that was finished; call it again to go on.

    Raises:
        RunError: another process holds the run, the run is damaged, or no candidate could be trained.
        KeyboardInterrupt: the user ended it; workers are gone, everything finished is stored.
    """
    from netwright.study.reporting import write_report

    with folder.locked():
        settings = folder.settings()
        material = open_material(folder, settings)
        search(folder, settings, material, on_status)
        if comparison_hours(folder, settings) > 0:
            compare(folder, settings, material, on_status)
        write_report(folder, settings, material)
        write_json(folder.root / FINISHED, {"finished": time.time()})
    if on_status is not None:
        on_status(read_status(folder))


def open_study(folder: RunFolder, settings: RunSettings) -> optuna.Study:
    """The run's Optuna study, made where there is none, with the run's sampler."""
    space = make_space(settings.space)
    return optuna.create_study(
        storage=open_storage(folder),
        study_name=STUDY_NAME,
        sampler=make_sampler(settings, space),
        direction="maximize",
        load_if_exists=True,
    )


def search(folder: RunFolder, settings: RunSettings, material: Material, on_status: OnStatus | None) -> None:
    """The search part of `conduct`: until its budget is spent.

    Raises:
        RunError: it is spent, and no candidate has a reward.
    """
    study = open_study(folder, settings)
    space = make_space(settings.space)
    machine = settings.machine
    limit = process_limit_mb(settings.training.device, machine.memory_limit_mb)
    executor = LocalExecutor(machine.workers, machine.threads, limit)

    def tick() -> None:
        if on_status is not None:
            records = [record_of(t) for t in study.get_trials(deepcopy=False)]
            on_status(status_of(folder, settings, records, seconds=work.seconds_spent))

    work = Search(folder, settings, material.data, study, space, executor)
    try:
        work.run(tick)
        tick()
    finally:
        executor.shutdown()
    records = [record_of(t) for t in study.get_trials(deepcopy=False)]
    if best_of(records) is None:
        reasons = {r.reason for r in records if r.reason}
        counts = {k: v for k, v in count_statuses(records).items() if v and k not in ("total", "cached")}
        raise RunError(
            f"No candidate of {folder.root} could be trained ("
            + ", ".join(f"{v} {k}" for k, v in counts.items())
            + f"). {'The first reasons: ' + '; '.join(sorted(reasons)[:3]) + '.' if reasons else ''} Give the search "
            "more time, a smaller space (--set space...), or see the logs in "
            f"{folder.root / 'trials'}."
        )


def comparison_hours(folder: RunFolder, settings: RunSettings) -> float:
    """Wall time of the final comparison in hours; by default half of what the search took."""
    if settings.verdict.hours is not None:
        return settings.verdict.hours
    if settings.budget.hours is not None:
        return settings.budget.hours / 2
    study = open_study(folder, settings)
    return float(study.user_attrs.get(SPENT, 0.0)) / 3600.0 / 2


def compare(folder: RunFolder, settings: RunSettings, material: Material, on_status: OnStatus | None) -> None:
    """The final comparison: the only part that opens the test cases."""
    records = [record_of(t) for t in open_study(folder, settings).get_trials(deepcopy=False)]
    best = best_of(records)
    if best is None:
        raise RunError(f"{folder.root} has no trained candidate to compare.")
    hours = comparison_hours(folder, settings)
    who = entries(settings, make_space(settings.space), material.data, best.choice)
    write_json(
        folder.root / COMPARING,
        {"trial": best.number, "entries": [e.name for e in who], "share_seconds": hours * 3600.0 / len(who)},
    )
    machine = settings.machine
    executor = LocalExecutor(1, machine.threads * machine.workers)

    def tick() -> None:
        if on_status is not None:
            on_status(status_of(folder, settings, records))

    values = material.dataset.label_values
    try:
        Verdict(folder, settings, material.data, values, material.test, hours).run(who, executor, tick)
        tick()
    finally:
        executor.shutdown()
