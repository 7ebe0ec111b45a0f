"""Changes the space of a run that has trials. Either the run has the changed space in the end, or it is as it was."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna

from netwright.api.race import fewest_hours
from netwright.errors import SettingsError
from netwright.planning.changed_space import NOTHING_KEPT, Planned, Wanted, plan_change, require_changeable
from netwright.runs.changes import SpaceChange, next_study, remove_abandoned, store
from netwright.runs.clock import SPENT
from netwright.runs.drawings import space_file, write_space
from netwright.runs.folder import RunFolder, open_run_folder
from netwright.runs.place import place_of
from netwright.runs.storage import has_storage, open_storage, storage_errors
from netwright.runs.trust import names_code, remember_code
from netwright.settings import RunSettings
from netwright.spaces import code_of
from netwright.strategies.base import OwnProposalsOnly
from netwright.strategies.makers import make_sampler
from netwright.strategies.sampler import StrategySampler


@dataclass(frozen=True)
class Changed:
    """What came of a change.

    Args:
        change: of the space.
        learns: what the strategy makes of the trials that fit, in words.
    """

    change: SpaceChange
    learns: str


def change_space(
    path: Path | str,
    options: Mapping[str, Any],
    *,
    given: Mapping[str, Any] | None = None,
    trials: int | None = None,
    hours: float | None = None,
    trust_code: bool = False,
) -> SpaceChange:
    """Gives a run another space, for example wider bounds; `Run.resume` then goes on with it.

    Trials whose networks the space has, too, keep their numbers and results, and the strategy learns from them. The
    others stay in the run, with the status "left_out": no strategy learns from them, no budget counts them, and none is
    the best. Either all of this is done in the end, or nothing.

    Args:
        path: of the run folder.
        options: of the space, for example ``{"space.n": [8, 49]}``. To take up a changed class of your own, name it
            again: ``{"space.code": "package.module:Class"}``.
        given: what earlier trials have in a dimension that is new, or what the space has now in one that is gone, where
            that cannot be told: ``{"depth": 3}``.
        trials: more candidates, for a search that is limited in trials.
        hours: more wall time, for a search that is limited in hours.
        trust_code: as for `open_run`. Code that ``options`` name is run.

    Raises:
        RunError: there is no such run, or another process works on it.
        SettingsError: the space cannot be changed like this; the message says why, and what to do.
        StorageError: the run cannot be written to.
        UntrustedCode: as `Run.code`.

    Example:
        >>> change_space("run", {"space.n": [8, 49]}, trials=20)  # doctest: +SKIP
        >>> open_run("run").resume()  # doctest: +SKIP
    """
    wanted = Wanted(options, given or {}, trials, hours)
    return changed_run(open_run_folder(Path(path)), wanted, trust_code=trust_code).change


def changed_run(folder: RunFolder, wanted: Wanted, *, trust_code: bool = False) -> Changed:
    """Gives a run another space. Trials that fit keep their numbers and results; the others stay, and are left out.

    All is written beside what the run has. It becomes the run's by one renaming, that of ``run.yaml``.

    Args:
        folder: of the run.
        wanted: by the user.
        trust_code: whether the user trusts the code that the run names.

    Raises:
        RunError: another process works on the run.
        SettingsError: the space cannot be changed like this; the message says why, and what to do.
        StorageError: the run cannot be written to.
        UntrustedCode: as `Run.code`.
    """
    with folder.locked(), storage_errors(folder):
        settings, place = folder.settings(), place_of(folder)
        require_changeable(folder, settings)
        if not has_storage(folder):
            raise SettingsError(NOTHING_KEPT.format(root=folder.root))
        storage = open_storage(folder)
        remove_abandoned(storage, place.study)
        before = optuna.load_study(study_name=place.study, storage=storage)
        trials = before.get_trials(deepcopy=False)
        spent = float(before.user_attrs.get(SPENT, 0.0))
        planned = plan_change(folder, settings, trials, wanted, spent=spent, trust_code=trust_code)
        if planned.settings.race is not None:
            _require_time(folder, planned.settings, wanted)
        name = next_study(place.study)
        store(storage, name, before, planned.trials, planned.change)
        if names_code(planned.settings.space):
            write_space(space_file(folder, name), planned.space)
            remember_code(code_of(planned.settings.space))
        folder.change_settings({**planned.changes, "storage.study": name})
    return Changed(planned.change, _learns(planned))


def _require_time(folder: RunFolder, settings: RunSettings, wanted: Wanted) -> None:
    """Refuses to change the space of a race in which no training would go on.

    Args:
        folder: of the run.
        settings: of the run, afterwards.
        wanted: by the user.

    Raises:
        SettingsError: the message says how many hours would do.
    """
    fewest = fewest_hours(folder, settings)
    if fewest > 0:
        raise SettingsError(
            f"{folder.root} has no time left for a training beside the tests and the report, so that nothing would be "
            f"searched. Give it more: at least --hours {fewest + (wanted.hours or 0.0):g}."
        )


def _learns(planned: Planned) -> str:
    """What the strategy makes of the trials that fit. What it noted with its own proposals is of the space before."""
    settings = planned.settings
    sampler = make_sampler(settings.strategy, planned.space, settings.seed)
    if isinstance(sampler, StrategySampler) and isinstance(sampler.strategy, OwnProposalsOnly):
        return (
            f"{settings.strategy.name} begins anew: it learns only from what it proposed itself. The trials that fit "
            "count, may be the best, and are not trained again"
        )
    return f"{settings.strategy.name} learns from the trials that fit"
