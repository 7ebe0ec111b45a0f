"""What networks are trained for on one dataset: the batches, the loss, and the measure of success."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from netwright.nn.ensemble import Output
from netwright.nn.losses import AuxiliaryLoss, Loss
from netwright.training.config import TrainingProtocol


class NetworkTask(Protocol):
    """The input and output of a network, and the metric by which it is judged."""

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
        """The shape of the labels of one image.

        It is the image's size where every voxel has a label; () where the image has one label; (labels,) where it may
        have several; and (channels, *size), of real numbers, where the label is itself an image.
        """

    @property
    def label_type(self) -> Literal["int64", "float32"]:
        """The number type of the labels in a batch: class indices or real numbers."""

    @property
    def output(self) -> Output:
        """What the output means, of which the mean over several networks is taken."""

    @property
    def losses(self) -> tuple[str, ...]:
        """The names of the losses that are defined for the task. The usual one comes first."""

    def loss_function(self, name: str) -> Loss:
        """The loss of that name."""

    def loss_of_guess(self, training: TrainingProtocol) -> float | None:
        """The loss of a network that has learned nothing; None where it is not known for that loss."""

    @property
    def metric(self) -> str:
        """The name of the metric by which networks are judged. Larger is better."""

    @property
    def metric_names(self) -> tuple[str, ...]:
        """All metrics that an outcome of the task may have. The principal one comes first."""


class EpochBatches(Protocol):
    """The batches of an epoch. One iteration is one epoch."""

    def __len__(self) -> int:
        """The number of batches."""

    @property
    def generator(self) -> torch.Generator | None:
        """The only source of random numbers; None: there are none. A training that goes on restores its state."""

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Images (B, C, *size) float32 and labels (B, *label size) of the task's ``label_type``, on the device."""


class Problem(Protocol):
    """A task on a dataset. ``cases`` are always indices of the prepared data: volumes or pictures."""

    @property
    def task(self) -> NetworkTask:
        """The input and output of a network."""

    def batches(
        self, cases: Sequence[int], protocol: TrainingProtocol, device: torch.device, seed: int
    ) -> EpochBatches:
        """The training batches, shuffled and augmented. All random numbers come from the seed.

        Args:
            cases: indices of the cases to train on.
            protocol: of the training.
            device: where the batches are needed.
            seed: of order and augmentation.
        """

    def loss(self, cases: Sequence[int], protocol: TrainingProtocol, device: torch.device) -> AuxiliaryLoss:
        """The loss of a training on the cases.

        Args:
            cases: indices of the cases to train on.
            protocol: of the training.
            device: of the network.
        """

    def validation_batches(self, cases: Sequence[int], protocol: TrainingProtocol) -> int:
        """About how many forward passes `scores` needs."""

    def scores(
        self, network: nn.Module, cases: Sequence[int], protocol: TrainingProtocol, device: torch.device
    ) -> NDArray[np.float64]:
        """The scores of a network on each case: (cases, columns), NaN where undefined.

        Args:
            network: on the device.
            cases: indices of the cases.
            protocol: of the training.
            device: where the network is computed.

        Raises:
            FloatingPointError: the network's output is not finite.
        """

    def outputs(
        self, network: nn.Module, cases: Sequence[int], protocol: TrainingProtocol, device: torch.device
    ) -> Iterator[Any]:
        """What `scores` are computed from, one case after the other: probabilities (K,), or the values of a restored
        image, as arrays; or probabilities (K, X, Y, Z) of a volume, as `Slabs`, which may be computed as they are read.

        Args:
            network: on the device.
            cases: indices of the cases.
            protocol: of the training.
            device: where the network is computed.

        Raises:
            FloatingPointError: the network's output is not finite.
        """

    def scores_of(self, cases: Sequence[int], outputs: Iterable[Any]) -> NDArray[np.float64]:
        """The scores, as `scores` has them, of `outputs`, or of means of several networks' outputs."""

    def metrics(self, scores: NDArray[np.float64]) -> Mapping[str, float]:
        """The means of the scores by name, one of ``task.metric_names`` each.

        The task's own metric is always among them, as NaN where no case defines it. Others are left out where
        undefined.
        """
