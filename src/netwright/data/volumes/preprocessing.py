"""Preprocessing of volumes: spacing, padding, resizing and intensity normalisation, by default as in SegNAS3D."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from netwright.data.io.grid import Grid
from netwright.data.io.volumes import Volume
from netwright.data.issues import UnusableFile
from netwright.data.volumes.checks import check_intensities
from netwright.data.volumes.geometry import Geometry, Shape, Spacing, plan_geometry, resampled_shape
from netwright.data.volumes.targets import (
    SIZE_MULTIPLE,
    isotropic_edge,
    low_resolution,
    median_spacing,
    proportional_size,
)
from netwright.errors import DatasetError, DatasetWarning, SettingsError
from netwright.setting_fields import setting

LARGEST_DEFAULT_SIZE = 128
"""The paper's input size: a size chosen from the fingerprint is at most this along each axis."""

LARGEST_FLAT_SIZE = 512
"""The same for pictures and other volumes of one slice, which cost a fraction of the memory."""

LARGEST_WHOLE_SIZE = 320
"""The same for volumes that are to be whole."""

FLAT_MULTIPLE = 16
"""The same: networks for pictures pool four times (Ronneberger et al. 2015)."""


_SPACINGS = ("isotropic", "median")
_SIZES = ("proportional", "whole")
"""Words for a spacing and for a size that are chosen from a dataset."""

AIR_PERCENTILE = 0.5
"""Air is the darkest of a scan; the very darkest voxels may be noise, or the edge of a reconstruction."""


Intensities = tuple[float, float, float, float]
"""The lower and upper bound of a channel, and the mean and standard deviation by which it is normalised."""

CtIntensities = tuple[Intensities | None, ...]
"""The intensities of each channel; None for a channel that is not CT."""

FOR_ANY_DATA: Mapping[str, Any] = {
    "spacing": "median",
    "size": "proportional",
    "normalise": "modality",
    "low_resolution": "auto",
}
"""The settings for whatever data a user has, in which they differ from those of the published systems."""


@dataclass(frozen=True)
class PreprocessingSettings:
    """The steps of Wong and Moradi 2019, section 3.1, each switchable; survives a round trip through JSON.

    The minimum spacing of a dataset is the median, over the cases, of the smallest edge of a voxel, so that one odd
    scan does not change it. The paper names no normalisation; z-scores of the whole image are usual for MR images. The
    paper pads with zeros before any normalisation, where zero is air. In a z-scored image zero is the mean, a grey as
    bright as tissue. Volumes are padded alike in preparation, in training crops, in augmentation and in sliding
    windows. Where ``foreground`` is "nonzero", the background is zero already and stays so, and its air is zero too.

    Raises:
        SettingsError: a value that no step knows.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = {"extra": "forbid", "allow_inf_nan": False}

    spacing: Literal["isotropic", "median", "native"] | Spacing = setting(
        "isotropic",
        "size of the voxels: `isotropic`: cubes with the smallest spacing of the dataset; `median`: the median "
        "along each axis, finer along the coarse axis of thick slices; `native`: as they are; numbers: edges in mm",
    )
    pad: bool = setting(
        True, "pad volumes that are smaller than the input; with `resize`, to keep proportions"
    )
    resize: bool = setting(
        False, "resize every volume to the input size; `false`: training crops, and inference slides a window"
    )
    size: Shape | Literal["proportional", "whole"] | None = setting(
        None,
        "input size in voxels; `null`: so that it fits the median case, at most 128 along each axis "
        "(pictures: 512); `proportional`: the same, but larger volumes keep the proportions of the median case, "
        "at most 2,097,152 voxels; `whole`: so that no case is cropped, at most 320 along each axis (pictures: "
        "512)",
    )
    normalise: Literal["zscore", "minmax", "none", "modality"] = setting(
        "zscore",
        "`zscore`: each channel of each case to zero mean and unit variance; `minmax`: to the range from 0 to 1; "
        "`modality`: CT by the foreground of all training cases, other channels as `zscore`",
    )
    ct_intensities: CtIntensities | None = setting(
        None,
        "for each channel that is CT: lower and upper bound, mean and standard deviation, for "
        "`preprocessing.normalise=modality`; `null` for other channels. Measured on the training cases",
    )
    foreground: Literal["all", "nonzero"] = setting(
        "all",
        "voxels from which mean and variance are computed; `nonzero`: for a background that was set to "
        "zero, and stays zero",
    )
    pad_value: Literal["zero", "air"] = setting(
        "zero",
        "value of the padding: `air`: the 0.5th percentile of each channel of each case after "
        "normalising; `zero`: in all recipes but `segnas11`, `segnas4` and `segnas7`, and in runs of "
        "older versions",
    )
    low_resolution: Shape | Literal["auto"] | None = setting(
        None,
        "keep each volume at low resolution, too, for networks with a first stage that sees more of it: how many times "
        "as long voxels are along each axis; `auto`: if an input sees less than a quarter of the median volume, so "
        "that the first stage sees a quarter; `null`: no such stage. For the space `encoder-decoder`",
    )

    def __post_init__(self) -> None:
        _require_choice("normalise", self.normalise, ("zscore", "minmax", "none", "modality"))
        for measured in self.ct_intensities or ():
            _require_intensities(measured)
        _require_choice("foreground", self.foreground, ("all", "nonzero"))
        _require_choice("pad_value", self.pad_value, ("zero", "air"))
        if isinstance(self.spacing, str):
            _require_choice("spacing", self.spacing, ("isotropic", "median", "native"))
        else:
            _require_three("spacing", self.spacing, "three edge lengths in mm, each above 0")
        if isinstance(self.size, str):
            _require_choice("size", self.size, (*_SIZES, "three numbers of voxels", "null"))
        elif self.size is not None:
            _require_three("size", self.size, "three numbers of voxels, each above 0")
            if any(length != int(length) for length in self.size):
                raise SettingsError(f"size is {self.size}: expected three whole numbers of voxels.")
        _require_factors(self.low_resolution)

    @property
    def is_resolved(self) -> bool:
        """Whether nothing is left to be chosen from a dataset."""
        chosen = self.size is None or self.size in _SIZES or self.spacing in _SPACINGS
        return not (chosen or self.low_resolution == "auto")

    @property
    def coarse_factors(self) -> Shape | None:
        """How many times as long voxels are at low resolution; None: there are no volumes at low resolution.

        Raises:
            SettingsError: it is still to be chosen.
        """
        if isinstance(self.low_resolution, str):
            raise SettingsError(
                "low_resolution must be chosen from a dataset first: use `settings.resolved`."
            )
        return self.low_resolution

    def resolved(self, grids: Sequence[Grid]) -> PreprocessingSettings:
        """The same settings with spacing and size chosen from the grids of a dataset's cases.

        Raises:
            DatasetError: there are no cases to choose from.
        """
        if self.is_resolved:
            return self
        if not grids:
            raise DatasetError("No cases: spacing and size cannot be chosen. Add cases, or set both by hand.")
        spacing = self.spacing
        flat = all(grid.canonical_shape[2] == 1 for grid in grids)
        if spacing in _SPACINGS and flat:
            # the thickness of a single slice is none of a voxel's edges: it stays as it is
            edge = isotropic_edge(grids, axes=2)
            spacing = (edge, edge, float(np.median([grid.spacing[2] for grid in grids])))
        elif spacing == "isotropic":
            edge = isotropic_edge(grids)
            spacing = (edge, edge, edge)
        elif spacing == "median":
            spacing = median_spacing(grids)
        target = None if isinstance(spacing, str) else spacing
        shapes = np.array([resampled_shape(grid, target) for grid in grids])
        edges = target or np.median([grid.spacing for grid in grids], axis=0).tolist()
        if isinstance(self.size, tuple):
            size = self.size
        elif self.size == "proportional" and not flat:
            size = proportional_size(shapes, edges)
        else:
            size = _chosen_size(shapes, whole=self.size == "whole", flat=flat)
        factors = self.low_resolution
        if factors == "auto":
            whole = flat or self.resize
            factors = None if whole else low_resolution(size, np.median(shapes, axis=0).tolist(), edges)
        return replace(self, spacing=spacing, size=size, low_resolution=factors)

    def intensities_of(self, channel: int) -> Intensities | None:
        """By what a channel is normalised, if it is CT; None: by its own voxels.

        Raises:
            SettingsError: the intensities are still to be measured.
        """
        if self.normalise != "modality":
            return None
        if self.ct_intensities is None:
            raise SettingsError("CT must be measured in a dataset first: use `prepare`.")
        return self.ct_intensities[channel] if channel < len(self.ct_intensities) else None

    def geometry(self, grid: Grid) -> Geometry:
        """Where a volume on ``grid`` ends up.

        Raises:
            SettingsError: spacing or size are still to be chosen.
        """
        if self.size is None or isinstance(self.size, str) or self.spacing in _SPACINGS:
            raise SettingsError(
                "Spacing and size must be chosen from a dataset first: use `settings.resolved`."
            )
        spacing = None if isinstance(self.spacing, str) else self.spacing
        return plan_geometry(grid, spacing, self.size, pad=self.pad, resize=self.resize)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> PreprocessingSettings:
        """The inverse of `to_dict`; unknown keys of a newer version are ignored."""
        known: dict[str, Any] = {}
        for name in (field.name for field in fields(cls) if field.name in values):
            known[name] = _as_tuple(values[name])
        return cls(**known)


@dataclass(frozen=True)
class PreparedImage:
    """An ``image`` (C, X, Y, Z) float32 in canonical RAS axes, and the way back to the file's own grid.

    ``air``: what each channel is padded with.
    """

    image: NDArray[np.float32]
    geometry: Geometry
    air: tuple[float, ...]

    def without_padding(self, axis: int) -> PreparedImage:
        """The same without the slices along a canonical axis that the scan does not have."""
        kept = self.geometry.inside(axis)
        image = self.image.take(kept, axis=axis + 1)
        return PreparedImage(np.ascontiguousarray(image), self.geometry.without_padding(axis), self.air)


def prepare_volume(volume: Volume, paths: Sequence[Path], settings: PreprocessingSettings) -> PreparedImage:
    """Put one case's image, as read from ``paths``, through every step, exactly as for training.

    ``settings`` must be resolved, as those of a `Prepared` dataset are.

    Args:
        volume: as it was read.
        paths: of its files, for errors.
        settings: of the preparation.

    Warns:
        DatasetWarning: a channel lies a little beside the first.

    Raises:
        UnusableFile: it has voxels that are NaN or infinite.
        SettingsError: the settings are not resolved.
    """
    for problem in volume.problems:
        warnings.warn(str(problem), DatasetWarning, stacklevel=2)
    for channel, values in enumerate(volume.array):
        for problem in check_intensities(paths[min(channel, len(paths) - 1)], channel, values):
            if problem.severity == "error":
                raise UnusableFile(problem)
    geometry = settings.geometry(volume.grid)
    image = normalised(volume.array, settings)
    air = air_of(image, settings)
    return PreparedImage(geometry.prepare_image(image, air), geometry, air)


def normalised(image: NDArray[np.float32], settings: PreprocessingSettings) -> NDArray[np.float32]:
    """An image (C, X, Y, Z), each channel normalised over its foreground; a constant one becomes zeros.

    Zeros that are not foreground stay zeros, as padding and augmentation fill up with zeros. CT whose intensities were
    measured in the training cases is cut off at their bounds, also where it is 0.
    """
    if settings.normalise == "none":
        return image
    result = np.empty_like(image)
    for channel, values in enumerate(image):
        measured = settings.intensities_of(channel)
        if measured is not None:
            low, high, centre, width = measured
            np.clip(values, np.float32(low), np.float32(high), out=result[channel])
            result[channel] -= np.float32(centre)
            result[channel] *= np.float32(1 / width)
            continue
        within = values[values != 0] if settings.foreground == "nonzero" and values.any() else values
        if settings.normalise != "minmax":
            centre, width = within.mean(dtype=np.float64), within.std(dtype=np.float64)
        else:
            centre, width = float(within.min()), float(within.max()) - float(within.min())
        result[channel] = (values - np.float32(centre)) * np.float32(1 / width if width > 0 else 0)
        if settings.foreground == "nonzero":
            result[channel][values == 0] = 0
    return result


def coarsened(image: NDArray[np.float32], factors: Sequence[int]) -> NDArray[np.float32]:
    """An image (C, X, Y, Z) at low resolution: means of blocks, which are smaller at its far ends.

    ``factors``: voxels of a block along each axis.
    """
    for axis, factor in enumerate(factors, start=1):
        if factor > 1:
            begins = np.arange(0, image.shape[axis], factor)
            counts = np.diff([*begins, image.shape[axis]]).astype(np.float32)
            sums: NDArray[np.float32] = np.add.reduceat(image, begins, axis)
            image = sums / counts.reshape(-1, *(1,) * (image.ndim - 1 - axis))
    return np.ascontiguousarray(image)


def coarse_shape(shape: Sequence[int], factors: Sequence[int]) -> tuple[int, ...]:
    """Of a volume at low resolution: see `coarsened`."""
    return tuple(-(-length // factor) for length, factor in zip(shape, factors, strict=True))


def _chosen_size(shapes: NDArray[np.int64], *, whole: bool, flat: bool) -> Shape:
    """An input size for volumes of these shapes (cases, 3): the median of each side, or the largest, so that none is
    cropped; rounded up, and bounded.
    """
    multiple, largest = (FLAT_MULTIPLE, LARGEST_FLAT_SIZE) if flat else (SIZE_MULTIPLE, LARGEST_DEFAULT_SIZE)
    if whole:
        largest = max(largest, LARGEST_WHOLE_SIZE)
    sides = shapes.max(axis=0) if whole else np.median(shapes, axis=0)
    x, y, z = (int(length) for length in np.minimum(np.ceil(sides / multiple) * multiple, largest))
    return x, y, 1 if flat else z


def air_of(image: NDArray[np.float32], settings: PreprocessingSettings) -> tuple[float, ...]:
    """What each channel of a normalised image (C, X, Y, Z) is padded with: see `PreprocessingSettings`."""
    if settings.pad_value == "zero":
        return (0.0,) * len(image)
    blank = [settings.foreground == "nonzero" and bool((channel == 0).any()) for channel in image]
    return tuple(
        0.0 if zero else float(np.percentile(channel, AIR_PERCENTILE))
        for channel, zero in zip(image, blank, strict=True)
    )


def _require_choice(name: str, value: object, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise SettingsError(f"{name} is {value!r}: expected one of {', '.join(choices)}.")


def _require_intensities(measured: Intensities | None) -> None:
    if measured is None:
        return
    low, high, _, deviation = measured
    if not np.isfinite(measured).all() or low > high or deviation <= 0:
        raise SettingsError(
            f"ct_intensities has {measured}: expected a lower bound, an upper bound, a mean and a standard deviation "
            "above 0."
        )


def _require_factors(factors: Sequence[int] | str | None) -> None:
    if factors is None or factors == "auto":
        return
    if isinstance(factors, str) or len(factors) != 3 or any(f != int(f) or f < 1 for f in factors):
        raise SettingsError(
            f"low_resolution is {factors!r}: expected auto, null, or three whole numbers of at least 1, how many times "
            "as long voxels are along each axis."
        )
    if max(factors) == 1:
        raise SettingsError(
            "low_resolution is 1 along each axis: expected a number above 1, or null for no first stage."
        )


def _as_tuple(value: Any) -> Any:
    return tuple(map(_as_tuple, value)) if isinstance(value, list) else value


def _require_three(name: str, value: Sequence[float], expected: str) -> None:
    if len(value) != 3 or not all(np.isfinite(number) and number > 0 for number in value):
        raise SettingsError(f"{name} is {value!r}: expected {expected}.")
