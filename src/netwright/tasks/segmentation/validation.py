"""The Dice of validation cases on the prepared grid, for whole volumes or slice by slice."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from netwright.data.loading.batches import PreparedVolumes, whole
from netwright.data.volumes.slabs import Slabs
from netwright.tasks.segmentation.network_task import SegmentationTask
from netwright.training.inference import (
    InferenceSettings,
    is_within,
    predict_padded,
    predict_slices,
    predict_volume,
)


def validation_dice(
    network: nn.Module,
    prepared: PreparedVolumes,
    indices: Sequence[int],
    task: SegmentationTask,
    *,
    device: torch.device | str = "cpu",
    batch_size: int = 1,
    mixed_precision: bool = False,
    channels_last: bool = False,
) -> NDArray[np.float64]:
    """Dice on the prepared grid, (cases, what is scored), NaN where a label is absent from truth and prediction.

    Volumes within the network's input are padded and computed in batches, larger ones by sliding windows. Padding is
    not counted.

    Args:
        network: on the device.
        prepared: volumes.
        indices: of the cases.
        task: the input and output of the network.
        device: where the network is computed.
        batch_size: volumes at once.
        mixed_precision: as in `netwright.training.inference.forward`.
        channels_last: as in `netwright.training.inference.forward`.

    Raises:
        FloatingPointError: the network's output is not finite.
    """
    settings = InferenceSettings(device=device, mixed_precision=mixed_precision, channels_last=channels_last)
    labels = [prepared.label(index) for index in indices]
    size, written = task.size, task.written
    fits = [is_within(label.shape, size) for label in labels]
    dice = np.full((len(indices), len(task.scored)), np.nan)
    rows = [row for row, fit in enumerate(fits) if fit]
    for start in range(0, len(rows), batch_size):
        chosen = rows[start : start + batch_size]
        images = [prepared.image(indices[row]) for row in chosen]
        air = [prepared.air(indices[row]) for row in chosen]
        predictions = predict_padded(network, images, size, air, written=written, **settings)
        for row, prediction in zip(chosen, predictions, strict=True):
            dice[row] = task.dice(prediction, labels[row])
    for row in (row for row, fit in enumerate(fits) if not fit):
        image = prepared.image(indices[row])
        slabs = predict_volume(
            network,
            image,
            size,
            batch_size=batch_size,
            air=prepared.air(indices[row]),
            written=written,
            **settings,
        )
        dice[row] = task.dice(slabs.finite().labels(), labels[row])
    return dice


def slice_dice(
    network: nn.Module,
    volumes: PreparedVolumes,
    indices: Sequence[int],
    task: SegmentationTask,
    axis: int,
    *,
    device: torch.device | str = "cpu",
    batch_size: int = 1,
    mixed_precision: bool = False,
    channels_last: bool = False,
) -> NDArray[np.float64]:
    """Dice of each volume whose slices along ``axis`` are predicted one by one and stacked, (cases, what is scored).

    All slices of a volume count, those without foreground among them. Batches are filled with slices of several
    volumes where these are within the network's input; larger ones are predicted by sliding windows. Padding is not
    counted.

    Args:
        network: on the device.
        volumes: prepared.
        indices: of the cases.
        task: the input and output of the network.
        axis: that slices are normal to.
        device: where the network is computed.
        batch_size: slices at once.
        mixed_precision: as in `netwright.training.inference.forward`.
        channels_last: as in `netwright.training.inference.forward`.

    Raises:
        FloatingPointError: the network's output is not finite.
    """
    settings = InferenceSettings(device=device, mixed_precision=mixed_precision, channels_last=channels_last)
    size, written = task.size, task.written
    labels = [volumes.label(index) for index in indices]
    label_maps = [np.empty(label.shape, np.uint8) for label in labels]
    small: list[tuple[int, int]] = []
    for row, (index, label) in enumerate(zip(indices, labels, strict=True)):
        if is_within(label.shape[:axis] + label.shape[axis + 1 :], size):
            small += [(row, position) for position in range(label.shape[axis])]
            continue
        image = whole(volumes.image(index))
        slabs = predict_slices(
            network,
            image,
            size,
            axis,
            batch_size=batch_size,
            air=volumes.air(index),
            written=written,
            **settings,
        )
        label_maps[row] = slabs.finite().labels()
    for start in range(0, len(small), batch_size):
        chosen = small[start : start + batch_size]
        images = [
            np.moveaxis(whole(volumes.image(indices[row])), axis + 1, 0)[position] for row, position in chosen
        ]
        air = [volumes.air(indices[row]) for row, _ in chosen]
        predictions = predict_padded(network, images, size, air, written=written, **settings)
        for (row, position), prediction in zip(chosen, predictions, strict=True):
            np.moveaxis(label_maps[row], axis, 0)[position] = prediction
    dice = [task.dice(one, label) for one, label in zip(label_maps, labels, strict=True)]
    return np.array(dice, dtype=np.float64).reshape(len(indices), len(task.scored))


def dice_of(
    outputs: Iterable[Slabs], labels: Iterable[NDArray[np.uint8]], task: SegmentationTask
) -> NDArray[np.float64]:
    """Dice (cases, what is scored) of probabilities (K, X, Y, Z), NaN as in `validation_dice`.

    Args:
        outputs: probabilities, one case after the other.
        labels: class indices (X, Y, Z) of the same cases.
        task: says what the probabilities mean.
    """
    rows = [
        task.dice(replace(output, written=task.written).labels(), label)
        for output, label in zip(outputs, labels, strict=True)
    ]
    return np.array(rows, dtype=np.float64).reshape(len(rows), len(task.scored))
