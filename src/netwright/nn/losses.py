"""Losses of segmentation, classification and inpainting: pure functions of output and labels, in float32 or better."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from netwright.nn.fused_loss import dice_and_cross_entropy

# (-ln x)^gamma has an infinite slope at x = 1: below this value of -ln x the loss is flat. At 1e-6 the
# largest slope, 0.3 * 1e-6^-0.7 = 4.8e3, times float32's rounding stays far under the gradients that matter.
FLAT_BELOW = 1e-6


class Loss(Protocol):
    """A loss in ``LOSSES``. Each uses those keywords that its formula needs."""

    def __call__(
        self,
        logits: Tensor,
        labels: Tensor,
        class_weights: Tensor,
        *,
        dice_weight: float,
        cross_entropy_weight: float,
        gamma: float,
    ) -> Tensor:
        """The loss as a scalar.

        A task says which losses it supports. If an image has one label there is no ``*size``. If an image is restored,
        the labels are the image itself, (B, K, *size).

        Args:
            logits: (B, K, *size).
            labels: (B, *size), class indices.
            class_weights: (K,).
            dice_weight: weight of a Dice term.
            cross_entropy_weight: weight of a cross-entropy term.
            gamma: exponent of both terms.
        """


def label_weights(counts: Sequence[int] | NDArray[np.integer]) -> Tensor:
    """Weights of the cross-entropy, (K,) float32, from voxel counts of the labels (Wong et al. 2018).

    A label that never occurs counts as one voxel: its weight is finite, and never used in training.
    """
    frequencies = np.maximum(np.asarray(counts, dtype=np.float64), 1.0)
    weights = np.sqrt(frequencies.sum() / frequencies)  # w_l = (sum_k f_k / f_l)^0.5
    return torch.from_numpy(weights.astype(np.float32))


def exponential_logarithmic_loss(
    logits: Tensor,
    labels: Tensor,
    class_weights: Tensor,
    *,
    dice_weight: float = 0.8,
    cross_entropy_weight: float = 0.2,
    gamma: float = 0.3,
) -> Tensor:
    """Exponential logarithmic loss: Wong, Moradi, Tang and Syeda-Mahmood, "3D Segmentation with Exponential
    Logarithmic Loss for Highly Unbalanced Object Sizes", MICCAI 2018, Equations 1 to 3.

    As in the paper, Dice is a soft Dice with pseudocount 1. Its mean is over all labels, including the background,
    and the mean of the cross-entropy is over the voxels. The paper does not say how the Dice of a batch is
    computed; here it is the mean of the images' Dice. Where -ln(Dice) or -ln(p) is below 1e-6 the loss is
    flat, because its slope would be infinite at a perfect prediction.

    Args:
        logits: (B, K, *size), of any floating type; half precision is computed in float32.
        labels: (B, *size), class indices, int64.
        class_weights: (K,), from `label_weights`.
        dice_weight: w_Dice.
        cross_entropy_weight: w_Cross.
        gamma: exponent of both terms.
    """
    with torch.autocast(logits.device.type, enabled=False):
        log_probabilities = wide(logits).log_softmax(1)
        dice = soft_dice(log_probabilities.exp(), in_classes(labels, logits.shape[1]))
        dice_term = (-dice.log()).clamp_min(FLAT_BELOW).pow(gamma).mean()  # Equation 2
        surprise = -log_probabilities.gather(1, labels[:, None])[:, 0]
        weights = class_weights.to(surprise)[labels]
        cross_entropy = (weights * surprise.clamp_min(FLAT_BELOW).pow(gamma)).mean()  # Equation 3
        return dice_weight * dice_term + cross_entropy_weight * cross_entropy  # Equation 1


def dice_cross_entropy(
    logits: Tensor,
    labels: Tensor,
    class_weights: Tensor,
    *,
    dice_weight: float = 1.0,
    cross_entropy_weight: float = 1.0,
    gamma: float = 0.3,
) -> Tensor:
    """1 - soft Dice plus cross-entropy, the common default of the field.

    Arguments are those of `exponential_logarithmic`. Dice is that of the foreground labels in each image, with
    pseudocount 1; the cross-entropy is unweighted. ``class_weights`` and ``gamma`` are not used; they exist so that
    losses can be exchanged.
    """
    with torch.autocast(logits.device.type, enabled=False):
        return dice_and_cross_entropy(
            logits, labels, dice_weight=dice_weight, cross_entropy_weight=cross_entropy_weight
        )


def dice_loss(
    logits: Tensor,
    labels: Tensor,
    class_weights: Tensor,
    *,
    dice_weight: float = 1.0,
    cross_entropy_weight: float = 1.0,
    gamma: float = 0.3,
) -> Tensor:
    """1 - soft Dice of the foreground labels in each image, with pseudocount 1. Other arguments are not used.

    This is the loss of the U-Net in multi-agent Q-learning (Iranfar et al., Table II), which does not say over which
    labels, and how for a batch, Dice is computed. Here it is done as in `dice_cross_entropy`.
    """
    with torch.autocast(logits.device.type, enabled=False):
        probabilities = wide(logits).softmax(1)
        return 1 - soft_dice(probabilities, in_classes(labels, logits.shape[1]))[:, 1:].mean()


def cross_entropy(
    logits: Tensor,
    labels: Tensor,
    class_weights: Tensor,
    *,
    dice_weight: float = 1.0,
    cross_entropy_weight: float = 1.0,
    gamma: float = 0.3,
) -> Tensor:
    """Categorical cross-entropy, unweighted, the mean over images (or voxels). Other arguments are not used.

    This is the loss of VGG-16 and GoogLeNet in multi-agent Q-learning (Iranfar et al., Table II).
    """
    with torch.autocast(logits.device.type, enabled=False):
        return F.cross_entropy(wide(logits), labels)


def mean_squared_error(
    logits: Tensor,
    labels: Tensor,
    class_weights: Tensor,
    *,
    dice_weight: float = 1.0,
    cross_entropy_weight: float = 1.0,
    gamma: float = 0.3,
) -> Tensor:
    """The mean squared error of restored images, the loss of inpainting in PDAS (Section 4.2).

    ``logits`` are the restored images and ``labels`` the true ones, both (B, K, *size). The other arguments are not
    used; they exist so that losses can be exchanged.
    """
    with torch.autocast(logits.device.type, enabled=False):
        return F.mse_loss(wide(logits), labels)


LOSSES: dict[str, Loss] = {
    "exponential_logarithmic": exponential_logarithmic_loss,
    "dice_cross_entropy": dice_cross_entropy,
    "dice": dice_loss,
    "cross_entropy": cross_entropy,
    "mse": mean_squared_error,
}

Outputs = Tensor | Sequence[Tensor | None]
"""Output of a network: its logits, or those and the logits of auxiliary heads, None for heads that are switched off."""


def main_output(outputs: Outputs) -> Tensor:
    """The logits of a network, without those of auxiliary heads."""
    logits = outputs if isinstance(outputs, Tensor) else outputs[0]
    assert logits is not None
    return logits


@dataclass(frozen=True)
class AuxiliaryLoss:
    """The loss of networks with auxiliary heads: that of the logits, plus ``weight`` times that of each head.

    GoogLeNet (Szegedy et al., "Going Deeper with Convolutions", CVPR 2015, Section 5) uses the weight 0.3. For a
    network without auxiliary heads, which returns a tensor, it is the loss of the logits.
    """

    loss: Callable[[Tensor, Tensor], Tensor]
    weight: float

    def __call__(self, outputs: Outputs, labels: Tensor) -> Tensor:
        """The sum, to be minimised."""
        return self.parts(outputs, labels)[0]

    def parts(self, outputs: Outputs, labels: Tensor) -> tuple[Tensor, Tensor]:
        """The sum, and the loss of the logits alone; the same tensor twice if there are no heads."""
        main = total = self.loss(main_output(outputs), labels)
        for auxiliary in () if isinstance(outputs, Tensor) else outputs[1:]:
            if auxiliary is not None:
                total = total + self.weight * self.loss(auxiliary, labels)
        return total, main


def wide(logits: Tensor) -> Tensor:
    """Logits in float32, or in float64 if they are that: half precision is too coarse for a loss."""
    dtype = torch.float64 if logits.dtype == torch.float64 else torch.float32
    return logits.to(dtype, memory_format=torch.contiguous_format)


def soft_dice(probabilities: Tensor, truth: Tensor) -> Tensor:
    """Soft Dice (B, K) with pseudocount 1: (2 sum_x delta p + 1) / (sum_x (delta + p) + 1).

    ``probabilities``: p, (B, K, *size). ``truth``: delta, whether each voxel has each label, (B, K, *size), bool.
    """
    spatial = tuple(range(2, probabilities.ndim))
    overlap = (probabilities * truth).sum(spatial)
    return (2 * overlap + 1.0) / (truth.sum(spatial) + probabilities.sum(spatial) + 1.0)


def in_classes(labels: Tensor, classes: int) -> Tensor:
    """Whether each voxel has each label, (B, K, *size), of class indices (B, *size). ``classes``: K."""
    indices = torch.arange(classes, device=labels.device).view(1, classes, *(1,) * (labels.ndim - 1))
    return labels[:, None] == indices  # bool: a quarter of the memory of a float mask
