"""A search inside one training, as a part of a run: its job, its worker, and its one trial at the end."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import optuna

from netwright.data.open import open_prepared_once
from netwright.errors import RunError, SettingsError, first_line
from netwright.execution import heartbeat
from netwright.execution.base import Executor
from netwright.execution.executors import make_executor
from netwright.execution.resources import devices, process_limit_mb
from netwright.execution.run_jobs import Cause, Failure, Job, fixed, run_jobs
from netwright.runs.clock import Clock
from netwright.runs.data import SearchData
from netwright.runs.folder import RunFolder
from netwright.runs.trials import network_key
from netwright.searches.components import problem_of, reward_of
from netwright.settings import RunSettings, SpecSettings
from netwright.spaces import make_space, network_builder, takes_task
from netwright.spaces.base import SharesWeights, Space
from netwright.spec import Spec
from netwright.strategies.makers import make_sampler
from netwright.strategies.natural_gradient import NaturalGradient
from netwright.strategies.sampler import StrategySampler
from netwright.strategies.view import dimensions_of
from netwright.training.config import TrainingProtocol
from netwright.training.files import LOG
from netwright.training.outcome import Outcome, Status
from netwright.training.seeding import derive_seed, seeded

if TYPE_CHECKING:
    from netwright.nn.steps import Supernet
    from netwright.supernet.search import SharedSearch
    from netwright.training.problem import NetworkTask, Problem

STOP = "stop"
"""A file with this name asks the worker to write a checkpoint and stop."""
STOP_SECONDS = 120.0


@dataclass(frozen=True)
class SharedJob:
    """The search of a run, to be started or continued: case indices of the prepared data, and the search's folder."""

    settings: RunSettings
    prepared: Path
    training: tuple[int, ...]
    validation: tuple[int, ...]
    folder: Path

    @property
    def cases(self) -> tuple[int, ...]:
        """Those that the search learns from."""
        assert self.settings.supernet is not None
        return (*self.training, *self.validation) if self.settings.supernet.on_all else self.training


def shared_space(settings: RunSettings) -> Space:
    """The run's space with the options that hold for the search."""
    assert settings.supernet is not None
    return make_space(SpecSettings(**{**settings.space.model_dump(), **settings.supernet.space}))


def require_shared(settings: RunSettings) -> None:
    """Refuses a search inside one training where it is not possible.

    Raises:
        SettingsError: the space shares no weights, the strategy has no distribution, the options of the search change
            what is searched, or the objective asks for more than the loss.
    """
    if settings.supernet is None:
        return
    whole = "Set supernet=null to train candidate after candidate."
    if not shares_weights(settings.space):
        raise SettingsError(
            f"supernet: the networks of the space {settings.space.name!r} share no weights. {whole}"
        )
    _require_natural_gradient(settings, whole)
    if shared_space(settings).distributions() != make_space(settings.space).distributions():
        raise SettingsError(
            "supernet.space changes the dimensions of the space: the search would find no network of the space itself. "
            "Set such options in space."
        )
    if settings.objective.costs or settings.objective.limits:
        raise SettingsError(
            f"objective: a search inside one training looks at the loss alone, not at costs and limits. {whole}"
        )


def require_searchable(settings: RunSettings, task: NetworkTask, training: int) -> None:
    """Refuses a search inside one training that could not take its first step, before anything is written.

    Args:
        settings: of the run.
        task: the task of its data.
        training: the number of training cases.

    Raises:
        InfeasibleArchitecture: the networks are not made for such a task.
        SettingsError: there are fewer than two training cases, or an option that the search needs is missing.
    """
    if settings.supernet is None:
        return
    import torch

    if training < 2:
        raise SettingsError(
            f"supernet: expected two training cases or more, as one half is for the weights and the other for the "
            f"probabilities; there {'is one' if training else 'is none'}. Give more data, or another split."
        )
    space = shared_space(settings)
    assert isinstance(space, SharesWeights)
    with torch.device("meta"):
        space.supernet(task)


def shares_weights(spec: Spec) -> bool:
    """Whether the networks of a space can be trained with shared weights."""
    return not takes_task(spec) and isinstance(make_space(spec), SharesWeights)


def _require_natural_gradient(settings: RunSettings, advice: str = "") -> None:
    if settings.strategy.name != NaturalGradient().name:
        told = f"supernet: the strategy must be natural-gradient, not {settings.strategy.name}."
        raise SettingsError(f"{told} {advice}".rstrip())


def natural_gradient(settings: RunSettings, space: Space) -> NaturalGradient:
    """The strategy of a search inside one training.

    Raises:
        SettingsError: it is another one. A report, too, asks for it, so no code of a user's is run here.
    """
    _require_natural_gradient(settings)
    sampler = make_sampler(settings.strategy, space, settings.seed)
    assert isinstance(sampler, StrategySampler)
    assert isinstance(sampler.strategy, NaturalGradient)
    return sampler.strategy


def shared_protocol(settings: RunSettings) -> TrainingProtocol:
    """The run's training protocol on the whole machine, for everything that the search does not set itself."""
    assert settings.supernet is not None
    machine = settings.machine
    return replace(
        settings.training,
        batch_size=settings.supernet.batch_size,
        threads=machine.whole_threads,
        device=devices(settings.training.device)[0],
    )


def memory_limit_mb(settings: RunSettings) -> float | None:
    """The memory that the worker may use: the shares of all workers, because the search uses the whole machine."""
    return process_limit_mb(settings.training.device, settings.machine.whole_memory_mb)


def make_search(job: SharedJob) -> SharedSearch:
    """The search of a job, at its start."""
    from netwright.supernet.search import SearchInputs, SharedSearch

    settings = job.settings
    assert settings.supernet is not None
    space, problem = shared_space(settings), problem_of(settings, open_prepared_once(job.prepared))
    assert isinstance(space, SharesWeights)
    strategy = natural_gradient(settings, space)
    with seeded(derive_seed(settings.seed, "supernet")):
        supernet = space.supernet(problem.task)
    inputs = SearchInputs(
        supernet=supernet,
        problem=problem,
        cases=job.cases,
        protocol=shared_protocol(settings),
        settings=settings.supernet,
        start=strategy.init(dimensions_of(space.distributions())),
        samples=strategy.samples,
    )
    return SharedSearch(inputs, seed=settings.seed, folder=job.folder)


def run_shared(job: SharedJob) -> dict[str, Any] | None:
    """Searches to the end, in a worker. Returns ``choice`` and ``outcome`` of the likeliest network; None if it was
    stopped.

    The metrics of the outcome are measured on the validation cases with the shared weights. The cost is that of the
    network as it will be trained in the end.
    """
    from netwright.training.trial import predicted_cost

    with heartbeat.watched(job.settings.machine.hang_seconds):
        search = make_search(job)
        search.load()
        if not search.run(stop=(job.folder / STOP).exists):
            return None
        choice = search.choice()
        problem = problem_of(job.settings, open_prepared_once(job.prepared))
        metrics, reason = _validated(job, problem, search.supernet, choice)
        build = network_builder(job.settings.space, choice, None)
        cost = predicted_cost(build, problem.task, job.settings.training)
    outcome = Outcome(
        Status.COMPLETE,
        reason,
        metrics=metrics,
        cost=cost,
        seconds=search.seconds,
    )
    return {"choice": choice, "outcome": outcome.to_dict()}


def _validated(
    job: SharedJob, problem: Problem, supernet: Supernet, choice: dict[str, Any]
) -> tuple[dict[str, float], str]:
    """The metrics of a network with the shared weights on the validation cases, or why there are none.

    The cases come in random order, because each batch is normalised by itself and the cases of one class often lie
    together. Where memory is short, the batches are smaller.
    """
    from netwright.execution.memory import is_out_of_memory
    from netwright.nn.steps import StepNetwork
    from netwright.training.device import resolve_device, threads
    from netwright.training.trial import mean_metrics

    protocol, count = shared_protocol(job.settings), len(job.validation)
    order = np.random.default_rng(derive_seed(job.settings.seed, "validation")).permutation(job.validation)
    network = StepNetwork(supernet.operations, supernet.steps(choice))
    size, reason = protocol.batch_size, ""
    while size:
        size = next((n for n in range(size, 1, -1) if count % n != 1), 1)  # one image alone has no statistics
        chosen = replace(protocol, batch_size=size)
        try:
            with threads(protocol.threads):
                scores = problem.scores(network, order.tolist(), chosen, resolve_device(protocol.device))
            return mean_metrics([problem.metrics(scores)]), ""
        except Exception as error:
            reason = f"not validated with the shared weights: {first_line(error)}"
            if isinstance(error, FloatingPointError | ValueError):
                break
            if not is_out_of_memory(error):
                raise
            size //= 2
    return {}, reason


def search_shared(
    folder: RunFolder,
    settings: RunSettings,
    data: SearchData,
    study: optuna.Study,
    on_tick: Callable[[float], None],
) -> None:
    """Runs or continues the search of a run whose networks share weights. Its result is the run's one trial.

    Args:
        folder: of the run.
        settings: of the run.
        data: the training and validation cases.
        study: of the run.
        on_tick: called about twice a second with the seconds spent.

    Raises:
        RunError: the search cannot go on. The message says why.
        KeyboardInterrupt: the user stopped it. A checkpoint has been written.
    """
    if study.get_trials(deepcopy=False):
        return
    clock = Clock(study, None)
    folder.shared.mkdir(exist_ok=True)
    (folder.shared / STOP).unlink(missing_ok=True)
    job = SharedJob(settings, data.prepared, data.training, data.validation, folder.shared)
    machine = settings.machine

    def tick() -> None:
        clock.save()
        on_tick(clock.spent())

    try:
        with make_executor(
            1,
            machine.whole_threads,
            memory_limit_mb(settings),
            name=machine.executor,
            cluster=machine.cluster(folder.shared, data=data.prepared),
        ) as executor:
            result = _result(job, executor, settings.budget.retries, tick)
    finally:
        clock.save(now=True)
    _store(study, settings, result)


def _result(job: SharedJob, executor: Executor, retries: int, tick: Callable[[], None]) -> dict[str, Any]:
    """The result of the worker. A worker that is lost is replaced, and the search goes on from its checkpoint."""

    def ask_for_checkpoint() -> float:
        with contextlib.suppress(OSError):
            (job.folder / STOP).touch()
        return STOP_SECONDS

    jobs = [Job(run_shared, fixed(job), log=job.folder / LOG)]
    (done,) = run_jobs(executor, jobs, retries, on_tick=tick, on_interrupt=ask_for_checkpoint)
    if done.failure is not None:
        raise RunError(_lost(job, done.failure)) from done.failure.error
    result: dict[str, Any] = done.result
    return result


def _lost(job: SharedJob, failure: Failure) -> str:
    advice = (
        "Start again with a smaller supernet.batch_size, or a smaller network (--set supernet.space...)."
        if failure.cause == Cause.OUT_OF_MEMORY
        else f"The trace is in {job.folder / LOG}; 'netwright resume' takes the search up from its last checkpoint."
    )
    return f"The search in {job.folder.parent} cannot go on: {failure.reason}. {advice}"


def _store(study: optuna.Study, settings: RunSettings, result: dict[str, Any]) -> None:
    """Stores the likeliest network at once, as the search's only trial.

    If it could not be validated, the value of the trial is 0, and its outcome has no metrics.
    """
    space = make_space(settings.space)
    outcome = Outcome.from_dict(result["outcome"])
    attributes = {
        "outcome": result["outcome"],
        "reason": outcome.reason,
        "status": outcome.status.value,
        "network": network_key(space.canonical(result["choice"])),
    }
    study.add_trial(
        optuna.trial.create_trial(
            params=result["choice"],
            distributions=space.distributions(),
            value=reward_of(outcome, settings.objective) or 0.0,
            user_attrs=attributes,
        )
    )
