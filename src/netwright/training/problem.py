"""What networks are trained for on one dataset: its batches, its loss, and how well a network does."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Literal, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from netwright.nn.losses import AuxiliaryLoss, Loss
from netwright.training.config import TrainingProtocol


class NetworkTask(Protocol):
    """What a network gets, what it must give, and by which number it is judged."""

    @property
    def channels(self) -> int:
        """Channels of the input image."""

    @property
    def classes(self) -> int:
        """Channels of the output: classes, labels, or those of a restored image."""

    @property
    def size(self) -> tuple[int, ...]:
        """Spatial size of the network's input, in two or three dimensions."""

    @property
    def label_size(self) -> tuple[int, ...]:
        """Shape of the labels of one image: its size where every voxel has one, () where the image has one, (labels,)
        where it may have several, and (channels, *size), of real numbers, where it is an image itself.
        """

    @property
    def label_type(self) -> Literal["int64", "float32"]:
        """The type of the labels in a batch: of class indices, or of real numbers."""

    @property
    def losses(self) -> tuple[str, ...]:
        """Names of the losses that are defined for the task, the usual one first."""

    def loss_function(self, name: str) -> Loss:
        """The loss of that name."""

    def loss_of_guess(self, training: TrainingProtocol) -> float | None:
        """The loss of a network that has learned nothing; None where it is not known of that loss."""

    @property
    def metric(self) -> str:
        """The name of the metric that says how good a network is; larger is better."""

    @property
    def metric_names(self) -> tuple[str, ...]:
        """All metrics that an outcome of the task may have, the principal one first."""


class EpochBatches(Protocol):
    """The batches of an epoch: iterating once is one epoch."""

    def __len__(self) -> int:
        """How many there are."""

    @property
    def generator(self) -> torch.Generator | None:
        """The only source of their random numbers, by which a training finds its place again; None: there are none."""

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Images (B, C, *size) float32 and labels (B, *label size) of the task's ``label_type``, on the device."""


class Problem(Protocol):
    """A task on a dataset. ``cases`` are always indices of the prepared data: volumes, pictures."""

    @property
    def task(self) -> NetworkTask:
        """What a network gets, and what it must give."""

    def batches(
        self, cases: Sequence[int], protocol: TrainingProtocol, device: torch.device, seed: int
    ) -> EpochBatches:
        """The training batches, shuffled and augmented; all their random numbers come from the seed."""

    def loss(self, cases: Sequence[int], protocol: TrainingProtocol, device: torch.device) -> AuxiliaryLoss:
        """The loss of a training on the cases."""

    def validation_batches(self, cases: Sequence[int], protocol: TrainingProtocol) -> int:
        """About how many forward passes `scores` takes."""

    def scores(
        self, network: nn.Module, cases: Sequence[int], protocol: TrainingProtocol, device: torch.device
    ) -> NDArray[np.float64]:
        """How well a network on the device does on each case: (cases, columns), NaN where undefined.

        Raises:
            FloatingPointError: the network's output is not finite.
        """

    def metrics(self, scores: NDArray[np.float64]) -> Mapping[str, float]:
        """The means of the scores by name, of ``task.metric_names``: the task's metric, NaN where no case defines it,
        and those of the others that are defined.
        """
