"""Post-processing of a segmentation by the fully connected conditional random field.

Krähenbühl and Koltun, "Efficient Inference in Fully Connected CRFs with Gaussian Edge Potentials", NIPS 2011. Every
voxel is linked with every other one: near ones should have the same label, and near ones of like intensity more so.
Distances are in mm along all three axes, so that thick slices are far apart; pictures are volumes of one slice.
Inference by pydensecrf2, the authors' own code, which filters on the permutohedral lattice.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from netwright.errors import SettingsError
from netwright.execution.resources import free_memory_mb
from netwright.tasks.segmentation.crf_tiles import Tiling, margins, tiling

SMALLEST_PROBABILITY = 1e-6
"""Smaller probabilities count as this one, because the unary energy of zero is infinite."""

FARTHEST = 1000.0
"""Intensities further from zero, in standard deviations, count as this. The lattice has keys of 16 bits."""

TILE_MB = 4000.0
"""The memory from which on a volume is refined in tiles, each of at most so much. It does not depend on the machine, so
that results do not."""


@dataclass(frozen=True)
class DenseCRF:
    """The weights of the two pairwise terms, and how far each reaches.

    The energy of two voxels of different labels is the sum of the terms (Equation 3): ``smoothness_weight`` times a
    Gaussian of their distance, of standard deviation ``smoothness_mm``; and ``appearance_weight`` times a Gaussian of
    their distance, ``appearance_mm``, times one of the difference of their intensities in every channel,
    ``intensity``, in the units of the prepared image (1 is a standard deviation of the volume under "zscore").
    Kernels are normalised symmetrically, so that a weight is about the energy of a voxel whose neighbours all
    disagree, whatever the voxel size. ``iterations``: of the mean field, as the paper's Section 5.

    Raises:
        SettingsError: a weight under 0, a standard deviation that is not above 0, or no iteration.
    """

    smoothness_weight: float
    smoothness_mm: float
    appearance_weight: float
    appearance_mm: float
    intensity: float
    iterations: int = 5

    def __post_init__(self) -> None:
        weights = (self.smoothness_weight, self.appearance_weight)
        reaches = (self.smoothness_mm, self.appearance_mm, self.intensity)
        if not (
            np.isfinite(weights + reaches).all()
            and min(weights) >= 0
            and min(reaches) > 0
            and self.iterations >= 1
        ):
            raise SettingsError(
                "A CRF needs weights of at least 0, standard deviations above 0 and an iteration; got "
                f"{asdict(self)}."
            )

    @property
    def reach_mm(self) -> float:
        """The standard deviation of the widest Gaussian that has a weight; 0: none has one."""
        terms = (
            (self.smoothness_weight, self.smoothness_mm),
            (self.appearance_weight, self.appearance_mm),
        )
        return max((reach for weight, reach in terms if weight > 0), default=0.0)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> DenseCRF:
        """The inverse of `to_dict`; unknown keys of a newer version are ignored."""
        return cls(**{field.name: values[field.name] for field in fields(cls) if field.name in values})


def refine(
    probabilities: NDArray[np.float32], image: NDArray[np.float32], spacing: Sequence[float], crf: DenseCRF
) -> NDArray[np.float32]:
    """Class probabilities (K, X, Y, Z) after the mean field of the CRF (Algorithm 1).

    A volume that needs more than `TILE_MB` at once is computed in tiles (`netwright.tasks.segmentation.crf_tiles`).

    Args:
        probabilities: of the network, (K, X, Y, Z); they need not add up to 1.
        image: as the network got it, (C, X, Y, Z).
        spacing: of its voxels along X, Y and Z, in mm.
        crf: the weights.

    Raises:
        SettingsError: pydensecrf2 is not installed.
        MemoryError: there is not enough (`memory_mb`).
        ValueError: shapes do not agree, or a value is not finite.
    """
    require_library()
    _require_one_grid(probabilities, image, spacing)
    classes, *shape = probabilities.shape
    if classes == 1 or probabilities.size == 0:
        return probabilities.astype(np.float32)
    tiles = _tiling(shape, classes, len(image), margins(crf.reach_mm, crf.iterations, spacing))
    _require_memory(tiles.largest, classes, len(image))
    # An axis of one voxel tells nothing, and each costs the lattice a dimension.
    axes = [axis for axis, length in enumerate(shape) if length > 1] or [0]
    refined = np.empty(probabilities.shape, np.float32)
    for tile in tiles:
        here = (slice(None), *tile.around)
        # Places are those in the volume, as the lattice begins at 0.
        places = np.meshgrid(
            *(
                np.arange(part.start, part.stop, dtype=np.float32) * step
                for part, step in zip(tile.around, spacing, strict=True)
            ),
            indexing="ij",
        )
        position = np.ascontiguousarray([places[axis].ravel() for axis in axes], dtype=np.float32)
        result = _mean_field(probabilities[here], image[here], position, crf)
        refined[:, *tile.voxels] = result[:, *tile.inside]
    return refined


def _mean_field(
    probabilities: NDArray[np.float32],
    image: NDArray[np.float32],
    position: NDArray[np.float32],
    crf: DenseCRF,
) -> NDArray[np.float32]:
    """`refine` of all voxels at once, whose places in mm are ``position`` (axes, voxels)."""
    from pydensecrf.densecrf import DenseCRF as Inference

    classes, points = len(probabilities), position.shape[1]
    inference = Inference(points, classes)
    likely = np.clip(probabilities.reshape(classes, points), SMALLEST_PROBABILITY, 1.0)
    inference.setUnaryEnergy(np.ascontiguousarray(-np.log(likely), dtype=np.float32))
    if crf.smoothness_weight > 0:
        # A negative energy for labels that are equal, as the library has it, is a positive one for all others.
        inference.addPairwiseEnergy(position / np.float32(crf.smoothness_mm), crf.smoothness_weight)
    if crf.appearance_weight > 0:
        near = position / np.float32(crf.appearance_mm)
        alike = np.clip(image.reshape(len(image), points) / np.float32(crf.intensity), -FARTHEST, FARTHEST)
        features = np.ascontiguousarray(np.concatenate([near, alike]), dtype=np.float32)
        inference.addPairwiseEnergy(features, crf.appearance_weight)
    refined = np.asarray(inference.inference(crf.iterations), dtype=np.float32)
    return refined.reshape(probabilities.shape)


def require_library() -> None:
    """Refuses a CRF where the library is missing.

    Raises:
        SettingsError: pydensecrf2 is not installed.
    """
    if importlib.util.find_spec("pydensecrf") is None:
        raise SettingsError(
            "The fully connected CRF (postprocessing.crf) needs pydensecrf2, which is not installed. Run "
            "pip install 'netwright[crf]', which needs a C++ compiler and the headers of Python. Or leave the CRF out: "
            "of a search by --set postprocessing.crf=false, of evaluate and predict by --no-crf."
        )


def memory_mb(shape: Sequence[int], classes: int, channels: int, margins: Sequence[int]) -> float:
    """The memory that refining a volume of this shape may need, in MB of 1e6 bytes.

    In tiles, it is that of the library for the largest tile, and of the probabilities before and after.

    Args:
        shape: of the volume, in voxels.
        classes: of the probabilities.
        channels: of the image.
        margins: of a tile, in voxels (`netwright.tasks.segmentation.crf_tiles.margins`).
    """
    tiles = _tiling(shape, classes, channels, margins)
    both = 0.0 if tiles.is_whole else 8e-6 * classes * prod(shape)
    return _library_mb(tiles.largest, classes, channels) + both


def _library_mb(shape: Sequence[int], classes: int, channels: int) -> float:
    """The memory that the library may need for so many voxels at once.

    It is about a kilobyte a voxel (measured on images of pure noise).
    """
    return prod(shape) * (500 + 60 * classes + 150 * channels) / 1e6


def _tiling(shape: Sequence[int], classes: int, channels: int, margins: Sequence[int]) -> Tiling:
    """The tiles of a volume, each of which needs at most `TILE_MB` if that is possible."""
    return tiling(shape, margins, TILE_MB / _library_mb((1,), classes, channels))


def _require_memory(shape: Sequence[int], classes: int, channels: int) -> None:
    """Allocates as much memory as the library may need. If the library itself gets none, it ends the process.

    The system may promise more than there is, and then ends some process: so there must be as much free, too.
    """
    needed = _library_mb(shape, classes, channels)
    np.empty(int(1e6 * needed), dtype=np.uint8)
    if needed > free_memory_mb():
        raise MemoryError


def _require_one_grid(
    probabilities: NDArray[np.float32], image: NDArray[np.float32], spacing: Sequence[float]
) -> None:
    if probabilities.ndim != 4 or image.ndim != 4 or probabilities.shape[1:] != image.shape[1:]:
        raise ValueError(
            f"probabilities {probabilities.shape} and image {image.shape} must be (K, X, Y, Z) and (C, X, Y, Z) of "
            "one grid"
        )
    if len(spacing) != 3 or not all(np.isfinite(step) and step > 0 for step in spacing):
        raise ValueError(f"spacing must be three edge lengths in mm, each above 0, got {tuple(spacing)}")
    if not (np.isfinite(probabilities).all() and np.isfinite(image).all()):
        raise ValueError("probabilities and image must be finite")
