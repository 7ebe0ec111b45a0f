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

from netwright.data.loading.batches import PreparedVolumes, padding, windows
from netwright.execution import heartbeat
from netwright.nn.losses import main_output
from netwright.tasks.metrics import dice_per_label
from netwright.training.device import call_network, half_precision, tensor_channels_last


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
    settings = _Settings(device=device, mixed_precision=mixed_precision, channels_last=channels_last)
    found = _probabilities(network, volume[None], size, overlap, batch_size, air, **settings)
    return np.ascontiguousarray(found[0])


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
    settings = _Settings(device=device, mixed_precision=mixed_precision, channels_last=channels_last)
    slices = volume.movedim(axis + 1, 0)
    at_once = batch_size if _is_within(slices.shape[2:], size) else 1
    found = [
        _probabilities(network, slices[start : start + at_once], size, overlap, batch_size, air, **settings)
        for start in range(0, len(slices), at_once)
    ]
    return np.ascontiguousarray(np.moveaxis(np.concatenate(found), 0, axis + 1))


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
    found: NDArray[np.float32] = probabilities.numpy()[:, :, *target]
    return found


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
    fits = [_is_within(label.shape, size) for label in labels]
    dice = np.full((len(indices), classes - 1), np.nan)
    rows = [row for row, fit in enumerate(fits) if fit]
    for start in range(0, len(rows), batch_size):
        chosen = rows[start : start + batch_size]
        images = [prepared.image(indices[row]) for row in chosen]
        air = [prepared.air(indices[row]) for row in chosen]
        for row, prediction in zip(
            chosen, _predict_padded(network, images, size, air, **settings), strict=True
        ):
            dice[row] = dice_per_label(prediction, labels[row], classes)
    for row in (row for row, fit in enumerate(fits) if not fit):
        image = prepared.image(indices[row])
        probabilities = predict_probabilities(
            network, image, size, batch_size=batch_size, air=prepared.air(indices[row]), **settings
        )
        _require_finite(bool(np.isfinite(probabilities).all()))
        dice[row] = dice_per_label(probabilities.argmax(0), labels[row], classes)
    return dice


def _predict_padded(
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
        _require_finite(bool(logits.isfinite().all()))
        # Channels last, since torch looks for the largest of neighbours ten times faster on a CPU.
        labels = tensor_channels_last(logits).argmax(1).to(torch.uint8).cpu().numpy()
    return [labels[row][target] for row, target in enumerate(targets)]


def slice_dice(
    network: nn.Module,
    volumes: PreparedVolumes,
    indices: Sequence[int],
    size: Sequence[int],
    axis: int,
    classes: int,
    *,
    device: torch.device | str = "cpu",
    batch_size: int = 1,
    mixed_precision: bool = False,
    channels_last: bool = False,
) -> NDArray[np.float64]:
    """Dice of each volume whose slices along ``axis`` are predicted one by one and stacked, (cases, classes - 1).

    All slices of a volume count, those without foreground among them. Batches are filled with slices of several
    volumes where these are within ``size``; larger ones are predicted by sliding windows. Padding is not counted.

    Raises:
        FloatingPointError: the network's output is not finite.
    """
    settings = _Settings(device=device, mixed_precision=mixed_precision, channels_last=channels_last)
    labels = [volumes.label(index) for index in indices]
    found = [np.empty(label.shape, np.uint8) for label in labels]
    small: list[tuple[int, int]] = []
    for row, (index, label) in enumerate(zip(indices, labels, strict=True)):
        if _is_within(label.shape[:axis] + label.shape[axis + 1 :], size):
            small += [(row, position) for position in range(label.shape[axis])]
            continue
        image = volumes.image(index)
        probabilities = predict_slices(
            network, image, size, axis, batch_size=batch_size, air=volumes.air(index), **settings
        )
        _require_finite(bool(np.isfinite(probabilities).all()))
        found[row] = probabilities.argmax(0).astype(np.uint8)
    for start in range(0, len(small), batch_size):
        chosen = small[start : start + batch_size]
        images = [np.moveaxis(volumes.image(indices[row]), axis + 1, 0)[position] for row, position in chosen]
        air = [volumes.air(indices[row]) for row, _ in chosen]
        predictions = _predict_padded(network, images, size, air, **settings)
        for (row, position), prediction in zip(chosen, predictions, strict=True):
            np.moveaxis(found[row], axis, 0)[position] = prediction
    dice = [dice_per_label(one, label, classes) for one, label in zip(found, labels, strict=True)]
    return np.array(dice, dtype=np.float64).reshape(len(indices), classes - 1)


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
        _require_finite(bool(logits.isfinite().all()))
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
        found = forward(network, images, mixed_precision=mixed_precision, channels_last=channels_last).float()
        finite = found.isfinite().flatten(1).all(1)
        if names is not None and not finite.all():
            raise FloatingPointError(
                f"The network's output for {names[int(finite.int().argmin())]} is not finite: expected a number for "
                "every pixel. Train the network again, with a lower training.learning_rate or with "
                "training.gradient_norm."
            )
        _require_finite(bool(finite.all()))
        return found.clamp(0, 1)


def _is_within(shape: Sequence[int], size: Sequence[int]) -> bool:
    return all(length <= largest for length, largest in zip(shape, size, strict=True))


def _require_finite(finite: bool) -> None:
    if not finite:
        raise FloatingPointError("the network's output is not finite")
