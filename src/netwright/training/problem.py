"""What networks are trained for on one dataset: its batches, its loss, and how well a network does."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from netwright.data.images.inpainting_settings import MaskSettings
from netwright.data.images.prepared import PreparedImages
from netwright.data.volumes.prepared import Prepared
from netwright.data.volumes.slices import Slices, SliceSettings
from netwright.tasks.base import Task
from netwright.tasks.classification.problem import ImageProblem
from netwright.tasks.classification.task import ClassificationTask
from netwright.tasks.inpainting.problem import InpaintingProblem
from netwright.tasks.inpainting.task import InpaintingTask
from netwright.tasks.segmentation.slice_problem import SliceProblem
from netwright.tasks.segmentation.task import SegmentationTask
from netwright.tasks.segmentation.volume_problem import VolumeProblem
from netwright.training.config import TrainingProtocol
from netwright.training.losses import TrainingLoss


class EpochBatches(Protocol):
    """The batches of an epoch: iterating once is one epoch."""

    def __len__(self) -> int:
        """How many there are."""

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Images (B, C, *size) float32 and labels (B, *label size), on the device: class indices int64, or float32
        where the labels are images.
        """


class Problem(Protocol):
    """A task on a dataset. ``cases`` are always indices of the prepared data: volumes, pictures."""

    @property
    def task(self) -> Task:
        """What a network gets, and what it must give."""

    def batches(
        self, cases: Sequence[int], protocol: TrainingProtocol, device: torch.device, seed: int
    ) -> EpochBatches:
        """The training batches, shuffled and augmented; all their random numbers come from the seed."""

    def loss(self, cases: Sequence[int], protocol: TrainingProtocol, device: torch.device) -> TrainingLoss:
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


def make_problem(
    prepared: Prepared | PreparedImages,
    slices: SliceSettings | None = None,
    masks: MaskSettings | None = None,
) -> Problem:
    """The problem that prepared data poses: to classify pictures, to restore those without classes, or to segment
    volumes.

    Args:
        prepared: pictures, or volumes with label maps.
        slices: to segment the volumes slice by slice, by networks of two dimensions; None: as volumes. Without
            meaning for pictures.
        masks: what is missing of pictures that are restored; None: the usual. Without meaning for others.
    """
    if isinstance(prepared, PreparedImages) and not prepared.class_names:
        task = InpaintingTask(prepared.channels, prepared.size)
        return InpaintingProblem(prepared, task, masks or MaskSettings())
    if isinstance(prepared, PreparedImages):
        return ImageProblem(
            prepared, ClassificationTask(prepared.channels, prepared.class_names, prepared.size)
        )
    if slices is None:
        return VolumeProblem(
            prepared, SegmentationTask(prepared.channels, prepared.label_names, prepared.size)
        )
    view = Slices(prepared, slices)
    return SliceProblem(view, SegmentationTask(prepared.channels, prepared.label_names, view.size))
