"""The device, and the formats in which it computes fast."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from netwright.errors import SettingsError
from netwright.execution.notes import say_once
from netwright.nn.fast_layers import CHANNELS_LAST


def resolve_device(name: str) -> torch.device:
    """The device with a name. "auto" is the GPU where there is one, else the CPU.

    Raises:
        SettingsError: torch knows no such device, or this machine has none.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        if device.type == "meta":
            raise RuntimeError("it holds no numbers")
        torch.empty(1, device=device).sum().item()
    except (RuntimeError, AssertionError, NotImplementedError, ImportError) as error:
        reason = str(error).splitlines()[0].partition(". ")[0].rstrip(".")
        raise SettingsError(
            f"training.device {name!r} cannot be used here: {reason}. Expected one of {', '.join(usable_devices())}."
        ) from None
    return device


def usable_devices() -> list[str]:
    """The names that `resolve_device` accepts on this machine."""
    devices = ["auto", "cpu"]
    if torch.cuda.is_available():
        devices += ["cuda", *(f"cuda:{index}" for index in range(torch.cuda.device_count()))]
    if torch.backends.mps.is_available():
        devices.append("mps")
    return devices


def half_precision(device: torch.device) -> torch.dtype | None:
    """The type for mixed precision, or None where the device has no fast one.

    It is bfloat16 on CPUs with instructions for it and on newer GPUs (compute capability 8.0 and above, Ampere). On
    other GPUs it is float16, with a scaled loss.
    """
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.get_device_capability(device) >= (8, 0) else torch.float16
    if device.type == "cpu" and torch.cpu._is_avx512_bf16_supported():
        return torch.bfloat16
    return None


def to_channels_last(network: nn.Module) -> nn.Module:
    """The network with its convolution weights in channels-last format. Tensors of other ranks do not change.

    A network that cannot be computed in this format does not change either (see `call_network`).
    """
    if getattr(network, _NEEDS_CONTIGUOUS, False):
        return network
    for weight in network.parameters():
        weight.data = tensor_channels_last(weight.data)
    return network


def tensor_channels_last(tensor: Tensor) -> Tensor:
    """The tensor in channels-last format if it has two or three spatial dimensions, else unchanged."""
    return (
        tensor.contiguous(memory_format=CHANNELS_LAST[tensor.ndim])
        if tensor.ndim in CHANNELS_LAST
        else tensor
    )


def marked_channels_last(images: Tensor) -> Tensor:
    """Images in channels-last format with the strides of that format, also where they have one channel.

    With one channel both formats store images alike, and `tensor_channels_last` keeps their strides. A convolution of
    one pixel goes by these: it would give features stored channels first, and what adds them to others takes long
    (``findings/torch-one-channel-strides.sh``).
    """
    return images.to(memory_format=CHANNELS_LAST[images.ndim]) if images.ndim in CHANNELS_LAST else images


_NEEDS_CONTIGUOUS = "_netwright_needs_contiguous"
_VIEW_FAILED = "view size is not compatible with input tensor's size and stride"


def call_network(network: nn.Module, images: Tensor, *, channels_last: bool) -> Any:
    """Calls a network, in channels-last format where that is wanted and the network supports it.

    A network that calls ``.view`` on features assumes that they are contiguous. After the first failure it is always
    computed with contiguous tensors.

    Args:
        network: any module.
        images: its input.
        channels_last: whether that format is wanted.
    """
    if not channels_last:
        return network(images)
    if not getattr(network, _NEEDS_CONTIGUOUS, False):
        try:
            return network(tensor_channels_last(images))
        except RuntimeError as error:
            if _VIEW_FAILED not in str(error):
                raise
        _make_contiguous(network)
        say_once(
            "A network calls .view on features that are stored channels last, and is computed contiguous instead. "
            "That may be slower; .reshape or torch.flatten in place of .view take either."
        )
    return network(
        images.clone(memory_format=torch.contiguous_format)
    )  # also where they are marked otherwise


def _make_contiguous(network: nn.Module) -> None:
    setattr(network, _NEEDS_CONTIGUOUS, True)
    with torch.inference_mode(False):  # weights that are made within could not be trained any more
        for weight in network.parameters():
            weight.data = weight.data.contiguous()
    torch.clear_autocast_cache()  # it holds the weights in half precision as they were


@contextmanager
def threads(count: int) -> Iterator[None]:
    """Within this context, torch computes with ``count`` CPU threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
