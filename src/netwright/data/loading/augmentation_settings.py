"""The settings of the augmentation, apart from it so that reading settings needs no torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from netwright.errors import SettingsError
from netwright.setting_fields import require_ranges, setting


@dataclass(frozen=True)
class AugmentationSettings:
    """Random changes of a training image (Wong and Moradi, SegNAS3D, MICCAI 2019, Section 2.4), flips, and more.

    All values are drawn uniformly, factors and exponents on a logarithmic scale. The flip is that of Iranfar et al.
    2022, Section VII, and is off by default, as SegNAS3D has none; so are crop and cutout (DeVries and Taylor 2017),
    and changes of intensity. Their kinds are those of nnU-Net (Isensee et al. 2021); here every image gets all of them,
    most of them small. Zero, which also fills what comes from outside in rotations, shifts and scalings, is the mean of
    images brought to zero mean, and black of those from 0 to 1.

    Raises:
        SettingsError: a value is out of range.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = {"extra": "forbid", "allow_inf_nan": False}

    probability: float = setting(
        0.8,
        "probability that an image is rotated, shifted and scaled; `training.augmentation=null` for no "
        "augmentation at all. In inpainting, only flips with 0.5 are on unless you set more",
        at_least=0,
        at_most=1,
    )
    rotation_degrees: float = setting(
        30.0, "largest rotation, either way, about the axial axis", at_least=0, at_most=180
    )
    shift: float = setting(0.2, "largest shift, either way, as a share of each axis", at_least=0, at_most=1)
    scale: tuple[float, float] = setting((0.8, 1.2), "smallest and largest magnification, one for all axes")
    flip: float = setting(
        0.0,
        "probability that an image is mirrored, left to right; independent of `probability`",
        at_least=0,
        at_most=1,
    )
    brightness: float = setting(
        0.0,
        "largest value, either way, that is added to each channel of an image, in its standard deviations",
        at_least=0,
    )
    contrast: float = setting(
        0.0,
        "largest change of contrast about the mean of each channel: with 0.25 it is divided or multiplied "
        "by up to 1.25",
        at_least=0,
    )
    gamma: float = setting(
        0.0,
        "largest change of the exponent of a gamma correction, which keeps the darkest and the brightest value "
        "of each channel: with 0.25 the exponent is from 1 / 1.25 to 1.25",
        at_least=0,
    )
    noise: float = setting(
        0.0,
        "largest standard deviation of the Gaussian noise that is added, in standard deviations of each channel",
        at_least=0,
    )
    crop: int = setting(
        0,
        "every image is padded with this many pixels of zeros on each side, then cropped to its own size "
        "at random, together with its label map; 4 for CIFAR-10. Zero is the mean of images with mean "
        "zero, and black in images from 0 to 1",
        at_least=0,
    )
    cutout: int = setting(
        0,
        "side, in pixels, of a square (in volumes: a cube) of zeros around a random pixel of every "
        "image; 16 for CIFAR-10. A recipe's is at most half of the shorter side. Label maps stay whole; "
        "refused in inpainting",
        at_least=0,
    )

    def __post_init__(self) -> None:
        require_ranges(self, "training.augmentation")
        low, high = self.scale
        if not 0 < low <= high:
            raise SettingsError(
                f"training.augmentation.scale must be (smallest, largest), over 0, got {self.scale}."
            )
