"""Segmentation of volumes by networks that see them in all their dimensions."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from math import prod

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from netwright.data.loading.batches import Batches, CroppedVolumes, Items
from netwright.data.loading.patches import Patches
from netwright.data.volumes.slabs import Slabs
from netwright.means import mean_scores
from netwright.tasks.segmentation.network_task import SegmentationTask
from netwright.tasks.segmentation.patch_validation import patch_dice, patches_in_place, sliding_windows
from netwright.tasks.segmentation.validation import dice_of, validation_dice
from netwright.training.config import TrainingProtocol
from netwright.training.inference import InferenceSettings, predict_volume
from netwright.training.losses import TrainingLoss, loss_of
from netwright.training.seeding import derive_seed


class VolumeProblem:
    """Segment each volume: a `Problem` whose scores are Dice, (cases, foreground labels), on the prepared grid.

    Where the task has regions, these stand for the labels in all scores. Metrics: ``dice``, the mean over cases and
    foreground labels, and ``dice.<label name>``, left out where no case has the label. Classes are weighted in the loss
    by their voxels in the training cases.

    Args:
        prepared: the volumes.
        task: the input of a network, and its labels.
        factors: see `Batches`.
    """

    def __init__(
        self, prepared: CroppedVolumes, task: SegmentationTask, factors: Sequence[int] | None = None
    ) -> None:
        self.task = task
        self._prepared = prepared
        self._factors = factors

    def batches(
        self, cases: Sequence[int], protocol: TrainingProtocol, device: torch.device, seed: int
    ) -> Batches:
        """As in `netwright.data.loading.batches.Batches`: a volume a case, or several patches of it."""
        size, patches = protocol.patch_size or self.task.size, None
        if protocol.patches > 1 or protocol.foreground_patches or self.task.ignores:
            most = max(1, round(protocol.patches * prod(self.task.size) / prod(size)))
            share, ignores = protocol.foreground_patches, self.task.ignores
            patches = Patches(self._prepared, size, most, share, ignores)
        return training_batches(self._prepared, cases, size, protocol, device, seed, patches, self._factors)

    def loss(self, cases: Sequence[int], protocol: TrainingProtocol, device: torch.device) -> TrainingLoss:
        """The protocol's, with the class weights of the cases."""
        weights = self.task.class_weights(self._prepared.class_counts_of(cases).tolist())
        return loss_of(protocol, self.task, weights.to(device))

    def validation_batches(self, cases: Sequence[int], protocol: TrainingProtocol) -> int:
        """As many as batches of small volumes, and of the windows or patches of each of the others."""
        counts = [
            len(self._patches(case, protocol)) or sliding_windows(self._prepared.shape(case), self.task.size)
            for case in cases
        ]
        batches = math.ceil(counts.count(1) / protocol.batch_size)
        return batches + sum(math.ceil(count / protocol.batch_size) for count in counts if count > 1)

    def scores(
        self, network: nn.Module, cases: Sequence[int], protocol: TrainingProtocol, device: torch.device
    ) -> NDArray[np.float64]:
        """Dice (cases, foreground labels), NaN where a label is absent from truth and prediction.

        Of a volume that needs more windows than ``validation_patches``, on fixed patches (see `patches_in_place`).
        """
        computed = InferenceSettings(
            device=device, mixed_precision=protocol.mixed_precision, channels_last=protocol.channels_last
        )
        at_once = protocol.batch_size
        patches = [self._patches(case, protocol) for case in cases]
        dice = np.full((len(cases), len(self.task.scored)), np.nan)
        whole = [row for row, of_case in enumerate(patches) if not of_case]
        dice[whole] = validation_dice(
            network,
            self._prepared,
            [cases[row] for row in whole],
            self.task,
            batch_size=at_once,
            **computed,
        )
        for row, of_case in enumerate(patches):
            if of_case:
                dice[row] = patch_dice(
                    network,
                    self._prepared,
                    cases[row],
                    of_case,
                    self.task,
                    batch_size=at_once,
                    **computed,
                )
        return dice

    def _patches(self, case: int, protocol: TrainingProtocol) -> list[tuple[slice, ...]]:
        return patches_in_place(self._prepared, case, self.task.size, protocol.validation_patches)

    def outputs(
        self, network: nn.Module, cases: Sequence[int], protocol: TrainingProtocol, device: torch.device
    ) -> Iterator[Slabs]:
        """Probabilities (K, X, Y, Z) of each volume, computed as they are read."""
        for case in cases:
            slabs = predict_volume(
                network,
                self._prepared.image(case),
                self.task.size,
                device=device,
                batch_size=protocol.batch_size,
                mixed_precision=protocol.mixed_precision,
                channels_last=protocol.channels_last,
                air=self._prepared.air(case),
                written=self.task.written,
            )
            yield slabs.finite()

    def scores_of(self, cases: Sequence[int], outputs: Iterable[Slabs]) -> NDArray[np.float64]:
        """Dice (cases, foreground labels) of the labels that probabilities give."""
        return dice_of(outputs, (self._prepared.label(case) for case in cases), self.task)

    def metrics(self, scores: NDArray[np.float64]) -> dict[str, float]:
        """``dice`` and ``dice.<label name>``."""
        return dice_metrics(self.task, scores)


def training_batches(
    items: Items,
    indices: Sequence[int],
    size: Sequence[int],
    protocol: TrainingProtocol,
    device: torch.device,
    seed: int,
    patches: Patches | None = None,
    factors: Sequence[int] | None = None,
) -> Batches:
    """Shuffled and augmented batches of images with label maps.

    Args:
        items: gives the image and the label map of an index.
        indices: to train on.
        size: that images are cropped or padded to.
        protocol: of the training.
        device: where the batches are needed.
        seed: of order and augmentation.
        patches: see `Batches`.
        factors: see `Batches`.
    """
    return Batches(
        items,
        indices,
        size,
        protocol.batch_size,
        device=device,
        augmentation=protocol.augmentation,
        generator=torch.Generator().manual_seed(derive_seed(seed, "batches")),
        patches=patches,
        factors=factors,
    )


def dice_metrics(task: SegmentationTask, scores: NDArray[np.float64]) -> dict[str, float]:
    """The metrics of Dice (cases, foreground labels), as `mean_scores` has them; ``dice`` is NaN without a case."""
    cases = {str(row): dict(zip(task.scored, dice, strict=True)) for row, dice in enumerate(scores.tolist())}
    return {task.metric: math.nan, **mean_scores(cases, task.metric)}
