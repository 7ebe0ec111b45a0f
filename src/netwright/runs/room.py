"""How many candidates can train at once, here or on a cluster, and the memory that each may use."""

from __future__ import annotations

from netwright.execution.executors import room_of
from netwright.execution.resources import default_workers, memory_share_mb
from netwright.settings import RunSettings


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
