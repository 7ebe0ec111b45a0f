"""The losses of segmentation for regions, which may overlap, and for images in which voxels are ignored.

As in nnU-Net's ``DC_and_BCE_loss`` and ``DC_and_CE_loss``: each region is an output by itself, through a sigmoid, and a
voxel that is ignored has no part in any sum. Gotkowski et al., arXiv 2403.12834, call such losses partial.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from netwright.nn.losses import FLAT_BELOW, in_classes, label_weights, soft_dice, wide


@dataclass(frozen=True)
class PartialLoss:
    """A loss over the voxels that are labelled, of classes that exclude one another or of regions.

    Without voxels that are ignored, that of classes is the loss of the same name in `netwright.nn.losses.LOSSES`. That
    of regions takes each region for two classes, in it and outside: Dice is the mean over the regions, the
    cross-entropy the mean over regions and voxels. An image without a labelled voxel adds nothing to be learned.

    Args:
        name: ``exponential_logarithmic``, ``dice_cross_entropy``, ``dice`` or ``cross_entropy``.
        ignored: the label of voxels that are ignored, above all others.
        regions: the labels of each; none: the outputs are classes, the background first.
    """

    name: str
    ignored: int
    regions: tuple[tuple[int, ...], ...] = ()

    def __call__(
        self,
        logits: Tensor,
        labels: Tensor,
        class_weights: Tensor,
        *,
        dice_weight: float = 1.0,
        cross_entropy_weight: float = 1.0,
        gamma: float = 0.3,
    ) -> Tensor:
        """The loss, in float32 or better.

        Args:
            logits: (B, K, *size), of any floating type.
            labels: (B, *size), class indices.
            class_weights: (K,); of regions (2, K), see `region_weights`. Used by ``exponential_logarithmic`` alone.
            dice_weight: of the Dice term.
            cross_entropy_weight: of the cross-entropy term.
            gamma: exponent of both terms of ``exponential_logarithmic``.
        """
        with torch.autocast(logits.device.type, enabled=False):
            known = (labels != self.ignored)[:, None]
            of_outputs = self._of_regions if self.regions else _of_classes
            probabilities, truth, surprise, weights = of_outputs(wide(logits), labels, known, class_weights)
            dice = soft_dice(probabilities * known, truth & known)
            if self.name == "exponential_logarithmic":  # Wong et al. 2018, Equations 1 to 3
                dice_term = (-dice.log()).clamp_min(FLAT_BELOW).pow(gamma).mean()
                cross_entropy = _mean(weights * surprise.clamp_min(FLAT_BELOW).pow(gamma), known)
                return dice_weight * dice_term + cross_entropy_weight * cross_entropy
            dice_term = 1 - (dice if self.regions else dice[:, 1:]).mean()
            if self.name == "dice":
                return dice_term
            cross_entropy = _mean(surprise, known)
            if self.name == "cross_entropy":
                return cross_entropy
            return dice_weight * dice_term + cross_entropy_weight * cross_entropy

    def _of_regions(
        self, logits: Tensor, labels: Tensor, known: Tensor, class_weights: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        table = torch.zeros(len(self.regions), self.ignored + 1, dtype=torch.bool)
        for row, region in zip(table, self.regions, strict=True):
            row[list(region)] = True
        truth = table.to(labels.device)[:, labels].movedim(0, 1)  # (B, K, *size)
        surprise = F.binary_cross_entropy_with_logits(logits, truth.to(logits), reduction="none")
        outside, inside = (
            one.view(-1, *(1,) * (logits.ndim - 2)) for one in class_weights.to(logits).expand(2, len(table))
        )
        return logits.sigmoid(), truth, surprise, torch.where(truth, inside, outside)


def _of_classes(
    logits: Tensor, labels: Tensor, known: Tensor, class_weights: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Probabilities (B, K, *size), the truth alike, and for each voxel (B, 1, *size) -ln p and its label's weight."""
    labels = labels[:, None].where(known, 0)
    log_probabilities = logits.log_softmax(1)
    return (
        log_probabilities.exp(),
        in_classes(labels[:, 0], logits.shape[1]),
        -log_probabilities.gather(1, labels),
        class_weights.to(logits)[labels],
    )


def _mean(values: Tensor, known: Tensor) -> Tensor:
    """The mean of (B, K, *size) over the known voxels and all K; 0 without such a voxel."""
    return (values * known).sum() / (known.sum().clamp_min(1) * values.shape[1])


def region_weights(counts: Sequence[int], regions: Sequence[Sequence[int]]) -> Tensor:
    """Weights of the cross-entropy of each region, (2, K) float32: of the voxels outside, and of those in it.

    Each region and what lies outside are two labels with the weights of `label_weights`.

    Args:
        counts: voxels of each class.
        regions: the classes of each.
    """
    inside = [sum(counts[index] for index in region) for region in regions]
    return torch.stack([label_weights([sum(counts) - count, count]) for count in inside], dim=1)
