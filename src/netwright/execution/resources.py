"""What this machine offers: cores, memory, devices."""

from __future__ import annotations

import math
import os

import psutil

KEPT_BACK = 0.1
"""The part of the free memory that stays free."""


def available_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def devices(name: str) -> tuple[str, ...]:
    """The devices that candidates may train on: all GPUs for "auto" and "cuda" where there are any, else one.

    ``name`` as in `netwright.training.config.TrainingProtocol`.
    """
    import torch

    if name in ("auto", "cuda") and torch.cuda.is_available():
        return tuple(f"cuda:{index}" for index in range(torch.cuda.device_count()))
    return ("cpu",) if name == "auto" else (name,)


def default_workers(device: str, threads: int) -> int:
    """One candidate a GPU, or as many as there are cores for."""
    found = devices(device)
    return len(found) if _is_gpu(found) else max(1, available_cores() // max(1, threads))


def memory_share_mb(device: str, workers: int) -> float:
    """What each of the workers may use of the memory that is free now, in MB of 1e6 bytes.

    On GPUs, of the memory of the one with least; workers beyond one a GPU share it.
    """
    found = devices(device)
    if not _is_gpu(found):
        free, sharing = psutil.virtual_memory().available, workers
    else:
        import torch

        free = min(torch.cuda.mem_get_info(torch.device(name))[0] for name in found)
        sharing = math.ceil(workers / len(found))
    return round((1 - KEPT_BACK) * free / 1e6 / sharing, 0)


def process_limit_mb(device: str, limit_mb: float | None) -> float | None:
    """The limit on a worker's own memory: none on a GPU, whose driver maps far more than it uses."""
    return None if _is_gpu(devices(device)) else limit_mb


def _is_gpu(names: tuple[str, ...]) -> bool:
    return names[0].startswith("cuda")
