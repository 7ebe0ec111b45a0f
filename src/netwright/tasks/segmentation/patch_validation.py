"""The Dice of large volumes on a fixed set of patches, in place of the whole volume, while networks are trained."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, prod

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from netwright.data.loading.batches import CroppedVolumes, windows
from netwright.data.loading.patches import centred
from netwright.tasks.segmentation.network_task import SegmentationTask
from netwright.training.inference import predict_padded
from netwright.training.windows import OVERLAP, starts


def sliding_windows(shape: Sequence[int], size: Sequence[int]) -> int:
    """How many windows of ``size`` that overlap by half cover a volume.

    >>> sliding_windows((512, 512, 75), (240, 240, 36)), sliding_windows((43, 59, 47), (40, 56, 40))
    (64, 8)
    """
    return prod(
        len(starts(max(length, wanted), wanted, OVERLAP)) for length, wanted in zip(shape, size, strict=True)
    )


def patches_in_place(
    volumes: CroppedVolumes, index: int, size: Sequence[int], most: int | None
) -> list[tuple[slice, ...]]:
    """The patches by which a case is judged while networks are trained; none: by its whole volume.

    Args:
        volumes: prepared.
        index: of the case.
        size: of a patch.
        most: ``validation_patches`` of the training: a volume that needs no more windows is computed whole.
    """
    if most is None or (windows := sliding_windows(volumes.shape(index), size)) <= most:
        return []
    patches = fixed_patches(volumes, index, size, most)
    return patches if len(patches) < windows else []


def fixed_patches(
    volumes: CroppedVolumes, index: int, size: Sequence[int], count: int
) -> list[tuple[slice, ...]]:
    """The patches of a volume by which networks are judged: the same in every call.

    Every other one is centred on foreground, of each class in turn; the others lie anywhere (in volumes in which voxels
    are ignored, around any labelled one), so that foreground that is seen where there is none counts, too. Where half
    of them are fewer than the labels of the volume, each label that is left has one more, so that none is passed over.

    Args:
        volumes: prepared.
        index: of the case.
        size: of a patch.
        count: how many, if each label has one then.
    """
    rng = np.random.default_rng(index)
    shape = volumes.shape(index)
    present = [voxels for voxels in volumes.foreground(index) if len(voxels)]
    labelled = volumes.labelled(index)
    more = max(len(present) - ceil(count / 2), 0)
    patches = []
    for number in range(count + more):
        position = rng.random(len(shape)).tolist()
        foreground = number // 2 if number < count else number - count // 2
        centres = bool(present) and (number % 2 == 0 or number >= count)
        voxels = present[foreground % len(present)] if centres else labelled
        if len(voxels):
            position = centred(voxels[int(rng.integers(len(voxels)))].tolist(), shape, size)
        patches.append(windows(shape, size, position)[0])
    return patches


def patch_dice(
    network: nn.Module,
    volumes: CroppedVolumes,
    index: int,
    patches: Sequence[tuple[slice, ...]],
    task: SegmentationTask,
    *,
    device: torch.device | str,
    batch_size: int,
    mixed_precision: bool,
    channels_last: bool,
) -> NDArray[np.float64]:
    """Dice of each foreground label or region over all voxels of some patches of a case; NaN where it is absent from
    truth and prediction.

    Args:
        network: on the device.
        volumes: prepared.
        index: of the case.
        patches: where they lie in the volume.
        task: the input and output of the network.
        device: where the network is computed.
        batch_size: patches at once.
        mixed_precision: as in `netwright.training.inference.forward`.
        channels_last: as in `netwright.training.inference.forward`.

    Raises:
        FloatingPointError: the network's output is not finite.
    """
    image, label = volumes.image(index), volumes.label(index)
    predicted: list[NDArray[np.uint8]] = []
    for start in range(0, len(patches), batch_size):
        images = [image[:, *patch] for patch in patches[start : start + batch_size]]
        predicted += predict_padded(
            network,
            images,
            task.size,
            [volumes.air(index)] * len(images),
            device=device,
            mixed_precision=mixed_precision,
            channels_last=channels_last,
            written=task.written,
        )
    truth = np.concatenate([label[patch].ravel() for patch in patches])
    return task.dice(np.concatenate([one.ravel() for one in predicted]), truth)
