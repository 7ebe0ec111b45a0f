"""From names and options to the parts of a study: space, task, sampler, protocol, objective."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

import optuna
from optuna.samplers import BaseSampler
from optuna.trial import TrialState

from netwright.errors import SettingsError
from netwright.objective import ObjectiveSettings
from netwright.runs.folder import RunFolder
from netwright.runs.trials import STUDY_NAME, open_storage
from netwright.settings import Part, RunSettings
from netwright.spaces import SPACES
from netwright.spaces.base import Layered, Space
from netwright.spaces.layerwise.factory import load_factory
from netwright.spaces.layerwise.makers import FILLED_IN
from netwright.strategies import STRATEGIES
from netwright.strategies.optuna_samplers import OPTUNA_SAMPLERS, SeededSampler
from netwright.strategies.sampler import StrategySampler
from netwright.training.outcome import Outcome, Status

if TYPE_CHECKING:
    from netwright.training.problem import Problem

START = "start"
"""The option ``first`` of a strategy where it stands for the space's starting choice."""

DIVISOR = "epochs_of_reward"
"""The study's attribute with what its rewards are divided by, where they are divided by epochs."""

PROPOSERS: dict[str, Callable[..., Any]] = {**STRATEGIES, **OPTUNA_SAMPLERS}
"""The strategies of a run by name: those of netwright, and Optuna's samplers."""


def make_space(part: Part) -> Space:
    """The search space of that name with its options.

    Raises:
        SettingsError: the name or an option is unknown, or a value is wrong.
    """
    maker = _member("space", SPACES, part.name)
    space: Space = _made("space", part, maker)
    return space


def require_parts(settings: RunSettings) -> None:
    """Refuse what is wrong with space and strategy as far as it can be told before the data is prepared.

    Raises:
        SettingsError: as `make_space` and `make_sampler`, or a network is needed that is not named or not there.
    """
    part = settings.space
    maker = _member("space", SPACES, part.name)
    known = inspect.signature(maker).parameters
    if "classes" not in known:
        make_sampler(settings, make_space(part))
        return
    _require_options("space", part, maker)
    if "network" in known:
        if not part.options.get("network"):
            raise SettingsError(
                f"The space {part.name!r} needs your network: give --network package.module:factory, where the factory "
                "makes a torch.nn.Module."
            )
        load_factory(str(part.options["network"]), part.options.get("folder"))
    strategy = settings.strategy
    proposer = _member("strategy", PROPOSERS, strategy.name)
    _require_options("strategy", strategy, proposer)
    without = {name: value for name, value in strategy.model_dump().items() if name != "first"}
    _made("strategy", Part(**without), proposer)


def problem_of(settings: RunSettings, prepared: Any) -> Problem:
    """What the run's networks are trained for: the problem that its prepared data poses under its settings."""
    from netwright.training.problem import make_problem  # here, as reading a run needs no training

    return make_problem(prepared, settings.slices, settings.inpainting)


def make_sampler(settings: RunSettings, space: Space) -> BaseSampler:
    """The strategy as an Optuna sampler over the space, seeded by the run's seed.

    Raises:
        SettingsError: the name or an option is unknown, or a value is wrong.
    """
    part = settings.strategy
    if part.options.get("first") == START:
        part = Part(**{**part.model_dump(), "first": space.starting_choice()})
    maker = _member("strategy", PROPOSERS, part.name)
    if isinstance(space, Layered) and "agents" in inspect.signature(maker).parameters:
        graph = space.agent_graph()
        part = Part(**{"agents": graph.agents, "edges": graph.edges, **part.model_dump()})
    strategy = _made("strategy", part, maker)
    if part.name in OPTUNA_SAMPLERS:
        return SeededSampler(strategy, settings.seed)
    return StrategySampler(strategy, seed=settings.seed, distributions=space.distributions())


def open_study(folder: RunFolder, settings: RunSettings) -> optuna.Study:
    """The run's Optuna study, made where there is none, with the run's sampler."""
    space = make_space(settings.space)
    return optuna.create_study(
        storage=open_storage(folder),
        study_name=STUDY_NAME,
        sampler=make_sampler(settings, space),
        direction="maximize",
        load_if_exists=True,
    )


def reward_of(outcome: Outcome, objective: ObjectiveSettings) -> float | None:
    """What the search maximises; None unless the candidate is complete and a case defines the metric.

    N_epoch of Iranfar et al. 2022, Section VI-A, is the epoch at which the loss met its threshold. Where it never did
    it is the epochs that the episode was given: one that patience ended earlier is no better for that.
    """
    if outcome.status != Status.COMPLETE:
        return None
    return objective.reward(
        outcome.metrics, asdict(outcome.cost), outcome.planned_epochs, outcome.loss_met_epoch
    )


def objective_of(study: optuna.Study, settings: RunSettings) -> ObjectiveSettings:
    """The objective by which a search rewards: that of its settings, and by the epochs given where it has rewarded by
    them, as runs did at first, which kept no note of it, so that all rewards of a study can be compared.
    """
    objective = settings.objective
    if objective.per_epoch is not True or DIVISOR in study.user_attrs:
        return objective
    if any(trial.state == TrialState.COMPLETE for trial in study.get_trials(deepcopy=False)):
        return objective.model_copy(update={"per_epoch": "given"})
    study.set_user_attr(DIVISOR, "loss_met_epoch")
    return objective


def within_limits(outcome: Outcome, objective: ObjectiveSettings) -> Outcome:
    """The outcome; infeasible where it is complete but breaks a limit of the objective, with a reason where its metric
    is not defined.

    Raises:
        SettingsError: a cost that is weighed or limited was not measured, so that no candidate here could be judged.
    """
    if outcome.status != Status.COMPLETE:
        return outcome
    costs = asdict(outcome.cost)
    objective.require_measured(costs)
    broken = objective.violation(outcome.metrics, costs)
    if broken is not None:
        return replace(outcome, status=Status.INFEASIBLE, reason=broken)
    if objective.metric not in outcome.metrics:
        return replace(outcome, reason=f"no validation case has anything to score {objective.metric} by")
    return outcome


def _member(kind: str, family: dict[str, Any], name: str) -> Callable[..., Any]:
    if name not in family:
        near = difflib.get_close_matches(name, family, n=1)
        advice = f"Did you mean {near[0]}? " if near else ""
        raise SettingsError(f"There is no {kind} {name!r}. {advice}There are: {', '.join(family)}.")
    maker: Callable[..., Any] = family[name]
    return maker


def _require_options(kind: str, part: Part, maker: Callable[..., Any]) -> None:
    known = inspect.signature(maker).parameters
    unknown = [name for name in part.options if name not in known]
    if unknown == ["network"] and kind == "space":
        raise SettingsError(
            f"The space {part.name!r} takes no network of yours. Give --network with the recipe marl, or without "
            "--recipe."
        )
    if unknown:
        free = ", ".join(name for name in known if kind != "space" or name not in FILLED_IN)
        raise SettingsError(f"{kind} {part.name!r} has no option {unknown[0]!r}. It has: {free or 'none'}.")


def _made(kind: str, part: Part, maker: Callable[..., Any]) -> Any:
    _require_options(kind, part, maker)
    try:
        return maker(**{name: _tuples(value) for name, value in part.options.items()})
    except (TypeError, ValueError) as error:
        raise SettingsError(f"{kind} {part.name!r} cannot be made of {part.options}: {error}") from None


def _tuples(value: Any) -> Any:
    return tuple(_tuples(item) for item in value) if isinstance(value, list) else value
