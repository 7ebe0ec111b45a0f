"""Probabilities of an image larger than a network's input: overlapping windows, blended band by band.

The windows are computed in order along an axis. The weighted sums of probabilities are kept of a band only, as thick as
a window: what no later window reaches is finished and leaves it. MONAI's `sliding_window_inference` has the same
windows and weights, and keeps the sums of the whole image.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import islice, product
from math import prod

import torch
from torch import Tensor

OVERLAP = 0.5
"""The share by which windows overlap, unless another one is asked for."""
TILE_VALUES = 2**18
"""Probabilities that are computed at once on a CPU: 1 MiB, which its caches hold."""
PART_VALUES = 2**22
"""Probabilities that are handed on at once, at least a plane: 16 MiB."""
SHARE_OF_DEVICE = 0.5
"""The share of a GPU's free memory that the sums may take. Larger ones are kept in main memory."""
SMALLEST_WEIGHT = 1e-3
SIGMAS_A_WINDOW = 8


def starts(length: int, size: int, overlap: float) -> list[int]:
    """Where windows begin along an axis. The last one ends with the image.

    Args:
        length: of the image, at least ``size``.
        size: of the windows.
        overlap: the share by which they overlap, from 0 to below 1.
    """
    step = max(1, int(size * (1 - overlap)))
    return [*range(0, length - size, step), length - size]


def gaussian_weights(size: Sequence[int]) -> Tensor:
    """The weights of a window's voxels (*size): a Gaussian with a standard deviation of an eighth of each side."""
    weights = torch.ones(())
    for length in size:
        along = (torch.arange(length) - (length - 1) / 2) * (SIGMAS_A_WINDOW / length)
        weights = weights[..., None] * torch.exp(-along.square() / 2)
    return weights.clamp(min=SMALLEST_WEIGHT)


def band_axis(shape: Sequence[int], size: Sequence[int]) -> int:
    """The axis of an image with the most windows, along which a band is smallest; the first of equal ones."""
    return max(range(len(size)), key=lambda axis: shape[axis] / size[axis])


@torch.inference_mode()
def blended(
    predict: Callable[[Tensor], Tensor],
    read: Callable[[Sequence[int]], Tensor],
    shape: Sequence[int],
    size: Sequence[int],
    axis: int,
    *,
    overlap: float,
    batch_size: int,
    device: torch.device | str,
    sigmoid: bool = False,
) -> Iterator[Tensor]:
    """Probabilities of an image, some planes (planes, K, *other axes) along ``axis`` at a time, in order.

    They are on the CPU, and valid until the next ones are asked for.

    Args:
        predict: logits (B, K, *size) of windows (B, C, *size) on the device.
        read: the window (C, *size) that begins at a place of the image.
        shape: of the image, along every axis at least as long as the windows.
        size: of the windows.
        axis: that the image is finished along.
        overlap: the share by which windows overlap, from 0 to below 1.
        batch_size: windows computed at once.
        device: where the network is computed.
        sigmoid: whether each output is a probability by itself, not one of classes that exclude one another.
    """
    begins = [starts(length, window, overlap) for length, window in zip(shape, size, strict=True)]
    along = begins.pop(axis)
    weights = gaussian_weights(size).movedim(axis, 0)[:, None].contiguous().to(device)
    band: _Band | None = None
    for start, following in zip(along, [*along[1:], shape[axis]], strict=True):
        others = iter(product(*begins))
        while places := list(islice(others, batch_size)):
            origins = [(*place[:axis], start, *place[axis:]) for place in places]
            logits = predict(torch.stack([read(origin) for origin in origins]).to(device))
            if band is None:
                band = _Band(logits, weights, shape, axis, sigmoid=sigmoid)
            for place, window in zip(places, logits, strict=True):
                band.add(window.movedim(1 + axis, 0), place)
            del logits  # before the next windows need the memory
        assert band is not None
        yield from band.finish(following - start)


class _Band:
    """The weighted sums of probabilities, of as many planes as a window has.

    The planes come first, so that those of some planes lie together. Probabilities of a softmax add up to the weights;
    beside those of a sigmoid, the weights are summed up in one more channel.

    Args:
        logits: of the first windows (B, K, *size).
        weights: of a window (planes, 1, *other axes), on the network's device.
        shape: of the image.
        axis: of the planes.
        sigmoid: as in `blended`.
    """

    def __init__(
        self, logits: Tensor, weights: Tensor, shape: Sequence[int], axis: int, *, sigmoid: bool
    ) -> None:
        classes, others = logits.shape[1] + sigmoid, [*shape[:axis], *shape[axis + 1 :]]
        self._sigmoid = sigmoid
        sums = (len(weights), classes, *others)
        self._sums = torch.zeros(sums, device=_device_for(4 * prod(sums), weights.device))
        plane = classes * weights[0].numel()
        self._planes = max(1, TILE_VALUES // plane) if weights.device.type == "cpu" else len(weights)
        self._weights = weights
        tile = (min(self._planes, len(weights)), classes, *weights.shape[2:])
        self._tile = torch.empty(tile, device=weights.device)

    def add(self, logits: Tensor, place: Sequence[int]) -> None:
        """Add the probabilities of a window (planes, K, *other axes), weighted.

        ``place``: where it begins along the other axes.
        """
        region = [slice(begin, begin + n) for begin, n in zip(place, logits.shape[2:], strict=True)]
        for first in range(0, len(logits), self._planes):
            planes = slice(first, first + self._planes)
            weight = self._weights[planes]
            tile = self._tile[: len(weight)]
            if self._sigmoid:
                tile[:, :-1].copy_(logits[planes]).sigmoid_()
                tile[:, -1] = 1
                share = weight
            else:
                tile.copy_(logits[planes])
                tile.sub_(tile.amax(1, keepdim=True)).exp_()
                share = weight / tile.sum(1, keepdim=True)
            sums = self._sums[planes, :, *region]
            if sums.device == tile.device:
                sums.addcmul_(tile, share)
            else:
                sums.add_(tile.mul_(share).to(sums.device))

    def finish(self, count: int) -> Iterator[Tensor]:
        """The probabilities of the first planes, some at a time. Then the band moves on by ``count`` planes."""
        step = max(1, PART_VALUES // self._sums[0].numel())
        for first in range(0, count, step):
            part = self._sums[first : min(first + step, count)]
            if self._sigmoid:
                yield part[:, :-1].div_(part[:, -1:]).cpu()
            else:  # each window's probabilities add up to its weight
                yield part.div_(part.sum(1, keepdim=True)).cpu()
        kept = len(self._sums) - count
        for first in range(0, kept, count):  # a copy must not write what it still has to read
            stop = min(first + count, kept)
            self._sums[first:stop] = self._sums[first + count : stop + count]
        self._sums[kept:] = 0


def _device_for(size: int, device: torch.device) -> torch.device:
    """The device, or the CPU where the device is no GPU, or has no room for so many bytes."""
    if device.type == "cuda" and size <= SHARE_OF_DEVICE * torch.cuda.mem_get_info(device)[0]:
        return device
    return torch.device("cpu")
