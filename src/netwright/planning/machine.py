"""Settings that depend on the machine, or on the cluster."""

from __future__ import annotations

from netwright.errors import SettingsError
from netwright.execution.executors import room_of
from netwright.execution.ray_cluster import connect, nodes
from netwright.execution.resources import devices as gpus_of
from netwright.planning.context import Context
from netwright.planning.draft import Draft
from netwright.runs.room import memory_for, workers_for
from netwright.training.device import resolve_device

ASSIGNED = "cuda:0"
"""The first of the GPUs that Ray assigns to a worker, as it is called there."""
OF_CLUSTERS = ("ray_address", "gpus_per_trial", "cpus_per_trial")


def choose_cluster(draft: Draft, context: Context) -> None:
    """What a candidate asks a Ray cluster for: GPUs where there are any, unless the user wants otherwise.

    Raises:
        SettingsError: there is no such executor or cluster, no node has what a candidate asks for, or a setting of the
            executor contradicts another one.
    """
    machine, device, devices = draft.machine, draft.training.device, draft.training.devices
    if not machine.elsewhere:
        for name in OF_CLUSTERS:
            if getattr(machine, name) is not None:
                raise SettingsError(
                    f"machine.{name} is {getattr(machine, name)!r}, but candidates train on this machine: expected "
                    "none. Leave it out, or give --executor ray."
                )
        room_of(machine.executor, machine.cluster())
        return
    connect(machine.ray_address)
    if machine.gpus_per_trial is None:
        has_gpus = any(node.get("GPU") for node in nodes().values())
        draft.choose({"machine.gpus_per_trial": float(devices * (device != "cpu" and has_gpus))})
    gpus = draft.machine.gpus_per_trial or 0.0
    if (
        (max(gpus, devices) > 1 and gpus not in (0, devices))
        or (gpus and device == "cpu")
        or (not gpus and device not in ("auto", "cpu"))
    ):
        raise SettingsError(
            f"machine.gpus_per_trial is {gpus:g}, training.device is {device!r} and training.devices is {devices}: "
            "expected 0 GPUs for 'cpu'; else as many as devices, or a share of one. Leave one of them out."
        )
    if machine.cpus_per_trial is None:
        draft.choose({"machine.cpus_per_trial": machine.threads * devices})
    room_of(machine.executor, draft.machine.cluster())
    draft.change({"training.device": ASSIGNED if gpus else "cpu"})


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
