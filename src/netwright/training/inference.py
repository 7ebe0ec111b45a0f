"""From an image to label probabilities: one forward pass where it fits the network's input, else windows.

Volumes by networks of three dimensions, or slice by slice by networks of two; pictures to classes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
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
    """How forward passes are computed, as keywords."""

    device: torch.device | str
    mixed_precision: bool
    channels_last: bool


@contextmanager
def evaluating(network: nn.Module) -> Iterator[None]:
    """Within it, the network is in evaluation mode and no gradients are kept."""
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
    """Logits (B, K, *size) of images (B, C, *size) on the network's device, as the training computes them."""
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

    A volume within ``size`` is padded with ``air`` to it, in the middle, and computed at once. A larger one is
    covered with windows of ``size``, overlapping by the share ``overlap``; their probabilities are averaged
    with Gaussian weights, on the CPU, so that large volumes do not fill the GPU.

    Args:
        network: on ``device``; put into evaluation mode for the time.
        image: prepared as the training images were.
        size: the network's input, in voxels.
        device: where to compute.
        overlap: from 0 to under 1.
        batch_size: windows computed at once.
        mixed_precision: as in training.
        channels_last: as in training.
        air: for each channel, what it is padded with; empty: zeros.
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
    """Class probabilities (K, X, Y, Z), in float32, of an image (C, X, Y, Z) by a network of two dimensions.

    Each slice along ``axis`` (from 0 to 2; the two other axes keep their order) is predicted as a picture, as
    in `predict_probabilities`, ``batch_size`` slices (or windows, where slices are larger than ``size``) at once.

    Args:
        network: as in `predict_probabilities`, of inputs (B, C, H, W).
        image: prepared as the training images were.
        size: the network's input, in pixels.
        axis: that the slices are normal to.
        device: as in `predict_probabilities`.
        overlap: as there.
        batch_size: as there.
        mixed_precision: as there.
        channels_last: as there.
        air: as there.
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
    """Class probabilities (N, K, *shape) of images (N, C, *shape), all at once where they are within ``size``."""
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
    """Label maps, each of its image's shape, of images (C, *shape) within ``size``, in one forward pass.

    ``air``: of each image, what its channels (C,) are padded with.
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
    """The class of the largest logit (N,) of pictures (N, C, H, W), in one forward pass.

    Raises:
        FloatingPointError: the network's output is not finite.
    """
    with evaluating(network):
        batch = torch.from_numpy(images).to(device)
        logits = forward(network, batch, mixed_precision=mixed_precision, channels_last=channels_last)
        require_finite(bool(logits.isfinite().all()))
        return np.asarray(logits.argmax(1).cpu().numpy(), dtype=np.int64)


def restore_images(
    network: nn.Module,
    images: Tensor,
    *,
    mixed_precision: bool = False,
    channels_last: bool = False,
    names: Sequence[str] | None = None,
) -> Tensor:
    """What a network makes of masked images (N, C, H, W) on its device, in float32, cut off below 0 and above 1.

    Raises:
        FloatingPointError: the network's output is not finite; of the first such image by its name, where they have
            ``names``.
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
    """Raise `FloatingPointError` where a network's output is not finite."""
    if not finite:
        raise FloatingPointError("the network's output is not finite")
