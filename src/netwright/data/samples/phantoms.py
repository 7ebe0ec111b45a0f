"""A generated dataset: small phantoms with three structures, in a Medical Segmentation Decathlon folder."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from netwright.data.files import write_whole
from netwright.data.io.nifti import write_volume
from netwright.errors import DatasetError, SettingsError

_nibabel: Any = nibabel

LABELS = {0: "background", 1: "Core", 2: "Rind", 3: "Vessel"}
"""The core lies within the rind; the vessel winds past both."""

NAME = "NetwrightSample"

SMALLEST_SIZE = 24

_UNLABELLED = 2
_HARD_EVERY = 5
_FIELD_OF_VIEW_MM = 36.0

Field = NDArray[np.float64]


@dataclass(frozen=True)
class _Difficulty:
    """Contrast of the structures, strength of the bias field, standard deviation of the noise."""

    contrast: float
    bias: float
    noise: float
    touching: bool


def write_sample(path: Path, *, cases: int = 30, seed: int = 0, size: int = 32) -> Path:
    """Writes the sample dataset into a folder and returns the folder.

    Every phantom is a body in empty space with a core inside a rind, a vessel, and distractors: unlabelled blobs as
    bright as the labelled structures, so that no threshold segments them. Shape, position, contrast, bias field, noise,
    voxel spacing (in mm) and axis order vary. Every fifth case is hard (low contrast, strong bias and noise, the vessel
    touches the rind). ``size`` is the largest number of voxels a side. Two more images, without labels, lie in
    ``imagesTs``. The same arguments give the same bytes.

    Raises:
        SettingsError: fewer than three cases, or a size below 24.
        DatasetError: the folder holds something other than a sample.
        StorageError: the folder cannot be written.
    """
    path = Path(path).expanduser()
    if cases < 3 or size < SMALLEST_SIZE:
        raise SettingsError(
            f"A sample of {cases} cases of size {size}: expected at least 3 cases of size {SMALLEST_SIZE} or "
            "more."
        )
    require_own(path, NAME)
    names = [f"phantom_{number:03d}" for number in range(cases + _UNLABELLED)]
    for number, name in enumerate(names):
        rng = np.random.default_rng([seed, number])
        image, labels = _phantom(rng, size, _difficulty(rng, hard=number % _HARD_EVERY == _HARD_EVERY - 1))
        folder = "imagesTr" if number < cases else "imagesTs"
        write_volume(path / folder / f"{name}.nii.gz", image)
        if number < cases:
            write_volume(path / "labelsTr" / f"{name}.nii.gz", labels)
    description = {
        "name": NAME,
        "description": f"Generated phantoms, seed {seed}, about {size} voxels a side",
        "licence": "CC0 1.0",
        "tensorImageSize": "3D",
        "modality": {"0": "phantom"},
        "labels": {str(value): name for value, name in LABELS.items()},
        "numTraining": cases,
        "numTest": _UNLABELLED,
        "training": [
            {"image": f"./imagesTr/{name}.nii.gz", "label": f"./labelsTr/{name}.nii.gz"}
            for name in names[:cases]
        ],
        "test": [f"./imagesTs/{name}.nii.gz" for name in names[cases:]],
    }
    write_whole(path / "dataset.json", json.dumps(description, indent=1).encode())
    return path


def require_own(path: Path, name: str) -> None:
    """Refuses to write among files of others. An earlier sample of that name is overwritten.

    Raises:
        DatasetError: the folder holds something else.
    """
    if not path.exists() or (path.is_dir() and not any(path.iterdir())):
        return
    try:
        if json.loads((path / "dataset.json").read_text(encoding="utf-8"))["name"] == name:
            return
    except (OSError, ValueError, KeyError, TypeError):
        pass
    raise DatasetError(f"{path} is not empty: expected a new folder for the sample. Choose another.")


def _difficulty(rng: np.random.Generator, *, hard: bool) -> _Difficulty:
    if hard:
        return _Difficulty(
            rng.uniform(0.6, 0.8), rng.uniform(0.4, 0.6), rng.uniform(0.06, 0.08), touching=True
        )
    return _Difficulty(rng.uniform(0.9, 1.3), rng.uniform(0.1, 0.3), rng.uniform(0.02, 0.05), touching=False)


def _phantom(
    rng: np.random.Generator, size: int, difficulty: _Difficulty
) -> tuple[nibabel.Nifti1Image, nibabel.Nifti1Image]:
    """Image (int16) and labels (uint8) on one grid, whose axes may be flipped and exchanged."""
    shape = tuple(int(n) for n in np.round(size * rng.uniform([0.92, 0.92, 0.75], [1.0, 1.0, 1.0])))
    spacing = _FIELD_OF_VIEW_MM * rng.uniform(0.97, 1.03, 3) / np.array(shape)
    points = _deformed(rng, shape, spacing)
    labels, brightness = _structures(rng, points, difficulty)
    image = _acquired(rng, brightness, difficulty)
    affine = np.diag([*spacing, 1.0])
    affine[:3, 3] = rng.uniform(-20, 20, 3)
    axes = np.array([[axis, 1] for axis in range(3)])
    if rng.random() < 0.3:
        axes = np.stack([rng.permutation(3), rng.choice([-1, 1], 3)], axis=1)
    stored = []
    for array, dtype in ((image, np.int16), (labels, np.uint8)):
        turned = _nibabel.orientations.apply_orientation(array.astype(dtype), axes)
        volume = _nibabel.Nifti1Image(turned, affine @ _nibabel.orientations.inv_ornt_aff(axes, array.shape))
        volume.header.set_xyzt_units("mm")
        stored.append(volume)
    return stored[0], stored[1]


def _deformed(rng: np.random.Generator, shape: tuple[int, ...], spacing: Field) -> Field:
    """World coordinates (3, X, Y, Z) in mm from the centre, moved by a smooth random displacement."""
    ticks = [(np.arange(n) - (n - 1) / 2) * step for n, step in zip(shape, spacing, strict=True)]
    points = np.stack(np.meshgrid(*ticks, indexing="ij"))
    return points + np.stack([_smooth(rng, shape, 1.2) for _ in range(3)])


def _smooth(rng: np.random.Generator, shape: tuple[int, ...], amplitude: float) -> Field:
    """A random field (X, Y, Z) that varies slowly: cubic splines through 4 x 4 x 4 random values."""
    knots = rng.normal(0, amplitude, (4, 4, 4))
    return np.asarray(ndimage.zoom(knots, np.array(shape) / 4, order=3, mode="nearest", grid_mode=True))


def _structures(
    rng: np.random.Generator, points: Field, difficulty: _Difficulty
) -> tuple[NDArray[np.uint8], Field]:
    """Labels and noiseless brightness (X, Y, Z); a later structure covers an earlier one."""
    centre = rng.uniform(-3, 3, 3) + np.array([-3.0, 0.0, 0.0])
    radii = rng.uniform(7.0, 8.5, 3)
    rind = _ellipsoid(points, centre, radii)
    core = _ellipsoid(points, centre + rng.uniform(-1, 1, 3), radii * rng.uniform(0.6, 0.7))
    gap = 0.0 if difficulty.touching else rng.uniform(1.5, 3.0)
    vessel = _vessel(rng, points, centre, radii[0] + gap)
    brightness = np.where(_ellipsoid(points, np.zeros(3), rng.uniform(15.5, 17.5, 3)) < 1, 0.4, 0.05)
    levels = 0.4 + difficulty.contrast * (np.array([0.0, 0.4, 0.2, 0.3]) + rng.uniform(-0.03, 0.03, 4))
    for _ in range(rng.integers(2, 5)):
        blob = _ellipsoid(points, rng.uniform(-13, 13, 3), rng.uniform(1.8, 3.2, 3))
        brightness[blob < 1] = levels[rng.integers(1, 4)]
    labels = np.zeros(points.shape[1:], dtype=np.uint8)
    for value, inside in ((3, vessel), (2, rind < 1), (1, core < 1)):
        labels[inside] = value
        brightness[inside] = levels[value]
    return labels, brightness


def _ellipsoid(points: Field, centre: Field, radii: Field) -> Field:
    """Squared distance from the centre in radii: below 1 inside."""
    offsets = (points - centre[:, None, None, None]) / radii[:, None, None, None]
    return np.asarray((offsets**2).sum(axis=0))


def _vessel(rng: np.random.Generator, points: Field, centre: Field, distance: float) -> NDArray[np.bool_]:
    """A tube along the third axis that winds at about ``distance`` mm beside ``centre``."""
    x, y, z = points
    phase, turn, radius = rng.uniform(0, 2 * np.pi), rng.uniform(0.15, 0.3), rng.uniform(2.3, 2.9)
    axis_x = centre[0] + distance + radius + 1.0 + np.cos(phase + turn * z)
    axis_y = centre[1] + 2.0 * np.sin(phase + turn * z)
    return np.asarray(((x - axis_x) ** 2 + (y - axis_y) ** 2 < radius**2) & (np.abs(z) < 12))


def _acquired(rng: np.random.Generator, brightness: Field, difficulty: _Difficulty) -> Field:
    """The scan of a phantom: partial volumes, a bias field, Rician noise, an arbitrary intensity scale."""
    shape = brightness.shape
    blurred = ndimage.gaussian_filter(brightness, 0.5)
    bias = np.exp(_smooth(rng, shape, 1.0) * difficulty.bias * 0.5)
    noise = rng.normal(0, difficulty.noise, (2, *shape))
    magnitude = np.hypot(blurred * bias + noise[0], noise[1])
    return np.asarray(np.round(magnitude * rng.uniform(500, 1500)))
