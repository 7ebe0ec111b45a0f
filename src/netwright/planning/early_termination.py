"""The thresholds of early termination (Iranfar et al. 2022, Fig. 7), computed from what was measured."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from netwright.errors import SettingsError
from netwright.planning.context import Context
from netwright.planning.draft import Draft
from netwright.tasks import TASKS
from netwright.training.early_stopping import EarlyTermination

LEAST_BATCH_SECONDS = 0.05
"""The lowest threshold, because a batch of milliseconds sometimes waits for other programs."""


def needs_batch_seconds(draft: Draft) -> bool:
    """Whether early termination needs the time that a batch of the starting network takes."""
    return draft.termination.slower_than_start is not None and not _is_set(draft, "batch_seconds")


def require_guess(draft: Draft, context: Context) -> None:
    """Refuse a loss whose threshold cannot be computed.

    Raises:
        SettingsError: the loss of a guess is not known.
    """
    loss = draft.training.loss
    if context.repeats or draft.termination.loss_of_guess is None:
        return
    if _is_set(draft, "loss") or any(loss in task.guessed_losses for task in TASKS.values()):
        return
    raise SettingsError(
        f"termination.loss_of_guess: the loss of a guess is unknown for training.loss={loss}. Set "
        "training.early.loss to a number, or termination.loss_of_guess=null."
    )


def choose_early_termination(draft: Draft, context: Context) -> None:
    """Compute ``training.early`` from ``termination``. What is set in ``training.early`` stays.

    This includes what the user set to None, or to its default.

    Raises:
        SettingsError: as `require_guess`.
    """
    shares, early = draft.termination, draft.training.early or EarlyTermination()
    measured = shares.slower_than_start is not None or shares.loss_of_guess is not None
    if context.repeats or not measured or _is_off(draft):
        return
    require_guess(draft, context)
    made: dict[str, Any] = {"batches": shares.batches, "loss_epochs": shares.epochs}
    if shares.slower_than_start is not None and context.batch_seconds is not None:
        threshold = max(shares.slower_than_start * context.batch_seconds, LEAST_BATCH_SECONDS)
        made["batch_seconds"] = float(f"{threshold:.3g}")
    if shares.loss_of_guess is not None and not _is_set(draft, "loss"):
        guess = context.task.loss_of_guess(draft.training)
        if guess is not None:
            made["loss"] = float(f"{shares.loss_of_guess * guess:.4g}")
    made |= {name: value for name, value in asdict(early).items() if _is_set(draft, name)}
    draft.change({"training.early": made})


def _is_off(draft: Draft) -> bool:
    """Whether the user wants no early termination."""
    return draft.training.early is None and "training.early" in draft.user_set


def _is_set(draft: Draft, name: str) -> bool:
    """Whether a setting of ``training.early`` stays as it is."""
    early = draft.training.early or EarlyTermination()
    changed = bool(getattr(early, name) != getattr(EarlyTermination(), name))
    return _is_off(draft) or f"training.early.{name}" in draft.user_set or changed
