"""The voxels of a stack of TIFF pages, of which a page is read when it is needed."""

from __future__ import annotations

from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from netwright.data.io.tiff import is_whole

_DESCRIPTION = 270
"""The tag in which OME-XML and the descriptions of ImageJ and tifffile lie."""


class Pages:
    """An array (X, Y, Z) or (X, Y, Z, C) that reads the pages it is sliced from, and keeps the last one.

    Args:
        path: of the file.
        series: tifffile's, of the opened file.
        axes: ``ZYX``, ``CZYX`` or ``ZCYX``.
        shape: that of the array.

    Raises:
        ValueError: pages are missing, lie in another file, or end after the file does.
    """

    def __init__(self, path: Path, series: Any, axes: str, shape: tuple[int, ...]) -> None:
        self.shape = shape
        self.ndim = len(shape)
        self.dtype = np.dtype(series.dtype)
        planes = np.arange(prod(shape[2:])).reshape([shape["XYZC".index(axis)] for axis in axes[:-2]])
        self._numbers = planes.T if axes == "CZYX" else planes
        self._pages: list[Any] = list(series.pages)
        self._together = None
        if len(self._pages) != planes.size:
            # One directory describes all pages, which lie one after the other.
            self._together = _mapped(path, series, (planes.size, shape[1], shape[0]))
        else:
            size = path.stat().st_size
            for page in self._pages:
                _require_whole(page, (shape[1], shape[0]), series, size)
        self._last: tuple[int, NDArray[Any]] | None = None

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        array = self[...]
        return array if dtype is None else array.astype(dtype)

    def __getitem__(self, key: Any) -> NDArray[Any]:
        keys = key if isinstance(key, tuple) else (key,)
        if Ellipsis in keys:
            at = keys.index(Ellipsis)
            whole = (slice(None),) * (self.ndim - len(keys) + 1)
            keys = (*keys[:at], *whole, *keys[at + 1 :])
        x, y, *further = keys
        numbers = np.asarray(self._numbers[tuple(further)])
        planes = np.stack([self._page(int(number))[y, x] for number in numbers.ravel()])
        return np.moveaxis(planes.reshape(*numbers.shape, *planes.shape[1:]), (-1, -2), (0, 1))

    def _page(self, number: int) -> NDArray[Any]:
        """A page (Y, X)."""
        if self._together is not None:
            return np.asarray(self._together[number])
        if self._last is None or self._last[0] != number:
            self._last = number, self._pages[number].asarray(maxworkers=1).reshape(self.shape[1::-1])
        return self._last[1]


def _mapped(path: Path, series: Any, shape: tuple[int, int, int]) -> NDArray[Any]:
    """Pages (N, Y, X) that lie one after the other and are not packed."""
    if series.dataoffset is None:
        raise ValueError("fewer pages than its description announces")
    kind = np.dtype(series.dtype).newbyteorder(series.keyframe.parent.byteorder)
    if series.dataoffset + prod(shape) * kind.itemsize > path.stat().st_size:
        raise ValueError("the file ends before its last page")
    return np.memmap(path, kind, "r", series.dataoffset, shape)


def _require_whole(page: Any, shape: tuple[int, int], series: Any, size: int) -> None:
    """Refuse a page that is missing or ends after the file: decoders fill in what is missing."""
    if page is None or page.parent is not series.keyframe.parent:
        raise ValueError("a page is missing, or lies in another file")
    if tuple(page.shape) != shape:
        raise ValueError(f"a page of {page.shape} among those of {shape}")
    packed = series.keyframe.compression != 1
    wanted = 1 if packed else prod(shape) * series.keyframe.bitspersample // 8
    if not is_whole(page, size) or sum(page.databytecounts) < wanted:
        raise ValueError("a page ends after the file does, or lacks pixels")


def require_all_pages(file: Any) -> None:
    """Refuse a file whose list of pages breaks off, or whose description is lost or does not fit: tifffile then gives
    the pages that are left, without their meaning.

    Args:
        file: opened with tifffile.

    Raises:
        ValueError: it is such a file.
    """
    handle, tiff, first = file.filehandle, file.tiff, file.pages[0]
    handle.seek(file.pages.next_page_offset)
    if any(end := handle.read(tiff.offsetsize)) or len(end) < tiff.offsetsize:
        raise ValueError("the list of pages breaks off")
    handle.seek(first.offset)
    count = int.from_bytes(handle.read(tiff.tagnosize), "little" if tiff.byteorder == "<" else "big")
    tags = np.frombuffer(handle.read(count * tiff.tagsize), np.uint8).reshape(-1, tiff.tagsize)
    codes = np.ascontiguousarray(tags[:, :2]).view(f"{tiff.byteorder}u2")
    if _DESCRIPTION in codes and _DESCRIPTION not in first.tags:
        raise ValueError("the description of the pages lies beyond the end of the file")
    described = file.is_ome or file.is_imagej or file.is_shaped
    if described and file.series[0].kind in ("generic", "uniform"):
        raise ValueError("the description does not fit the pages, or some of them lie in another file")
