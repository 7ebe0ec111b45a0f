"""The end of a search whose trainings went on: the best network and the default are tested as they are.

Nothing is trained again. The default is the space's starting choice. It ran along from the first second, with as much
time as the search gave it.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from netwright.comparison.contestants import ORIGINAL, SEARCHED, Entry
from netwright.comparison.retrain import ContestantJob, results_of
from netwright.data.base import AnyPrepared
from netwright.data.open import open_prepared_once
from netwright.execution.base import Executor
from netwright.execution.resources import devices
from netwright.execution.run_jobs import Job, run_jobs
from netwright.files import write_json
from netwright.models.store import describe_trained, load_trained
from netwright.runs.candidates import TrainedCandidate
from netwright.runs.data import SearchData
from netwright.runs.folder import RunFolder
from netwright.runs.results import RESULT
from netwright.searches.jobs import CandidateJob
from netwright.searches.multi_fidelity import protocol_of
from netwright.settings import RunSettings
from netwright.spaces.base import Space
from netwright.tasks import TASKS
from netwright.tasks.base import TestCase
from netwright.training.files import CURVES, LOG, WEIGHTS
from netwright.training.outcome import Status
from netwright.training.seeding import derive_seed

DEFAULT = "default"
REPORT_SECONDS = 15.0
"""What the report takes at the end of a run, about."""
TEST_FACTOR = 4.0
"""A test case takes so many times as long as the network alone does in validation: it is read, tested and drawn."""


@dataclass(frozen=True)
class Finalist:
    """A network that is tested, and the candidate that has its weights."""

    entry: Entry
    candidate: TrainedCandidate


def finalists(candidates: Sequence[TrainedCandidate], best: TrainedCandidate) -> tuple[Finalist, ...]:
    """The best candidate, and the default where that is another one and has a score."""
    result = [_finalist(SEARCHED, "the searched network", best)]
    for candidate in candidates:
        if candidate.default and candidate.latest is not None and candidate.number != best.number:
            result.append(_finalist(DEFAULT, "the default", candidate))
    return tuple(result)


def _finalist(name: str, title: str, candidate: TrainedCandidate) -> Finalist:
    role = SEARCHED if name == SEARCHED else ORIGINAL
    return Finalist(Entry(name, title, candidate.choice, None, role, candidate.words), candidate)


def finish(
    folder: RunFolder,
    settings: RunSettings,
    space: Space,
    data: SearchData,
    cases: tuple[TestCase, ...],
    who: Sequence[Finalist],
    executor: Executor,
    on_tick: Callable[[], None],
) -> None:
    """Tests the finalists on the test cases, and keeps each in its folder, ready for use.

    Args:
        folder: of the run.
        settings: of the run.
        space: that was searched.
        data: the run's training and validation cases.
        cases: to test on.
        who: the finalists.
        executor: runs the tests.
        on_tick: called about twice a second.
    """
    for done in run_jobs(
        executor,
        [
            Job(
                run_finalist,
                partial(_job, folder, settings, space, data, cases, finalist),
                key=finalist,
                log=folder.contestant(finalist.entry.name) / LOG,
            )
            for finalist in who
        ],
        settings.budget.retries,
        at_once=settings.machine.workers,
        devices=devices(settings.training.device),
        on_tick=on_tick,
    ):
        finalist: Finalist = done.job.key
        latest = finalist.candidate.latest
        assert latest is not None
        assert latest.outcome is not None
        outcome = latest.outcome
        if done.failure is not None:
            outcome = replace(outcome, status=Status.CRASHED, reason=done.failure.reason)
        write_json(
            folder.contestant(finalist.entry.name) / RESULT,
            {
                **asdict(finalist.entry),
                "share_seconds": finalist.candidate.seconds,
                "outcome": outcome.to_dict(),
                **(done.result or {"scores": {}}),
            },
        )


def _job(
    folder: RunFolder,
    settings: RunSettings,
    space: Space,
    data: SearchData,
    cases: tuple[TestCase, ...],
    finalist: Finalist,
    device: str,
) -> tuple[ContestantJob, Path]:
    entry, latest = finalist.entry, finalist.candidate.latest
    assert latest is not None
    protocol = protocol_of(settings, space, entry.choice)
    candidate = CandidateJob(
        settings=settings,
        prepared=data.prepared,
        training=data.training,
        validation=data.validation,
        choice=entry.choice,
        reference=None,
        protocol=replace(protocol, threads=settings.machine.threads, device=device),
        seed=derive_seed(settings.seed, "trial", finalist.candidate.number),
        folder=folder.contestant(entry.name),
        memory_limit_mb=settings.machine.memory_limit_mb,
    )
    return ContestantJob(candidate, cases, searched=entry.name == SEARCHED), folder.trial(latest.number)


def run_finalist(argument: tuple[ContestantJob, Path]) -> dict[str, Any]:
    """Keeps a network in its folder and tests it, in a worker. Returns what `results_of` does."""
    job, source = argument
    candidate = job.candidate
    prepared = open_prepared_once(candidate.prepared)
    keep_network(source, candidate.folder, candidate.settings, prepared, candidate.choice)
    trained = TASKS[prepared.task].finish(
        load_trained(candidate.folder, candidate.settings, candidate.protocol.device),
        candidate.folder,
        candidate.settings,
        prepared,
        candidate.validation,
    )
    return results_of(trained, job)


def keep_network(
    source: Path, folder: Path, settings: RunSettings, prepared: AnyPrepared, choice: dict[str, Any]
) -> None:
    """Copies a candidate's network into a folder from which it can be used.

    Args:
        source: the trial's folder.
        folder: to copy to.
        settings: of the run.
        prepared: the run's data.
        choice: of the candidate.
    """
    describe_trained(folder, settings, prepared, choice, None)
    for name in (CURVES, WEIGHTS):
        if (source / name).exists():
            partial_copy = folder / f"{name}.partial"
            shutil.copyfile(source / name, partial_copy)
            partial_copy.replace(folder / name)


def seconds_to_finish(settings: RunSettings, validation_seconds: float, validation: int, test: int) -> float:
    """About how long the tests and the report take, in wall time.

    Args:
        settings: of the run.
        validation_seconds: of a validation of the default, in s.
        validation: the number of its cases.
        test: the number of test cases.
    """
    turns = 2.0 / min(2, settings.machine.workers)
    return REPORT_SECONDS + turns * TEST_FACTOR * validation_seconds * test / max(1, validation)
