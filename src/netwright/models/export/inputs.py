"""What a network is given of real cases, to see whether an export gives the same."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from netwright.models.export.base import ExportData

if TYPE_CHECKING:
    from torch import Tensor

    from netwright.training.problem import NetworkTask

MOST = 10
"""Images that are compared."""
SEED = 0
"""Of which cases, and of random images."""


def real_images(data: ExportData) -> Tensor:
    """Images (N, C, *size) of `MOST` cases, first of those that the network was not trained on, or of all there are."""
    return inputs_of(data, (*data.validation, *data.training)[:MOST], MOST)


def inputs_of(data: ExportData, cases: Sequence[int], most: int) -> Tensor:
    """Images (N, C, *size) of some cases, as in training but without augmentation.

    One of each case, then a second one of those that have one, such as another slice, and so on.

    Args:
        data: of the run.
        cases: indices of the cases.
        most: how many images there are at most.
    """
    from itertools import chain, islice, zip_longest

    import torch

    from netwright.training.config import TrainingProtocol

    protocol = TrainingProtocol(augmentation=None, batch_size=1)
    of_each = [iter(data.problem.batches([case], protocol, torch.device("cpu"), SEED)) for case in cases]
    batches = (batch for batch in chain.from_iterable(zip_longest(*of_each)) if batch is not None)
    return torch.cat([images for images, _ in islice(batches, most)])


def random_images(task: NetworkTask) -> Tensor:
    """Two images of random numbers (2, C, *size)."""
    import torch

    return torch.randn((2, task.channels, *task.size), generator=torch.Generator().manual_seed(SEED))
