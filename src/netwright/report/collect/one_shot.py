"""The course of a search inside one training, for its report."""

from __future__ import annotations

import numpy as np

from netwright.report.draw.one_shot import ProbabilityPath
from netwright.runs.folder import RunFolder
from netwright.runs.trials import TrialRecord
from netwright.searches.one_shot import natural_gradient
from netwright.settings import RunSettings
from netwright.spaces import make_space
from netwright.strategies.view import dimensions_of
from netwright.supernet.snapshots import read_snapshots


def probability_path(
    folder: RunFolder, settings: RunSettings, best: TrialRecord | None
) -> ProbabilityPath | None:
    """The probabilities over the search so far; None where the run is of another kind, or has not begun.

    ``best`` is the trial that the search ended in. Before there is one, the likeliest values count as chosen.

    Args:
        folder: of the run.
        settings: of the run.
        best: the trial that the search ended in; None: it goes on, and the likeliest values count as chosen.
    """
    snapshots = read_snapshots(folder.shared)
    if settings.supernet is None or not snapshots:
        return None
    space = make_space(settings.space)
    ladders = natural_gradient(settings, space).init(dimensions_of(space.distributions())).ladders
    variables = [ladder for ladder in ladders if len(ladder.values) > 1]
    last = snapshots[-1]
    chosen = [
        int(np.argmax(row)) if best is None else ladder.level_of(best.choice[ladder.dimension.name])
        for ladder, row in zip(variables, last.probabilities, strict=True)
    ]
    return ProbabilityPath(
        steps=tuple(s.step for s in snapshots),
        variables=tuple(ladder.dimension.name for ladder in variables),
        values=tuple(tuple(map(str, ladder.values)) for ladder in variables),
        probabilities=tuple(
            np.array([s.probabilities[index] for s in snapshots]) for index in range(len(variables))
        ),
        chosen=tuple(chosen),
        certainty=tuple(s.certainty for s in snapshots),
        entropy=tuple(s.entropy for s in snapshots),
        eta=tuple(s.eta for s in snapshots),
        loss=tuple(s.loss for s in snapshots),
        theta_loss=tuple(s.theta_loss for s in snapshots),
        seconds=last.seconds,
        infeasible=last.infeasible,
    )


SEEN = ", on validation cases, too, so that its score there is not a test"


def one_shot_facts(settings: RunSettings) -> tuple[tuple[str, str], ...]:
    """How the search works, as rows of a table."""
    given = settings.supernet
    assert given is not None
    samples = natural_gradient(settings, make_space(settings.space)).samples
    length = f"{given.epochs} epochs" if given.steps is None else f"{given.steps:,} steps"
    if given.seconds is not None:
        length = f"{given.seconds / 3600:g} h, at most {length}"
    options = ", ".join(f"{name}={str(value).lower()}" for name, value in given.space.items())
    return (
        ("search", f"one training with shared weights, {length}{SEEN if given.on_all else ''}"),
        (
            "its weights",
            f"SGD {given.learning_rate:g}, {samples} networks a step, batches of {given.batch_size}",
        ),
        *((("its networks", options),) if options else ()),
    )
