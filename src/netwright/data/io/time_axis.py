"""The fourth axis of a NIfTI file where it is time: a cine (x, y, z, time), as hearts are scanned."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from netwright.data.files import is_file
from netwright.data.io.images import is_picture
from netwright.data.io.nifti import open_nifti
from netwright.data.issues import Problem, UnusableFile

_TIME_UNITS = ("sec", "msec", "usec")


def time_points(path: Path) -> int:
    """How many volumes lie along a file's further axes, from its header alone; 1 of a 3D volume or a picture.

    0 where the file cannot be read: whoever reads it says why.
    """
    if is_picture(path):
        return 1
    header = _header(path)
    return 0 if header is None else int(np.prod(header.get_data_shape()[3:]))


def at_time(path: Path, voxels: Any, time: int) -> Any:
    """The volume at a time point of what `NiftiFile.voxels` gives, counted from 0; of a 3D file it is time point 0.

    Raises:
        UnusableFile: the file ends before.
    """
    require_time(path, voxels.shape, time)
    return voxels if len(voxels.shape) < 4 else voxels[..., time]


def require_time(path: Path, shape: Sequence[int], time: int) -> None:
    """Refuse a file of a shape (X, Y, Z, ...) that ends before a time point, counted from 0.

    Raises:
        UnusableFile: it does.
    """
    volumes = int(np.prod(shape[3:]))
    if time >= volumes:
        raise UnusableFile(
            Problem(
                "error",
                str(path),
                f"has no frame {time + 1}",
                expected=f"at least {time + 1} volumes along the fourth axis",
                found=str(volumes),
                advice="Frames are counted from 1. Correct the number, or fetch the whole file again.",
                kind="time-point",
            )
        )


def advice_on_time(path: Path) -> str:
    """What to do with a file of several volumes if they are time points; "" of one volume."""
    header, volumes = _header(path), time_points(path)
    if header is None or volumes < 2:
        return ""
    unit, step = header.get_xyzt_units()[1], float(header["pixdim"][4])
    said = f", as its header says (one every {step:.3g} {unit})" if unit in _TIME_UNITS and step > 0 else ""
    return (
        f" If the {volumes} volumes are time points{said}, put images and label maps into the folders `images` and "
        "`labels`, and read them with --format cine."
    )


def _header(path: Path) -> Any | None:
    if is_picture(path) or not is_file(path):
        return None
    try:
        return open_nifti(path).header
    except UnusableFile:
        return None
