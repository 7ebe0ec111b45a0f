"""What a step of the search computes: two networks of one supernet on one batch, with and without gradients."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from netwright.evaluation.precision import half_precision_training
from netwright.nn.steps import Steps, Supernet, run_steps

Loss = Callable[[Tensor, Tensor], Tensor]
"""Output of a network and labels to a scalar."""


def add_gradients(
    supernet: Supernet,
    samples: Sequence[Steps],
    images: Tensor,
    labels: Tensor,
    loss: Loss,
    half: torch.dtype | None = None,
) -> list[float]:
    """The loss of each sampled network on the batch; the gradient of their mean is added to the weights that they use,
    and to no others (Equation 2).

    Args:
        supernet: in training mode, on the device of the batch.
        samples: the steps of each network.
        images: (batch, channels, *spatial).
        labels: as ``loss`` takes them.
        loss: of an output.
        half: compute in this precision; None: in full.
    """
    losses = []
    for steps in samples:
        with half_precision_training(images.device, half):
            output = run_steps(supernet.operations, steps, images, [len(steps) - 1])[0]
        value = loss(output, labels)
        (value / len(samples)).backward()  # type: ignore[no-untyped-call]
        losses.append(value.item())
    return losses


def losses_of(
    supernet: Supernet,
    samples: Sequence[Steps],
    images: Tensor,
    labels: Tensor,
    loss: Loss,
    half: torch.dtype | None = None,
) -> list[float]:
    """The loss of each sampled network on the batch, by forward passes alone (Equation 3). Arguments as above."""
    losses = []
    with torch.inference_mode():
        for steps in samples:
            with half_precision_training(images.device, half):
                output = run_steps(supernet.operations, steps, images, [len(steps) - 1])[0]
            losses.append(loss(output, labels).item())
    return losses
