"""The resources of this machine: cores, memory, devices."""

from __future__ import annotations

import math
import os

import psutil

from netwright.errors import SettingsError
from netwright.execution.control_group import core_limit, memory_left_mb

KEPT_BACK = 0.1
"""The share of the free memory that is left free."""


def available_cores() -> int:
    """Number of cores that this process may use; where its control group limits their time, no more than fill that."""
    there = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    limit = core_limit()
    return there if limit is None else max(1, min(there, math.ceil(limit)))


def free_memory_mb() -> float:
    """The main memory that this process may still take, in MB of 1e6 bytes: of the machine and of its control group."""
    free, left = psutil.virtual_memory().available / 1e6, memory_left_mb()
    return free if left is None else min(free, left)


def devices(name: str, each: int = 1) -> tuple[str, ...]:
    """The devices that candidates may train on: all GPUs for "auto" and "cuda" if there are any, else one device.

    Args:
        name: see `netwright.training.config.TrainingProtocol`.
        each: the devices of each candidate. The first of each such group is in the result; the others follow it.

    Raises:
        SettingsError: there are fewer GPUs than one candidate has.
    """
    import torch

    if name in ("auto", "cuda") and torch.cuda.is_available():
        there = torch.cuda.device_count()
        if there < each:
            raise SettingsError(
                f"training.devices is {each}, but there {_are(there)} here (training.device={name}): expected at most "
                f"as many. Give fewer, or search and resume on a machine with {each} GPUs."
            )
        return tuple(f"cuda:{index}" for index in range(0, there - each + 1, each))
    return ("cpu",) if name == "auto" else (name,)


def default_workers(device: str, threads: int, each: int = 1) -> int:
    """One candidate per GPU, or as many as the cores allow.

    Args:
        device: see `netwright.training.config.TrainingProtocol`.
        threads: of each process.
        each: the devices of each candidate, which are as many processes.
    """
    names = devices(device, each)
    return len(names) if _is_gpu(names) else max(1, available_cores() // max(1, threads * each))


def memory_share_mb(device: str, workers: int, each: int = 1) -> float:
    """The free memory that each worker may use, in MB of 1e6 bytes; on GPUs on each of its devices.

    On GPUs it is based on the GPU with the least free memory; if there are more workers than GPUs, they share it.

    Args:
        device: see `netwright.training.config.TrainingProtocol`.
        workers: that share the machine.
        each: the devices of each worker.
    """
    names = devices(device)
    if not _is_gpu(names):
        free, sharing = 1e6 * free_memory_mb(), workers
    else:
        import torch

        free = min(torch.cuda.mem_get_info(torch.device(name))[0] for name in names)
        sharing = math.ceil(workers * each / len(names))
    return round((1 - KEPT_BACK) * free / 1e6 / sharing, 0)


def process_limit_mb(device: str, limit_mb: float | None) -> float | None:
    """The limit on a worker's own memory. There is none on a GPU, whose driver maps far more than it uses."""
    return None if _is_gpu(devices(device)) else limit_mb


def _is_gpu(names: tuple[str, ...]) -> bool:
    return names[0].startswith("cuda")


def _are(gpus: int) -> str:
    return "is 1 GPU" if gpus == 1 else f"are {gpus} GPUs"
