"""Lines of text for people: the state of a run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from netwright.report import formatting
from netwright.report.metrics import reward_words
from netwright.runs.candidates import RaceStatus
from netwright.runs.status import Comparison, RunStatus, SharedStatus

BAR = 26
NARROWEST = 6
BESIDE_BAR = 26
"""Letters of a line for the share before the bar and the time left after it."""

COUNTED = (
    "infeasible",
    "out_of_memory",
    "too_slow",
    "loss_stalled",
    "diverged",
    "crashed",
    "stopped",
    "left_out",
)


def status_lines(status: RunStatus, columns: int = 80) -> list[str]:
    """The state of a run. In fewer ``columns`` the bar is shorter, so that the time left is seen."""
    bar = min(BAR, max(NARROWEST, columns - BESIDE_BAR))
    counts = status.trials
    words = [f"{counts['trained']} trained", f"{counts['cached']} from cache"]
    words += [f"{counts[name]} {formatting.status(name)}" for name in COUNTED if counts[name]]
    if status.race is not None:
        words = [f"{status.race.begun} begun", f"{status.race.going} still in", *words[2:]]
    words = words if status.shared is None else [shared_words(status.shared)]
    lines = [f"{status.recipe} on {status.dataset}   {status.phase}   {status.run}"]
    filled = round(bar * status.done)
    lines.append(
        f"{status.done:4.0%}   {'█' * filled}{'░' * (bar - filled)}  {_time(status)}   {' · '.join(words)}"
    )
    if status.best is not None:
        best = status.best
        size = formatting.parameters(best["parameters"])
        lines.append(f"best   {best_words(best)}   {_origin(status)}   {best['choice']}   {size} parameters")
    if status.front is not None and status.best is not None:
        lines.append(
            "front  1 network, which no other one beats"
            if status.front == 1
            else f"front  {status.front} networks, none of which another one beats"
        )
    if status.race is not None and status.race.default_reward is not None:
        lines.append(_default(status.race))
    if status.race is not None and status.race.only_default:
        lines.append(f"note   {status.race.only_default}")
    if status.phase == "searching" and status.running:
        lines.append("now    " + "   ".join(_running(t) for t in status.running))
    lines += [f"{'by' if number == 0 else '':6} {driver}" for number, driver in enumerate(status.drivers)]
    if status.comparison is not None and status.phase == "comparing":
        lines.append(_comparison(status))
    if status.comparison is not None and status.phase == "stopped":
        lines.append(f"now    stopped at {_done(status.comparison)}")
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


def _retrains(comparison: Comparison) -> bool:
    return comparison.share_seconds is not None or comparison.epochs is not None


def _done(comparison: Comparison) -> str:
    several = any("/" in name for name in comparison.entries)
    what = "trainings" if several else "networks"
    verb = "done and " * several or "retrained and " * _retrains(comparison)
    return f"{len(comparison.done)} of {len(comparison.entries)} {what} {verb}tested"


def _comparison(status: RunStatus) -> str:
    comparison = status.comparison
    assert comparison is not None
    done = _done(comparison)
    if not _retrains(comparison):
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
