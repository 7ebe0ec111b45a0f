"""How many candidates can train at once, here or on a cluster, what each asks for, and the memory that it may use."""

from __future__ import annotations

from typing import Any

from netwright.errors import SettingsError
from netwright.execution.executors import room_of
from netwright.execution.ray_cluster import connect, nodes
from netwright.execution.resources import default_workers, memory_share_mb
from netwright.settings import MachineSettings, RunSettings

ASSIGNED = "cuda:0"
"""The first of the GPUs that Ray assigns to a worker, as it is called there."""
OF_CLUSTERS = ("ray_address", "gpus_per_trial", "cpus_per_trial")


def asked_of_executor(settings: RunSettings) -> dict[str, Any]:
    """What a candidate asks a Ray cluster for, by dotted name: GPUs where there are any, unless the user wants others.

    On this machine it is nothing.

    Args:
        settings: of the run. Those of clusters that are None are chosen.

    Raises:
        SettingsError: there is no such executor or cluster, no node has what a candidate asks for, this machine has no
            GPU although candidates have, or a setting of the executor contradicts another one.
    """
    machine, device, devices = settings.machine, settings.training.device, settings.training.devices
    if not machine.elsewhere:
        for name in OF_CLUSTERS:
            if getattr(machine, name) is not None:
                raise SettingsError(
                    f"machine.{name} is {getattr(machine, name)!r}, but candidates train on this machine: expected "
                    "none. Leave it out, or give --executor ray."
                )
        room_of(machine.executor, machine.cluster())
        return {}
    connect(machine.ray_address)
    gpus, cpus = machine.gpus_per_trial, machine.cpus_per_trial
    if gpus is None:
        has_gpus = any(node.get("GPU") for node in nodes().values())
        gpus = float(devices * (device != "cpu" and has_gpus))
    if (
        (max(gpus, devices) > 1 and gpus not in (0, devices))
        or (gpus and device == "cpu")
        or (not gpus and device not in ("auto", "cpu"))
    ):
        raise SettingsError(
            f"machine.gpus_per_trial is {gpus:g}, training.device is {device!r} and training.devices is {devices}: "
            "expected 0 GPUs for 'cpu'; else as many as devices, or a share of one. Leave one of them out."
        )
    cpus = machine.threads * devices if cpus is None else cpus
    asked = machine.model_copy(update={"gpus_per_trial": gpus, "cpus_per_trial": cpus})
    room_of(machine.executor, asked.cluster())
    if gpus:
        _require_gpu_here(asked)
    return {
        "machine.gpus_per_trial": gpus,
        "machine.cpus_per_trial": cpus,
        "training.device": ASSIGNED if gpus else "cpu",
    }


def _require_gpu_here(machine: MachineSettings) -> None:
    import torch

    if not torch.cuda.is_available():
        raise SettingsError(
            f"A candidate has GPUs of the Ray cluster (machine.gpus_per_trial is {machine.gpus_per_trial:g}), but the "
            "machine that runs this search has none that PyTorch can use: expected one of the same kind, on which "
            "networks are measured. Run the search on a node with a GPU, or train on CPUs by --gpus-per-trial 0."
        )


def workers_for(settings: RunSettings) -> int:
    """How many candidates can train at once: one a GPU, or as many as cores or cluster allow."""
    machine = settings.machine
    room = room_of(machine.executor, machine.cluster())
    if room is not None:
        return room.workers
    return default_workers(settings.training.device, machine.threads, settings.training.devices)


def memory_for(settings: RunSettings) -> float | None:
    """The memory of each of the workers, in MB. The GPUs of a cluster are taken to be like the one here."""
    machine, device = settings.machine, settings.training.device
    room = room_of(machine.executor, machine.cluster())
    if room is None:
        return memory_share_mb(device, machine.workers, settings.training.devices)
    gpus = machine.gpus_per_trial
    return memory_share_mb(device, max(1, int(1 / gpus))) if gpus else room.memory_mb
