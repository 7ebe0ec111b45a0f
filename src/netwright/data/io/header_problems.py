"""What can be wrong with the header of a volume, in whatever format. Each format says itself what to do."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from netwright.data.io.grid import shape_text
from netwright.data.issues import Problem, UnusableFile


def unknown_numbers(path: Path, numbers: str, advice: str) -> UnusableFile:
    """Voxels of a type that is not read.

    Args:
        path: of the file.
        numbers: the type.
        advice: what to do.
    """
    return UnusableFile(
        Problem(
            "error",
            str(path),
            "has voxels of a type that is not read",
            expected="integers or real numbers",
            found=numbers,
            advice=advice,
            kind="voxel-type",
        )
    )


def no_volume_in_space(path: Path, what: str, affine: NDArray[np.float64], advice: str) -> UnusableFile:
    """An affine (4, 4) that maps the voxels to no volume in space.

    Args:
        path: the file.
        what: the part of the header that says so, such as ``affine maps``.
        affine: the affine.
        advice: what to do, if one knows how the scan lies.
    """
    return UnusableFile(
        Problem(
            "error",
            str(path),
            f"has a header whose {what} the voxels to no volume in space",
            expected="three axes (mm) that span one",
            found=", ".join(str([float(f"{x:.3g}") for x in row]) for row in affine[:3]),
            advice=f"The position of the scan is unknown. Export it again; or, if you know {advice}",
            kind="affine",
        )
    )


def single_slice(path: Path, shape: Sequence[int], code: str) -> UnusableFile:
    """An array of two axes. ``code`` adds the third and saves the volume.

    Args:
        path: of the file.
        shape: of the array.
        code: adds the third axis and saves the volume.
    """
    return UnusableFile(
        Problem(
            "error",
            str(path),
            "has two axes",
            expected="a volume with three (X, Y, Z)",
            found=not_3d(shape),
            advice="A single slice is a volume one voxel thick: add the axis to images and label maps, for example "
            f"{code}.",
            kind="two-axes",
        )
    )


def not_3d(shape: Sequence[int]) -> str:
    """In words: an array of a shape that is none of a volume."""
    return f"an array of shape {shape_text(shape)}, where a 3D volume is expected"
