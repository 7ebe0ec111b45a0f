"""What a rebuilt network has in addition to its layers: adapters, and sizes that follow the input."""

from __future__ import annotations

from collections.abc import Sequence
from math import isqrt, prod

import torch
from torch import Tensor, nn
from torch.nn import functional as F

LINEAR_MODES = {1: "linear", 2: "bilinear", 3: "trilinear"}
CONVOLUTIONS: dict[int, type[nn.Conv1d | nn.Conv2d | nn.Conv3d]] = {3: nn.Conv1d, 4: nn.Conv2d, 5: nn.Conv3d}

# Axes of the input and of the output that correspond in a change of shape.
AxisGroups = tuple[tuple[tuple[int, ...], tuple[int, ...]], ...]


class Adapter(nn.Module):
    """Fits features to others: a 1 x 1 projection for the channels, a resize for all other axes.

    The projection is that of the shortcut in He et al. 2016, eq. 2, without bias. It is done where there are
    fewer voxels, before or after the resize. The resize is a linear interpolation.

    Args:
        in_channels: channels of the features.
        out_channels: channels that are needed; if equal, nothing is projected.
        axis: axis of the channels, the second or the last.
        rank: number of axes of the features.
        resizes: whether sizes are fitted.
    """

    def __init__(self, in_channels: int, out_channels: int, axis: int, rank: int, *, resizes: bool) -> None:
        super().__init__()
        self.axis = axis
        self.resizes = resizes
        self.projection: nn.Module | None = None
        if in_channels != out_channels:
            if axis == 1 and rank in CONVOLUTIONS:
                self.projection = CONVOLUTIONS[rank](in_channels, out_channels, 1, bias=False)
            elif axis == rank - 1:
                self.projection = nn.Linear(in_channels, out_channels, bias=False)
            else:
                raise ValueError(f"there is no projection along axis {axis} of {rank}")

    def forward(self, features: Tensor, reference: Tensor | None = None) -> Tensor:
        """The features, fitted to the size of the ``reference``."""
        if not self.resizes or reference is None:
            return self._project(features)
        size = [length for axis, length in enumerate(reference.shape) if axis not in (0, self.axis)]
        if prod(size) * features.shape[self.axis] > features[0].numel():
            return self._resize(self._project(features), size)
        return self._project(self._resize(features, size))

    def extra_repr(self) -> str:
        """What is done in addition to the projection."""
        return "resize" if self.resizes else ""

    def _project(self, features: Tensor) -> Tensor:
        if self.projection is None:
            return features
        projected: Tensor = self.projection(features)
        return projected

    def _resize(self, features: Tensor, size: Sequence[int]) -> Tensor:
        return resize(features.movedim(self.axis, 1), size).movedim(1, self.axis)


class FarPadding(nn.Module):
    """Pads each axis at its far end, so that a kernel of even width keeps the size at stride 1.

    Args:
        lengths: for each spatial axis, in voxels.
        mode: see `torch.nn.functional.pad`.
    """

    def __init__(self, lengths: Sequence[int], mode: str) -> None:
        super().__init__()
        self.padding = [amount for length in reversed(lengths) for amount in (0, length)]
        self.mode = mode

    def forward(self, features: Tensor) -> Tensor:
        """Features (batch, channels, *spatial) to the same, longer by the lengths."""
        return F.pad(features, self.padding, mode=self.mode)

    def extra_repr(self) -> str:
        """The padding and its mode."""
        return f"{self.padding}, mode={self.mode!r}"


def resize(features: Tensor, size: Sequence[int]) -> Tensor:
    """Features (batch, channels, *spatial), interpolated linearly to a spatial size; unchanged if equal."""
    if tuple(features.shape[2:]) == tuple(size):
        return features
    return F.interpolate(features, size=list(size), mode=LINEAR_MODES[len(size)], align_corners=False)


def resize_output(logits: Tensor, images: Tensor, ratios: Sequence[tuple[int, int]]) -> Tensor:
    """Logits resized to the images' size, with each axis multiplied by its ratio (numerator, denominator).

    Args:
        logits: of the network.
        images: its input.
        ratios: numerator and denominator for each axis.
    """
    return resize(logits, scaled(images.shape[2:], ratios))


def follow_size(features: Tensor, ratios: Sequence[tuple[int, int]]) -> list[int]:
    """The sizes of the last axes, each multiplied by its ratio; they replace a size that was a fixed number."""
    return scaled(features.shape[features.ndim - len(ratios) :], ratios)


def scaled(lengths: Sequence[int], ratios: Sequence[tuple[int, int]]) -> list[int]:
    """Each length times its ratio (numerator, denominator), rounded, at least 1.

    >>> scaled([8, 5], [(1, 2), (1, 10)])
    [4, 1]
    """
    return [
        length if top == bottom else max(1, (2 * length * top + bottom) // (2 * bottom))
        for length, (top, bottom) in zip(lengths, ratios, strict=True)
    ]


def follow_repeats(images: Tensor, sizes: Sequence[int | None]) -> list[int]:
    """Sizes or repeats in which None is replaced by the batch's size."""
    return [images.shape[0] if size is None else size for size in sizes]


def follow_parts(features: Tensor, parts: Sequence[int], axis: int) -> tuple[Tensor, ...]:
    """Features split along an axis in the proportions of ``parts``, whatever the axis's length.

    Args:
        features: to split.
        parts: sizes in the original.
        axis: to split along.
    """
    total, length = sum(parts), features.shape[axis]
    ends = [round(length * sum(parts[: index + 1]) / total) for index in range(len(parts))]
    return torch.split(features, [end - start for start, end in zip([0, *ends], ends, strict=False)], axis)


def follow_shape(features: Tensor, groups: AxisGroups, sizes: Sequence[int], channels: int) -> Tensor:
    """A reshape that follows its input, in place of the original's reshape to fixed ``sizes``.

    Axes that were kept are kept, and those that were merged are merged. If an axis was split, all parts scale alike
    where the new length allows it (a grid of tokens). Otherwise, and always for ``channels``, the axis of the channels,
    the last part takes what is left (groups and heads are as many as before).

    Args:
        features: the input.
        groups: axes before and after, see `axis_groups`.
        sizes: of the original's result.
        channels: the axis of the channels.

    Raises:
        ValueError: the new length cannot be split.
    """
    shape: list[int] = []
    for sources, targets in groups:
        length = prod(features.shape[axis] for axis in sources)
        parts = [sizes[axis] for axis in targets]
        if len(parts) > 1 and prod(parts) != length:
            parts = _split(length, parts, scale=channels not in sources)
        shape += [length] if len(parts) == 1 else parts
    return features.reshape(shape)


def axis_groups(before: Sequence[int], after: Sequence[int]) -> AxisGroups:
    """Which axes of a shape became which, from their products: (2, 8, 4, 4) to (2, 128) is 0-0, 123-1.

    The same holds for (2, 8, 1, 1) to (2, 8): last axes of length 1 are merged with the one before, unless that is the
    batch.
    """
    groups: list[tuple[tuple[int, ...], tuple[int, ...]]] = []
    first, second = 0, 0
    while first < len(before) or second < len(after):
        if second == len(after) > 1 and before[first] == 1:
            groups[-1] = ((*groups[-1][0], first), groups[-1][1])
            first += 1
            continue
        sources, targets = [], []
        if first < len(before):
            sources.append(first)
        if second < len(after):
            targets.append(second)
        first, second = first + len(sources), second + len(targets)
        while (left := prod(before[a] for a in sources)) != (right := prod(after[a] for a in targets)):
            if left < right and first < len(before):
                sources.append(first)
                first += 1
            elif right < left and second < len(after):
                targets.append(second)
                second += 1
            else:
                raise ValueError(f"shape {tuple(before)} does not become {tuple(after)}")
        groups.append((tuple(sources), tuple(targets)))
    return tuple(groups)


def _split(length: int, parts: Sequence[int], *, scale: bool) -> list[int]:
    if scale and len(parts) == 2:
        first = isqrt(length * parts[0] // parts[1])
        if first and length % first == 0 and first * parts[1] == length // first * parts[0]:
            return [first, length // first]
    kept = prod(parts[:-1])
    if length % kept:
        raise ValueError(f"{length} cannot be split into {' x '.join(map(str, parts[:-1]))} parts")
    return [*parts[:-1], length // kept]
