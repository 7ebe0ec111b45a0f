"""The loss of labels that do not exclude one another."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from netwright.nn.losses import wide


def binary_cross_entropy(
    logits: Tensor,
    labels: Tensor,
    class_weights: Tensor,
    *,
    dice_weight: float = 1.0,
    cross_entropy_weight: float = 1.0,
    gamma: float = 0.3,
) -> Tensor:
    """Binary cross-entropy of the logits' sigmoid, unweighted, the mean over images and labels; the rest has no part
    in it.

    Args:
        logits: (B, L), of any floating type; half precision is computed in float32.
        labels: (B, L), 0 or 1, float32.
        class_weights: not used.
        dice_weight: not used.
        cross_entropy_weight: not used.
        gamma: not used.
    """
    with torch.autocast(logits.device.type, enabled=False):
        logits = wide(logits)
        return F.binary_cross_entropy_with_logits(logits, labels.to(logits.dtype))
