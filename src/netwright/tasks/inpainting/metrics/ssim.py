"""Structural similarity: how alike two images look in brightness, contrast and structure."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from netwright.tasks.inpainting.task import SSIM_WINDOW

SSIM_SIGMA = 1.5


def structural_similarity(restored: Tensor, truth: Tensor) -> NDArray[np.float64]:
    """SSIM (Wang et al. 2004) of each image, (N,), by MONAI.

    It is that of each channel under a Gaussian window of 11 x 11 pixels with a standard deviation of 1.5, wherever the
    window lies within the image; its mean is over these places and the channels.

    >>> import torch
    >>> truth = torch.linspace(0, 1, 256).view(1, 1, 16, 16)
    >>> structural_similarity(truth, truth)
    array([1.])

    Args:
        restored: images (N, C, H, W), values 0 to 1.
        truth: the same.
    """
    from monai.metrics.regression import SSIMMetric

    metric: Any = SSIMMetric(
        spatial_dims=2, data_range=1.0, win_size=SSIM_WINDOW, kernel_sigma=SSIM_SIGMA, reduction="none"
    )
    values = metric(restored.float(), truth.float()).view(-1).cpu().numpy()
    return np.asarray(values.astype(np.float64))
