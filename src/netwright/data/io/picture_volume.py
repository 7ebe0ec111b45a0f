"""Pictures and masks as volumes: (columns, rows, 1), with a grid that shows them upright.

Voxels are 1 mm wide, columns run to the patient's left and rows to the back, as radiologists look at axial slices. The
canonical array is (columns, rows, 1), both reversed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from netwright.data.io.grid import Grid
from netwright.data.io.images import PICTURE_ENDINGS, read_head, read_picture, write_label_picture
from netwright.data.io.masks import mask_digests, mask_files, mask_size, read_mask
from netwright.data.io.volume_file import FileFormat, VolumeFile, WithoutTimeOrScale


@dataclass(frozen=True)
class PictureFile(WithoutTimeOrScale):
    """A picture or mask, or a folder with a mask for each object, as a `netwright.data.io.volume_file.VolumeFile`."""

    path: Path

    @property
    def shape(self) -> tuple[int, ...]:
        """(columns, rows, 1), or (columns, rows, 1, 3) of a picture in colours."""
        head = read_head(mask_files(self.path)[0])
        height, width = head.size
        return (width, height, 1) if head.channels == 1 else (width, height, 1, head.channels)

    @property
    def grid(self) -> Grid:
        """That of (columns, rows): the last pixel lies at the origin."""
        height, width = mask_size(self.path)
        rows = (
            (-1.0, 0.0, 0.0, width - 1.0),
            (0.0, -1.0, 0.0, height - 1.0),
            (0.0, 0.0, 1.0, 0.0),
            (0.0, 0.0, 0.0, 1.0),
        )
        return Grid((width, height, 1), rows)

    @contextmanager
    def voxels(self, *, labels: bool = False) -> Iterator[NDArray[Any]]:
        """The pixels as they are shown; of a mask the labels as they are stored."""
        if labels:
            yield read_mask(self.path).T[:, :, None]
        else:
            yield np.moveaxis(read_picture(self.path).pixels, 0, 1)[:, :, None]


def _write_labels(path: Path, labels: NDArray[Any], reference: VolumeFile, names: Mapping[int, str]) -> None:
    write_label_picture(path, labels, reference.path)


PICTURES = FileFormat(
    "PNG",
    PICTURE_ENDINGS,
    ".png",
    PictureFile,
    _write_labels,
    volumes=False,
    files_of=mask_files,
    digests=mask_digests,
)
"""Pictures of any kind that is read; label maps are written as PNG, or as their name says."""
