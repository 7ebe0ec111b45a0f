"""The memory that a computation needs: predicted tensor by tensor, or measured in this process."""

from __future__ import annotations

import ctypes
import sys
import weakref
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

BYTES_PER_MB = 1e6
STATUS = Path("/proc/self/status")
CLEAR_REFS = Path("/proc/self/clear_refs")
# This value makes the kernel reset the peak of the resident memory to what is resident now.
RESET_PEAK = "5"
# The C library's heap keeps holes where tensors were. Above the size from which a tensor gets a mapping of its own,
# as `netwright.execution.local` sets it for workers and glibc for other processes in time, there are none. Below,
# training steps of 38 networks took 1.0 to 1.7 times the sum of their tensors in a fresh process, in no relation to
# their sizes, and up to a quarter more after other networks. With this one most predictions are 0.9 to 1.25 times what
# is measured (benchmarks/memory_prediction.py).
HEAP_LIMIT = 2**25
HEAP_OVERHEAD = 1.6
# Channels in a block of the layout into which convolutions copy their operands on the CPU.
CHANNEL_BLOCK = 16


class LiveTensors(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Adds up the bytes of all living tensors, operation by operation. In `FakeTensorMode` nothing is allocated.

    Args:
        heap: add what the heap of the C library loses to holes; for tensors in main memory.

    Attributes:
        live: bytes of the living storages that were made within the mode.
        peak: the largest sum so far of ``live`` and the workspace of an operation.
    """

    def __init__(self, *, heap: bool) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.heap = heap
        self.live = 0
        self.peak = 0
        self._known: set[int] = set()

    def __torch_dispatch__(
        self,
        func: Any,
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Runs one operation and counts its results."""
        result = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(result):
            if isinstance(tensor, Tensor):
                self._watch(tensor.untyped_storage())
        self.peak = max(self.peak, self.live + _workspace(func, args, result))
        return result

    def _watch(self, storage: torch.UntypedStorage) -> None:
        key = storage._cdata
        if key in self._known:
            return
        size = heap_bytes(storage.nbytes()) if self.heap else storage.nbytes()
        self._known.add(key)
        self.live += size
        weakref.finalize(storage, self._forget, key, size)

    def _forget(self, key: int, size: int) -> None:
        self._known.discard(key)
        self.live -= size


def heap_bytes(size: int) -> int:
    """The bytes that a tensor takes in main memory, with the holes beside it."""
    return int(size * HEAP_OVERHEAD) if size < HEAP_LIMIT else size


def _workspace(func: Any, args: tuple[Any, ...], result: Any) -> int:
    """The bytes that a convolution needs beside its operands: blocked copies of them and of its results."""
    if "convolution" not in str(func):
        return 0
    return sum(_blocked_bytes(leaf) for leaf in tree_leaves((args, result)) if isinstance(leaf, Tensor))


def _blocked_bytes(tensor: Tensor) -> int:
    """The bytes of a tensor with its channels filled up to whole blocks. A single channel is not filled up."""
    count = tensor.numel()
    if tensor.ndim > 2 and tensor.shape[1] > 1:
        blocks = -(-tensor.shape[1] // CHANNEL_BLOCK)
        count = count // tensor.shape[1] * blocks * CHANNEL_BLOCK
    return count * tensor.element_size()


@dataclass
class MemoryUse:
    """Peak memory of the block in MB (1e6 bytes) above its start; None until it ends, or if not measurable."""

    peak_mb: float | None = None


@contextmanager
def measured_memory(device: torch.device | str = "cpu") -> Iterator[MemoryUse]:
    """Measures the peak memory that the block needs, above what was in use at its start.

    On CUDA, it counts the tensors allocated on ``device``. Otherwise, on Linux, it counts the resident memory of this
    process, all threads included. The pages of files that were mapped meanwhile (a dataset, libraries) do not count,
    because the system takes them back when it needs them. On other systems nothing is measured.
    """
    use = MemoryUse()
    device = torch.device(device)
    if device.type == "cuda":
        before = torch.cuda.memory_allocated(device)
        torch.cuda.reset_peak_memory_stats(device)
        try:
            yield use
        finally:
            use.peak_mb = (torch.cuda.max_memory_allocated(device) - before) / BYTES_PER_MB
        return
    _return_free_memory()
    files = _resident("RssFile")
    resident = _reset_resident_peak()
    try:
        yield use
    finally:
        peak, files_now = _resident("VmHWM"), _resident("RssFile")
        if resident is not None and peak is not None and files is not None and files_now is not None:
            use.peak_mb = max(0.0, peak - resident - max(0.0, files_now - files))


def _reset_resident_peak() -> float | None:
    """Resets the peak of the resident memory. Returns the resident memory in MB; None where the system does not support
    it.
    """
    try:
        CLEAR_REFS.write_text(RESET_PEAK)
    except OSError:
        return None
    return _resident("VmRSS")


def _resident(field: str) -> float | None:
    try:
        lines = STATUS.read_text().splitlines()
    except OSError:
        return None
    for line in lines:
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) * 1024 / BYTES_PER_MB
    return None


def _return_free_memory() -> None:
    """Hands memory that earlier work freed back to the system, as it would hide what the block takes."""
    if sys.platform != "linux":
        return
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
