"""The Pareto front of a run, as plain data for its report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

from netwright.files import read_json
from netwright.report.draw.front import Front, Member
from netwright.runs.folder import RunFolder
from netwright.runs.front import TRAINED, dominated_share, front_of
from netwright.runs.trials import TrialRecord
from netwright.settings import RunSettings
from netwright.spaces.base import Space
from netwright.training.outcome import Outcome


def front_to_show(
    folder: RunFolder, settings: RunSettings, records: Sequence[TrialRecord], space: Space
) -> Front | None:
    """The front of a run; None where there is a single objective.

    Args:
        folder: of the run.
        settings: of the run.
        records: of all trials.
        space: that was searched.
    """
    objective = settings.objective
    if not objective.several:
        return None
    trained = [record for record in records if record.values and record.cached_from is None]
    members = [
        Member(
            record.number,
            record.words or space.describe(record.choice),
            record.values,
            _again(folder, settings, record),
        )
        for record in front_of(records, objective)
    ]
    return Front(
        names=objective.names,
        trials=tuple((record.number, record.values) for record in trained),
        members=tuple(members),
        shares=tuple(dominated_share([record.values for record in trained], objective)),
    )


def _again(folder: RunFolder, settings: RunSettings, record: TrialRecord) -> tuple[float, ...] | None:
    """What a member reached on the validation cases after the training with the full protocol."""
    file = folder.trained(record.number) / TRAINED
    if not file.exists():
        return None
    outcome = Outcome.from_dict(read_json(file)["outcome"])
    return settings.objective.values(outcome.metrics, asdict(outcome.cost), outcome.planned_epochs)
