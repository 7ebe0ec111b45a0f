"""What a folder with both is meant for: the pictures, or the volumes in the folders below."""

from __future__ import annotations

from pathlib import Path

from netwright.data.io.dicom import holds_slices, looks_like_dicom
from netwright.data.io.images import is_picture
from netwright.data.layouts.images import IMAGES
from netwright.data.layouts.volume_files import folders_near_top, volume_files_in
from netwright.errors import DatasetError


def holds_volumes(root: Path) -> bool:
    """Whether there is a volume near the top of a folder."""
    return any(volume_files_in(folder) for folder in folders_near_top(root))


def more_pictures(root: Path, format: str) -> bool:
    """Whether a folder with volumes is rather one of pictures: it holds more of them than pairs of volumes.

    Pictures beside volumes in a folder, or slices of one, are previews, and do not count; nor do those of one folder
    alone, as that makes no classes.

    Args:
        root: the folder.
        format: that of the pictures, one of `netwright.data.layouts.image_formats.OF_FILES`.
    """
    volumes = pictures = folders = 0
    for folder in folders_near_top(root):
        here = len(volume_files_in(folder)) + holds_slices(folder)
        own = 0 if here else sum(map(is_picture, folder.iterdir()))
        volumes, pictures, folders = volumes + here, pictures + own, folders + bool(own)
    return 2 * pictures > volumes and (folders > 1 or format == IMAGES)


def refuse_among_slices(root: Path, format: str) -> None:
    """Refuse pictures in folders beside as many slices in DICOM: they may be label maps, one for each slice (CHAOS).

    Args:
        root: the folder.
        format: as in `more_pictures`.

    Raises:
        DatasetError: there are half as many slices as pictures, or more.
    """
    slices = pictures = 0
    series: Path | None = None
    for folder in folders_near_top(root):
        if holds_slices(folder):
            slices += sum(map(looks_like_dicom, folder.iterdir()))
            series = series or folder
        else:
            pictures += sum(map(is_picture, folder.iterdir()))
    if series is not None and 2 * slices >= pictures:
        raise DatasetError(
            f"{root} has series in DICOM, such as {series.relative_to(root)}, and pictures, which may be label maps of "
            "their slices: expected a label map for each series, as one volume. Stack the pictures of each series on "
            "its grid, and save them as NIfTI: images/a/ (the series) beside labels/a.nii.gz. If the pictures are "
            f"meant alone, say --format {format}."
        )
