"""Settings that depend on the machine, or on the cluster."""

from __future__ import annotations

from netwright.errors import SettingsError
from netwright.execution.resources import devices as gpus_of
from netwright.planning.context import Context
from netwright.planning.draft import Draft
from netwright.runs.room import asked_of_executor, memory_for, workers_for
from netwright.training.device import resolve_device


def choose_cluster(draft: Draft, _: Context) -> None:
    """What a candidate asks a Ray cluster for.

    Raises:
        SettingsError: as `netwright.runs.room.asked_of_executor`.
    """
    draft.change(asked_of_executor(draft))


def require_device(draft: Draft, _: Context) -> None:
    """Refuse a device that is not there, and more devices than there are.

    Raises:
        SettingsError: naming it.
    """
    kind, training = resolve_device(draft.training.device), draft.training
    count = training.devices
    if count == 1:
        return
    said = f"training.devices is {count}, "
    if draft.supernet is not None:
        raise SettingsError(
            f"{said}but a search inside one training has one device: expected 1. Leave it out."
        )
    if count > training.batch_size:
        raise SettingsError(
            f"{said}but a batch has {training.batch_size} images (training.batch_size): expected at most one device "
            "for each. Give fewer devices, or larger batches."
        )
    if kind.type not in ("cpu", "cuda"):
        raise SettingsError(f"{said}but {kind.type} is one device: expected 1. Leave it out.")
    if kind.type == "cuda" and not draft.machine.elsewhere:
        there = len(gpus_of(training.device))
        if count > there:
            raise SettingsError(
                f"{said}but training.device={training.device} has {there} here: expected at most as many. Give fewer, "
                "or training.device=cuda for all GPUs of the machine."
            )


def choose_workers(draft: Draft, context: Context) -> None:
    """As many workers as there are GPUs, or as the cores or the cluster allow."""
    if not context.repeats:
        draft.choose({"machine.workers": workers_for(draft)})


def choose_memory_limit(draft: Draft, _: Context) -> None:
    """Give each worker an equal share of the machine's memory."""
    draft.choose({"machine.memory_limit_mb": memory_for(draft)})
