"""Makes the components of a study from names and options: space, task, sampler, protocol, objective."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import TYPE_CHECKING

import optuna
from optuna.storages import BaseStorage
from optuna.trial import TrialState

from netwright.data.base import AnyPrepared
from netwright.data.loading.augmentation_settings import AugmentationSettings
from netwright.errors import SettingsError
from netwright.objective import ObjectiveSettings
from netwright.own_code.loading import load
from netwright.runs.folder import RunFolder
from netwright.runs.place import place_of
from netwright.runs.storage import open_storage
from netwright.settings import RunSettings, first_choices
from netwright.spaces import code_of, code_option, make_space, space_maker, takes_task
from netwright.spaces.base import Choice, SetsTraining, Space
from netwright.spaces.layerwise.factory import load_network
from netwright.strategies.makers import make_sampler, require_strategy
from netwright.tasks import TASKS
from netwright.training.config import TrainingProtocol
from netwright.training.outcome import Outcome, Status

if TYPE_CHECKING:
    from netwright.training.problem import Problem

NEEDED = {
    "network": "The space {name!r} needs your network: give --network package.module:factory, where the factory makes "
    "a torch.nn.Module.",
    "code": "The space {name!r} is one of yours: give --space package.module:Class.",
}
"""What is said where a space names no code, by the option that would."""

DIVISOR = "epochs_of_reward"
"""The study attribute with what the rewards are divided by, if they are divided by epochs."""


def require_components(settings: RunSettings) -> None:
    """Refuse what is wrong with space and strategy as far as it can be told before the data is prepared.

    Raises:
        SettingsError: as `make_space` and `make_sampler`, or a network is needed that is not named or not there.
    """
    spec = settings.space
    if not takes_task(spec):
        make_sampler(settings.strategy, make_space(spec), settings.seed)
        return
    space_maker(spec)
    option = code_option(spec)
    if option is not None:
        code = code_of(spec)
        if not code:
            raise SettingsError(NEEDED[option].format(name=spec.name))
        load_network(code.name, code.folder) if code.what == "network" else load(code)
    require_strategy(settings.strategy)


def problem_of(settings: RunSettings, prepared: AnyPrepared) -> Problem:
    """The problem that the run's networks are trained for, from its prepared data and settings."""
    return TASKS[prepared.task].problem(prepared, settings)


def protocol_of(settings: RunSettings, space: Space, choice: Choice) -> TrainingProtocol:
    """The protocol of a choice: the run's, with what the choice sets.

    Args:
        settings: of the run.
        space: of the choice.
        choice: of a candidate.

    Raises:
        SettingsError: a value of it is out of range.
    """
    protocol = settings.training
    if not isinstance(space, SetsTraining):
        return protocol
    own = space.training(choice)
    augmentation = own.pop("augmentation", None)
    if augmentation is not None:
        base = protocol.augmentation or AugmentationSettings()
        own["augmentation"] = AugmentationSettings(**{**asdict(base), **augmentation})
    return replace(protocol, **own)


def with_own_training(settings: RunSettings, choice: Choice) -> RunSettings:
    """The settings with the training that a choice sets, see `protocol_of`."""
    if not hasattr(space_maker(settings.space), "training"):
        return settings
    own = protocol_of(settings, make_space(settings.space), choice)
    return settings.model_copy(update={"training": own})


def open_study(folder: RunFolder, settings: RunSettings, storage: BaseStorage | None = None) -> optuna.Study:
    """Opens the run's Optuna study with the run's sampler. It is made where there is none.

    Args:
        folder: of the run.
        settings: of the run.
        storage: of the run, if it is open already; None: it is opened.
    """
    space = make_space(settings.space)
    return optuna.create_study(
        storage=open_storage(folder) if storage is None else storage,
        study_name=place_of(folder).study,
        sampler=make_sampler(settings.strategy, space, settings.seed, first_choices(settings.start_from)),
        directions=["maximize" if sign > 0 else "minimize" for sign in settings.objective.signs],
        load_if_exists=True,
    )


def require_dimensions(folder: RunFolder, settings: RunSettings, study: optuna.Study, space: Space) -> None:
    """Refuses a user's own space whose class has other dimensions than the run's trials.

    Args:
        folder: of the run.
        settings: of the run.
        study: of the run.
        space: as its class makes it now.

    Raises:
        SettingsError: it has; the message says how it is taken up.
    """
    code, now = code_of(settings.space), space.distributions()
    if code is None:
        return
    for trial in study.get_trials(deepcopy=False):
        apart = [name for name, d in trial.distributions.items() if now.get(name) != d]
        whole = trial.state in (TrialState.COMPLETE, TrialState.PRUNED)
        apart += [name for name in now if name not in trial.distributions] if whole else []
        if apart:
            raise SettingsError(
                f"{code.name} has other dimensions than the trials of {folder.root} ({', '.join(apart)}): expected the "
                f"same. Restore it, or take it up in its folder: 'netwright resume {folder.root} --set "
                f"space.code={code.name}' keeps the trials that fit."
            )


def values_of(outcome: Outcome, objective: ObjectiveSettings) -> tuple[float, ...] | None:
    """The value of each objective. None unless the candidate is complete and a case defines each metric.

    N_epoch of Iranfar et al. 2022, Section VI-A, is the epoch at which the loss met its threshold. If it never did, it
    is the number of epochs that the episode was given: if patience ended the episode earlier, it is not better for
    that.
    """
    if outcome.status != Status.COMPLETE:
        return None
    return objective.values(
        outcome.metrics, asdict(outcome.cost), outcome.planned_epochs, outcome.loss_met_epoch
    )


def reward_of(outcome: Outcome, objective: ObjectiveSettings) -> float | None:
    """The first of `values_of`, which alone counts where there is one objective."""
    values = values_of(outcome, objective)
    return None if values is None else values[0]


def objective_of(study: optuna.Study, settings: RunSettings) -> ObjectiveSettings:
    """The objective of a search's rewards.

    It is the one of its settings. But early runs divided rewards by the epochs that were given, and stored no note of
    it; such a study continues with that, so that all its rewards can be compared.
    """
    objective = settings.objective
    if objective.per_epoch is not True or DIVISOR in study.user_attrs:
        return objective
    if any(trial.state == TrialState.COMPLETE for trial in study.get_trials(deepcopy=False)):
        return objective.model_copy(update={"per_epoch": "given"})
    study.set_user_attr(DIVISOR, "loss_met_epoch")
    return objective


def within_limits(outcome: Outcome, objective: ObjectiveSettings) -> Outcome:
    """The outcome. It becomes infeasible if it is complete but breaks a limit of the objective. It gets a reason if its
    metric is undefined.

    Raises:
        SettingsError: a cost with a weight or a limit was not measured, so no candidate can be judged here.
    """
    if outcome.status != Status.COMPLETE:
        return outcome
    costs = asdict(outcome.cost)
    objective.require_measured(costs)
    broken = objective.violation(outcome.metrics, costs)
    if broken is not None:
        return replace(outcome, status=Status.INFEASIBLE, reason=broken)
    scored = objective.maximize or (objective.metric,)
    missing = next((name for name in scored if name not in outcome.metrics), None)
    if missing is not None:
        return replace(outcome, reason=f"no validation case has anything to score {missing} by")
    return outcome
