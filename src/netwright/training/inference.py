"""Computes label probabilities of an image: in one forward pass where the image fits, else in windows.

There are functions for volumes (with three-dimensional networks, or slice by slice with two-dimensional ones) and for
pictures.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TypedDict

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from netwright.data.loading.batches import Image, padding, whole, windows
from netwright.data.volumes.slabs import Slabs, labels_of
from netwright.execution import heartbeat
from netwright.nn.losses import main_output
from netwright.training.device import call_network, half_precision, tensor_channels_last
from netwright.training.windows import OVERLAP, band_axis, blended


class InferenceSettings(TypedDict):
    """The keyword arguments for how forward passes are computed."""

    device: torch.device | str
    mixed_precision: bool
    channels_last: bool


@contextmanager
def evaluating(network: nn.Module) -> Iterator[None]:
    """Within this context, the network is in evaluation mode and no gradients are kept."""
    training = network.training
    network.eval()
    try:
        with torch.inference_mode():
            yield
    finally:
        network.train(training)


def forward(
    network: nn.Module, images: Tensor, *, mixed_precision: bool = False, channels_last: bool = False
) -> Tensor:
    """Logits (B, K, *size) of images (B, C, *size) on the network's device, computed as in training.

    Args:
        network: in evaluation mode.
        images: on the network's device.
        mixed_precision: compute in half precision where the device can.
        channels_last: compute in channels-last format.
    """
    half = half_precision(images.device) if mixed_precision else None
    with (
        heartbeat.network_call(),
        torch.autocast(images.device.type, dtype=half, enabled=half is not None),
    ):
        outputs = call_network(network, images, channels_last=channels_last)
    return main_output(outputs)


def predict_volume(
    network: nn.Module,
    image: Image,
    size: Sequence[int],
    *,
    device: torch.device | str = "cpu",
    overlap: float = OVERLAP,
    batch_size: int = 1,
    mixed_precision: bool = False,
    channels_last: bool = False,
    air: Sequence[float] | NDArray[np.float32] = (),
    written: Sequence[int] = (),
) -> Slabs:
    """Class probabilities of an image (C, X, Y, Z) of any size, computed slab by slab as they are read.

    A volume that fits into ``size`` is padded with ``air`` on all sides and computed at once. A larger one is covered
    with overlapping windows of ``size``, whose probabilities are averaged with Gaussian weights
    (`netwright.training.windows`).

    Args:
        network: on ``device``. It is in evaluation mode while it computes.
        image: prepared like the training images; it may be mapped from a file, or be cut as it is read.
        size: the network's input size in voxels.
        device: where to compute.
        overlap: the share by which windows overlap, from 0 to below 1.
        batch_size: windows computed at once.
        mixed_precision: as in training.
        channels_last: as in training.
        air: the padding value of each channel; empty: zeros.
        written: as in `netwright.data.volumes.slabs.labels_of`; where there are any, the outputs are logits of
            probabilities by themselves.
    """
    settings = InferenceSettings(device=device, mixed_precision=mixed_precision, channels_last=channels_last)
    axis = band_axis(image.shape[1:], size)
    x, y, z = image.shape[1:]
    parts = _parts(network, image, size, axis, overlap, batch_size, air, sigmoid=bool(written), **settings)
    return Slabs((x, y, z), axis, parts, tuple(written))


def predict_slices(
    network: nn.Module,
    image: NDArray[np.float32],
    size: Sequence[int],
    axis: int,
    *,
    device: torch.device | str = "cpu",
    overlap: float = OVERLAP,
    batch_size: int = 8,
    mixed_precision: bool = False,
    channels_last: bool = False,
    air: Sequence[float] | NDArray[np.float32] = (),
    written: Sequence[int] = (),
) -> Slabs:
    """Class probabilities of an image (C, X, Y, Z) by a two-dimensional network, computed as they are read.

    Each slice along ``axis`` is predicted as a picture, as volumes are in `predict_volume`. The two other axes keep
    their order. ``batch_size`` slices are computed at once, or windows where slices are larger than ``size``.

    Args:
        network: as in `predict_volume`, for inputs (B, C, H, W).
        image: as in `predict_volume`.
        size: the network's input size in pixels.
        axis: the axis perpendicular to the slices, from 0 to 2.
        device: as in `predict_volume`.
        overlap: as in `predict_volume`.
        batch_size: see above.
        mixed_precision: as in training.
        channels_last: as in training.
        air: as in `predict_volume`.
        written: as in `predict_volume`.
    """
    settings = InferenceSettings(device=device, mixed_precision=mixed_precision, channels_last=channels_last)
    slices = np.moveaxis(image, axis + 1, 0)
    fit, cut = is_within(slices.shape[2:], size), band_axis(slices.shape[2:], size)
    sigmoid = bool(written)

    def parts() -> Iterator[NDArray[np.float32]]:
        at_once = batch_size if fit else 1
        for first in range(0, len(slices), at_once):
            chosen = slices[first : first + at_once]
            if fit:
                probabilities = _at_once(network, chosen, size, air, sigmoid=sigmoid, **settings)
            else:
                pieces = _parts(
                    network, chosen[0], size, cut, overlap, batch_size, air, sigmoid=sigmoid, **settings
                )
                probabilities = np.concatenate([piece.copy() for piece in pieces], cut + 1)[None]
            yield np.moveaxis(probabilities, 0, axis + 1)

    x, y, z = image.shape[1:]
    return Slabs((x, y, z), axis, parts(), tuple(written))


def _parts(
    network: nn.Module,
    image: Image,
    size: Sequence[int],
    axis: int,
    overlap: float,
    batch_size: int,
    air: Sequence[float] | NDArray[np.float32],
    *,
    sigmoid: bool,
    device: torch.device | str,
    mixed_precision: bool,
    channels_last: bool,
) -> Iterator[NDArray[np.float32]]:
    """Class probabilities (K, *shape) of an image (C, *shape), in parts along an axis."""
    settings = InferenceSettings(device=device, mixed_precision=mixed_precision, channels_last=channels_last)
    shape = image.shape[1:]
    if is_within(shape, size):
        yield _at_once(network, whole(image)[None], size, air, sigmoid=sigmoid, **settings)[0]
        return
    padded_shape = [max(pair) for pair in zip(shape, size, strict=True)]
    _, target = windows(shape, padded_shape)
    filling = torch.from_numpy(_filled(len(image), size, air))

    def read(origin: Sequence[int]) -> Tensor:
        window = filling.clone()
        begins = [begin - inside.start for begin, inside in zip(origin, target, strict=True)]
        source = tuple(slice(max(b, 0), b + n) for b, n in zip(begins, size, strict=True))
        part = image[:, *source]
        place = (slice(max(-b, 0), max(-b, 0) + n) for b, n in zip(begins, part.shape[1:], strict=True))
        window.numpy()[:, *place] = part
        return window

    def predict(inputs: Tensor) -> Tensor:
        with evaluating(network):
            return forward(network, inputs, mixed_precision=mixed_precision, channels_last=channels_last)

    inside = (slice(None), *target[:axis], *target[axis + 1 :])
    for planes in blended(
        predict,
        read,
        padded_shape,
        size,
        axis,
        overlap=overlap,
        batch_size=batch_size,
        device=device,
        sigmoid=sigmoid,
    ):
        yield np.moveaxis(planes.numpy()[:, *inside], 0, axis + 1)


def _at_once(
    network: nn.Module,
    images: NDArray[np.float32],
    size: Sequence[int],
    air: Sequence[float] | NDArray[np.float32],
    *,
    sigmoid: bool,
    device: torch.device | str,
    mixed_precision: bool,
    channels_last: bool,
) -> NDArray[np.float32]:
    """Class probabilities (N, K, *shape) of images (N, C, *shape) that fit into ``size``, in one forward pass."""
    _, target = windows(images.shape[2:], size)
    batch = np.broadcast_to(_filled(images.shape[1], size, air), (len(images), images.shape[1], *size)).copy()
    batch[:, :, *target] = images
    with evaluating(network):
        inputs = torch.from_numpy(batch).to(device)
        logits = forward(network, inputs, mixed_precision=mixed_precision, channels_last=channels_last)
        scores = logits.float()
        probabilities: NDArray[np.float32] = (
            (scores.sigmoid() if sigmoid else scores.softmax(1)).cpu().numpy()
        )
    return probabilities[:, :, *target]


def _filled(
    channels: int, size: Sequence[int], air: Sequence[float] | NDArray[np.float32]
) -> NDArray[np.float32]:
    """An image (C, *size) of nothing but padding."""
    filled = np.zeros((channels, *size), np.float32)
    if len(air):
        filled += padding(np.asarray(air, np.float32), filled.ndim)
    return filled


def predict_padded(
    network: nn.Module,
    images: Sequence[Image],
    size: Sequence[int],
    air: Sequence[NDArray[np.float32]],
    *,
    device: torch.device | str,
    mixed_precision: bool,
    channels_last: bool,
    written: Sequence[int] = (),
) -> list[NDArray[np.uint8]]:
    """Label maps of images (C, *shape) that fit into ``size``, in one forward pass. Each has the shape of its image.

    ``air`` holds the padding values (C,) of each image.

    Args:
        network: on the device.
        images: each with its own shape.
        size: of the network's input.
        air: the padding values (C,) of each image.
        device: where the network is computed.
        mixed_precision: as in `forward`.
        channels_last: as in `forward`.
        written: as in `predict_volume`.
    """
    batch = torch.zeros((len(images), images[0].shape[0], *size))
    targets = [windows(image.shape[1:], size)[1] for image in images]
    for row, (image, target) in enumerate(zip(images, targets, strict=True)):
        batch.numpy()[row] = padding(air[row], image.ndim)
        batch.numpy()[row][:, *target] = whole(image)
    with evaluating(network):
        logits = forward(
            network, batch.to(device), mixed_precision=mixed_precision, channels_last=channels_last
        )
        require_finite(bool(logits.isfinite().all()))
        if written:
            probabilities = logits.float().sigmoid().cpu().numpy()
            labels = labels_of(probabilities.swapaxes(0, 1), written)
        else:  # channels last, since torch looks for the largest of neighbours ten times faster on a CPU
            labels = tensor_channels_last(logits).argmax(1).to(torch.uint8).cpu().numpy()
    return [labels[row][target] for row, target in enumerate(targets)]


def predict_classes(
    network: nn.Module,
    images: NDArray[np.float32],
    *,
    device: torch.device | str = "cpu",
    mixed_precision: bool = False,
    channels_last: bool = False,
) -> NDArray[np.int64]:
    """The class with the largest logit (N,) of pictures (N, C, H, W), in one forward pass.

    Args:
        network: on the device.
        images: (N, C, H, W).
        device: where the network is computed.
        mixed_precision: as in `forward`.
        channels_last: as in `forward`.

    Raises:
        FloatingPointError: the network's output is not finite.
    """
    settings = InferenceSettings(device=device, mixed_precision=mixed_precision, channels_last=channels_last)
    return np.asarray(_finite_logits(network, images, **settings).argmax(1).cpu().numpy(), dtype=np.int64)


def class_probabilities(
    network: nn.Module,
    images: NDArray[np.float32],
    *,
    device: torch.device | str = "cpu",
    mixed_precision: bool = False,
    channels_last: bool = False,
) -> NDArray[np.float64]:
    """Class probabilities (N, K) of pictures (N, C, H, W), in one forward pass.

    In double precision, in which classes that are nearly certain do not become equal.

    Args:
        network: on the device.
        images: (N, C, H, W).
        device: where the network is computed.
        mixed_precision: as in `forward`.
        channels_last: as in `forward`.

    Raises:
        FloatingPointError: the network's output is not finite.
    """
    settings = InferenceSettings(device=device, mixed_precision=mixed_precision, channels_last=channels_last)
    return np.asarray(_finite_logits(network, images, **settings).cpu().double().softmax(1).numpy())


def _finite_logits(
    network: nn.Module,
    images: NDArray[np.float32],
    *,
    device: torch.device | str,
    mixed_precision: bool,
    channels_last: bool,
) -> Tensor:
    with evaluating(network):
        batch = torch.from_numpy(np.ascontiguousarray(images)).to(device)
        logits = forward(network, batch, mixed_precision=mixed_precision, channels_last=channels_last)
    require_finite(bool(logits.isfinite().all()))
    return logits


def restore_images(
    network: nn.Module,
    images: Tensor,
    *,
    mixed_precision: bool = False,
    channels_last: bool = False,
    names: Sequence[str] | None = None,
) -> Tensor:
    """Restores masked images (N, C, H, W) on the network's device. The result is in float32, clipped to 0 to 1.

    Args:
        network: on the images' device.
        images: (N, C, H, W).
        mixed_precision: as in `forward`.
        channels_last: as in `forward`.
        names: of the images, for the error.

    Raises:
        FloatingPointError: the network's output is not finite. With ``names``, the message names the first such image.
    """
    with evaluating(network):
        restored = forward(
            network, images, mixed_precision=mixed_precision, channels_last=channels_last
        ).float()
        finite = restored.isfinite().flatten(1).all(1)
        if names is not None and not finite.all():
            raise FloatingPointError(
                f"The network's output for {names[int(finite.int().argmin())]} is not finite: expected a number for "
                "every pixel. Train the network again, with a lower training.learning_rate or with "
                "training.gradient_norm."
            )
        require_finite(bool(finite.all()))
        return restored.clamp(0, 1)


def is_within(shape: Sequence[int], size: Sequence[int]) -> bool:
    """Whether an image fits into a network's input along every axis."""
    return all(length <= largest for length, largest in zip(shape, size, strict=True))


def require_finite(finite: bool) -> None:
    """Raises `FloatingPointError` where a network's output is not finite."""
    if not finite:
        raise FloatingPointError("the network's output is not finite")
