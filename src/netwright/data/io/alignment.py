"""Whether a label map, or a further channel, lies where its image does."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np

from netwright.data.io.grid import Grid, shape_text
from netwright.data.issues import Problem

ALIKE = 0.1
"""Two grids that lie at most this many voxels apart are one."""

FARTHEST = 1.0
"""A file that lies more than this many voxels off is refused."""

_ROUNDING = 1e-3
"""Headers hold affines in single precision."""

_ADVICE = {
    "label": (
        "The two lie on different voxel grids: export the label on the image's grid, or resample it (nearest "
        "neighbour) onto it. A label of another patient has another shape, too."
    ),
    "channel": "All channels of a case must lie on one voxel grid: resample them onto the first.",
}


def same_place(first: Grid, second: Grid) -> bool:
    """Whether two grids cover the same voxels in the world, in whatever axis order, to a tenth of a voxel."""
    off = first.displacement(second)
    return off is not None and off <= ALIKE


def misplacement(
    path: Path, grid: Grid, image: Grid, name: str = "", role: Literal["label", "channel"] = "label"
) -> Problem | None:
    """How a file's grid differs from the image's, each turned into the same axes by its own affine; None: it fits.

    Another shape is an error, and so is a place more than a voxel away: nothing then tells which voxel is which. Up to
    a voxel it is a warning: the file is taken voxel by voxel, as tools that round an affine, or count from a voxel's
    corner, mean it. A label map in TIFF that does not say how large its voxels are has those of its image.

    Args:
        path: of the label map, or channel.
        grid: of its file.
        image: the grid of the image, or first channel.
        name: of the image's file, "" where it is not known.
        role: what the file at ``path`` is.
    """
    if not grid.sized:
        grid = grid.with_size_of(image)
    if same_place(grid, image):
        return None
    off = grid.displacement(image)
    if off is None:
        return _other_shape(path, grid, image, name, role)
    same_spacing = np.allclose(image.spacing, grid.spacing, rtol=0.01)
    other = "the first channel" if role == "channel" else "its image"
    far = off > FARTHEST + _ROUNDING
    return Problem(
        "error" if far else "warning",
        str(path),
        f"has another position than {f'{other} {name}'.strip()}, up to {_voxels(off)} away",
        expected=_position(image, same_spacing),
        found=_position(grid, same_spacing),
        advice=_far_advice(role) if far else _near_advice(),
        kind="elsewhere" if far else "geometry",
    )


def _far_advice(role: str) -> str:
    this = "label" if role == "label" else "channel"
    return (
        f"It is unknown which voxel of the {this} belongs to which voxel of the image. Resample the {this} onto the "
        "image's grid. If only the affine was lost, so that the voxels are in the image's order, save it with the "
        f"affine of the image: nibabel.save(nibabel.Nifti1Image(numpy.asarray({this}.dataobj), image.affine), path). "
        "Check one such case in a viewer."
    )


def _near_advice() -> str:
    return (
        "The shapes agree, so it is taken voxel by voxel in the image's geometry, its axes turned as its own affine "
        "says. Check one such case in a viewer."
    )


def _other_shape(path: Path, grid: Grid, image: Grid, name: str, role: str) -> Problem:
    """Shapes as the files have them; in canonical axes where only so they differ."""
    wanted, shape, axes = image.shape, grid.shape, ""
    if wanted == shape:
        wanted, shape, axes = image.canonical_shape, grid.canonical_shape, " in canonical axes"
    if role == "channel":
        what, expected = (
            "has another shape than the first channel",
            f"{shape_text(wanted)}{axes} as in {name}",
        )
    else:
        what, expected = (
            f"does not fit its image {name}".rstrip(),
            f"the shape {shape_text(wanted)}{axes}",
        )
    return Problem(
        "error",
        str(path),
        what,
        expected=expected,
        found=shape_text(shape),
        advice=_ADVICE[role],
        kind="channel-shape" if role == "channel" else "label-shape",
    )


def _voxels(off: float) -> str:
    return f"{off:.2g} voxels" if off < 100 else f"{off:.0f} voxels"


def _position(grid: Grid, same_spacing: bool) -> str:
    if not same_spacing:
        return "voxels of " + " x ".join(f"{edge:.3g}" for edge in grid.spacing) + " mm"
    origin = ", ".join(f"{coordinate:.1f}" for coordinate in grid.matrix[:3, 3])
    return f"axes {grid.orientation} from ({origin}) mm"
