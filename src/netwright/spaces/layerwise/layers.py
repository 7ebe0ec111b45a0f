"""The layers of a network: which of them are tunable, and how each is rebuilt for other inputs and values."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import gcd, prod
from typing import Any

import torch
from torch import Tensor, nn

from netwright.errors import InfeasibleArchitecture
from netwright.spaces.layerwise.graph import Layer

TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
POOLS = (nn.MaxPool1d, nn.MaxPool2d, nn.MaxPool3d, nn.AvgPool1d, nn.AvgPool2d, nn.AvgPool3d)
CHANNEL_NORMS = (nn.modules.batchnorm._NormBase,)
# The layers that `fit_layer` can make for other inputs.
FITTED = (
    *CONVOLUTIONS,
    *TRANSPOSED,
    *POOLS,
    *CHANNEL_NORMS,
    nn.Linear,
    nn.GroupNorm,
    nn.LayerNorm,
    nn.RMSNorm,
    nn.PReLU,
)
# These keep the shape of their input, so they need not be tried.
SHAPE_KEEPING = (
    nn.BatchNorm1d,
    nn.BatchNorm2d,
    nn.BatchNorm3d,
    nn.InstanceNorm1d,
    nn.InstanceNorm2d,
    nn.InstanceNorm3d,
    nn.GroupNorm,
    nn.LayerNorm,
    nn.RMSNorm,
    nn.PReLU,
    nn.ReLU,
    nn.LeakyReLU,
    nn.GELU,
    nn.SiLU,
    nn.Sigmoid,
    nn.Tanh,
    nn.Dropout,
    nn.Dropout2d,
    nn.Dropout3d,
    nn.Identity,
)


@dataclass(frozen=True)
class Recipe:
    """How a layer is made from the original one: its changed attributes and the shapes of its tensors.

    ``far_padding``: the padding that each axis needs at its far end before the layer, see `adapters.FarPadding`.
    """

    prototype: nn.Module
    attributes: Mapping[str, Any] = field(default_factory=dict)
    shapes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    far_padding: tuple[int, ...] = ()

    def make(self, *, initialise: bool) -> nn.Module:
        """The layer on the default device, with new weights, or with empty ones if ``initialise`` is False."""
        replaced: dict[int, Any] = {}
        for name, tensor in (*self.prototype.named_parameters(), *self.prototype.named_buffers()):
            empty: Tensor = torch.empty(self.shapes.get(name, tuple(tensor.shape)), dtype=tensor.dtype)
            if isinstance(tensor, nn.Parameter):
                empty = nn.Parameter(empty, requires_grad=tensor.requires_grad)
            replaced[id(tensor)] = empty
        layer = _copied(self.prototype, replaced)
        for name, value in self.attributes.items():
            setattr(layer, name, value)
        if initialise:
            for module in layer.modules():
                reset = getattr(module, "reset_parameters", getattr(module, "_reset_parameters", None))
                if reset is not None:
                    reset()
        return layer


def tunable(name: str, module: nn.Module, *, gives_output: bool) -> Layer | None:
    """The layer's hyperparameters and their values; None if it is not tunable.

    Args:
        name: of the layer.
        module: the original.
        gives_output: whether its channels are the output of the network or of an auxiliary head; then they are fixed.
    """
    original: dict[str, int] = {}
    if isinstance(module, (*CONVOLUTIONS, *TRANSPOSED)):
        if not gives_output and not is_depthwise(module):
            original["kernels"] = module.out_channels
        original["kernel_size"] = max(module.kernel_size)
        if isinstance(module, TRANSPOSED):
            return Layer(name, "up-convolution", original)
        return Layer(name, "convolution", {**original, "stride": max(module.stride)})
    if isinstance(module, POOLS) and not getattr(module, "return_indices", False):
        return Layer(name, "pooling", {"pool_size": max(_tuple(module.kernel_size))})
    if isinstance(module, nn.Linear) and not gives_output:
        return Layer(name, "dense", {"units": module.out_features})
    return None


def is_depthwise(module: nn.Module) -> bool:
    """Whether each channel has its own kernels. Then their number follows the input's channels."""
    groups = int(getattr(module, "groups", 1))
    return groups > 1 and groups == getattr(module, "in_channels", None)


def fit_layer(
    name: str, module: nn.Module, shape: Sequence[int], axis: int, values: Mapping[str, int]
) -> Recipe:
    """The layer for an input with the shape (batch, ...) and the given values of its hyperparameters.

    ``axis``: the channels' axis, for a layer normalisation of one axis.

    Args:
        name: of the layer.
        module: the original layer.
        shape: of its input.
        axis: the channels' axis, for a layer normalisation of one axis.
        values: of its hyperparameters.

    Raises:
        InfeasibleArchitecture: there is no such layer.
    """
    if isinstance(module, (*CONVOLUTIONS, *TRANSPOSED)):
        return _fit_convolution(name, module, shape, values)
    if isinstance(module, nn.Linear):
        units = values.get("units", module.out_features)
        features = shape[-1]
        shapes = {"weight": (units, features), "bias": (units,)}
        return Recipe(module, {"in_features": features, "out_features": units}, shapes)
    if isinstance(module, POOLS):
        return _fit_pool(module, shape, values)
    if isinstance(module, CHANNEL_NORMS):
        if isinstance(module, nn.modules.instancenorm._InstanceNorm):
            _check_values(name, prod(shape[2:]))
        vector = ("weight", "bias", "running_mean", "running_var")
        return Recipe(module, {"num_features": shape[1]}, dict.fromkeys(vector, (shape[1],)))
    if isinstance(module, nn.GroupNorm):
        return _fit_group_norm(name, module, shape)
    if isinstance(module, (nn.LayerNorm, nn.RMSNorm)):
        count = len(module.normalized_shape)
        normalised = (shape[axis],) if count == 1 else tuple(shape[len(shape) - count :])
        _check_values(name, prod(normalised))
        return Recipe(module, {"normalized_shape": normalised}, dict.fromkeys(("weight", "bias"), normalised))
    if isinstance(module, nn.PReLU) and module.num_parameters > 1:
        return Recipe(module, {"num_parameters": shape[1]}, {"weight": (shape[1],)})
    return Recipe(module)


def _fit_convolution(name: str, module: Any, shape: Sequence[int], values: Mapping[str, int]) -> Recipe:
    channels, rank = shape[1], len(module.kernel_size)
    kernels, groups = values.get("kernels", module.out_channels), module.groups
    if is_depthwise(module):
        kernels, groups = channels * (module.out_channels // module.in_channels), channels
    for count, what in ((channels, "input channels"), (kernels, "kernels")):
        if count % groups:
            raise InfeasibleArchitecture(
                f"Layer {name}: {count} {what} cannot be divided into its {groups} groups."
            )
    width = values.get("kernel_size", max(module.kernel_size))
    kernel = _changed(module.kernel_size, width, [length > 1 for length in module.kernel_size])
    attributes = {"in_channels": channels, "out_channels": kernels, "groups": groups, "kernel_size": kernel}
    far: tuple[int, ...] = ()
    if isinstance(module, TRANSPOSED):
        if kernel != module.kernel_size:
            attributes.update(_transposed_padding(name, module, kernel))
        weight = (channels, kernels // groups, *kernel)
    else:
        step = max(module.stride)
        stride = _changed(module.stride, values.get("stride", step), [s == step for s in module.stride])
        padding, far = _padding(module, kernel, stride)
        attributes.update(stride=stride, padding=padding)
        if not isinstance(padding, str):
            doubled = [amount for length in reversed(padding) for amount in (length, length)]
            attributes["_reversed_padding_repeated_twice"] = doubled
            sizes = [s + 2 * p + f for s, p, f in zip(shape[2:], padding, far or (0,) * rank, strict=True)]
            _check_kernel(name, kernel, sizes, module.dilation)
        weight = (kernels, channels // groups, *kernel)
    return Recipe(module, attributes, {"weight": weight, "bias": (kernels,)}, far)


def _padding(
    module: Any, kernel: Sequence[int], stride: Sequence[int]
) -> tuple[str | tuple[int, ...], tuple[int, ...]]:
    """The padding of a convolution, and the additional padding at the far end.

    If the original's padding kept the size apart from the stride, so does the new one: the output has the
    input's size divided by the stride, rounded up. Otherwise the padding stays as it is.
    """
    if kernel == module.kernel_size and stride == module.stride:
        return module.padding, ()
    if module.padding == "valid":
        return "valid", ()
    same = module.padding == "same"
    if same and max(stride) == 1:
        return "same", ()
    padding, far = [], []
    for axis, width in enumerate(kernel):
        reach = module.dilation[axis] * (width - 1)
        was = module.dilation[axis] * (module.kernel_size[axis] - 1)
        kept = same or _keeps_size(was, module.padding[axis], module.stride[axis])
        padding.append(reach // 2 if kept else module.padding[axis])
        far.append(reach % 2 if kept else 0)
    return tuple(padding), tuple(far) if any(far) else ()


def _keeps_size(reach: int, padding: int, stride: int) -> bool:
    """Whether a layer divides the size by the stride, if its kernel reaches over ``reach`` further voxels."""
    return padding == reach // 2 and (reach % 2 == 0 or stride > 1)


def _transposed_padding(name: str, module: Any, kernel: Sequence[int]) -> dict[str, tuple[int, ...]]:
    """The padding with which another kernel gives the same size as the original."""
    padding, output_padding = [], []
    for axis, width in enumerate(kernel):
        dilation, stride = module.dilation[axis], module.stride[axis]
        grown = dilation * (module.kernel_size[axis] - 1)
        grown += module.output_padding[axis] - 2 * module.padding[axis]
        surplus = dilation * (width - 1) - grown
        pad = max(0, -(-surplus // 2))
        extra = 2 * pad - surplus
        if extra >= max(stride, dilation):
            raise InfeasibleArchitecture(
                f"Layer {name}: with kernels of {width} and steps of {stride}, no padding gives the output the "
                f"size that it has with kernels of {module.kernel_size[axis]}."
            )
        padding.append(pad)
        output_padding.append(extra)
    return {"padding": tuple(padding), "output_padding": tuple(output_padding)}


def _fit_pool(module: Any, shape: Sequence[int], values: Mapping[str, int]) -> Recipe:
    """A pooling. If the window is larger than what is left of the image, it takes all of it.

    So the size ends at one voxel, as where poolings round up ("same" in Keras, which the paper used). Otherwise nearly
    every choice of Table III would be infeasible on small images.
    """
    rank = len(shape) - 2
    size, stride = _tuple(module.kernel_size, rank), _tuple(module.stride or module.kernel_size, rank)
    padding, dilation = _tuple(module.padding, rank), _tuple(getattr(module, "dilation", 1), rank)
    width = values.get("pool_size", max(size))
    new = _changed(size, width, [length == max(size) for length in size])
    steps, pads, far = list(stride), list(padding), [0] * rank
    for axis, length in enumerate(new):
        if length == size[axis]:
            continue
        tiles = size[axis] == stride[axis] and padding[axis] == 0
        steps[axis] = length if tiles else stride[axis]
        reach, was = dilation[axis] * (length - 1), dilation[axis] * (size[axis] - 1)
        if not tiles and _keeps_size(was, padding[axis], stride[axis]):
            pads[axis] = min(reach // 2, length // 2)
            # If the original rounded sizes up, an even window needs one voxel more for that.
            far[axis] = reach % 2 if steps[axis] == 1 or was % 2 == 0 else 0
    padded = [s + 2 * p + f for s, p, f in zip(shape[2:], pads, far, strict=True)]
    window = tuple(
        min(length, (limit - 1) // step + 1)
        for length, limit, step in zip(new, padded, dilation, strict=True)
    )
    if window == size:
        return Recipe(module)
    attributes = {"kernel_size": window, "stride": tuple(steps), "padding": tuple(pads)}
    return Recipe(module, attributes, {}, tuple(far) if any(far) else ())


def _fit_group_norm(name: str, module: nn.GroupNorm, shape: Sequence[int]) -> Recipe:
    """As many groups as the original if they divide the channels, else the greatest common divisor of both."""
    channels = shape[1]
    groups = gcd(module.num_groups, channels)
    _check_values(name, channels // groups * prod(shape[2:]))
    shapes = dict.fromkeys(("weight", "bias"), (channels,))
    return Recipe(module, {"num_channels": channels, "num_groups": groups}, shapes)


def _check_values(name: str, count: int) -> None:
    if count == 1:
        raise InfeasibleArchitecture(f"Layer {name}: would normalise single values, and so make them all 0.")


def _check_kernel(name: str, kernel: Sequence[int], padded: Sequence[int], dilation: Sequence[int]) -> None:
    reach = [step * (length - 1) + 1 for length, step in zip(kernel, dilation, strict=True)]
    if any(length > size for length, size in zip(reach, padded, strict=True)):
        raise InfeasibleArchitecture(
            f"Layer {name}: kernel {times(reach)} is larger than its padded input {times(padded)}."
        )


def _copied(module: nn.Module, replaced: dict[int, Any]) -> nn.Module:
    """A copy with some tensors replaced, by their identity; for plain layers several times faster than deepcopy."""
    if module._modules:
        return copy.deepcopy(module, replaced)
    layer = copy.copy(module)
    for key, value in vars(module).items():
        if isinstance(value, (dict, list, set)):
            vars(layer)[key] = copy.copy(value)
    for tensors in (layer._parameters, layer._buffers):
        tensors.update({name: replaced.get(id(tensor), tensor) for name, tensor in tensors.items()})
    return layer


def _changed(original: Sequence[int], value: int, free: Sequence[bool]) -> tuple[int, ...]:
    """The original with the value on the free axes; unchanged if the value is already its largest."""
    if value == max(original):
        return tuple(original)
    everywhere = not any(free)
    return tuple(
        value if everywhere or is_free else length for length, is_free in zip(original, free, strict=True)
    )


def _tuple(value: int | Sequence[int], rank: int = 1) -> tuple[int, ...]:
    return (value,) * rank if isinstance(value, int) else tuple(value)


def times(sizes: Sequence[int]) -> str:
    """Sizes as text: ``3 x 3``."""
    return " x ".join(map(str, sizes))
