"""Segmentation of volumes, and of pictures, by networks that see one slice at a time."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from netwright.data.loading.batches import Batches
from netwright.data.volumes.slabs import Slabs
from netwright.data.volumes.slices import Slices
from netwright.tasks.segmentation.network_task import SegmentationTask
from netwright.tasks.segmentation.validation import dice_of, slice_dice
from netwright.tasks.segmentation.volume_problem import dice_metrics, training_batches
from netwright.training.config import TrainingProtocol
from netwright.training.inference import predict_slices
from netwright.training.losses import TrainingLoss, loss_of


class SliceProblem:
    """Segment each volume slice by slice: a `Problem` whose cases are volumes and whose scores are their Dice.

    Trained on the slices that the settings choose, shuffled over all cases; judged on whole volumes, every slice of
    them, by the metrics of `netwright.tasks.segmentation.volume_problem.VolumeProblem`. Pictures are volumes of one
    slice.

    Augmentation mirrors along the first axis of a slice: from left to right, but from back to front in sagittal
    slices, which have no left and right.
    """

    def __init__(self, slices: Slices, task: SegmentationTask) -> None:
        self.task = task
        self._slices = slices

    @property
    def axis(self) -> int:
        """The canonical axis that the slices are normal to."""
        return self._slices.axis

    def batches(
        self, cases: Sequence[int], protocol: TrainingProtocol, device: torch.device, seed: int
    ) -> Batches:
        """As in `netwright.data.loading.batches.Batches`: a slice an item."""
        items = _Items(self._slices, cases)
        return training_batches(items, range(len(items)), self.task.size, protocol, device, seed)

    def loss(self, cases: Sequence[int], protocol: TrainingProtocol, device: torch.device) -> TrainingLoss:
        """The protocol's, with the class weights of the slices that are trained on."""
        weights = self.task.class_weights(self._slices.class_counts_of(cases).tolist())
        return loss_of(protocol, self.task, weights.to(device))

    def validation_batches(self, cases: Sequence[int], protocol: TrainingProtocol) -> int:
        """As many as batches of slices."""
        return math.ceil(len(self._slices.all_of(cases)) / protocol.batch_size)

    def scores(
        self, network: nn.Module, cases: Sequence[int], protocol: TrainingProtocol, device: torch.device
    ) -> NDArray[np.float64]:
        """Dice of the volumes (cases, foreground labels), NaN where a label is absent from truth and prediction."""
        return slice_dice(
            network,
            self._slices.scans,
            cases,
            self.task,
            self.axis,
            device=device,
            batch_size=protocol.batch_size,
            mixed_precision=protocol.mixed_precision,
            channels_last=protocol.channels_last,
        )

    def outputs(
        self, network: nn.Module, cases: Sequence[int], protocol: TrainingProtocol, device: torch.device
    ) -> Iterator[Slabs]:
        """Probabilities (K, X, Y, Z) of each volume, stacked from its slices as they are read."""
        scans = self._slices.scans
        for case in cases:
            slabs = predict_slices(
                network,
                scans.image(case),
                self.task.size,
                self.axis,
                device=device,
                batch_size=protocol.batch_size,
                mixed_precision=protocol.mixed_precision,
                channels_last=protocol.channels_last,
                air=scans.air(case),
                written=self.task.written,
            )
            yield slabs.finite()

    def scores_of(self, cases: Sequence[int], outputs: Iterable[Slabs]) -> NDArray[np.float64]:
        """Dice of the volumes (cases, foreground labels) of the labels that probabilities give."""
        return dice_of(outputs, (self._slices.scans.label(case) for case in cases), self.task)

    def metrics(self, scores: NDArray[np.float64]) -> dict[str, float]:
        """``dice`` and ``dice.<label name>``, over volumes."""
        return dice_metrics(self.task, scores)


class _Items:
    """The slices of some cases that are trained on, by number, as `Batches` reads them."""

    def __init__(self, slices: Slices, cases: Sequence[int]) -> None:
        self._slices = slices
        self._places = slices.of(cases)
        self.channels = slices.channels
        self.spacing = slices.spacing

    def __len__(self) -> int:
        return len(self._places)

    def image(self, index: int) -> NDArray[np.float32]:
        """(C, H, W)."""
        return self._slices.image(*self._places[index])

    def label(self, index: int) -> NDArray[np.uint8]:
        """(H, W)."""
        return self._slices.label(*self._places[index])

    def air(self, index: int) -> NDArray[np.float32]:
        """(C,)."""
        case, _ = self._places[index]
        return self._slices.scans.air(case)
