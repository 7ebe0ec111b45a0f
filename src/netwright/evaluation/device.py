"""The device, and what computes fast on it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from netwright.errors import SettingsError

# The last two are how cuDNN and cuBLAS say that they could not get their workspace.
_OUT_OF_MEMORY = (
    "can't allocate memory",
    "out of memory",
    "not enough memory",
    "bad_alloc",
    "std::length_error",
    "status_alloc_failed",
    "unable to find an engine",
)


def resolve_device(name: str) -> torch.device:
    """The device of a name; "auto" is the GPU where there is one, else the CPU.

    Raises:
        SettingsError: torch knows no such device, or this machine has none.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).splitlines()[0]
        raise SettingsError(
            f"training.device {name!r} cannot be used here: {reason}. Use auto, cpu, or cuda."
        ) from None
    return device


def half_precision(device: torch.device) -> torch.dtype | None:
    """The type for mixed precision, or None where the device has no fast one.

    bfloat16 on CPUs with instructions for it and on newer GPUs (compute capability 8.0 on, Ampere), else float16
    on GPUs (with a scaled loss).
    """
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.get_device_capability(device) >= (8, 0) else torch.float16
    if device.type == "cpu" and torch.cpu._is_avx512_bf16_supported():
        return torch.bfloat16
    return None


def to_channels_last(network: nn.Module) -> nn.Module:
    """The network with its convolution weights in channels-last format; tensors of other ranks stay."""
    for weight in network.parameters():
        weight.data = tensor_channels_last(weight.data)
    return network


def tensor_channels_last(tensor: Tensor) -> Tensor:
    """The tensor in channels-last format where it has two or three spatial dimensions, else as it is."""
    formats = {4: torch.channels_last, 5: torch.channels_last_3d}
    return tensor.contiguous(memory_format=formats[tensor.ndim]) if tensor.ndim in formats else tensor


@contextmanager
def threads(count: int) -> Iterator[None]:
    """Within it, torch computes with ``count`` threads of the CPU."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an exception says that memory ran out, on the GPU or the CPU."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and any(sign in str(error).lower() for sign in _OUT_OF_MEMORY)
