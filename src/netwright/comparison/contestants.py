"""The final comparison: the winner and the networks that one would use without a search, all retrained alike.

All have the same protocol and the same wall time. As many train at once as the search had workers, each with the
threads of a worker. Then they are tested on cases that the search never saw. A user should quote only the winner's
test; the others show what it is worth.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from netwright.data.open import open_prepared_once
from netwright.data.splits import Splits
from netwright.errors import (
    InfeasibleArchitecture,
    RunError,
    SettingsError,
)
from netwright.runs.data import SearchData
from netwright.runs.folder import open_run_folder
from netwright.runs.results import training_name
from netwright.runs.trials import best_of, load_trials, record_of
from netwright.searches.components import problem_of
from netwright.searches.random_choices import draw_choice
from netwright.settings import RunSettings
from netwright.spaces import same_space
from netwright.spaces.base import HasBase, Layered, Space
from netwright.spec import title_of
from netwright.training.seeding import derive_seed

SEARCHED, ORIGINAL, BASE, RIVAL, START = "searched", "original", "base", "rival", "start"
RANDOM = "random network"
FEASIBLE_TRIES = 1000


@dataclass(frozen=True)
class Entry:
    """A network that takes part: a choice of the space, or a hand-made reference network.

    ``role`` is its part in the table of costs beside the original; None where it has none. ``words`` is its choice in
    the words of its space.
    """

    name: str
    title: str
    choice: dict[str, Any]
    reference: str | None
    role: str | None = None
    words: str = ""


def entries(
    settings: RunSettings,
    space: Space,
    data: SearchData,
    best: dict[str, Any],
    start: tuple[str, dict[str, Any]] | None = None,
) -> list[Entry]:
    """The networks that take part.

    They are the winner, the network whose layers were tuned, the hand-made network of the winner's depth, the policy
    that the search started from, the best of a rival run, random choices of the same space, and the references.

    Args:
        settings: of the run.
        space: that the run searches.
        data: the training and validation cases.
        best: the winner.
        start: title and choice of the policy that the search started from, where it had one.
    """
    from netwright.spaces.references import REFERENCES

    result = [Entry(SEARCHED, "the searched network", best, None, SEARCHED)]
    if isinstance(space, Layered):
        result.append(Entry(ORIGINAL, "the original network", space.original_choice(), None, ORIGINAL))
    if isinstance(space, HasBase):
        title, base = space.base_choice(best)
        if space.canonical(base) != space.canonical(best):
            result.append(Entry(BASE, title, base, None))
    if start is not None and space.canonical(start[1]) != space.canonical(best):
        result.append(Entry(START, *start, None))
    if settings.verdict.rival is not None:
        result.append(rival(settings, settings.verdict.rival))
    for index in range(settings.verdict.random_choices):
        name = "random" if index == 0 else f"random-{index + 1}"
        choice = random_choice(settings, space, data, index)
        result.append(Entry(name, "a random network of the same space", choice, None, RANDOM))
    for name in reference_names(settings, space, data):
        result.append(Entry(name, REFERENCES[name].title, {}, name))
    return result


def trainings(who: Sequence[Entry], seeds: int) -> list[Entry]:
    """Each network as often as it is trained, with a name for each training; all of the first seed come first."""
    return [
        replace(entry, name=training_name(entry.name, seed)) for seed in range(1, seeds + 1) for entry in who
    ]


def reference_names(settings: RunSettings, space: Space, data: SearchData) -> tuple[str, ...]:
    """The hand-made networks that take part.

    They are those named in the settings; else those made for such a task. There are none where the space has its own
    original or base network.

    Args:
        settings: of the run.
        space: that was searched.
        data: the run's data.
    """
    from netwright.spaces.references import references_for

    if settings.verdict.references is not None:
        return settings.verdict.references
    if isinstance(space, Layered | HasBase):
        return ()
    return references_for(problem_of(settings, open_prepared_once(data.prepared)).task)


def rival(settings: RunSettings, path: Path) -> Entry:
    """The best network of another run. Its title says what that run spent.

    Raises:
        RunError: there is no such run, it has no best network, or it searched another space or on other cases.
    """
    folder = open_run_folder(path)
    other = folder.settings()
    if not same_space(other.space, settings.space):
        raise RunError(
            f"verdict.rival: {path} searched another space ({other.space.model_dump()}) than this run "
            f"({settings.space.model_dump()}); expected one space, so that both could have found the same networks."
        )
    if _cases_of(other) != _cases_of(settings):
        raise _other_cases(path)
    records = [record_of(trial) for trial in load_trials(folder)]
    best = best_of(records)
    if best is None:
        raise RunError(f"verdict.rival: {path} has no trained candidate.")
    by_chance = other.strategy.name in ("random", "optuna-random")
    title = (
        f"{'random search' if by_chance else title_of(other.strategy)}, {len(records)} trials ({path.name})"
    )
    if other.supernet is not None:
        title = f"one training with shared weights ({path.name})"
    return Entry(RIVAL, title, best.choice, None, "random search" if by_chance else "another search")


def _cases_of(settings: RunSettings) -> tuple[object, ...]:
    """The settings that decide which cases are where, without files of parts: each run has its own."""
    dataset = settings.dataset.model_copy(update={"split_file": None, "fold": None})
    return dataset, settings.seed, settings.split


def _other_cases(path: Path) -> RunError:
    return RunError(
        f"verdict.rival: {path} has other training, validation and test cases than this run; expected the same "
        "dataset, seed, split and split file, so that no test case was seen by either."
    )


def random_choice(settings: RunSettings, space: Space, data: SearchData, index: int) -> dict[str, Any]:
    """A random choice that makes a network and fits. It need not keep the objective's limits, which are for the search.

    Args:
        settings: of the run.
        space: that was searched.
        data: the run's data.
        index: 0 for the first random network; each has its own seed.

    Raises:
        RunError: none was found in many tries.
    """
    from netwright.training.cost import fits
    from netwright.training.trial import predicted_cost

    task = problem_of(settings, open_prepared_once(data.prepared)).task
    rng = np.random.default_rng(derive_seed(settings.seed, "random choice", index))
    distributions = space.distributions()
    for _ in range(FEASIBLE_TRIES):
        choice = draw_choice(distributions, rng)
        try:
            cost = predicted_cost(partial(space.build, choice), task, settings.training)
        except InfeasibleArchitecture:
            continue
        if fits(cost, settings.machine.memory_limit_mb):
            return choice
    raise RunError(f"None of {FEASIBLE_TRIES} random choices of {space.name} makes a network that fits.")


def require_references(settings: RunSettings) -> None:
    """Refuses unknown reference networks.

    Raises:
        SettingsError: there is no such network. The message names those that there are.
    """
    from netwright.spaces.references import REFERENCES

    unknown = [name for name in settings.verdict.references or () if name not in REFERENCES]
    if unknown:
        raise SettingsError(
            f"verdict.references: there is no reference network {unknown[0]!r}. There are: {', '.join(REFERENCES)}."
        )


def require_rival(settings: RunSettings, splits: Splits | None = None) -> None:
    """Refuses a rival that cannot take part.

    ``splits`` are the parts of this run; None: they are not known yet.

    Raises:
        RunError: as `rival`.
    """
    path = settings.verdict.rival
    if path is None:
        return
    rival(settings, path)
    if splits is None:
        return
    other = open_run_folder(path).splits()
    if (other.training, other.validation, other.test) != (splits.training, splits.validation, splits.test):
        raise _other_cases(path)
