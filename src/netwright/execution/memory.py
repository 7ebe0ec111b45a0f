"""Detects that memory ran out."""

from __future__ import annotations

from pathlib import Path

# The last two are messages of cuDNN and cuBLAS when they cannot get their workspace.
_OUT_OF_MEMORY = (
    "can't allocate memory",
    "out of memory",
    "not enough memory",
    "bad_alloc",
    "std::length_error",
    "status_alloc_failed",
    "unable to find an engine",
)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an exception says that memory ran out, on the GPU or the CPU."""
    import torch

    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and any(sign in str(error).lower() for sign in _OUT_OF_MEMORY)


def kills_for_memory() -> int | None:
    """How many processes the system has killed for lack of memory since it started; None if it does not count them."""
    try:
        lines = Path("/proc/vmstat").read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) for line in lines if line.startswith("oom_kill ")), None)
