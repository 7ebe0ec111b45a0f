"""The finalists of a search for which there was time, and what any ensemble of them scores and costs."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from netwright.comparison.ensemble import Counts, Library, OutOfTimeError, Rows, Rule, alone, reduced
from netwright.comparison.finalists import (
    EnsembleJob,
    Finalist,
    combined_cost,
    in_order,
    measured_cost,
    network_of,
)
from netwright.comparison.kept_outputs import KeptOutputs, find_outputs, keep_outputs, mean_outputs
from netwright.data.open import open_prepared_once
from netwright.errors import RunError, StorageError, concerns_all
from netwright.execution import heartbeat
from netwright.execution.run_jobs import keep_trace
from netwright.searches.components import problem_of
from netwright.training.config import TrainingProtocol
from netwright.training.files import LOG

if TYPE_CHECKING:
    from torch import nn

OUTPUTS_UNTIL, SELECTED_UNTIL = 0.6, 0.8
"""The share of the time after which no more outputs of members are computed, and that after which the ensemble must be
selected. The rest is for mirrored views and writing."""
VIEWED_UNTIL = 0.9
"""The share of the time for the mirrored views of what was selected, where the default's come after them."""

FEWEST_STEPS, SCORED_A_STEP = 4, 3.0
"""There must be time for this many steps of the selection before another network is tried; and the most ensembles that
a step scores for each member, on all cases and in the folds (2.7 were measured)."""

MEAN_COSTS = 2.0
"""How many times as long it takes to score a mean of a few networks as one network."""


@dataclass(frozen=True)
class Tried:
    """A finalist and its outputs; None where there was no room for them, of the only one."""

    finalist: Finalist
    kept: KeptOutputs | None
    cost: dict[str, Any]


class TriedFinalists:
    """Finalists, tried in order until the time is over, the first one whatever the time.

    The first is the default where that is used unless something is better, else the one with the best score.

    Args:
        job: what is to be decided.
    """

    def __init__(self, job: EnsembleJob) -> None:
        from netwright.training.device import resolve_device

        self._job = job
        self._begun = time.perf_counter()
        self.prepared = open_prepared_once(job.prepared)
        self.problem = problem_of(job.settings, self.prepared)
        self.device = resolve_device(job.protocol.device)
        self._rows: dict[Counts, Rows] = {}
        self.tried: list[Tried] = []
        self.left_out: list[dict[str, str]] = []

    @property
    def seconds(self) -> float:
        """How long all of it has taken so far."""
        return time.perf_counter() - self._begun

    @property
    def library(self) -> Library:
        """All of them as members that may be selected."""
        return Library(len(self.tried), self.rows, self.value, self.allowed)

    def try_all(self) -> None:
        """Computes the outputs of as many as there is time for, and notes which others are left out.

        Raises:
            RunError: none can be used.
        """
        for finalist in in_order(self._job.finalists, default_first=self._may_fall_back()):
            begun = time.perf_counter()
            try:
                self.tried.append(self._try_one(finalist))
            except OutOfTimeError as error:
                self.left_out.append({"name": finalist.name, "reason": str(error)})
            except StorageError:
                if self.tried:  # without its outputs it cannot be selected
                    self.left_out.append({"name": finalist.name, "reason": "no room for its outputs"})
                else:
                    self.tried.append(self._try_without_room(finalist))
                    break
            except Exception as error:
                if concerns_all(error) and not isinstance(error, RunError):
                    raise
                keep_trace(self._job.folder / LOG, error)
                self.left_out.append({"name": finalist.name, "reason": f"{type(error).__name__}: {error}"})
            took = time.perf_counter() - begun
            if self.tried and self.left(OUTPUTS_UNTIL) < took:
                break
        if not self.tried:
            reasons = "; ".join(f"{one['name']}: {one['reason']}" for one in self.left_out)
            raise RunError(f"No finalist of the search can be used ({reasons or 'there is none'}).")
        known = {one.finalist.name for one in self.tried} | {one["name"] for one in self.left_out}
        self.left_out += [
            {"name": one.name, "reason": "no time"} for one in self._job.finalists if one.name not in known
        ]

    def _may_fall_back(self) -> bool:
        """Whether the default may be used unless something is better: without weighed costs, and within the limits."""
        objective = self._job.settings.objective
        default = next((one for one in self._job.finalists if one.default), None)
        if default is None or not objective.plain:
            return False
        return not default.cost or objective.violation({}, combined_cost([default.cost], 1)) is None

    def _try_one(self, finalist: Finalist) -> Tried:
        job, cases = self._job, self._job.validation
        kept = find_outputs(finalist.folder, cases, str(job.prepared))
        if kept is not None and finalist.cost:
            return Tried(finalist, kept, finalist.cost)
        network = network_of([(finalist, 1.0)], (), job.settings, self.problem.task).to(self.device)
        cost = finalist.cost or measured_cost(network, self.problem.task, job.protocol, self.device)
        if kept is None:
            outputs = self.problem.outputs(network, cases, self._protocol, self.device)
            timed = outputs if not self.tried else self._in_time(outputs)
            kept = keep_outputs(finalist.folder, timed, cases, str(job.prepared))
        return Tried(finalist, kept, dict(cost))

    def _try_without_room(self, finalist: Finalist) -> Tried:
        """The first finalist, which is used also where there is no room for its outputs, and then alone."""
        job, task = self._job, self.problem.task
        network = network_of([(finalist, 1.0)], (), job.settings, task).to(self.device)
        self._rows[alone(0, 1)] = self.problem.scores(network, job.validation, self._protocol, self.device)
        cost = finalist.cost or measured_cost(network, task, job.protocol, self.device)
        return Tried(finalist, None, dict(cost))

    def _in_time(self, outputs: Iterator[Any]) -> Iterator[Any]:
        for output in outputs:
            yield output  # which may be computed now
            if self.left(OUTPUTS_UNTIL) < 0:
                raise OutOfTimeError("no time")

    @property
    def _protocol(self) -> TrainingProtocol:
        return self._job.protocol.validating_whole

    def left(self, share: float) -> float:
        """Seconds until a share of the time is over."""
        return share * self._job.seconds - self.seconds

    def keep_affordable(self) -> Rule:
        """The rule with as many steps as there is time for. Finalists for which there is no time are left out."""
        begun = time.perf_counter()
        self.rows(alone(0, len(self.tried)))
        took = max(time.perf_counter() - begun, 1e-6)
        steps = self.left(SELECTED_UNTIL) / (MEAN_COSTS * SCORED_A_STEP * took)  # of one member
        most = max(2, int(steps / FEWEST_STEPS))
        self.left_out += [
            {"name": one.finalist.name, "reason": "no time to select from more networks"}
            for one in self.tried[most:]
        ]
        self.tried = self.tried[:most]
        self._rows = {counts[:most]: rows for counts, rows in self._rows.items()}
        rule = self._job.rule
        return replace(rule, steps=min(rule.steps, max(2, int(steps / len(self.tried)))))

    def default(self) -> Counts | None:
        """The default alone, which is used unless something is better; None where it is not, or was not tried."""
        number = next((i for i, one in enumerate(self.tried) if one.finalist.default), None)
        if number is None or not self._job.settings.objective.plain:
            return None  # where costs are weighed, they are known without chance
        counts = alone(number, len(self.tried))
        return counts if self.allowed(counts) else None

    def units(self) -> NDArray[np.int64]:
        """Which validation cases belong together, such as those of a patient: a number for each."""
        names = [self.prepared.names[case] for case in self._job.validation]
        _, units = np.unique([self._job.groups.get(name, name) for name in names], return_inverse=True)
        return np.asarray(units, dtype=np.int64)

    def rows(self, counts: Counts, *, in_time: bool = True) -> Rows:
        """The scores of an ensemble on the validation cases.

        Args:
            counts: how often each of them is taken.
            in_time: whether unknown ones are refused once the ensemble should be selected.

        Raises:
            OutOfTimeError: there is no time.
        """
        counts = reduced(counts)
        if counts not in self._rows:
            if in_time and self._rows and self.left(SELECTED_UNTIL) < 0:
                raise OutOfTimeError("no time")
            known = [(one.kept, count) for one, count in zip(self.tried, counts, strict=True) if one.kept]
            means = mean_outputs(*zip(*known, strict=True))
            self._rows[counts] = self.problem.scores_of(self._job.validation, means)
            heartbeat.beat()
        return self._rows[counts]

    def mirrored_rows(self, counts: Counts, axes: tuple[int, ...], *, until: float = 1.0) -> Rows | None:
        """The scores of an ensemble with mirrored views; None where there is no time for them.

        Args:
            counts: how often each of them is taken.
            axes: along which views are mirrored.
            until: the share of the time by which they must be computed.
        """
        network = self.network(counts, axes)
        cases, begun = self._job.validation, time.perf_counter()
        outputs = self.problem.outputs(network, cases, self._protocol, self.device)

        def in_time() -> Iterator[Any]:
            for number, output in enumerate(outputs, 1):
                yield output  # which may be computed now
                taken = time.perf_counter() - begun
                if taken / number * (len(cases) - number) > self.left(until):
                    raise OutOfTimeError("no time")

        try:
            return self.problem.scores_of(cases, in_time())
        except OutOfTimeError:
            return None

    def value(self, counts: Counts, rows: Rows, views: int = 1) -> float:
        """What is maximised: the objective of an ensemble; NaN if undefined.

        Args:
            counts: how often each of them is taken, for its cost.
            rows: its scores, of some or all cases.
            views: of each image, mirrored ones among them.
        """
        reward = self._job.settings.objective.reward(
            self.problem.metrics(rows), self.cost(counts, views), epochs=1
        )
        return math.nan if reward is None else reward

    def allowed(self, counts: Counts, views: int = 1) -> bool:
        """Whether an ensemble with so many views of each image keeps all limits."""
        return self._job.settings.objective.violation({}, self.cost(counts, views)) is None

    def cost(self, counts: Counts, views: int) -> dict[str, Any]:
        """What an ensemble costs with so many views of each image, from what its members cost."""
        used = [one.cost for one, count in zip(self.tried, counts, strict=True) if count]
        return combined_cost(used, views)

    def used(self, counts: Counts) -> list[tuple[Finalist, float]]:
        """The members of an ensemble, each with its weight in the mean."""
        pairs = zip(self.tried, counts, strict=True)
        return [(one.finalist, count / sum(counts)) for one, count in pairs if count]

    def network(self, counts: Counts, axes: tuple[int, ...]) -> nn.Module:
        """An ensemble as one network on the device, with its mirrored views."""
        network = network_of(self.used(counts), axes, self._job.settings, self.problem.task)
        return network.to(self.device)

    def measured(self, network: nn.Module) -> dict[str, Any]:
        """What a network costs, measured as the candidates of the search were."""
        return measured_cost(network, self.problem.task, self._job.protocol, self.device)
