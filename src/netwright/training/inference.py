"""Computes label probabilities of an image: in one forward pass where the image fits, else in windows.

There are functions for volumes (with three-dimensional networks, or slice by slice with two-dimensional ones) and for
pictures.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypedDict

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from netwright.data.loading.batches import padding, windows
from netwright.execution import heartbeat
from netwright.nn.losses import main_output
from netwright.training.device import call_network, half_precision, tensor_channels_last


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


def predict_probabilities(
    network: nn.Module,
    image: Tensor | NDArray[np.float32],
    size: Sequence[int],
    *,
    device: torch.device | str = "cpu",
    overlap: float = 0.5,
    batch_size: int = 1,
    mixed_precision: bool = False,
    channels_last: bool = False,
    air: Sequence[float] | NDArray[np.float32] = (),
) -> NDArray[np.float32]:
    """Class probabilities (K, X, Y, Z) of an image (C, X, Y, Z) of any size, in float32.

    A volume that fits into ``size`` is padded with ``air`` on all sides and computed at once. A larger one is covered
    with overlapping windows of ``size``. Their probabilities are averaged with Gaussian weights on the CPU, so that
    large volumes do not fill the GPU.

    Args:
        network: on ``device``. It is in evaluation mode during the call.
        image: prepared like the training images.
        size: the network's input size in voxels.
        device: where to compute.
        overlap: the share by which windows overlap, from 0 to below 1.
        batch_size: windows computed at once.
        mixed_precision: as in training.
        channels_last: as in training.
        air: the padding value of each channel; empty: zeros.
    """
    volume = torch.from_numpy(np.array(image, np.float32)) if isinstance(image, np.ndarray) else image.float()
    settings = InferenceSettings(device=device, mixed_precision=mixed_precision, channels_last=channels_last)
    probabilities = _probabilities(network, volume[None], size, overlap, batch_size, air, **settings)
    return np.ascontiguousarray(probabilities[0])


def predict_slices(
    network: nn.Module,
    image: Tensor | NDArray[np.float32],
    size: Sequence[int],
    axis: int,
    *,
    device: torch.device | str = "cpu",
    overlap: float = 0.5,
    batch_size: int = 8,
    mixed_precision: bool = False,
    channels_last: bool = False,
    air: Sequence[float] | NDArray[np.float32] = (),
) -> NDArray[np.float32]:
    """Class probabilities (K, X, Y, Z) of an image (C, X, Y, Z) by a two-dimensional network, in float32.

    Each slice along ``axis`` is predicted as a picture, as in `predict_probabilities`. The two other axes keep their
    order. ``batch_size`` slices are computed at once, or windows where slices are larger than ``size``.

    Args:
        network: as in `predict_probabilities`, for inputs (B, C, H, W).
        image: prepared like the training images.
        size: the network's input size in pixels.
        axis: the axis perpendicular to the slices, from 0 to 2.
        device: as in `predict_probabilities`.
        overlap: as in `predict_probabilities`.
        batch_size: as in `predict_probabilities`.
        mixed_precision: as in training.
        channels_last: as in training.
        air: as in `predict_probabilities`.
    """
    volume = torch.from_numpy(np.array(image, np.float32)) if isinstance(image, np.ndarray) else image.float()
    settings = InferenceSettings(device=device, mixed_precision=mixed_precision, channels_last=channels_last)
    slices = volume.movedim(axis + 1, 0)
    at_once = batch_size if is_within(slices.shape[2:], size) else 1
    probabilities = [
        _probabilities(network, slices[start : start + at_once], size, overlap, batch_size, air, **settings)
        for start in range(0, len(slices), at_once)
    ]
    return np.ascontiguousarray(np.moveaxis(np.concatenate(probabilities), 0, axis + 1))


def load_windows(sizes: Iterable[Sequence[int]], size: Sequence[int]) -> None:
    """Imports what is needed to predict in windows, if an image is larger than the network's input.

    That takes seconds. A training calls this before its time begins, or its first validation would pay for it.

    Args:
        sizes: of the images.
        size: of the network's input.
    """
    if not all(is_within(one, size) for one in sizes):
        importlib.import_module("monai.inferers.utils")


def _probabilities(
    network: nn.Module,
    images: Tensor,
    size: Sequence[int],
    overlap: float,
    batch_size: int,
    air: Sequence[float] | NDArray[np.float32],
    *,
    device: torch.device | str,
    mixed_precision: bool,
    channels_last: bool,
) -> NDArray[np.float32]:
    """Class probabilities (N, K, *shape) of images (N, C, *shape), all at once where they fit into ``size``."""
    shape = tuple(images.shape[2:])
    padded_shape = [max(a, b) for a, b in zip(shape, size, strict=True)]
    _, target = windows(shape, padded_shape)
    padded = images.new_zeros((*images.shape[:2], *padded_shape))
    if len(air):
        padded += torch.as_tensor(np.asarray(air, np.float32)).view(-1, *(1,) * len(size))
    padded[:, :, *target] = images

    def predict(inputs: Tensor) -> Tensor:
        logits = forward(network, inputs, mixed_precision=mixed_precision, channels_last=channels_last)
        return logits.float().softmax(1)

    with evaluating(network):
        if list(size) == padded_shape:
            probabilities = predict(padded.to(device)).cpu()
        else:
            from monai.inferers.utils import sliding_window_inference

            probabilities = sliding_window_inference(  # type: ignore[assignment]
                padded,
                tuple(size),
                batch_size,
                predict,
                overlap=overlap,
                mode="gaussian",
                sw_device=device,
                device="cpu",
            )
    cropped: NDArray[np.float32] = probabilities.numpy()[:, :, *target]
    return cropped


def predict_padded(
    network: nn.Module,
    images: Sequence[NDArray[np.float32]],
    size: Sequence[int],
    air: Sequence[NDArray[np.float32]],
    *,
    device: torch.device | str,
    mixed_precision: bool,
    channels_last: bool,
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
    """
    batch = torch.zeros((len(images), images[0].shape[0], *size))
    targets = [windows(image.shape[1:], size)[1] for image in images]
    for row, (image, target) in enumerate(zip(images, targets, strict=True)):
        batch.numpy()[row] = padding(air[row], image.ndim)
        batch.numpy()[row][:, *target] = image
    with evaluating(network):
        logits = forward(
            network, batch.to(device), mixed_precision=mixed_precision, channels_last=channels_last
        )
        require_finite(bool(logits.isfinite().all()))
        # Channels last, since torch looks for the largest of neighbours ten times faster on a CPU.
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
