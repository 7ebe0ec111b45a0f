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
from typing import Any

import numpy as np
import psutil
from numpy.typing import NDArray

from netwright.errors import SettingsError

SMALLEST_PROBABILITY = 1e-6
"""Smaller probabilities count as this one, because the unary energy of zero is infinite."""

FARTHEST = 1000.0
"""Intensities further from zero, in standard deviations, count as this. The lattice has keys of 16 bits."""


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
    from pydensecrf.densecrf import DenseCRF as Inference

    _require_one_grid(probabilities, image, spacing)
    classes, *shape = probabilities.shape
    points = int(np.prod(shape))
    if classes == 1 or points == 0:
        return probabilities.astype(np.float32)
    _require_memory(shape, classes, len(image))
    inference = Inference(points, classes)
    likely = np.clip(probabilities.reshape(classes, points), SMALLEST_PROBABILITY, 1.0)
    inference.setUnaryEnergy(np.ascontiguousarray(-np.log(likely), dtype=np.float32))
    position = _positions(shape, spacing)
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


def _positions(shape: Sequence[int], spacing: Sequence[float]) -> NDArray[np.float32]:
    """Coordinates in mm of all voxels, (axes, voxels), of the axes that are longer than one voxel."""
    axes = [np.arange(length, dtype=np.float32) * step for length, step in zip(shape, spacing, strict=True)]
    grids = np.meshgrid(*axes, indexing="ij")
    # An axis of one voxel tells nothing, and each costs the lattice a dimension.
    used = [grid.ravel() for grid, length in zip(grids, shape, strict=True) if length > 1]
    return np.ascontiguousarray(used or [grids[0].ravel()], dtype=np.float32)


def memory_mb(shape: Sequence[int], classes: int, channels: int) -> float:
    """The memory that the library may need for a volume of this shape, in MB of 1e6 bytes.

    It is about a kilobyte a voxel (measured on images of pure noise).

    Args:
        shape: of the volume, in voxels.
        classes: of the probabilities.
        channels: of the image.
    """
    return int(np.prod(shape)) * (500 + 60 * classes + 150 * channels) / 1e6


def _require_memory(shape: Sequence[int], classes: int, channels: int) -> None:
    """Allocates as much memory as the library may need. If the library itself gets none, it ends the process.

    The system may promise more than there is, and then ends some process: so there must be as much free, too.
    """
    needed = memory_mb(shape, classes, channels)
    np.empty(int(1e6 * needed), dtype=np.uint8)
    if needed > psutil.virtual_memory().available / 1e6:
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
