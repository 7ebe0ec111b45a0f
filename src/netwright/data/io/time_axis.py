"""The fourth axis of a file where it is time: a cine (x, y, z, time), as hearts are scanned."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from netwright.data.io.formats import open_volume
from netwright.data.io.volume_file import VolumeFile
from netwright.data.issues import Problem, UnusableFile


def time_points(path: Path) -> int:
    """How many volumes lie along a file's further axes, by its header alone; 1 for a 3D volume or a picture.

    0 where the file cannot be read: whoever reads it says why.
    """
    file = _opened(path)
    return 0 if file is None else file.time_points


def at_time(file: VolumeFile, voxels: Any, time: int) -> Any:
    """The volume at a time point of a file's voxels, counted from 0; of a 3D file it is time point 0.

    Args:
        file: the opened file.
        voxels: of the whole file.
        time: the time point.

    Raises:
        UnusableFile: the file ends before.
    """
    require_time(file, time)
    return voxels if file.time_points == 1 else voxels[..., time]


def require_time(file: VolumeFile, time: int) -> None:
    """Refuse a file that ends before a time point, counted from 0.

    Raises:
        UnusableFile: it does.
    """
    if time >= file.time_points:
        raise UnusableFile(
            Problem(
                "error",
                str(file.path),
                f"has no frame {time + 1}",
                expected=f"at least {time + 1} volumes along the fourth axis",
                found=str(file.time_points),
                advice="Frames are counted from 1. Correct the number, or fetch the whole file again.",
                kind="time-point",
            )
        )


def advice_on_time(path: Path) -> str:
    """What to do with a file of several volumes if they are time points; "" where it holds one volume."""
    file = _opened(path)
    if file is None or file.time_points < 2:
        return ""
    told = f", as its header says (one every {file.time_step})" if file.time_step else ""
    return (
        f" If the {file.time_points} volumes are time points{told}, put images and label maps into the folders "
        "`images` and `labels`, and read them with --format cine."
    )


def _opened(path: Path) -> VolumeFile | None:
    try:
        return open_volume(path)
    except UnusableFile:
        return None
