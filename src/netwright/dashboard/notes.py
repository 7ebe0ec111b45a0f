"""What a trial was, how it ended and why, in words: Markdown for the notes of optuna-dashboard."""

from __future__ import annotations

import re
from collections.abc import Callable

from netwright.report import formatting
from netwright.report.metrics import metric_named
from netwright.runs.left_out import LEFT_OUT
from netwright.runs.trials import RUNNING, STOPPED, TrialRecord
from netwright.settings import RunSettings
from netwright.training.outcome import Outcome, Status

ENDINGS = {
    LEFT_OUT: "The space was changed, and does not have this network: it is left out.",
    Status.COMPLETE: "It was trained to the end of its budget.",
    Status.INFEASIBLE: "It is not wanted, or there is no such network.",
    Status.OUT_OF_MEMORY: "It needs more memory than there is.",
    Status.TOO_SLOW: "It is too slow for the time that a training has.",
    Status.LOSS_STALLED: "Its loss did not fall, so it was ended early.",
    Status.DIVERGED: "Its loss was no finite number any more.",
    Status.CRASHED: "It crashed. The strategy learns nothing from it.",
    STOPPED: "It was cut off, and may be taken up again.",
    RUNNING: "It is being trained.",
}
"""What each status means."""

_PUNCTUATION = re.compile(r"([!-/:-@\[-`{-~])")


def trial_note(record: TrialRecord, settings: RunSettings, describe: Callable[[TrialRecord], str]) -> str:
    """The note of a trial. It depends on the trial alone, so that of a finished one does not change.

    Args:
        record: of the trial.
        settings: of its run.
        describe: a trial's choice in words.
    """
    outcome = record.outcome
    told = [f"**What it is.** {markdown_text(_what(record, describe))}"]
    if record.cached_from is not None:
        told.append(
            f"The same network as trial {record.cached_from}, whose result it got; it was not trained again."
        )
    elif record.continues is not None:
        told.append(f"It goes on with the training of trial {record.continues}.")
    ending = [ENDINGS.get(record.status, markdown_text(record.status)), *_numbers(record, settings)]
    told.append(
        f"**How it ended.** {' '.join(ending)}" if record.status != RUNNING else f"**Now.** {ending[0]}"
    )
    if record.reason:
        told.append(f"**Why.** {markdown_text(record.reason)}")
    if outcome is not None and (cost := _cost(outcome)):
        told.append(f"**What it costs.** {cost}")
    return "\n\n".join(told)


def markdown_text(text: str) -> str:
    """Plain text as Markdown that shows it as it is: neither formats nor links nor HTML."""
    return _PUNCTUATION.sub(r"\\\1", " ".join(text.split()))


def _what(record: TrialRecord, describe: Callable[[TrialRecord], str]) -> str:
    if not record.choice:
        return "Not proposed yet."
    words = describe(record) or "Its choice is being stored."
    return f"The starting network: {words}" if record.default else words


def _numbers(record: TrialRecord, settings: RunSettings) -> tuple[str, ...]:
    """What was reached, after how many epochs, and when a training ended."""
    outcome = record.outcome
    if outcome is None:
        return ()
    told = []
    metric = str(settings.objective.metric)
    score = outcome.metrics.get(metric)
    if score is not None:
        named = metric_named(metric)
        told.append(f"Validation {named.name} {named.value(score)}.")
    if record.reward is not None and not settings.objective.plain:
        told.append(f"Reward {formatting.reward(record.reward)}.")
    if outcome.epochs and record.cached_from is None:
        planned = f" of {outcome.planned_epochs}" if outcome.planned_epochs else ""
        told.append(
            f"{formatting.counted(outcome.epochs, 'epoch')}{planned} in {formatting.duration(outcome.seconds)}."
        )
    if outcome.restarts:
        told.append(f"Started again with new weights {formatting.counted(outcome.restarts, 'time')}.")
    return tuple(markdown_text(text) for text in told)


def _cost(outcome: Outcome) -> str:
    cost = outcome.cost
    memory = cost.peak_memory_mb or cost.predicted_memory_mb
    told = []
    if cost.parameters is not None:
        told.append(
            f"{formatting.parameters(cost.parameters)} parameters ({formatting.megabytes(cost.parameters)})"
        )
    if cost.flops is not None:
        unit, name = (1e9, "GFLOPs") if cost.flops >= 1e8 else (1e6, "MFLOPs")
        told.append(f"{cost.flops / unit:.3g} {name} for an image")
    if memory is not None:
        told.append(f"{formatting.mb(memory)} of memory in training")
    if cost.inference_ms is not None:
        told.append(f"{formatting.milliseconds(cost.inference_ms)} for an image")
    return markdown_text(", ".join(told))
