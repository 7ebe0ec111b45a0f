"""Lines of text for people: the output of plan and evaluate, and of the end of a search."""

from __future__ import annotations

import inspect
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from netwright.api.evaluation import Evaluation
from netwright.cli.inspected import command
from netwright.planning.cost import Plan
from netwright.planning.exploration_length import exploration_words
from netwright.planning.one_shot_cost import OneShotPlan
from netwright.planning.probe import NOT_MEASURED, Measurement
from netwright.planning.race import disk_mb
from netwright.report import formatting
from netwright.report.metrics import metric_named
from netwright.runs.results import winner_folder
from netwright.runs.storage import finished_elsewhere
from netwright.settings import RunSettings
from netwright.tasks import task_of_metric
from netwright.tasks.base import Postprocessing
from netwright.training.files import WEIGHTS

BUDGET = {"--trials", "--hours", "--epochs"}
"""Options that say how long a search may take: if one was given to plan, the plan answers it."""


def parts_lines() -> Iterator[str]:
    """One line for each space and strategy that a run can use."""
    from netwright.spaces.kinds import KINDS
    from netwright.strategies.makers import PROPOSERS

    yield "spaces (--space)"
    for name, kind in KINDS.items():
        yield f"  {name:<26} {kind.title}; {kind.words()}"
    yield "strategies (--strategy)"
    for name, maker in PROPOSERS.items():
        yield f"  {name:<26} {(inspect.getdoc(maker) or '').splitlines()[0].rstrip('.')}"


def end_lines(run: Any) -> Iterator[str]:
    """The end of a search: the verdict in sentences, and what to do next."""
    from netwright.report.collect.comparison import verdict_of

    yield ""
    yield from verdict_of(run.folder, run.settings)
    yield f"report   {run.folder.report}"
    yield from _use_lines(run)


def _use_lines(run: Any) -> Iterator[str]:
    """How to use the network. Of a race that several processes share, it is with the one that made the end."""
    root = run.folder.root
    if not (winner_folder(run.folder) / WEIGHTS).exists():
        if run.folder.shared_trials is None:
            yield f"train it {command('train', root)}"
        elif (where := finished_elsewhere(run.folder)) is None:
            return
        else:
            root = Path(where)
    if run.settings.objective.several:
        yield f"front    {command('train', root, '--pareto')}   trains the other networks of the front"
    yield f"use it   {command('predict', root, '/path/to/images', '-o', output_folder(run.settings))}"


def output_folder(settings: RunSettings) -> str:
    """The name of the folder into which a run's network writes."""
    return task_of_metric(str(settings.objective.metric)).output_folder


def metric_lines(metrics: Mapping[str, float]) -> list[str]:
    """One line per metric. The name of a distance ends with its unit."""
    return [
        f"{name:<24} {metric_named(name).number(value)}{' mm' * name.partition('.')[0].endswith('_mm')}"
        for name, value in metrics.items()
    ]


def postprocessing_line(fitted: Postprocessing) -> str:
    """Whether what was fitted to a network is kept, and why."""
    name, words = fitted.words
    return f"{name:<24} {words}"


def evaluation_lines(evaluation: Evaluation) -> list[str]:
    """The results of a network on a dataset, with the worst cases; single images are right or wrong, so none is
    worst.
    """
    lines = [f"{evaluation.dataset}   {len(evaluation.cases)} cases"]
    lines += [f"note   {evaluation.note}"] if evaluation.note else []
    lines += [*metric_lines(evaluation.metrics), *evaluation.remarks]
    metric = metric_named(next(iter(evaluation.metrics), "dice"))
    if not metric.of_single_cases:
        return lines
    means = {case: metric.of_case(scores) for case, scores in evaluation.cases.items()}
    means = {case: mean for case, mean in means.items() if not math.isnan(mean)}
    lines += [
        f"worst  {case}   {metric.number(means[case])}" for case in sorted(means, key=means.__getitem__)[:3]
    ]
    return lines


def plan_lines(plan: Plan | OneShotPlan, dataset: Path, options: Sequence[str] = ()) -> Iterator[str]:
    """The cost of a search.

    Args:
        plan: the plan.
        dataset: for the next command.
        options: those that the user gave; the next command gets them, too.
    """
    choices = "" if plan.choices is None else f", {plan.choices:,} choices"
    size = " x ".join(map(str, plan.size))
    yield f"{plan.recipe} on {plan.dataset}   {plan.dimensions} dimensions{choices}"
    yield (
        f"training on {plan.training_cases} cases, validation on {plan.validation_cases}, input {size}; "
        f"{formatting.counted(plan.workers, 'worker')} of {formatting.counted(plan.threads, 'thread')}"
    )
    if plan.parts:
        yield f"parts      {plan.parts}; {plan.test_cases} test cases"
    if isinstance(plan, Plan):
        yield from (f"start      {text}" for text in plan.started_from)
    if plan.prepared is not None:
        yield from (f"{name:<10} {text}" for name, text in plan.prepared.lines())
    yield from _one_shot_lines(plan) if isinstance(plan, OneShotPlan) else _candidate_lines(plan)
    measured = plan.measurements if isinstance(plan, Plan) else plan.networks
    yield from _not_measured(
        measured, command("plan", dataset, "--recipe", plan.recipe, *options, "--seconds", "600")
    )
    if isinstance(plan, Plan) and all(m.status not in ("complete", NOT_MEASURED) for m in measured):
        yield "None of these can be trained here: choose a smaller space or input."
        return
    answered = not BUDGET.isdisjoint(options) or (
        isinstance(plan, Plan) and (plan.share_seconds is not None or plan.race_hours is not None)
    )
    verb, more = ("search", options) if answered else ("plan", [*options, "--hours", "2"])
    yield f"next       {command(verb, dataset, '--recipe', plan.recipe, *more)}"


def _one_shot_lines(plan: OneShotPlan) -> Iterator[str]:
    """The cost of a search inside one training, and of training the network that it selects."""
    memory = "" if plan.peak_memory_mb is None else f", {plan.peak_memory_mb:,.0f} MB in some steps"
    weights = "" if plan.weights is None else f"; {formatting.parameters(plan.weights)} shared weights"
    if plan.seconds_a_step is None:
        yield f"search     not measured: no step of two batches of {plan.batch_size} images ended in time{weights}"
    else:
        yield (
            f"search     {_seconds(plan.seconds_a_step)} s a step of two batches of {plan.batch_size} images"
            f"{memory}{weights}"
        )
    if plan.steps is not None and plan.hours is not None:
        yield f"           at most {plan.steps:,} steps: {_about(3600 * plan.hours)}"
    yield from _measured(plan.networks)
    seconds = [m.seconds_an_epoch for m in plan.networks if m.seconds_an_epoch is not None]
    if seconds:
        yield f"{plan.epochs} epochs of such a network take {_about(max(seconds) * plan.epochs)}"


def _not_measured(measurements: Sequence[Measurement], longer: str) -> Iterator[str]:
    """What could not be measured in time, and the command that takes more time."""
    lacking = [(m.name, what) for m in measurements for what in m.unmeasured]
    missing = [m.name for m in measurements if m.status == NOT_MEASURED]
    if missing:
        yield f"not measured: {formatting.names(missing)}; what is said of candidates leaves them out"
        if any(m.status == "complete" for m in measurements):
            yield "           They may be the slower ones: the whole search may take longer than is said here."
    for what in dict.fromkeys(what for _, what in lacking):
        of = formatting.names([name for name, lacks in lacking if lacks == what])
        yield f"not measured: {what} of {of}"
    if missing or lacking:
        yield f"           {longer}   takes the time for that"


def _measured(measurements: Sequence[Measurement]) -> Iterator[str]:
    """A table of the measured networks."""
    yield f"{'':<10} {'seconds an epoch':>17} {'peak memory':>12} {'parameters':>11}   choice"
    for m in measurements:
        if m.status == "complete":
            memory = m.peak_memory_mb if m.peak_memory_mb is not None else m.predicted_memory_mb
            yield (
                f"{m.name:<10} {_seconds(m.seconds_an_epoch):>17} {memory:>9.0f} MB "
                f"{formatting.parameters(m.parameters):>11}   {m.choice}"
            )
        else:
            size = "" if m.parameters is None else f", {formatting.parameters(m.parameters)} parameters"
            yield f"{m.name:<10} {formatting.status(m.status)}: {m.reason}{size}   {m.choice}"


def _candidate_lines(plan: Plan) -> Iterator[str]:
    """The cost of a search that trains one candidate after the other."""
    yield from _measured(plan.measurements)
    if plan.race_hours is not None:
        if plan.race_only_default:
            yield f"in {plan.race_hours:g} h: the default alone is trained until the time is up, then tested"
        else:
            yield f"in {plan.race_hours:g} h: trainings that go on until the time is up, then the test of the best"
        if plan.crf_seconds is not None:
            most = formatting.duration(plan.crf_seconds)
            yield f"           up to {most} of it for each network that is tested, to fit its CRF"
        if plan.race_compares:
            yield f"           then {plan.race_hours:g} h more, to train the default alone"
        trained = [
            m.parameters for m in plan.measurements if m.status == "complete" and m.parameters is not None
        ]
        if trained:
            sizes = " to ".join(
                dict.fromkeys(f"{disk_mb(number):.1f}" for number in (min(trained), max(trained)))
            )
            yield f"disk       {sizes} MB for each training: its checkpoint and two networks"
        return
    words = None if plan.trials is None else exploration_words(plan.trials, plan.exploration)
    if words is not None:
        yield f"warning    {words}"
    if plan.seconds_a_candidate is None or plan.candidates_an_hour is None:
        return
    if plan.share_seconds is not None:
        share = formatting.duration(plan.share_seconds)
        yield f"in {plan.hours:g} h: about {plan.trials} candidates, {share} each, with the epochs that fit"
    else:
        epochs = formatting.counted(plan.epochs, "epoch")
        yield (
            f"a candidate of {epochs} takes {_about(plan.seconds_a_candidate)}: "
            f"{_rate(plan.candidates_an_hour)} candidates an hour"
        )
        if plan.hours is not None:
            yield f"{plan.trials} trials: {_about(3600 * plan.hours)}, without results reused from cache"
    if plan.crf_seconds is not None:
        most = formatting.duration(plan.crf_seconds)
        yield f"in the final comparison, up to {most} more for each network, to fit its CRF"


def _seconds(value: float | None) -> str:
    return formatting.DASH if value is None else f"{value:.1f}" if value >= 0.1 else f"{value:.1g}"


def _about(seconds: float) -> str:
    return "under 1 s" if seconds < 1 else f"about {formatting.duration(seconds)}"


def _rate(an_hour: float) -> str:
    return f"{an_hour:,.0f}" if an_hour >= 1 else f"{an_hour:.1g}"
