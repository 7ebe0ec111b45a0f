"""Settings that the task of the data brings."""

from __future__ import annotations

from netwright.errors import SettingsError
from netwright.planning.context import Context
from netwright.planning.draft import Draft
from netwright.tasks import TASKS


def require_loss(draft: Draft, _: Context) -> None:
    """Refuse a loss that no task has.

    Raises:
        SettingsError: with those that there are.
    """
    known = dict.fromkeys(name for task in TASKS.values() for name in task.losses)
    if draft.training.loss not in known:
        raise SettingsError(f"training.loss is {draft.training.loss!r}: expected one of {', '.join(known)}.")


def choose_task_settings(draft: Draft, context: Context) -> None:
    """Let the task of the data choose what such data need, and refuse what only other tasks have.

    Raises:
        SettingsError: what the user asked for does not go with the data.
    """
    task = TASKS[context.dataset.task]
    task.choose_settings(draft, repeats=context.repeats)
    for other in TASKS.values():
        if other is not task:
            other.refuse_settings(draft, task.name)


def finish_task_settings(draft: Draft, context: Context) -> None:
    """Let the task fill in what is its own.

    Raises:
        SettingsError: what is set does not go with the task.
    """
    TASKS[context.dataset.task].finish_settings(draft)
