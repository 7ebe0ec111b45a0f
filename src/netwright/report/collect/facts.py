"""What was searched and how, as rows of a table and notes."""

from __future__ import annotations

import platform
from collections import Counter
from collections.abc import Sequence
from typing import Any

import optuna

from netwright.comparison.retrain import ON_ALL
from netwright.data.splits import Splits
from netwright.execution.resources import available_cores
from netwright.files import read_json
from netwright.report import formatting
from netwright.report.collect.one_shot import one_shot_facts
from netwright.runs.cost import GPU, RunCost, read_cost
from netwright.runs.data import RunData
from netwright.runs.folder import RunFolder
from netwright.runs.left_out import LEFT_OUT
from netwright.runs.trials import ENDED, TrialRecord
from netwright.runs.versions import RESUMED, version_facts
from netwright.settings import RunSettings
from netwright.spaces.base import Space
from netwright.spec import title_of
from netwright.tasks import TASKS

WHOLE = "; the networks of the comparison are also trained on validation cases, so their curves there are not a test"


def facts_of(
    folder: RunFolder,
    settings: RunSettings,
    run_data: RunData,
    records: Sequence[TrialRecord],
    space: Space,
) -> tuple[tuple[str, str], ...]:
    """The rows: data, search, machine, versions.

    Args:
        folder: of the run.
        settings: of the run.
        run_data: its data.
        records: its trials.
        space: that the run searches.
    """
    splits, machine = folder.splits(), settings.machine
    of_space = [record for record in records if record.status != LEFT_OUT]
    # Of a race only what was trained: a proposal that repeats a network is not.
    trials = sum(settings.race is None or record.cached_from is None for record in of_space)
    return (
        *TASKS[run_data.prepared.task].data_facts(run_data.dataset, run_data.prepared, settings),
        (
            "parts",
            f"{len(splits.training)} training, {len(splits.validation)} validation, {len(splits.test)} test"
            + (
                f", of {formatting.counted(_patients(splits), 'patient')}, {_divided(splits)} divided"
                if splits.groups
                else ""
            )
            + (f"; {splits.origin}" if splits.origin else "")
            + (f"; {_left_out(len(splits.left_out))}" if splits.left_out else "")
            + (WHOLE if settings.train.cases == ON_ALL else ""),
        ),
        ("search space", f"{title_of(settings.space)}, {_choices(space)}"),
        ("strategy", title_of(settings.strategy)),
        *_start_facts(settings),
        *(_trial_facts(settings, trials) if settings.supernet is None else one_shot_facts(settings)),
        (
            "machine",
            f"{platform.machine()}, {formatting.counted(available_cores(), 'core')}; "
            f"{formatting.counted(machine.workers, 'worker')} of {formatting.counted(machine.threads, 'thread')}",
        ),
        *cost_facts(read_cost(folder)),
        ("seed", str(settings.seed)),
        *version_facts(folder.settings_file, _resumptions(folder)),
    )


def _start_facts(settings: RunSettings) -> tuple[tuple[str, str], ...]:
    """What the search took over from another run, or from weights; empty where it began anew."""
    start = settings.start_from
    if start is None:
        return ()
    weights = "" if start.digest is None else f"; weights of {start.file}, SHA-256 {start.digest[:16]}"
    return (("started from", f"{start.path}{weights}. {'. '.join(start.told)}"),)


def cost_facts(cost: RunCost) -> tuple[tuple[str, str], ...]:
    """The time that a run took, times its devices, and the energy. Empty for runs of earlier versions."""
    if not cost.sessions:
        return ()
    sessions = f", in {len(cost.sessions)} sessions" if len(cost.sessions) > 1 else ""
    times = [f"{formatting.hours(seconds)} {device} hours" for device, seconds in cost.device_seconds.items()]
    days = cost.device_seconds.get(GPU)
    times += [] if days is None else [formatting.device_time(days, GPU)]
    return (
        ("cost", f"{formatting.duration(cost.seconds)}{sessions}; {', '.join(times)}"),
        ("energy", _energy(cost)),
    )


def _energy(cost: RunCost) -> str:
    if not cost.energy:
        return "this machine does not tell: it has no counter that can be read"
    parts = [f"{part} {formatting.energy(joules)}" for part, joules in cost.energy.items()]
    missing = cost.seconds - cost.seconds_told
    rest = f"; not told for {formatting.duration(missing)} of the time" if missing > 1 else ""
    total = formatting.energy(sum(cost.energy.values()))
    return f"{total}: {', '.join(parts)}; all that these used while the run went on, other programs included{rest}"


def _resumptions(folder: RunFolder) -> Any:
    file = folder.root / RESUMED
    return read_json(file) if file.exists() else []


def _goal(settings: RunSettings) -> tuple[str, str]:
    """What the search goes by."""
    objective = settings.objective
    if not objective.several:
        return "reward", objective.words()
    ways = ("maximised" if sign > 0 else "minimised" for sign in objective.signs)
    return "objectives", ", ".join(f"{name} ({way})" for name, way in zip(objective.names, ways, strict=True))


def _trial_facts(settings: RunSettings, trials: int) -> tuple[tuple[str, str], ...]:
    training = settings.training
    length = (
        formatting.counted(training.epochs, "epoch")
        if training.steps is None
        else f"{training.steps:,} steps"
    )
    if training.seconds is not None:
        length = f"as many epochs as fit into {training.seconds:.0f} s, at most {length}"
    if settings.race is not None:
        return (
            _goal(settings),
            ("budget", f"{settings.budget.hours:g} h for all of it"),
            ("each candidate", f"a training that goes on in parts; who does: {settings.race.rule}"),
            ("parts trained", str(trials)),
        )
    counting = " (only new networks are counted)" if settings.budget.count == "distinct" else ""
    budget = (
        [f"{formatting.counted(settings.budget.trials, 'trial')}{counting}"] if settings.budget.trials else []
    )
    budget += [f"{settings.budget.hours:g} h"] if settings.budget.hours else []
    return (
        _goal(settings),
        ("budget", " or ".join(budget) or "none"),
        (
            "each candidate",
            f"{length}, {training.optimizer} {training.learning_rate:g}, batches of {training.batch_size}",
        ),
        ("trials", str(trials)),
    )


def _left_out(cases: int) -> str:
    return f"{formatting.counted(cases, 'case')} {'is' if cases == 1 else 'are'} left out"


def _patients(splits: Splits) -> int:
    cases = (*splits.training, *splits.validation, *splits.test)
    return len({splits.groups.get(case, case) for case in cases})


def _divided(splits: Splits) -> str:
    """How many patients lie in several parts. None does unless the makers of the dataset put them there."""
    parts = (splits.training, splits.validation, splits.test)
    count = Counter(patient for part in parts for patient in {splits.groups.get(case, case) for case in part})
    divided = sum(of_parts > 1 for of_parts in count.values())
    return f"{divided} of them" if divided else "none of them"


def _choices(space: Space) -> str:
    count = getattr(space, "count_choices", None)
    dimensions = formatting.counted(len(space.distributions()), "dimension")
    return dimensions if count is None else f"{dimensions}, {count():,} choices"


def notes_of(study: optuna.Study | None, trials: int) -> tuple[str, ...]:
    """Why the search ended before its budget, where it did."""
    ended = None if study is None else study.user_attrs.get(ENDED)
    return (
        () if ended is None else (f"The search ended after {formatting.counted(trials, 'trial')}: {ended}.",)
    )
