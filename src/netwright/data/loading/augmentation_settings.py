"""The settings of the augmentation, apart from it so that reading settings needs no torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from netwright.errors import SettingsError


@dataclass(frozen=True)
class AugmentationSettings:
    """Random changes of a training image (Wong and Moradi, SegNAS3D, MICCAI 2019, Section 2.4), flips, and more.

    ``probability``: that an image is rotated, shifted and scaled at all. ``rotation_degrees``: at most,
    either way, about the axial axis. ``shift``: at most, either way, as a share of the size of each axis.
    ``scale``: smallest and largest magnification, one for all axes. All are drawn uniformly. ``flip``:
    probability that an image is mirrored left to right, whether or not it is changed otherwise (the
    horizontal flip of Iranfar et al. 2022, Section VII); off by default, as SegNAS3D has none. ``crop``: every image
    gets so many pixels of zeros on each side and is cropped at random to its own size (4 for CIFAR-10). ``cutout``:
    side, in pixels, of a square of zeros about a random pixel of every image, cut off at the border (DeVries and
    Taylor 2017; 16 for CIFAR-10). Both off by default. Zero, which also fills what comes from outside in rotations,
    shifts and scalings, is the mean of images brought to zero mean ("zscore"), and black of those brought to 0 to 1.

    Raises:
        SettingsError: a value is out of range.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = {"extra": "forbid", "allow_inf_nan": False}

    probability: float = 0.8
    rotation_degrees: float = 30.0
    shift: float = 0.2
    scale: tuple[float, float] = (0.8, 1.2)
    flip: float = 0.0
    crop: int = 0
    cutout: int = 0

    def __post_init__(self) -> None:
        for name, value, upper in (
            ("probability", self.probability, 1.0),
            ("rotation_degrees", self.rotation_degrees, 180.0),
            ("shift", self.shift, 1.0),
            ("flip", self.flip, 1.0),
        ):
            if not 0 <= value <= upper:
                raise SettingsError(f"augmentation.{name} must be from 0 to {upper:g}, got {value}.")
        for name, pixels in (("crop", self.crop), ("cutout", self.cutout)):
            if pixels < 0:
                raise SettingsError(f"augmentation.{name} must be 0 or more pixels, got {pixels}.")
        low, high = self.scale
        if not 0 < low <= high:
            raise SettingsError(f"augmentation.scale must be (smallest, largest), over 0, got {self.scale}.")
