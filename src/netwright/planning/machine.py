"""Settings that depend on the machine, or on the cluster."""

from __future__ import annotations

from netwright.errors import SettingsError
from netwright.execution.executors import room_of
from netwright.execution.ray_cluster import connect, nodes
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
    machine, device = draft.machine, draft.training.device
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
        draft.choose({"machine.gpus_per_trial": float(device != "cpu" and has_gpus)})
    gpus = draft.machine.gpus_per_trial or 0.0
    if gpus > 1 or (gpus and device == "cpu") or (not gpus and device not in ("auto", "cpu")):
        raise SettingsError(
            f"machine.gpus_per_trial is {gpus:g} and training.device is {device!r}: expected 0 GPUs for 'cpu', and 1 "
            "or a share of one for a GPU. Leave one of them out."
        )
    if machine.cpus_per_trial is None:
        draft.choose({"machine.cpus_per_trial": machine.threads})
    room_of(machine.executor, draft.machine.cluster())
    draft.change({"training.device": ASSIGNED if gpus else "cpu"})


def require_device(draft: Draft, _: Context) -> None:
    """Refuse a device that is not there.

    Raises:
        SettingsError: naming it.
    """
    resolve_device(draft.training.device)


def choose_workers(draft: Draft, context: Context) -> None:
    """As many workers as there are GPUs, or as the cores or the cluster allow."""
    if not context.repeats:
        draft.choose({"machine.workers": workers_for(draft)})


def choose_memory_limit(draft: Draft, _: Context) -> None:
    """Give each worker an equal share of the machine's memory."""
    draft.choose({"machine.memory_limit_mb": memory_for(draft)})
