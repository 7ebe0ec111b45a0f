"""The task of restoring an image of which a part is missing: what a network gets, and what it must give."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from netwright.errors import SettingsError

SSIM_WINDOW = 11
"""Rows and columns over which SSIM compares two images (Wang et al. 2004, Section III-C)."""


@dataclass(frozen=True)
class InpaintingTask:
    """Masked images (batch, channels, *size) to whole ones of the same shape, values 0 to 1, judged by their mean PSNR.

    ``size``: of the images, (H, W), at least 11 pixels along both axes, the window of SSIM.

    Raises:
        SettingsError: no channel, or images that are too small.
    """

    metric: ClassVar[str] = "psnr"
    losses: ClassVar[tuple[str, ...]] = ("mse",)

    channels: int
    size: tuple[int, ...]

    def __post_init__(self) -> None:
        if self.channels < 1 or len(self.size) != 2 or min(self.size) < SSIM_WINDOW:
            raise SettingsError(
                f"An inpainting task needs a channel and images of at least {SSIM_WINDOW} x {SSIM_WINDOW} pixels, over "
                f"which SSIM compares them; got channels={self.channels}, size={self.size}."
            )

    @property
    def classes(self) -> int:
        """Channels of the output: those of the images."""
        return self.channels

    @property
    def label_size(self) -> tuple[int, ...]:
        """The label of an image is the whole image."""
        return (self.channels, *self.size)

    @property
    def metric_names(self) -> tuple[str, ...]:
        """PSNR in dB and SSIM."""
        return "psnr", "ssim"
