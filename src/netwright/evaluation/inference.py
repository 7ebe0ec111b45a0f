"""From an image to label probabilities: one forward pass where it fits the network's input, else windows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TypedDict

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from netwright.data.batches import PreparedVolumes, windows
from netwright.evaluation.device import half_precision, tensor_channels_last
from netwright.tasks.losses import main_output
from netwright.tasks.metrics import dice_per_label


class _Settings(TypedDict):
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
    if channels_last:
        images = tensor_channels_last(images)
    with torch.autocast(images.device.type, dtype=half, enabled=half is not None):
        outputs = network(images)
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
) -> NDArray[np.float32]:
    """Class probabilities (K, X, Y, Z) of an image (C, X, Y, Z) of any size, in float32.

    A volume within ``size`` is padded with zeros to it, in the middle, and computed at once. A larger one is
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
    """
    volume = torch.from_numpy(np.array(image, np.float32)) if isinstance(image, np.ndarray) else image.float()
    shape = tuple(volume.shape[1:])
    padded_shape = [max(a, b) for a, b in zip(shape, size, strict=True)]
    _, target = windows(shape, padded_shape)
    padding = [(t.start, n - t.stop) for t, n in zip(target, padded_shape, strict=True)]
    padded = F.pad(volume, [side for pair in reversed(padding) for side in pair])[None]

    def predict(images: Tensor) -> Tensor:
        logits = forward(network, images, mixed_precision=mixed_precision, channels_last=channels_last)
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
    return np.ascontiguousarray(probabilities.numpy()[0][:, *target])


def validation_dice(
    network: nn.Module,
    prepared: PreparedVolumes,
    indices: Sequence[int],
    size: Sequence[int],
    classes: int,
    *,
    device: torch.device | str = "cpu",
    batch_size: int = 1,
    mixed_precision: bool = False,
    channels_last: bool = False,
) -> NDArray[np.float64]:
    """Dice on the prepared grid, (cases, classes - 1), NaN where a label is absent from truth and prediction.

    Volumes within ``size`` are padded and computed in batches, larger ones by sliding windows. Padding is not
    counted.

    Raises:
        FloatingPointError: the network's output is not finite.
    """
    settings = _Settings(device=device, mixed_precision=mixed_precision, channels_last=channels_last)
    labels = [prepared.label(index) for index in indices]
    fits = [all(a <= b for a, b in zip(label.shape, size, strict=True)) for label in labels]
    dice = np.full((len(indices), classes - 1), np.nan)
    rows = [row for row, fit in enumerate(fits) if fit]
    for start in range(0, len(rows), batch_size):
        chosen = rows[start : start + batch_size]
        images = [prepared.image(indices[row]) for row in chosen]
        for row, prediction in zip(chosen, _predict_padded(network, images, size, **settings), strict=True):
            dice[row] = dice_per_label(prediction, labels[row], classes)
    for row in (row for row, fit in enumerate(fits) if not fit):
        image = prepared.image(indices[row])
        probabilities = predict_probabilities(network, image, size, batch_size=batch_size, **settings)
        _require_finite(bool(np.isfinite(probabilities).all()))
        dice[row] = dice_per_label(probabilities.argmax(0), labels[row], classes)
    return dice


def _predict_padded(
    network: nn.Module,
    images: Sequence[NDArray[np.float32]],
    size: Sequence[int],
    *,
    device: torch.device | str,
    mixed_precision: bool,
    channels_last: bool,
) -> list[NDArray[np.uint8]]:
    """Label maps, each of its image's shape, of images (C, *shape) within ``size``, in one forward pass."""
    batch = torch.zeros((len(images), images[0].shape[0], *size))
    targets = [windows(image.shape[1:], size)[1] for image in images]
    for row, (image, target) in enumerate(zip(images, targets, strict=True)):
        batch.numpy()[row][:, *target] = image
    with evaluating(network):
        logits = forward(
            network, batch.to(device), mixed_precision=mixed_precision, channels_last=channels_last
        )
        _require_finite(bool(logits.isfinite().all()))
        labels = logits.argmax(1).to(torch.uint8).cpu().numpy()
    return [labels[row][target] for row, target in enumerate(targets)]


def _require_finite(finite: bool) -> None:
    if not finite:
        raise FloatingPointError("the network's output is not finite")
