"""Batches of prepared pictures: read at once, shuffled, augmented on the device."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from netwright.data.loading.augmentation import AugmentationSettings, augment

WIDTH = 1
"""The spatial axis of (C, H, W) that a horizontal flip mirrors."""


class LabelledImages(Protocol):
    """The part of `netwright.data.images.prepared.PreparedImages` that training needs."""

    def images(self, indices: Sequence[int]) -> NDArray[np.float32]:
        """(N, C, H, W), normalised."""

    def labels_of(self, indices: Sequence[int]) -> NDArray[Any]:
        """(N,), class indices int64, or (N, L), float32, labels of which a picture may have several."""


class ImageBatches:
    """The training batches of an epoch of pictures: shuffled, all of equal size except the last. A batch is read at
    once.

    As in `netwright.data.loading.batches.Batches`, a last batch of a single picture is left out.
    """

    def __init__(
        self,
        prepared: LabelledImages,
        cases: Sequence[int],
        batch_size: int,
        *,
        device: torch.device,
        augmentation: AugmentationSettings | None,
        generator: torch.Generator,
    ) -> None:
        self._prepared = prepared
        self._cases = np.asarray(cases, dtype=np.int64)
        self._batch_size = batch_size
        self._device = device
        self._augmentation = augmentation
        self._generator = generator

    @property
    def generator(self) -> torch.Generator:
        """Of order and augmentation."""
        return self._generator

    def __len__(self) -> int:
        full, rest = divmod(len(self._cases), self._batch_size)
        return full + (1 if rest > 1 or (rest and not full) else 0)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Images (B, C, H, W) float32, and labels as they are kept, (B,) int64 or (B, L) float32, on the device."""
        order = self._cases[torch.randperm(len(self._cases), generator=self._generator).numpy()]
        for batch in range(len(self)):
            chosen = order[batch * self._batch_size : (batch + 1) * self._batch_size].tolist()
            images = torch.from_numpy(self._prepared.images(chosen))
            labels = torch.from_numpy(self._prepared.labels_of(chosen))
            if self._device.type == "cuda":
                images, labels = images.pin_memory(), labels.pin_memory()
            images = images.to(self._device, non_blocking=True)
            labels = labels.to(self._device, non_blocking=True)
            if self._augmentation is not None:
                images, labels = augment(images, labels, self._augmentation, self._generator, mirrored=WIDTH)
            yield images, labels
