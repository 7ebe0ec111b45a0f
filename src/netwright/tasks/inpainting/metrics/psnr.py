"""Peak signal-to-noise ratio: how small the squared error of a restored image is."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

MOST_PSNR = 100.0
"""The largest PSNR, in dB. An image without any error has an infinite PSNR, so that a mean would not be defined; it
counts as this value, and so does any larger one. Rounding to 8 bits alone limits the PSNR to about 59 dB."""


def peak_signal_to_noise(restored: Tensor, truth: Tensor) -> NDArray[np.float64]:
    """PSNR of each image in dB, (N,), by MONAI: -10 lg of the mean squared error over pixels and channels.

    >>> import torch
    >>> truth = torch.zeros(1, 1, 4, 4)
    >>> peak_signal_to_noise(truth + 0.1, truth).round(3)
    array([20.])

    Args:
        restored: images (N, C, H, W), values 0 to 1.
        truth: the same.
    """
    from monai.metrics.regression import PSNRMetric

    metric: Any = PSNRMetric(max_val=1.0, reduction="none")
    values = metric(restored.float(), truth.float()).view(-1).cpu().numpy()
    return np.asarray(np.minimum(values, MOST_PSNR), dtype=np.float64)
