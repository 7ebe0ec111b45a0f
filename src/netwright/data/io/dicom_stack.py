"""The slices of a DICOM series in order of their positions, and whether they make one volume."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from math import atan2, degrees
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from netwright.data.io.alignment import ALIKE
from netwright.data.io.dicom_frames import Frame, Head, refused
from netwright.data.issues import UnusableFile, enumerate_words

_LARGEST_TILT = 0.1
"""Degrees between the way of the slices and their normal: orientations are written with few digits."""

_MOST_GAPS_NAMED = 3
_AGAIN = "Copy or export the series again."


def in_order(path: Path, heads: Sequence[Head]) -> tuple[list[Frame], NDArray[np.float64]]:
    """The frames of a series in the order of their positions, and the affine (4, 4) from voxels to mm in LPS.

    Voxels are counted along columns, rows and slices.

    Raises:
        UnusableFile: the slices differ in size or orientation, or do not lie one behind the other at equal distances.
    """
    frames = [frame for head in heads for frame in head.frames]
    _require_alike(path, heads, frames)
    first = frames[0]
    normal = np.cross(first.along_row, first.along_column)
    frames.sort(key=lambda frame: float(np.dot(frame.position, normal)))
    if len(frames) < 2:
        raise refused(
            path,
            "has a single slice",
            "at least two, whose positions say how far slices are apart",
            first.name,
            f"{_AGAIN} A picture is no volume: save it as PNG.",
            "dicom-one-slice",
        )
    positions = np.array([frame.position for frame in frames])
    _require_one_each(path, frames, positions @ normal)
    way = (positions[-1] - positions[0]) / (len(frames) - 1)
    _require_regular(path, frames, positions, normal)
    affine = np.eye(4)
    affine[:3, 0] = np.multiply(first.along_row, first.spacing[1])
    affine[:3, 1] = np.multiply(first.along_column, first.spacing[0])
    affine[:3, 2] = way
    affine[:3, 3] = positions[0]
    return frames, affine


def _require_alike(path: Path, heads: Sequence[Head], frames: Sequence[Frame]) -> None:
    first, plane = heads[0], frames[0]
    for head in heads:
        if head.size != first.size or head.photometric != first.photometric:
            raise _unlike(
                path,
                f"{first.size[0]} x {first.size[1]} pixels ({first.photometric}) in {first.file.name}, "
                f"{head.size[0]} x {head.size[1]} ({head.photometric}) in {head.file.name}",
            )
    near = ALIKE / max(first.size)
    for frame in frames:
        turned = np.abs(np.subtract(_axes(frame), _axes(plane))).max()
        scaled = np.abs(np.divide(frame.spacing, plane.spacing) - 1).max()
        if turned > near or scaled > near:
            raise _unlike(path, f"{plane_text(plane)} in {plane.name}, {plane_text(frame)} in {frame.name}")


def _axes(frame: Frame) -> tuple[float, ...]:
    return (*frame.along_row, *frame.along_column)


def plane_text(frame: Frame) -> str:
    """Spacing and directions of the pixels of a frame."""
    directions = ", ".join(f"{one:.4g}" for one in _axes(frame))
    return f"pixels of {frame.spacing[0]:.4g} x {frame.spacing[1]:.4g} mm along ({directions})"


def _unlike(path: Path, found: str) -> UnusableFile:
    return refused(
        path,
        "has slices that differ in size, pixel spacing or orientation",
        "slices that are alike",
        found,
        "They belong to different scans, or some are a localizer. Keep those of one scan in the folder.",
        "dicom-unlike",
    )


def _require_one_each(path: Path, frames: Sequence[Frame], along: NDArray[np.float64]) -> None:
    """Refuse two slices in one place. ``along``: their positions on the normal, in order."""
    step = float(np.median(np.diff(along)[np.diff(along) > 1e-4])) if along[-1] - along[0] > 1e-4 else 0.0
    twice = [
        (one, two)
        for one, two, gap in zip(frames, frames[1:], np.diff(along), strict=False)
        if gap <= ALIKE * step
    ]
    if not twice:
        return
    places = len(frames) - len(twice)
    everywhere = len(frames) % places == 0 and len(frames) // places > 1
    raise refused(
        path,
        "has several slices in one place",
        "one slice for each position",
        f"{len(frames)} slices at {places} positions; {twice[0][0].name} and {twice[0][1].name} are in the same place",
        (
            f"There may be {len(frames) // places} images in this series, such as time points, echoes or b-values: "
            "keep the slices of one of them in the folder, or convert the series, for example with dcm2niix. "
            if everywhere
            else ""
        )
        + "If files were copied twice, remove the copies.",
        "dicom-duplicates",
    )


def _require_regular(
    path: Path, frames: Sequence[Frame], positions: NDArray[np.float64], normal: NDArray[np.float64]
) -> None:
    """Refuse slices (N, 3) at unequal distances, or that do not lie behind each other along their normal."""
    way = (positions[-1] - positions[0]) / (len(frames) - 1)
    step = float(way @ normal)
    off = positions - (positions[0] + np.arange(len(frames))[:, None] * way)
    if np.abs(off @ normal).max() > ALIKE * step:
        raise _gaps(path, frames, np.diff(positions @ normal))
    total = positions[-1] - positions[0]
    aside = float(np.linalg.norm(total - (total @ normal) * normal))
    pixel = min(frames[0].spacing)
    shifted = float(np.linalg.norm(off - np.outer(off @ normal, normal), axis=1).max())
    tilt = degrees(atan2(aside, float(total @ normal)))
    if shifted > ALIKE * pixel or (aside > ALIKE * pixel and tilt > _LARGEST_TILT):
        raise refused(
            path,
            "has slices that do not lie straight behind each other",
            "positions along the normal of the slices",
            f"a shift within the plane of {max(aside, shifted):.3g} mm over {float(total @ normal):.4g} mm "
            f"({tilt:.2g} degrees)",
            "The gantry was tilted, or the slices were cut obliquely. Resample the scan to a straight grid, for "
            "example with dcm2niix, which for CT writes one that ends in _Tilt.",
            "dicom-tilt",
        )


def _gaps(path: Path, frames: Sequence[Frame], steps: NDArray[np.float64]) -> UnusableFile:
    usual = float(np.median(steps))
    others = [
        f"{step:.4g} mm from {one.name} to {two.name}"
        for step, (one, two) in zip(steps.tolist(), pairwise(frames), strict=True)
        if abs(step - usual) > ALIKE * usual
    ]
    gaps = others[:_MOST_GAPS_NAMED] or [f"distances from {steps.min():.4g} to {steps.max():.4g} mm"]
    if len(others) > len(gaps):
        gaps.append(f"{len(others) - len(gaps)} more")
    missing = round(float(steps.max()) / usual) - 1
    return refused(
        path,
        "has slices at unequal distances",
        f"one distance between all slices, here {usual:.4g} mm as between most",
        enumerate_words(gaps),
        ("Slices are probably missing. " if missing > 0 else "")
        + f"{_AGAIN} If it is complete, resample it to equal distances, for example with dcm2niix, which for CT writes "
        "one that ends in _Eq.",
        "dicom-gap",
    )
