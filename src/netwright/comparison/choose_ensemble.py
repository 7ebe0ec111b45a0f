"""Chooses which finalists of a search are used, alone or together, and with which mirrored views."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from netwright.comparison.ensemble import (
    Counts,
    Library,
    OutOfTimeError,
    Rows,
    Rule,
    Selection,
    alone,
    compare,
    reduced,
    select,
    unless_better,
    words,
)
from netwright.comparison.finalists import (
    EnsembleJob,
    Finalist,
    combined_cost,
    composition_of,
    in_order,
    measured_cost,
    network_of,
)
from netwright.comparison.kept_outputs import KeptOutputs, find_outputs, keep_outputs, mean_outputs
from netwright.comparison.mirrored_views import NO_TIME, Viewed, Views, choose_views
from netwright.data.open import open_prepared_once
from netwright.errors import RunError, StorageError, concerns_all
from netwright.execution import heartbeat
from netwright.execution.run_jobs import keep_trace
from netwright.models.store import describe_trained
from netwright.searches.components import problem_of
from netwright.training.config import TrainingProtocol
from netwright.training.files import LOG, WEIGHTS

if TYPE_CHECKING:
    from torch import nn

OUTPUTS_UNTIL, SELECTED_UNTIL = 0.6, 0.8
"""The share of the time after which no more outputs of members are computed, and that after which the ensemble must be
selected. The rest is for mirrored views and writing."""

FEWEST_STEPS, SCORED_A_STEP = 4, 3.0
"""There must be time for this many steps of the selection before another network is tried; and the most ensembles that
a step scores for each member, on all cases and in the folds (2.7 were measured)."""

MEAN_COSTS = 2.0
"""How many times as long it takes to score a mean of a few networks as one network."""


def choose_ensemble(job: EnsembleJob) -> dict[str, Any]:
    """Chooses, and writes the chosen network into the job's folder, where `load_trained` has it from.

    Finalists are tried in order of their scores until the time is over, the first one whatever the time. What is fitted
    after a training (`netwright.tasks.base.Task.finish`) is not part of it.

    Returns:
        Plain values. ``members``: of each its ``name``, ``weight`` in the mean, reward ``alone``, and of the ensemble
        ``without`` it (None where there is only one). ``mirror_axes``. ``metrics``, ``reward`` and ``cost`` on the
        validation cases. ``default``: the same of the default with its own views, where something else is used and the
        default was compared. ``single``: the name of the best network alone. ``selection``: why there is an ensemble or
        none, with the cross-fitted ``gain``. ``mirroring``: of each axis that was tried the ``gain``, and whether it is
        ``taken``. ``left_out``: the finalists that could not be tried, with the reason. ``folder`` and ``seconds``.

    Raises:
        RunError: no finalist could be used.
    """
    with heartbeat.watched(job.settings.machine.hang_seconds):
        return _Choosing(job).run()


@dataclass(frozen=True)
class _Tried:
    """A finalist and its outputs; None where there was no room for them, of the only one."""

    finalist: Finalist
    kept: KeptOutputs | None
    cost: dict[str, Any]


class _Choosing:
    def __init__(self, job: EnsembleJob) -> None:
        from netwright.training.device import resolve_device

        self._job = job
        self._begun = time.perf_counter()
        self._prepared = open_prepared_once(job.prepared)
        self._problem = problem_of(job.settings, self._prepared)
        self._device = resolve_device(job.protocol.device)
        self._rows: dict[Counts, Rows] = {}
        self._tried: list[_Tried] = []
        self._left_out: list[dict[str, str]] = []

    def run(self) -> dict[str, Any]:
        job = self._job
        self._try_finalists()
        rule = self._affordable()
        library = Library(len(self._tried), self._rows_of, self._value, self._allowed)
        chosen = self._or_default(self._selected(library, rule), library, rule)
        chosen, views, of_default = self._or_default_with_views(chosen)
        network = self._network(chosen.counts, views.axes)
        cost = {
            **self._cost(chosen.counts, 2 ** len(views.axes)),
            **measured_cost(network, self._problem.task, job.protocol, self._device),
        }
        if views.axes or sum(map(bool, chosen.counts)) > 1:
            broken = job.settings.objective.violation(self._problem.metrics(views.rows), cost)
            if broken is not None:  # the costs of the members were added up, and are now measured together
                alone_better = (
                    sum(map(bool, chosen.counts)) == 1
                )  # than the default, as no member of an ensemble is
                instead = chosen.counts if alone_better else self._default() or chosen.single
                chosen = replace(chosen, counts=instead, reason=f"measured together, {broken}")
                tried = tuple({**view, "taken": False, "reason": broken} for view in views.tried)
                views = Views((), self._rows_of(instead, in_time=False), tried)
                network = self._network(chosen.counts, ())
                cost = measured_cost(network, self._problem.task, job.protocol, self._device)
        self._save(network, chosen.counts, views.axes)
        return self._told(chosen, views, of_default, cost)

    def _try_finalists(self) -> None:
        for finalist in in_order(self._job.finalists):
            begun = time.perf_counter()
            try:
                self._tried.append(self._try_one(finalist))
            except OutOfTimeError as error:
                self._left_out.append({"name": finalist.name, "reason": str(error)})
            except StorageError:
                if self._tried:  # without its outputs it cannot be selected
                    self._left_out.append({"name": finalist.name, "reason": "no room for its outputs"})
                else:
                    self._tried.append(self._try_without_room(finalist))
                    break
            except Exception as error:
                if concerns_all(error) and not isinstance(error, RunError):
                    raise
                keep_trace(self._job.folder / LOG, error)
                self._left_out.append({"name": finalist.name, "reason": f"{type(error).__name__}: {error}"})
            took = time.perf_counter() - begun
            if self._enough_tried(took):
                break
        if not self._tried:
            reasons = "; ".join(f"{one['name']}: {one['reason']}" for one in self._left_out)
            raise RunError(f"No finalist of the search can be used ({reasons or 'there is none'}).")
        known = {one.finalist.name for one in self._tried} | {one["name"] for one in self._left_out}
        self._left_out += [
            {"name": one.name, "reason": "only the best one was wanted" if self._job.single else "no time"}
            for one in self._job.finalists
            if one.name not in known
        ]

    def _enough_tried(self, took: float) -> bool:
        """Whether no more finalists are tried, because there is no time, or because only a single network is wanted."""
        waiting = len(self._tried) < 2 and any(one.default for one in self._job.finalists)
        tried_default = any(one.finalist.default for one in self._tried)
        if self._job.single and self._tried and (tried_default or not waiting):
            return True
        return bool(self._tried) and self._left(OUTPUTS_UNTIL) < took

    def _try_one(self, finalist: Finalist) -> _Tried:
        job, cases = self._job, self._job.validation
        kept = find_outputs(finalist.folder, cases, str(job.prepared))
        if kept is not None and finalist.cost:
            return _Tried(finalist, kept, finalist.cost)
        network = network_of([(finalist, 1.0)], (), job.settings, self._problem.task).to(self._device)
        cost = finalist.cost or measured_cost(network, self._problem.task, job.protocol, self._device)
        if kept is None:
            outputs = self._problem.outputs(network, cases, self._protocol, self._device)
            timed = outputs if not self._tried else self._in_time(outputs)
            kept = keep_outputs(finalist.folder, timed, cases, str(job.prepared))
        return _Tried(finalist, kept, dict(cost))

    def _try_without_room(self, finalist: Finalist) -> _Tried:
        """The best finalist, which is used also where there is no room for its outputs, and then alone."""
        job, task = self._job, self._problem.task
        network = network_of([(finalist, 1.0)], (), job.settings, task).to(self._device)
        self._rows[alone(0, 1)] = self._problem.scores(network, job.validation, self._protocol, self._device)
        cost = finalist.cost or measured_cost(network, task, job.protocol, self._device)
        return _Tried(finalist, None, dict(cost))

    def _in_time(self, outputs: Iterator[Any]) -> Iterator[Any]:
        for output in outputs:
            yield output  # which may be computed now
            if self._left(OUTPUTS_UNTIL) < 0:
                raise OutOfTimeError("no time")

    @property
    def _protocol(self) -> TrainingProtocol:
        return self._job.protocol.validating_whole

    def _left(self, share: float) -> float:
        """Seconds until a share of the time is over."""
        return share * self._job.seconds - (time.perf_counter() - self._begun)

    def _selected(self, library: Library, rule: Rule) -> Selection:
        first = Selection(*(alone(0, library.size),) * 3, None, "only one network was tried")
        if library.size == 1:
            return first
        rule = replace(rule, steps=1) if self._job.single else rule  # of one step comes one network
        try:
            selected = select(library, self._units(), rule)
        except OutOfTimeError:
            return replace(first, reason="there was no time to try an ensemble")
        if selected is not None and self._job.single:
            selected = replace(selected, reason="only one network was wanted")
        return selected or replace(first, reason="no network keeps the limits of the objective")

    def _default(self) -> Counts | None:
        """The default alone, which is used unless something is better; None where it is not, or was not tried."""
        number = next((i for i, one in enumerate(self._tried) if one.finalist.default), None)
        if number is None or not self._job.settings.objective.plain:
            return None  # where costs are weighed, they are known without chance
        counts = alone(number, len(self._tried))
        return counts if self._allowed(counts) else None

    def _or_default(self, chosen: Selection, library: Library, rule: Rule) -> Selection:
        """What was chosen; the default, where that is not worse beyond chance."""
        if (default := self._default()) is not None:
            for counts in (chosen.counts, default):
                self._rows_of(counts, in_time=False)
            return unless_better(chosen, default, library, self._units(), rule)
        known = {one.finalist.name for one in self._tried}
        if any(one.default and one.name not in known for one in self._job.finalists):
            chosen = replace(chosen, reason=f"{chosen.reason}; the default could not be compared with it")
        return chosen

    def _or_default_with_views(self, chosen: Selection) -> tuple[Selection, Views, Views | None]:
        """The same, each with its mirrored views: a network that was trained without them may gain nothing by them.

        Returns what is used, its views, and those of the default, where that is not used and was compared.
        """
        views, default = self._views(chosen.counts), self._default()
        if default is None or reduced(chosen.counts) == default:
            return chosen, views, None
        others = self._views(default)
        if any(one["reason"] == NO_TIME for one in others.tried):
            # The one is not judged mirrored where there was no time for the other.
            views, others = (
                Views((), self._rows_of(some), others.tried) for some in (chosen.counts, default)
            )
        gain = compare(partial(self._value, default), views.rows, others.rows, self._units(), self._job.rule)
        if gain.proven or not (views.axes or others.axes):
            return chosen, views, others
        reason = f"with mirrored views nothing was better than the default beyond chance ({words(gain)})"
        return replace(chosen, counts=default, single=default, reason=reason), others, None

    def _affordable(self) -> Rule:
        """The rule with as many steps as there is time for. Finalists for which there is no time are left out."""
        begun = time.perf_counter()
        self._rows_of(alone(0, len(self._tried)))
        took = max(time.perf_counter() - begun, 1e-6)
        steps = self._left(SELECTED_UNTIL) / (MEAN_COSTS * SCORED_A_STEP * took)  # of one member
        most = max(2, int(steps / FEWEST_STEPS))
        self._left_out += [
            {"name": one.finalist.name, "reason": "no time to select from more networks"}
            for one in self._tried[most:]
        ]
        self._tried = self._tried[:most]
        self._rows = {counts[:most]: rows for counts, rows in self._rows.items()}
        rule = self._job.rule
        return replace(rule, steps=min(rule.steps, max(2, int(steps / len(self._tried)))))

    def _units(self) -> NDArray[np.int64]:
        names = [self._prepared.names[case] for case in self._job.validation]
        _, units = np.unique([self._job.groups.get(name, name) for name in names], return_inverse=True)
        return np.asarray(units, dtype=np.int64)

    def _rows_of(self, counts: Counts, *, in_time: bool = True) -> Rows:
        counts = reduced(counts)
        if counts not in self._rows:
            if in_time and self._rows and self._left(SELECTED_UNTIL) < 0:
                raise OutOfTimeError("no time")
            known = [(one.kept, count) for one, count in zip(self._tried, counts, strict=True) if one.kept]
            means = mean_outputs(*zip(*known, strict=True))
            self._rows[counts] = self._problem.scores_of(self._job.validation, means)
            heartbeat.beat()
        return self._rows[counts]

    def _value(self, counts: Counts, rows: Rows, views: int = 1) -> float:
        reward = self._job.settings.objective.reward(
            self._problem.metrics(rows), self._cost(counts, views), epochs=1
        )
        return math.nan if reward is None else reward

    def _allowed(self, counts: Counts, views: int = 1) -> bool:
        return self._job.settings.objective.violation({}, self._cost(counts, views)) is None

    def _cost(self, counts: Counts, views: int) -> dict[str, Any]:
        used = [one.cost for one, count in zip(self._tried, counts, strict=True) if count]
        return combined_cost(used, views)

    def _views(self, counts: Counts) -> Views:
        known = Viewed(
            self._rows_of(counts),
            partial(self._rows_mirrored, counts),
            partial(self._value, counts),
            partial(self._allowed, counts),
        )
        return choose_views(known, self._job.mirror_axes, self._units(), self._job.rule)

    def _rows_mirrored(self, counts: Counts, axes: tuple[int, ...]) -> Rows | None:
        """The scores with mirrored views; None where there is no time for them."""
        network = self._network(counts, axes)
        cases, begun = self._job.validation, time.perf_counter()
        outputs = self._problem.outputs(network, cases, self._protocol, self._device)

        def in_time() -> Iterator[Any]:
            for number, output in enumerate(outputs, 1):
                yield output  # which may be computed now
                taken = time.perf_counter() - begun
                if taken / number * (len(cases) - number) > self._left(1.0):
                    raise OutOfTimeError("no time")

        try:
            return self._problem.scores_of(cases, in_time())
        except OutOfTimeError:
            return None

    def _used(self, counts: Counts) -> list[tuple[Finalist, float]]:
        pairs = zip(self._tried, counts, strict=True)
        return [(one.finalist, count / sum(counts)) for one, count in pairs if count]

    def _network(self, counts: Counts, axes: tuple[int, ...]) -> nn.Module:
        network = network_of(self._used(counts), axes, self._job.settings, self._problem.task)
        return network.to(self._device)

    def _save(self, network: nn.Module, counts: Counts, axes: tuple[int, ...]) -> None:
        from netwright.training.weights import save_weights

        job = self._job
        composition = composition_of(self._used(counts), axes)
        first = composition.members[0]
        # Weights are never with the description of others.
        job.folder.mkdir(parents=True, exist_ok=True)
        (job.folder / WEIGHTS).unlink(missing_ok=True)
        describe_trained(job.folder, job.settings, self._prepared, first.choice, first.reference, composition)
        save_weights(network, job.folder / WEIGHTS)

    def _told(
        self, chosen: Selection, views: Views, of_default: Views | None, cost: dict[str, Any]
    ) -> dict[str, Any]:
        names = [one.finalist.name for one in self._tried]
        size = len(names)
        members = [
            {
                "name": names[member],
                "choice": self._tried[member].finalist.choice,
                "reference": self._tried[member].finalist.reference,
                "weight": count / sum(chosen.counts),
                "alone": self._reward_of(alone(member, size)),
                "without": self._reward_of(tuple(c * (i != member) for i, c in enumerate(chosen.counts))),
            }
            for member, count in enumerate(chosen.counts)
            if count
        ]
        gain = chosen.gain
        return {
            "members": members,
            "mirror_axes": list(views.axes),
            "metrics": dict(self._problem.metrics(views.rows)),
            "reward": self._value(chosen.counts, views.rows, 2 ** len(views.axes)),
            "cost": cost,
            "single": names[chosen.single.index(1)],
            "selection": {
                "reason": chosen.reason,
                "proposed": {
                    name: count for name, count in zip(names, chosen.proposed, strict=True) if count
                },
                "gain": None if gain is None else {**asdict(gain.comparison), "one_sided_p": gain.p_value},
            },
            "mirroring": list(views.tried),
            "default": self._told_of_default(chosen, of_default),
            "left_out": self._left_out,
            "folder": str(self._job.folder),
            "seconds": time.perf_counter() - self._begun,
        }

    def _told_of_default(self, chosen: Selection, views: Views | None) -> dict[str, Any] | None:
        """The default as it was compared; None where it is used, or was not compared."""
        default = self._default()
        if views is None or default is None or reduced(chosen.counts) == default:
            return None
        network, task = self._network(default, views.axes), self._problem.task
        return {
            "mirror_axes": list(views.axes),
            "metrics": dict(self._problem.metrics(views.rows)),
            "cost": {
                **self._cost(default, 2 ** len(views.axes)),
                **measured_cost(network, task, self._job.protocol, self._device),
            },
        }

    def _reward_of(self, counts: Counts) -> float | None:
        """The reward of other networks, as far as there was time for their scores."""
        try:
            return self._value(counts, self._rows_of(counts)) if any(counts) else None
        except OutOfTimeError:
            return None
