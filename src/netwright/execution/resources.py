"""The resources of this machine: cores, memory, devices."""

from __future__ import annotations

import math
import os
from pathlib import Path

import psutil

KEPT_BACK = 0.1
"""The share of the free memory that is left free."""


def available_cores() -> int:
    """Number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


CONTROL_GROUP = Path("/sys/fs/cgroup")


def memory_limit_mb(group: Path = CONTROL_GROUP) -> float | None:
    """The memory that the control group of a container or a job allows, in MB of 1e6 bytes; None: no limit is known."""
    for name in ("memory.max", "memory/memory.limit_in_bytes"):
        try:
            limit = int((group / name).read_text())
        except (OSError, ValueError):  # not there, or "max"
            continue
        if limit < psutil.virtual_memory().total:
            return round(limit / 1e6)
    return None


def core_limit(group: Path = CONTROL_GROUP) -> float | None:
    """The cores' worth of time that the control group allows; None: no limit is known."""
    try:
        quota, period = (group / "cpu.max").read_text().split()
        return int(quota) / int(period)
    except (OSError, ValueError):  # not there, or "max 100000"
        return None


def devices(name: str, each: int = 1) -> tuple[str, ...]:
    """The devices that candidates may train on: all GPUs for "auto" and "cuda" if there are any, else one device.

    Args:
        name: see `netwright.training.config.TrainingProtocol`.
        each: the devices of each candidate. The first of each such group is in the result; the others follow it.
    """
    import torch

    if name in ("auto", "cuda") and torch.cuda.is_available():
        return tuple(f"cuda:{index}" for index in range(0, torch.cuda.device_count() - each + 1, each))
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
        free, sharing = psutil.virtual_memory().available, workers
    else:
        import torch

        free = min(torch.cuda.mem_get_info(torch.device(name))[0] for name in names)
        sharing = math.ceil(workers * each / len(names))
    return round((1 - KEPT_BACK) * free / 1e6 / sharing, 0)


def process_limit_mb(device: str, limit_mb: float | None) -> float | None:
    """The limit on a worker's own memory. There is none on a GPU, whose driver maps far more than it uses."""
    return None if _is_gpu(devices(device)) else limit_mb


def _is_gpu(names: tuple[str, ...]) -> bool:
    return bool(names) and names[0].startswith("cuda")
