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

# (-ln x)^gamma has an infinite slope at x = 1: below this value of -ln x the loss is flat. At 1e-6 the
# largest slope, 0.3 * 1e-6^-0.7 = 4.8e3, times float32's rounding stays far under the gradients that matter.
_FLAT_BELOW = 1e-6


class Loss(Protocol):
    """A loss of ``LOSSES``; each uses of the keywords what its formula has."""

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
        """Logits (B, K, *size), labels (B, *size) of class indices, class weights (K,) to a scalar.

        Which of them are defined for a task, the task says: an image that has one label has no ``*size``, and one that
        is restored has itself, (B, K, *size), for a label.
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

    As in the paper, Dice is a soft Dice with pseudocount 1, its mean is over all labels, the background among
    them, and the cross-entropy's is over the voxels. The paper does not say over what a batch's Dice is
    taken: here it is taken of each image, and averaged. Where -ln(Dice) or -ln(p) is under 1e-6 the loss is
    flat, since its slope would be infinite at a perfect prediction.

    Args:
        logits: (B, K, *size), of any floating type; half precision is computed in float32.
        labels: (B, *size), class indices, int64.
        class_weights: (K,), from `label_weights`.
        dice_weight: w_Dice.
        cross_entropy_weight: w_Cross.
        gamma: of both terms.
    """
    with torch.autocast(logits.device.type, enabled=False):
        log_probabilities = _wide(logits).log_softmax(1)
        dice = _soft_dice(log_probabilities.exp(), labels, pseudocount=1.0)
        dice_term = (-dice.log()).clamp_min(_FLAT_BELOW).pow(gamma).mean()  # Equation 2
        surprise = -log_probabilities.gather(1, labels[:, None])[:, 0]
        weights = class_weights.to(surprise)[labels]
        cross_entropy = (weights * surprise.clamp_min(_FLAT_BELOW).pow(gamma)).mean()  # Equation 3
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
    """1 - soft Dice plus cross-entropy, the common default of the field; arguments as in the loss above.

    Dice is of the foreground labels, of each image, with pseudocount 1; the cross-entropy is unweighted.
    ``class_weights`` and ``gamma`` have no part in the formula: they are there so that losses can be
    exchanged.
    """
    with torch.autocast(logits.device.type, enabled=False):
        log_probabilities = _wide(logits).log_softmax(1)
        dice = _soft_dice(log_probabilities.exp(), labels, pseudocount=1.0)[:, 1:].mean()
        cross_entropy = -log_probabilities.gather(1, labels[:, None]).mean()
        return dice_weight * (1 - dice) + cross_entropy_weight * cross_entropy


def dice_loss(
    logits: Tensor,
    labels: Tensor,
    class_weights: Tensor,
    *,
    dice_weight: float = 1.0,
    cross_entropy_weight: float = 1.0,
    gamma: float = 0.3,
) -> Tensor:
    """1 - soft Dice of the foreground labels, of each image, with pseudocount 1; the rest has no part in it.

    The loss of the U-Net of multi-agent Q-learning (Iranfar et al., Table II), which does not say over which
    labels and over what a batch's Dice is taken: as in `dice_cross_entropy`.
    """
    with torch.autocast(logits.device.type, enabled=False):
        probabilities = _wide(logits).softmax(1)
        return 1 - _soft_dice(probabilities, labels, pseudocount=1.0)[:, 1:].mean()


def cross_entropy(
    logits: Tensor,
    labels: Tensor,
    class_weights: Tensor,
    *,
    dice_weight: float = 1.0,
    cross_entropy_weight: float = 1.0,
    gamma: float = 0.3,
) -> Tensor:
    """Categorical cross-entropy, unweighted, the mean over images (or voxels); the rest has no part in it.

    The loss of VGG-16 and GoogLeNet in multi-agent Q-learning (Iranfar et al., Table II).
    """
    with torch.autocast(logits.device.type, enabled=False):
        return F.cross_entropy(_wide(logits), labels)


def mean_squared_error(
    logits: Tensor,
    labels: Tensor,
    class_weights: Tensor,
    *,
    dice_weight: float = 1.0,
    cross_entropy_weight: float = 1.0,
    gamma: float = 0.3,
) -> Tensor:
    """Of restored images and true ones, (B, K, *size) both, the mean over pixels and channels; the rest has no part in
    it.

    The loss of inpainting in PDAS (Section 4.2).
    """
    with torch.autocast(logits.device.type, enabled=False):
        return F.mse_loss(_wide(logits), labels)


LOSSES: dict[str, Loss] = {
    "exponential_logarithmic": exponential_logarithmic_loss,
    "dice_cross_entropy": dice_cross_entropy,
    "dice": dice_loss,
    "cross_entropy": cross_entropy,
    "mse": mean_squared_error,
}

Outputs = Tensor | Sequence[Tensor | None]
"""Of a network: its logits, or those and the logits of auxiliary heads, None for heads that are switched off."""


def main_output(outputs: Outputs) -> Tensor:
    """The logits of a network that may return auxiliary heads' logits behind them."""
    logits = outputs if isinstance(outputs, Tensor) else outputs[0]
    assert logits is not None
    return logits


@dataclass(frozen=True)
class AuxiliaryLoss:
    """A loss of networks with auxiliary heads: that of the logits, and ``weight`` times that of each head.

    GoogLeNet (Szegedy et al., "Going Deeper with Convolutions", CVPR 2015, Section 5) has the weight 0.3. A
    network without auxiliary heads, which returns a tensor, has the loss itself.
    """

    loss: Callable[[Tensor, Tensor], Tensor]
    weight: float

    def __call__(self, outputs: Outputs, labels: Tensor) -> Tensor:
        """The sum, to be minimised."""
        return self.parts(outputs, labels)[0]

    def parts(self, outputs: Outputs, labels: Tensor) -> tuple[Tensor, Tensor]:
        """The sum, and the loss of the logits alone; the same tensor where there are no heads."""
        main = total = self.loss(main_output(outputs), labels)
        for auxiliary in () if isinstance(outputs, Tensor) else outputs[1:]:
            if auxiliary is not None:
                total = total + self.weight * self.loss(auxiliary, labels)
        return total, main


def _wide(logits: Tensor) -> Tensor:
    dtype = torch.float64 if logits.dtype == torch.float64 else torch.float32
    return logits.to(dtype, memory_format=torch.contiguous_format)


def _soft_dice(probabilities: Tensor, labels: Tensor, *, pseudocount: float) -> Tensor:
    """(B, K): (2 sum_x delta p + eps) / (sum_x (delta + p) + eps), delta being one where the label is k."""
    classes = probabilities.shape[1]
    spatial = tuple(range(2, probabilities.ndim))
    indices = torch.arange(classes, device=labels.device).view(1, classes, *(1 for _ in spatial))
    truth = labels[:, None] == indices  # kept as bool: a quarter of the memory of a float mask
    overlap = (probabilities * truth).sum(spatial)
    total = truth.sum(spatial) + probabilities.sum(spatial)
    return (2 * overlap + pseudocount) / (total + pseudocount)
