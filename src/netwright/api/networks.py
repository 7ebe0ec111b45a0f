"""The trials and trained networks of a run folder: which is meant, where it lies, and how it is trained."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from netwright.api.progress import OnProgress, train_alone
from netwright.comparison.retrain import ContestantJob, cases_of
from netwright.errors import DatasetError, RunError
from netwright.files import remove_partial
from netwright.models.export.base import ExportData
from netwright.runs.data import open_run_data
from netwright.runs.folder import RunFolder, held
from netwright.runs.front import TRAINED
from netwright.runs.left_out import LEFT_OUT
from netwright.runs.results import winner_folder
from netwright.runs.start import start_weights
from netwright.runs.trials import TrialRecord, best_of
from netwright.searches.jobs import CandidateJob
from netwright.settings import RunSettings
from netwright.tasks import TASKS
from netwright.training.config import TrainingProtocol
from netwright.training.files import WEIGHTS
from netwright.training.outcome import Outcome
from netwright.training.seeding import derive_seed


def trial_of(folder: RunFolder, records: Sequence[TrialRecord], number: int | None) -> TrialRecord:
    """The trial of a number.

    Args:
        folder: of the run.
        records: all trials.
        number: of the trial; None: the best.

    Raises:
        RunError: there is no such trial.
    """
    if number is None:
        best = best_of(records)
        if best is None:
            raise RunError(f"{folder.root} has no trained candidate yet; see 'netwright status'.")
        return best
    record = next((r for r in records if r.number == number), None)
    if record is None or not record.choice:
        raise RunError(f"{folder.root} has no trial {number}; it has {_numbers(records)}.")
    if record.status == LEFT_OUT:
        raise RunError(
            f"Trial {number} of {folder.root} is not of its space any more ({record.reason}): expected one that is. "
            "Name another one; a network that was trained of it before can still be used."
        )
    return record


def _numbers(records: Sequence[TrialRecord]) -> str:
    numbers = [record.number for record in records]
    return f"trials {min(numbers)} to {max(numbers)}" if numbers else "none"


def network_folder(folder: RunFolder, trial: int | None, best: Callable[[], TrialRecord | None]) -> Path:
    """Where the network of a trial lies, or will lie.

    Args:
        folder: of the run.
        trial: its number; None: the winner, or where the comparison did not train one, what was trained of the best.
        best: the best trial. It is asked only where it must be, as trials may be in a database.
    """
    if trial is not None:
        return folder.trained(trial)
    used = winner_folder(folder)
    if (used / WEIGHTS).exists():
        return used
    record = best()
    trained = folder.trained(record.number) if record is not None else None
    return trained if trained is not None and trained.exists() else folder.winner


def require_trained(folder: RunFolder, network: Path, trial: int | None) -> Path:
    """The folder of a network that has been trained.

    Args:
        folder: of the run.
        network: the folder.
        trial: its number; None: the winner.

    Raises:
        RunError: it has not been trained yet.
    """
    if not (network / WEIGHTS).exists():
        wanted = "" if trial is None else f" --trial {trial}"
        raise RunError(
            f"{folder.root} has no trained network{'' if trial is None else f' of trial {trial}'} yet. It is "
            f"made by 'netwright train {folder.root}{wanted}', or at the end of a search."
        )
    return network


def train_trial(
    folder: RunFolder,
    settings: RunSettings,
    record: TrialRecord,
    protocol: TrainingProtocol,
    on_epoch: OnProgress | None,
) -> Outcome:
    """Trains the network of a trial into its folder below ``trained``.

    Args:
        folder: of the run.
        settings: of the run, with those that the trial's choice sets.
        record: the trial.
        protocol: of the training.
        on_epoch: called with the progress.

    Raises:
        RunError: another process trains it.
        StorageError: the run cannot be written to.
    """
    run_data = open_run_data(folder, settings)
    own = folder.trained(record.number)
    job = ContestantJob(
        CandidateJob(
            settings=settings,
            prepared=run_data.prepared.folder,
            training=cases_of(settings, run_data.data),
            validation=run_data.data.validation,
            choice=record.choice,
            reference=None,
            protocol=protocol,
            seed=derive_seed(settings.seed, "trial", record.number),
            folder=own,
            memory_limit_mb=settings.machine.whole_memory_mb,
            weights=start_weights(folder, settings),
        ),
        (),
    )
    folder.require_within()
    with held(own.with_suffix(".lock"), own):
        remove_partial(own)
        (own / TRAINED).unlink(missing_ok=True)  # of a training as a member of the front, if there was one
        return train_alone(job, on_epoch)


def export_data(
    folder: RunFolder, settings: RunSettings, tell: Callable[[str, str], None]
) -> ExportData | None:
    """A run's data to check an export on; None where it cannot be opened.

    Args:
        folder: of the run.
        settings: of the run.
        tell: called with why it cannot be opened.
    """
    try:
        opened = open_run_data(folder, settings)
    except (DatasetError, RunError, OSError) as error:
        tell("no data", f"{error} The export is checked on random images")
        return None
    problem = TASKS[opened.prepared.task].problem(opened.prepared, settings)
    return ExportData(opened.prepared, problem, opened.data.training, opened.data.validation)
