"""Classification of pictures."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from netwright.data.loading.augmentation import AugmentationSettings, augment
from netwright.means import mean_known
from netwright.tasks.classification.metrics.accuracy import top_1_correct
from netwright.tasks.classification.task import ClassificationTask
from netwright.training.config import TrainingProtocol
from netwright.training.inference import predict_classes
from netwright.training.losses import TrainingLoss, loss_of
from netwright.training.seeding import derive_seed

WIDTH = 1
"""The spatial axis of (C, H, W) that a horizontal flip mirrors."""


class LabelledImages(Protocol):
    """The part of `netwright.data.images.prepared.PreparedImages` that training needs."""

    def images(self, indices: Sequence[int]) -> NDArray[np.float32]:
        """(N, C, H, W), normalised."""

    def labels_of(self, indices: Sequence[int]) -> NDArray[np.int64]:
        """(N,), class indices."""


class ImageBatches:
    """The training batches of an epoch of pictures, shuffled, all of equal size but the last; read at one go.

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
        """Images (B, C, H, W) float32 and labels (B,) int64, on the device."""
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


class ImageProblem:
    """Classify each picture: a `Problem` whose scores are (cases, 1), 1 where the class is right, else 0.

    The metric, ``accuracy``, is their mean: top-1 accuracy. Classes are not weighted.
    """

    def __init__(self, prepared: LabelledImages, task: ClassificationTask) -> None:
        self.task = task
        self._prepared = prepared

    def batches(
        self, cases: Sequence[int], protocol: TrainingProtocol, device: torch.device, seed: int
    ) -> ImageBatches:
        """Batches of pictures."""
        return ImageBatches(
            self._prepared,
            cases,
            protocol.batch_size,
            device=device,
            augmentation=protocol.augmentation,
            generator=torch.Generator().manual_seed(derive_seed(seed, "batches")),
        )

    def loss(self, cases: Sequence[int], protocol: TrainingProtocol, device: torch.device) -> TrainingLoss:
        """The protocol's, every class with the weight 1."""
        return loss_of(protocol, self.task, torch.ones(self.task.classes, device=device))

    def validation_batches(self, cases: Sequence[int], protocol: TrainingProtocol) -> int:
        """As many as batches of pictures."""
        return math.ceil(len(cases) / protocol.batch_size)

    def scores(
        self, network: nn.Module, cases: Sequence[int], protocol: TrainingProtocol, device: torch.device
    ) -> NDArray[np.float64]:
        """(cases, 1): whether the class of the largest logit is the true one."""
        correct = []
        for start in range(0, len(cases), protocol.batch_size):
            chosen = cases[start : start + protocol.batch_size]
            found = predict_classes(
                network,
                self._prepared.images(chosen),
                device=device,
                mixed_precision=protocol.mixed_precision,
                channels_last=protocol.channels_last,
            )
            correct.append(top_1_correct(found, self._prepared.labels_of(chosen)))
        return np.concatenate([np.empty(0), *correct])[:, None]

    def metrics(self, scores: NDArray[np.float64]) -> dict[str, float]:
        """``accuracy``; NaN without a case."""
        return {"accuracy": mean_known(scores[:, 0].tolist())}
