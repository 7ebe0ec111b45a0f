"""Settings that depend on the machine."""

from __future__ import annotations

from netwright.execution.resources import default_workers, memory_share_mb
from netwright.planning.context import Context
from netwright.planning.draft import Draft
from netwright.training.device import resolve_device


def require_device(draft: Draft, _: Context) -> None:
    """Refuse a device that is not there.

    Raises:
        SettingsError: naming it.
    """
    resolve_device(draft.training.device)


def choose_workers(draft: Draft, context: Context) -> None:
    """As many workers as there are GPUs, or as the cores allow."""
    if not context.repeats:
        draft.choose({"machine.workers": default_workers(draft.training.device, draft.machine.threads)})


def choose_memory_limit(draft: Draft, _: Context) -> None:
    """Give each worker an equal share of the machine's memory."""
    share = memory_share_mb(draft.training.device, draft.machine.workers)
    draft.choose({"machine.memory_limit_mb": share})
