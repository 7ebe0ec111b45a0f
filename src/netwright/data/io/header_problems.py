"""What can be wrong with the header of a volume, in whatever format. Each format says itself what to do."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from netwright.data.io.grid import shape_text
from netwright.data.io.units import Unit
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


def no_spacing(path: Path, spacing: Sequence[float]) -> UnusableFile:
    """Voxels without a size, in a header without a matrix that would give it.

    Args:
        path: of the file.
        spacing: as the header has it, in mm.
    """
    return UnusableFile(
        Problem(
            "error",
            str(path),
            "has a header without the size of its voxels",
            expected="three edges above 0 mm, or an affine (sform)",
            found=" x ".join(f"{edge:.4g}" for edge in spacing) + " mm (pixdim), and no sform",
            advice="Programs take such voxels for 1 mm wide. Export the scan again; or, if you know "
            "the size, save it with an affine: image = nibabel.load(path); nibabel.save(nibabel.Nifti1Image("
            "numpy.asarray(image.dataobj), numpy.diag([x_mm, y_mm, z_mm, 1])), new_path). "
            "Its label map needs the same.",
            kind="no-spacing",
        )
    )


def other_unit(path: Path, unit: Unit, spacing: Sequence[float], advice: str) -> UnusableFile:
    """Lengths that are not in millimetres, by the header.

    Args:
        path: of the file.
        unit: the one that the header names.
        spacing: the edges of the voxels in that unit.
        advice: how to save the scan in millimetres.
    """
    edges = " x ".join(f"{edge:.4g}" for edge in spacing)
    read = " x ".join(f"{edge * unit.millimetres:.4g}" for edge in spacing)
    return UnusableFile(
        Problem(
            "error",
            str(path),
            f"has a header in {unit.name}",
            expected="millimetres, or no unit",
            found=f"voxels of {edges} {unit.name}, which are {read} mm",
            advice=f"Some programs convert them, others take the numbers for millimetres. {advice} Its label map needs "
            "the same.",
            kind="unit",
        )
    )


def too_many_axes(path: Path, shape: Sequence[int]) -> UnusableFile:
    """An array of more than four axes.

    Args:
        path: of the file.
        shape: of the array.
    """
    return UnusableFile(
        Problem(
            "error",
            str(path),
            f"has {len(shape)} axes",
            expected="a volume (X, Y, Z), several (X, Y, Z, C), or vectors (X, Y, Z, 1, C)",
            found=f"an array of shape {shape_text(shape)}",
            advice="It is unknown which axis holds the channels. Save all volumes along one, if that is what they are, "
            "for example: image = nibabel.load(path); nibabel.save(nibabel.Nifti1Image(numpy.asarray("
            "image.dataobj).reshape(*image.shape[:3], -1), image.affine), new_path); or each channel as a file.",
            kind="axes",
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
