"""Metrics of restored images, one file for each."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from netwright.tasks.inpainting.metrics.psnr import peak_signal_to_noise
from netwright.tasks.inpainting.metrics.ssim import structural_similarity


def image_quality(restored: Tensor, truth: Tensor) -> NDArray[np.float64]:
    """PSNR in dB and SSIM of each image, (N, 2); images (N, C, H, W), values 0 to 1."""
    return np.stack([peak_signal_to_noise(restored, truth), structural_similarity(restored, truth)], axis=1)
