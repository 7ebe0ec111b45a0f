"""A changed space for a run that has trials: what may be changed, its settings, and which trials it keeps."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from optuna.distributions import BaseDistribution
from optuna.trial import FrozenTrial, TrialState

from netwright.comparison.contestants import require_rival
from netwright.errors import NetwrightError, RunError, SettingsError, UntrustedCode
from netwright.own_code.loading import OwnCode, folder_of
from netwright.planning.fitting_trials import ChangedSpace, Fit, contains
from netwright.runs.changes import SpaceChange
from netwright.runs.data import open_run_data
from netwright.runs.folder import SERIES, RunFolder
from netwright.runs.left_out import LEFT_OUT, as_it_was, fitting, left_out
from netwright.runs.marks import COMPARING
from netwright.runs.trials import CONTINUES, DEFAULT, network_key
from netwright.runs.trust import codes_of, require_trusted
from netwright.searches.components import problem_of
from netwright.settings import RunSettings, first_choices, override, parse_settings
from netwright.spaces import code_of, filled_in_options, make_space
from netwright.spaces.base import Space, Value
from netwright.strategies.makers import make_sampler

ANEW = "Start a new run that begins with this one's results: netwright search DATASET --start-from {root}"
NOTHING_KEPT = "{root} has no trained network yet that could be kept. Start a new run with the other space."


@dataclass(frozen=True)
class Wanted:
    """What a user wants to be changed.

    Args:
        options: of the space, by dotted name: ``{"space.n": [8, 49]}``.
        given: what earlier trials have in a dimension that only one of both spaces has.
        trials: more candidates.
        hours: more wall time.
    """

    options: Mapping[str, Any]
    given: Mapping[str, Value]
    trials: int | None = None
    hours: float | None = None


@dataclass(frozen=True)
class Planned:
    """A change that is possible.

    Args:
        settings: of the run, afterwards.
        changes: of ``run.yaml``, by dotted name.
        space: afterwards.
        trials: of the new study.
        change: in short.
    """

    settings: RunSettings
    changes: Mapping[str, Any]
    space: Space
    trials: Sequence[FrozenTrial]
    change: SpaceChange


def require_changeable(folder: RunFolder, settings: RunSettings) -> None:
    """Refuses runs whose space cannot be changed.

    Raises:
        SettingsError: the message says why, and what to do.
    """
    anew = ANEW.format(root=folder.root)
    reasons = {
        "its networks share the weights of one training": (
            settings.supernet is not None,
            "Start a new run with the other space.",
        ),
        f"its trials are in a database ({settings.storage.url}), where others may search": (
            settings.storage.url is not None,
            f"{anew}.",
        ),
        "all its hours go to the default (race.only_default)": (
            settings.race is not None and settings.race.only_default,
            f"{anew} --set race.only_default=false.",
        ),
        "it is one of a series, whose runs are compared": (
            (folder.root.resolve().parent / SERIES).is_file(),
            "Start a new series with the other space.",
        ),
    }
    for reason, (holds, advice) in reasons.items():
        if holds:
            raise SettingsError(f"The space of {folder.root} cannot be changed: {reason}. {advice}")


def plan_change(
    folder: RunFolder,
    settings: RunSettings,
    before: Sequence[FrozenTrial],
    wanted: Wanted,
    *,
    spent: float,
    trust_code: bool,
) -> Planned:
    """Which trials fit, and the settings afterwards. Nothing is stored.

    Args:
        folder: of the run.
        settings: of the run.
        before: its trials, as they are stored.
        wanted: by the user.
        spent: seconds of search so far; of a race it is not asked whether some are left.
        trust_code: whether the user trusts the code that the run names.

    Raises:
        NetwrightError: the change is not possible; the message says why, and what to do.
    """
    for code in codes_of(settings):
        if code.what == "strategy":
            require_trusted(code, trust_code=trust_code)
    changed, options = _changed(settings, wanted)
    space = _trusted_space(changed, wanted, trust_code=trust_code)
    known = _known(folder, before, space, wanted)
    compared = ChangedSpace(
        _space_before(settings, known, trust_code=trust_code),
        known,
        space,
        (settings.space, changed.space),
        wanted.given,
        problem_of(changed, open_run_data(folder, changed).prepared).task,
    )
    _require_given(compared)
    trials = [as_it_was(trial) for trial in before]
    fits = compared.fits(trials)
    _require_some(folder, trials, fits)
    default = None if settings.race is None else _default(folder, space, fits)
    kept = [_stored(trial, fit, compared, default) for trial, fit in zip(trials, fits, strict=True)]
    changed, changes = _with_budget(folder, changed, wanted, kept, spent)
    changed, changes = _with_first_choices(changed, changes, space)
    _require_strategy(changed, space)
    require_rival(changed)
    return Planned(changed, {**changes, **options}, space, kept, _in_short(folder, compared, fits))


def _known(
    folder: RunFolder, before: Sequence[FrozenTrial], space: Space, wanted: Wanted
) -> dict[str, BaseDistribution]:
    """The dimensions of a run, from a trial that has all of them.

    Raises:
        SettingsError: no trial has any, or the space afterwards has the same ones.
    """
    whole = max(before, key=lambda trial: len(trial.distributions), default=None)
    known = {} if whole is None else dict(whole.distributions)
    if not known:
        raise SettingsError(NOTHING_KEPT.format(root=folder.root))
    if known == space.distributions():
        raise SettingsError(
            f"{', '.join(wanted.options)}: the space of {folder.root} has these dimensions already, so nothing "
            f"changes. 'netwright resume {folder.root}' goes on with it."
        )
    return known


def _in_short(folder: RunFolder, compared: ChangedSpace, fits: Sequence[Fit]) -> SpaceChange:
    reasons = Counter(fit.why.rstrip(".") for fit in fits if fit.choice is None)
    return SpaceChange(
        time=time.time(),
        dimensions=compared.differences(),
        trials=len(fits),
        fitted=sum(fit.choice is not None for fit in fits),
        left_out=dict(reasons.most_common()),
        assumed=tuple(
            f"{name} = {compared.taken[name]}" for name in compared.added if name in compared.taken
        ),
        tested=(folder.root / COMPARING).exists(),
    )


def _changed(settings: RunSettings, wanted: Wanted) -> tuple[RunSettings, dict[str, Any]]:
    """The settings with another space, and the options that differ, by dotted name."""
    filled_in = filled_in_options(settings.space.name)
    for name in wanted.options:
        table, _, option = name.partition(".")
        if table != "space" or not option:
            raise SettingsError(
                f"{name}: only the space of a run can be changed (--set space....), and its budget (--trials, "
                "--hours), so that all results can be compared. Leave it out, or start a new run."
            )
        if option == "name" or option.partition(".")[0] in (*filled_in, "network", "start"):
            raise SettingsError(
                f"{name}: a run keeps its kind of space, its network, its start, and what follows from the data. Leave "
                "it out, or start a new run."
            )
    if not wanted.options:
        raise SettingsError("Say what is to be changed: --set space.OPTION=VALUE.")
    values = override(settings.model_dump(mode="json"), wanted.options)
    if "space.code" in wanted.options:
        # As for a new search: in the current directory, or installed. The folder that a run names is not trusted.
        values["space"]["folder"] = folder_of(OwnCode("space", str(values["space"]["code"])))
    options = {f"space.{name}": value for name, value in values["space"].items()}
    return parse_settings(values), options


def _trusted_space(changed: RunSettings, wanted: Wanted, *, trust_code: bool) -> Space:
    """The space afterwards. Code that the user names now may be run."""
    if "space.code" not in wanted.options:
        require_trusted(code_of(changed.space), trust_code=trust_code)
    return make_space(changed.space)


def _space_before(settings: RunSettings, known: Mapping[str, Any], *, trust_code: bool) -> Space | None:
    """The space as it was; None where its code has changed, so that it cannot be made."""
    try:
        require_trusted(code_of(settings.space), trust_code=trust_code)
        space = make_space(settings.space)
    except (UntrustedCode, SettingsError):
        if code_of(settings.space) is None:
            raise
        return None
    return space if space.distributions() == known else None


def _require_given(compared: ChangedSpace) -> None:
    for name, value in compared.given.items():
        if name not in (*compared.added, *compared.dropped):
            apart = ", ".join((*compared.added, *compared.dropped)) or "none"
            raise SettingsError(
                f"--given {name}: expected a dimension that is new or gone ({apart}). Leave it out."
            )
        if name in compared.added and not contains(compared.distributions[name], value):
            raise SettingsError(f"--given {name}={value}: the dimension {name} has no such value.")


def _require_some(folder: RunFolder, trials: Sequence[FrozenTrial], fits: Sequence[Fit]) -> None:
    """Refuses a change with which nothing that was trained could be used."""
    done = [fit for trial, fit in zip(trials, fits, strict=True) if trial.state == TrialState.COMPLETE]
    if any(fit.choice is not None for fit in done):
        return
    if not done:
        raise SettingsError(NOTHING_KEPT.format(root=folder.root))
    whys = Counter(fit.why for fit in done).most_common(1)
    unknown = whys[0][0].startswith("what it had in")
    advice = (
        "Say it: --given NAME=VALUE"
        if unknown
        else f"The change concerns every network. {ANEW.format(root=folder.root)}"
    )
    raise SettingsError(
        f"None of the {len(done)} trained networks of {folder.root} fits the changed space: "
        f"{whys[0][0]}. {advice}."
    )


def _default(folder: RunFolder, space: Space, fits: Sequence[Fit]) -> str:
    """The default of the changed space of a race, which compares with it from the first second, see `network_key`.

    Raises:
        SettingsError: it is none of the networks that are kept.
    """
    start = space.starting_choice()
    network = network_key(space.canonical(start))
    if not any(fit.choice is not None and fit.network == network for fit in fits):
        raise SettingsError(
            f"The default of the changed space ({space.describe(start)}) was not trained in {folder.root}, whose race "
            "compares with its default from the first second: expected a space that has the same default. "
            f"{ANEW.format(root=folder.root)}."
        )
    return network


def _stored(trial: FrozenTrial, fit: Fit, compared: ChangedSpace, default: str | None) -> FrozenTrial:
    """A trial of the new study. ``default``: the network of a race's default there; None: it is no race."""
    if fit.choice is None:
        return left_out(trial, fit.why, fit.network)
    noted = {DEFAULT: fit.network == default} if default is not None and DEFAULT in trial.user_attrs else {}
    return fitting(trial, fit.choice, compared.distributions, fit.network, noted)


def _with_budget(
    folder: RunFolder, settings: RunSettings, wanted: Wanted, kept: Sequence[FrozenTrial], spent: float
) -> tuple[RunSettings, dict[str, Any]]:
    """The settings with more trials and hours, and these changes.

    Raises:
        SettingsError: there is nothing left to search with, or the run has no such limit.
    """
    budget, changes = settings.budget, {}
    more = {"trials": wanted.trials, "hours": wanted.hours}
    for name, value in more.items():
        if value is None:
            continue
        had = getattr(budget, name)
        if had is None or not value > 0:
            raise SettingsError(
                f"--{name} {value:g}: {folder.root} has no limit of {name}, so that more of them mean nothing. "
                "Leave it out."
                if had is None
                else f"--{name} must be over 0, got {value:g}."
            )
        changes[f"budget.{name}"] = round(had + value, 9) if name == "hours" else had + value
    values = override(settings.model_dump(mode="json"), changes) if changes else None
    settings = settings if values is None else parse_settings(values)
    counted = sum(_counts(trial, settings) for trial in kept)
    trials, hours = settings.budget.trials, settings.budget.hours
    race = settings.race is not None
    if not race and any(not trial.state.is_finished() for trial in kept):
        return settings, changes
    if trials is not None and counted >= trials:
        raise SettingsError(
            f"{counted} {'networks' if race else 'trials'} of {folder.root} fit, and its budget is {trials}, so that "
            "nothing would be searched. "
            "Give it more candidates, for example --trials 20."
        )
    if not race and hours is not None and spent >= 3600.0 * hours:
        raise SettingsError(
            f"{folder.root} has searched for its {hours:g} h, so that nothing would be searched. Give it more, for "
            "example --hours 1."
        )
    return settings, changes


def _counts(trial: FrozenTrial, settings: RunSettings) -> bool:
    """Whether a trial counts against the budget; in a race those that began a training."""
    attributes, race = trial.user_attrs, settings.race is not None
    cached = attributes.get("cached_from") is not None and (race or settings.budget.count == "distinct")
    counts = CONTINUES not in attributes if race else trial.state.is_finished()
    return counts and attributes.get("status") != LEFT_OUT and not cached


def _with_first_choices(
    settings: RunSettings, changes: dict[str, Any], space: Space
) -> tuple[RunSettings, dict[str, Any]]:
    """The settings with those choices of another run, from which this one started, that the space still has."""
    first = first_choices(settings.start_from)
    if settings.start_from is None or not first:
        return settings, changes
    dimensions = space.distributions()
    still = tuple(
        choice
        for choice in first
        if all(name in choice and contains(d, choice[name]) for name, d in dimensions.items())
    )
    start = settings.start_from.model_copy(update={"choices": still})
    return settings.model_copy(update={"start_from": start}), {
        **changes,
        "start_from.choices": [dict(c) for c in still],
    }


def _require_strategy(settings: RunSettings, space: Space) -> None:
    """Refuses a space that the run's strategy cannot search."""
    try:
        make_sampler(settings.strategy, space, settings.seed, first_choices(settings.start_from))
    except NetwrightError as error:
        raise RunError(
            f"The strategy {settings.strategy.name} of the run cannot search the changed space: {error}"
        ) from error
