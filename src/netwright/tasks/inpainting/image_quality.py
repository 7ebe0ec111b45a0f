"""How near a restored image is to the true one."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from netwright.tasks.inpainting.task import SSIM_WINDOW

MOST_PSNR = 100.0
"""In dB. An image without any error has an infinite PSNR, of which there is no mean: it, and any other above, counts as
this. Rounding to 8 bits alone costs more, down to 59 dB."""

SSIM_SIGMA = 1.5


def image_quality(found: Tensor, truth: Tensor) -> NDArray[np.float64]:
    """Peak signal-to-noise ratio in dB and structural similarity of each image, (N, 2), by MONAI.

    SSIM (Wang et al. 2004) is that of each channel under a Gaussian window of 11 x 11 pixels with a standard deviation
    of 1.5, wherever the window lies within the image; its mean is over these places and the channels.

    Args:
        found: images (N, C, H, W), values 0 to 1.
        truth: the same.
    """
    from monai.metrics.regression import PSNRMetric, SSIMMetric

    psnr: Any = PSNRMetric(max_val=1.0, reduction="none")
    ssim: Any = SSIMMetric(
        spatial_dims=2, data_range=1.0, win_size=SSIM_WINDOW, kernel_sigma=SSIM_SIGMA, reduction="none"
    )
    columns = [metric(found.float(), truth.float()).view(-1).cpu().numpy() for metric in (psnr, ssim)]
    columns[0] = np.minimum(columns[0], MOST_PSNR)
    return np.stack(columns, axis=1).astype(np.float64)
