"""Trains a run's Pareto front, and tells how it goes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from netwright.cli.console import out, print_lines

if TYPE_CHECKING:
    from netwright.api.progress import OnProgress
    from netwright.api.run import Run
    from netwright.objective import ObjectiveSettings
    from netwright.runs.trials import TrialRecord
    from netwright.training.outcome import Outcome


def print_front(run: Run, path: Path, epochs: int | None, hours: float | None) -> None:
    """Trains all members of the front, and prints a line for each.

    Args:
        run: the run.
        path: as the user named it.
        epochs: of each member; None: those of the protocol.
        hours: of each member.

    Raises:
        Exit: a member could not be trained.
    """
    from netwright.cli.display import TrainingLines
    from netwright.cli.inspected import command

    objective = run.settings.objective
    lines = TrainingLines(out, str(objective.metric))
    front = {record.number: record for record in run.pareto()}

    def told(record: TrialRecord) -> OnProgress:
        out.print(f"training   trial {record.number}, {list(front).index(record.number) + 1} of {len(front)}")
        return lines.show

    outcomes = dict(run.train_pareto(epochs=epochs, hours=hours, on_member=told))
    print_lines(front_lines(objective, outcomes))
    if any(outcome.status != "complete" for outcome in outcomes.values()):
        raise typer.Exit(1)
    use = command("predict", path, "/path/to/images", "--trial", next(iter(front)), "-o", "/path/to/output")
    out.print(f"use one    {use}", markup=False)


def front_lines(objective: ObjectiveSettings, outcomes: Mapping[int, Outcome]) -> Iterator[str]:
    """A table of trained members: the value of each objective on the validation cases, or why there is none.

    Args:
        objective: of the run.
        outcomes: of the trainings, by the number of the trial.
    """
    from netwright.report import formatting

    yield f"{'trial':>9}" + "".join(f"{name:>16}" for name in objective.names)
    for number, outcome in outcomes.items():
        found = objective.values(outcome.metrics, asdict(outcome.cost), outcome.planned_epochs)
        if outcome.status != "complete" or found is None:
            yield f"{number:>9}  {formatting.status(outcome.status)}: {outcome.reason}"
            continue
        cells = (
            formatting.objective_value(name, value)
            for name, value in zip(objective.names, found, strict=True)
        )
        yield f"{number:>9}" + "".join(f"{cell:>16}" for cell in cells)
