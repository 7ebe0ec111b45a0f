"""Half precision, except where the kernels of the CPU compute it wrongly."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from netwright.nn import fast_convolutions, fast_layers

_CONVOLUTIONS: dict[Callable[..., Any], Callable[..., Tensor | None]] = {
    torch.conv2d: fast_convolutions.convolution,
    torch.conv3d: fast_convolutions.convolution,
    torch.conv_transpose2d: fast_convolutions.transposed_convolution,
    torch.conv_transpose3d: fast_convolutions.transposed_convolution,
}
"""Convolutions, and what computes them in bfloat16 where torch is wrong or slow; it gives None elsewhere."""
_FASTER: dict[Callable[..., Any], Callable[..., Any]] = {
    torch.prelu: fast_layers.prelu,
    F.instance_norm: fast_layers.instance_norm,
}
"""Functions of torch, and what computes the same in half precision in less time."""


@contextmanager
def half_precision_training(
    device: torch.device, dtype: torch.dtype | None, *, fast: bool = False
) -> Iterator[None]:
    """Autocast for a training step. None is full precision.

    On the CPU, convolutions over images that are shorter along an axis than twice their kernel run in float32. There,
    oneDNN's bfloat16 kernel for the gradient of the weights reads memory that it never wrote (torch 2.13). The
    gradients are then NaN, huge or silently wrong, and sometimes the process crashes; in two dimensions with strides of
    2 and more; `tests/training/test_precision.py`. Such inputs occur at the deepest level of a network and are small,
    so little is lost. With ``fast``, they and others are computed in bfloat16 by functions of ours
    (`netwright.nn.fast_convolutions`). PReLU and instance normalisation always are (`netwright.nn.fast_layers`).

    Args:
        device: of the network.
        dtype: half precision's.
        fast: whether convolutions on a CPU may be computed by functions of ours.
    """
    if dtype is None:
        yield
        return
    with torch.autocast(device.type, dtype=dtype):
        if device.type != "cpu":
            yield
            return
        with _OnCPU(fast and dtype == torch.bfloat16):
            yield


class _OnCPU(TorchFunctionMode):
    def __init__(self, fast: bool) -> None:
        super().__init__()
        self._fast = fast

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        if func in _CONVOLUTIONS:
            if self._fast and (output := _CONVOLUTIONS[func](*args, **kwargs)) is not None:
                return output
            if fast_convolutions.is_small(*args, **kwargs):
                with torch.autocast("cpu", enabled=False):
                    return func(*map(_full, args), **{name: _full(value) for name, value in kwargs.items()})
        return _FASTER.get(func, func)(*args, **kwargs)


def _full(value: Any) -> Any:
    return value.float() if isinstance(value, Tensor) and value.is_floating_point() else value
