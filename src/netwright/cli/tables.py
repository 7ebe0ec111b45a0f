"""Lines of text for people: the output of plan, status and evaluate, and of the end of a search."""

from __future__ import annotations

import inspect
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from netwright.api.evaluation import Evaluation
from netwright.cli.inspected import command
from netwright.planning.candidate_cost import NOT_MEASURED, Measurement
from netwright.planning.cost import Plan
from netwright.planning.exploration_length import exploration_words
from netwright.planning.one_shot_cost import OneShotPlan
from netwright.planning.race import disk_mb
from netwright.report import formatting
from netwright.report.metrics import metric_named, reward_words
from netwright.runs.candidates import RaceStatus
from netwright.runs.status import RunStatus, SharedStatus
from netwright.settings import RunSettings
from netwright.tasks import task_of_metric
from netwright.tasks.base import Postprocessing
from netwright.training.files import WEIGHTS

BAR = 26
BUDGET = {"--trials", "--hours", "--epochs"}
"""Options that say how long a search may take: if one was given to plan, the plan answers it."""
COUNTED = ("infeasible", "out_of_memory", "too_slow", "loss_stalled", "diverged", "crashed", "stopped")


def status_lines(status: RunStatus) -> list[str]:
    """The state of a run."""
    counts = status.trials
    words = [f"{counts['trained']} trained", f"{counts['cached']} from cache"]
    words += [f"{counts[name]} {formatting.status(name)}" for name in COUNTED if counts[name]]
    if status.race is not None:
        words = [f"{status.race.begun} begun", f"{status.race.going} still in", *words[2:]]
    words = words if status.shared is None else [shared_words(status.shared)]
    lines = [f"{status.recipe} on {status.dataset}   {status.phase}   {status.run}"]
    filled = round(BAR * status.done)
    lines.append(
        f"{status.done:4.0%}   {'█' * filled}{'░' * (BAR - filled)}  {_time(status)}   {' · '.join(words)}"
    )
    if status.best is not None:
        best = status.best
        size = formatting.parameters(best["parameters"])
        lines.append(f"best   {best_words(best)}   {_origin(status)}   {best['choice']}   {size} parameters")
    if status.race is not None and status.race.default_reward is not None:
        lines.append(_default(status.race))
    if status.phase == "searching" and status.running:
        lines.append("now    " + "   ".join(_running(t) for t in status.running))
    lines += [f"{'by' if number == 0 else '':6} {driver}" for number, driver in enumerate(status.drivers)]
    if status.comparison is not None and status.phase == "comparing":
        lines.append(_comparison(status))
    return lines


def _origin(status: RunStatus) -> str:
    """The origin of the best result."""
    if status.shared is not None:
        return "with the shared weights"
    if status.race is not None:
        return f"trial {status.race.best_trial}, {formatting.duration(status.race.best_seconds)} trained"
    return f"trial {status.best['trial']}" if status.best is not None else ""


def _default(race: RaceStatus) -> str:
    """What the starting choice has reached, beside which the others run."""
    return f"default {formatting.reward(race.default_reward)}   {formatting.duration(race.default_seconds)} trained"


def shared_words(shared: SharedStatus) -> str:
    """The state of a search inside one training, for example ``step 1,200, loss 0.812, 0.63 certain``."""
    loss = "" if shared.loss is None else f", loss {shared.loss:.3g}"
    certainty = "" if shared.certainty is None else f", {shared.certainty:.2f} certain"
    return f"step {shared.step:,}{loss}{certainty}"


def best_words(best: Mapping[str, Any]) -> str:
    """What `RunStatus.best` has reached, in words."""
    plain = best["objective"] == best["metric"]
    return reward_words(best["reward"], best["metric"], best["score"], plain=plain)


def _time(status: RunStatus) -> str:
    if status.phase == "searching" and status.seconds_left is not None and status.done > 0:
        return f"{formatting.duration(status.seconds_left)} left"
    return formatting.duration(status.seconds)


def _running(trial: Any) -> str:
    planned = trial.planned_epochs if trial.planned_epochs is not None else "?"
    reward = "" if trial.reward is None else f" {formatting.dice(trial.reward)}"
    return f"trial {trial.number} epoch {trial.epoch}/{planned}{reward}"


def _comparison(status: RunStatus) -> str:
    comparison = status.comparison
    assert comparison is not None
    retrained = comparison.share_seconds is not None or comparison.epochs is not None
    done = (
        f"{len(comparison.done)} of {len(comparison.entries)} networks {'retrained and ' * retrained}tested"
    )
    if not retrained:
        return f"now    {done}"
    if not comparison.running:
        return f"now    {done}; writing the report"
    running = "   ".join(
        f"{name} epoch {n}/{'?' if all_ is None else all_}" for name, n, all_ in comparison.running
    )
    share = comparison.share_seconds
    each = f"{comparison.epochs} epochs each" if share is None else f"{formatting.duration(share)} each"
    if comparison.crf_seconds is not None:
        each += f" and up to {formatting.duration(comparison.crf_seconds)} more to fit its CRF"
    return f"now    comparing: {done}, {each}   {running}"


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

    root = run.folder.root
    yield ""
    yield from verdict_of(run.folder, run.settings)
    yield f"report   {run.folder.report}"
    if not (run.folder.winner / WEIGHTS).exists():
        yield f"train it {command('train', root)}"
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
