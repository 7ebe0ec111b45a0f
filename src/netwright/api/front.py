"""The Pareto front of a run: its members, and their training with the full protocol."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from netwright.api.networks import train_trial
from netwright.api.progress import OnProgress
from netwright.comparison.retrain import train_protocol
from netwright.errors import RunError
from netwright.files import read_json, write_json
from netwright.runs.folder import RunFolder
from netwright.runs.front import TRAINED, front_of
from netwright.runs.trials import TrialRecord
from netwright.searches.components import with_own_training
from netwright.settings import RunSettings
from netwright.training.files import WEIGHTS
from netwright.training.outcome import Outcome, Status

OnMember = Callable[[TrialRecord], OnProgress | None]


def members(folder: RunFolder, settings: RunSettings, records: list[TrialRecord]) -> list[TrialRecord]:
    """The trials of the front, the best of the first objective first.

    Args:
        folder: of the run.
        settings: of the run.
        records: of all its trials.

    Raises:
        RunError: the search has one objective.
    """
    if not settings.objective.several:
        raise RunError(
            f"{folder.root} has one objective ({settings.objective.words()}), and so a best candidate and no Pareto "
            "front. A search with --minimize parameters has one."
        )
    return front_of(records, settings.objective)


def train_front(
    folder: RunFolder,
    settings: RunSettings,
    front: list[TrialRecord],
    epochs: int | None,
    hours: float | None,
    on_member: OnMember,
) -> Iterator[tuple[int, Outcome]]:
    """Trains each member of the front as `Run.train` does, and yields its number and outcome.

    A member that was trained with the same epochs and hours before is not trained again. One that cannot be trained
    does not keep the others from it: its outcome says why.

    Args:
        folder: of the run.
        settings: of the run.
        front: its members.
        epochs: as in `Run.train`.
        hours: of each member.
        on_member: called before a member is trained; gives what is called with the progress.

    Raises:
        RunError: there is no member.
        StorageError: the run cannot be written to.
    """
    if not front:
        raise RunError(f"{folder.root} has no trained candidate yet; see 'netwright status'.")
    asked = {"epochs": epochs, "hours": hours}
    for record in front:
        own = folder.trained(record.number)
        known: dict[str, Any] = read_json(own / TRAINED) if (own / TRAINED).exists() else {}
        if known.get("asked") == asked and (own / WEIGHTS).exists():
            yield record.number, Outcome.from_dict(known["outcome"])
            continue
        training = with_own_training(settings, record.choice)
        protocol = train_protocol(training, epochs, hours)
        outcome = train_trial(folder, training, record, protocol, on_member(record))
        if outcome.status == Status.COMPLETE:
            write_json(own / TRAINED, {"asked": asked, "outcome": outcome.to_dict()})
        yield record.number, outcome
