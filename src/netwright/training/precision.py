"""Half precision, except where the kernels of the CPU compute it wrongly."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

_CONVOLUTIONS = {
    torch.conv2d,
    torch.conv3d,
    torch.conv_transpose2d,
    torch.conv_transpose3d,
}


@contextmanager
def half_precision_training(device: torch.device, dtype: torch.dtype | None) -> Iterator[None]:
    """Autocast for a training step. None is full precision.

    On the CPU, convolutions over images that are shorter along an axis than twice their kernel run in float32. There,
    oneDNN's bfloat16 kernel for the gradient of the weights reads memory that it never wrote (torch 2.13). The
    gradients are then NaN, huge or silently wrong, and sometimes the process crashes; in two dimensions with strides of
    2 and more; `tests/training/test_precision.py`. Such inputs occur at the deepest level of a network and are small,
    so nothing is lost.
    """
    if dtype is None:
        yield
        return
    with torch.autocast(device.type, dtype=dtype):
        if device.type != "cpu":
            yield
            return
        with _SmallInputsInFull():
            yield


class _SmallInputsInFull(TorchFunctionMode):
    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        if func in _CONVOLUTIONS and _is_small(*args[:2]):
            with torch.autocast("cpu", enabled=False):
                return func(
                    *map(_full, args), **{name: _full(value) for name, value in (kwargs or {}).items()}
                )
        return func(*args, **(kwargs or {}))


def _is_small(images: Tensor, weight: Tensor) -> bool:
    # Kernels of one voxel are never wrong; twice the kernel, since the output of a stride of 2 counts as well.
    return any(
        kernel > 1 and length < 2 * kernel
        for length, kernel in zip(images.shape[2:], weight.shape[2:], strict=True)
    )


def _full(value: Any) -> Any:
    return value.float() if isinstance(value, Tensor) and value.is_floating_point() else value
