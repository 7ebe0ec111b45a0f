"""Settings that depend on the task of the data: the loss, the metric, and what a task has of its own."""

from __future__ import annotations

from netwright.errors import SettingsError
from netwright.planning.context import Context
from netwright.planning.draft import Draft
from netwright.tasks import TASKS


def require_loss(draft: Draft, _: Context) -> None:
    """Refuse a loss that no task has.

    Raises:
        SettingsError: it names the losses of all tasks.
    """
    known = dict.fromkeys(name for task in TASKS.values() for name in task.losses)
    if draft.training.loss not in known:
        raise SettingsError(f"training.loss is {draft.training.loss!r}: expected one of {', '.join(known)}.")


def choose_task_settings(draft: Draft, context: Context) -> None:
    """Let the task choose settings for its data, and refuse settings of other tasks.

    Raises:
        SettingsError: the user set something that does not suit the data.
    """
    task = TASKS[context.dataset.task]
    task.choose_settings(draft, context.dataset, repeats=context.repeats)
    for other in TASKS.values():
        if other is not task:
            other.refuse_settings(draft, task.name)


def finish_task_settings(draft: Draft, context: Context) -> None:
    """Let the task fill in its own settings, after the data is prepared.

    Raises:
        SettingsError: a setting does not suit the task.
    """
    TASKS[context.dataset.task].finish_settings(draft, context.prepared)


def choose_loss(draft: Draft, context: Context) -> None:
    """Take the usual loss of the task if the recipe's loss is for another task.

    Raises:
        SettingsError: the user set a loss of another task.
    """
    losses, loss = context.task.losses, draft.training.loss
    if loss in losses:
        return
    if "training.loss" in draft.user_set:
        raise SettingsError(
            f"training.loss is {loss}, but this dataset is for {context.dataset.task}: take "
            f"{' or '.join(losses)}."
        )
    draft.change({"training.loss": losses[0]})


def choose_metric(draft: Draft, context: Context) -> None:
    """Take the principal metric of the task if none is set.

    Raises:
        SettingsError: the objective names an unknown metric or cost.
    """
    if draft.objective.metric is None:
        draft.change({"objective.metric": context.task.metric})
    draft.objective.require_known(context.task.metric_names)
