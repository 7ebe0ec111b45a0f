"""Chooses which finalists of a search are used, alone or together, and with which mirrored views."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from netwright.comparison.ensemble import (
    Counts,
    OutOfTimeError,
    Rule,
    Selection,
    alone,
    compare,
    reduced,
    select,
    unless_better,
    words,
)
from netwright.comparison.finalists import EnsembleJob, composition_of
from netwright.comparison.mirrored_views import NO_TIME, Viewed, Views, choose_views
from netwright.comparison.told_choice import told_choice
from netwright.comparison.tried_finalists import VIEWED_UNTIL, TriedFinalists
from netwright.execution import heartbeat
from netwright.models.store import describe_trained
from netwright.training.files import WEIGHTS

if TYPE_CHECKING:
    from torch import nn


def choose_ensemble(job: EnsembleJob) -> dict[str, Any]:
    """Chooses, and writes the chosen network into the job's folder, where `load_trained` has it from.

    Finalists are tried until the time is over, the first one whatever the time: the default where that is used unless
    something is better, then the others in order of their scores. What is fitted after a training
    (`netwright.tasks.base.Task.finish`) is not part of it.

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
    from netwright.training.device import threads

    with heartbeat.watched(job.settings.machine.hang_seconds), threads(job.threads):
        return _Choosing(job).run()


class _Choosing:
    def __init__(self, job: EnsembleJob) -> None:
        self._job = job
        self._finalists = TriedFinalists(job)
        self._units = self._finalists.units()

    def run(self) -> dict[str, Any]:
        finalists = self._finalists
        finalists.try_all()
        rule = finalists.keep_affordable()
        chosen = self._or_default(self._selected(rule), rule)
        chosen, views, of_default = self._or_default_with_views(chosen)
        network = finalists.network(chosen.counts, views.axes)
        cost = {
            **finalists.cost(chosen.counts, 2 ** len(views.axes)),
            **finalists.measured(network),
        }
        if views.axes or sum(map(bool, chosen.counts)) > 1:
            broken = self._job.settings.objective.violation(finalists.problem.metrics(views.rows), cost)
            if broken is not None:  # the costs of the members were added up, and are now measured together
                chosen, views = self._within_limits(chosen, views, broken)
                network = finalists.network(chosen.counts, ())
                cost = finalists.measured(network)
        self._save(network, chosen.counts, views.axes)
        told = told_choice(chosen, views, of_default, cost, finalists)
        return {**told, "folder": str(self._job.folder), "seconds": finalists.seconds}

    def _selected(self, rule: Rule) -> Selection:
        library = self._finalists.library
        tried = self._finalists.tried
        best = max(range(library.size), key=lambda number: tried[number].finalist.score)
        first = Selection(*(alone(best, library.size),) * 3, None, "only one network was tried")
        if library.size == 1:
            return first
        rule = replace(rule, steps=1) if self._job.single else rule  # of one step comes one network
        try:
            selected = select(library, self._units, rule)
        except OutOfTimeError:
            return replace(first, reason="there was no time to try an ensemble")
        if selected is not None and self._job.single:
            selected = replace(selected, reason="only one network was wanted")
        return selected or replace(first, reason="no network keeps the limits of the objective")

    def _or_default(self, chosen: Selection, rule: Rule) -> Selection:
        """What was chosen; the default, where that is not worse beyond chance."""
        finalists = self._finalists
        if (default := finalists.default()) is not None:
            for counts in (chosen.counts, default):
                finalists.rows(counts, in_time=False)
            return unless_better(chosen, default, finalists.library, self._units, rule)
        known = {one.finalist.name for one in finalists.tried}
        if any(one.default and one.name not in known for one in self._job.finalists):
            chosen = replace(chosen, reason=f"{chosen.reason}; the default could not be compared with it")
        return chosen

    def _or_default_with_views(self, chosen: Selection) -> tuple[Selection, Views, Views | None]:
        """The same, each with its mirrored views: a network that was trained without them may gain nothing by them.

        Returns what is used, its views, and those of the default, where that is not used and was compared.
        """
        finalists = self._finalists
        default = finalists.default()
        if default is None or reduced(chosen.counts) == default:
            return chosen, self._views(chosen.counts), None
        views, others = self._views(chosen.counts, VIEWED_UNTIL), self._views(default)
        if any(one["reason"] == NO_TIME for one in (*views.tried, *others.tried)):
            # The one is not judged mirrored where there was no time for the other.
            views, others = self._without(views, chosen.counts), self._without(others, default)
        gain = compare(
            partial(finalists.value, default), views.rows, others.rows, self._units, self._job.rule
        )
        if gain.proven or not (views.axes or others.axes):
            return chosen, views, others
        reason = f"with mirrored views nothing was better than the default beyond chance ({words(gain)})"
        return replace(chosen, counts=default, single=default, reason=reason), others, None

    def _views(self, counts: Counts, until: float = 1.0) -> Views:
        """The mirrored views of an ensemble that are better, computed by a share of the time."""
        finalists = self._finalists
        known = Viewed(
            finalists.rows(counts),
            partial(finalists.mirrored_rows, counts, until=until),
            partial(finalists.value, counts),
            partial(finalists.allowed, counts),
        )
        return choose_views(known, self._job.mirror_axes, self._units, self._job.rule)

    def _without(self, views: Views, counts: Counts, reason: str | None = None) -> Views:
        """No mirrored views of an ensemble, with what those were that had been tried.

        Args:
            views: that had been taken.
            counts: of the ensemble.
            reason: why they are not taken, for all; None: each keeps its own.
        """
        tried = tuple({**one, "taken": False, "reason": reason or one["reason"]} for one in views.tried)
        return Views((), self._finalists.rows(counts, in_time=False), tried)

    def _within_limits(self, chosen: Selection, views: Views, broken: str) -> tuple[Selection, Views]:
        """A single network without mirrored views, where what was chosen breaks a limit.

        Args:
            chosen: an ensemble, or a network with mirrored views.
            views: its mirrored views.
            broken: the limit, in words.
        """
        # Only a network that was chosen alone is known to be better than the default.
        single = sum(map(bool, chosen.counts)) == 1
        counts = chosen.counts if single else self._finalists.default() or chosen.single
        chosen = replace(chosen, counts=counts, reason=f"measured together, {broken}")
        return chosen, self._without(views, counts, broken)

    def _save(self, network: nn.Module, counts: Counts, axes: tuple[int, ...]) -> None:
        from netwright.training.weights import save_weights

        job = self._job
        composition = composition_of(self._finalists.used(counts), axes)
        first = composition.members[0]
        # Weights are never with the description of others.
        job.folder.mkdir(parents=True, exist_ok=True)
        (job.folder / WEIGHTS).unlink(missing_ok=True)
        prepared = self._finalists.prepared
        describe_trained(job.folder, job.settings, prepared, first.choice, first.reference, composition)
        save_weights(network, job.folder / WEIGHTS)
