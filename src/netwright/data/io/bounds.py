"""How much of one file is read: what its header announces is looked at before anything is unpacked.

A file of a few kilobytes may announce gigabytes of zeros. Pictures are decoded whole, so that they have the smallest
bound. Volumes and arrays are read some at a time where that is enough, and have larger ones.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from math import prod
from pathlib import Path
from threading import Condition

from netwright.data.issues import Problem, UnusableFile
from netwright.errors import SettingsError

MAX_PIXELS = 25_000_000
"""Of one picture: 5,000 x 5,000."""

MAX_VOXELS = 1 << 29
"""Of one volume, over all its channels or time points, 536,870,912: 1,024 x 1,024 x 512."""

MAX_PICTURES = 1 << 20
"""In one array, 1,048,576."""

MANY_PICTURES = 50_000
FEWEST_BYTES = 64
"""Of a file for each of more than `MANY_PICTURES`; the packed files of MNIST have 165."""

MOST_UNPACKED = 1032
"""Deflate, the method of gzip and zlib, makes no more bytes than these of one."""

VARIABLE = "NETWRIGHT_MAX_PIXELS"
"""The environment variable with another bound, which worker processes inherit."""


@contextmanager
def max_pixels(most: int | None) -> Iterator[None]:
    """Read pictures of at most so many pixels, and volumes of at most so many voxels, in place of the bounds above.

    It holds in all threads, and in processes that are started meanwhile. None changes nothing.

    Example:
        >>> with max_pixels(200_000_000):  # doctest: +SKIP
        ...     inspect_any(open_any("slides"))

    Raises:
        SettingsError: the number is below 1.
    """
    before = os.environ.get(VARIABLE)
    set_max_pixels(most)
    try:
        yield
    finally:
        if before is not None:
            os.environ[VARIABLE] = before
        elif most is not None:
            del os.environ[VARIABLE]


def set_max_pixels(most: int | None) -> None:
    """The same until the end of the process.

    Raises:
        SettingsError: as `max_pixels`.
    """
    if most is not None:
        os.environ[VARIABLE] = str(_checked(str(most)))


def _checked(text: str) -> int:
    if not (text.isdecimal() and len(text) < 20 and int(text)):
        raise SettingsError(
            f"The bound of pixels ({VARIABLE} or --max-pixels) is {text!r}: expected a whole number."
        )
    return int(text)


def _most(usual: int) -> int:
    given = os.environ.get(VARIABLE)
    return usual if given is None else _checked(given)


def require_contents(path: Path, location: str, pictures: int) -> None:
    """Refuse an array of many pictures in a file of few bytes: each takes about 2 KB of memory to be listed.

    Args:
        path: of the file.
        location: the array in it, for the error.
        pictures: how many there are.

    Raises:
        UnusableFile: more than `MANY_PICTURES`, with less than `FEWEST_BYTES` of the file for each, and no other bound
            was given.
    """
    size = path.stat().st_size
    if pictures > MANY_PICTURES and size < FEWEST_BYTES * pictures and VARIABLE not in os.environ:
        raise _too_large(
            location,
            f"cannot be read, as it announces {pictures:,} pictures",
            f"at least {FEWEST_BYTES} bytes of the file for each of more than {MANY_PICTURES:,}",
            path,
            "Pictures that are compressed so much are empty. If the size is right, and there is enough memory, give "
            f"--max-pixels {MAX_PIXELS}.",
        )


def require_pixels(path: Path, shape: Sequence[int], itemsize: int = 1, *, opacity: bool = False) -> None:
    """Refuse a picture (height, width) that is larger than what is read.

    Numbers of 8 bytes count twice, and pixels with an opacity half as much again, as they take more memory.

    Args:
        path: of the file.
        shape: (height, width).
        itemsize: bytes of a number.
        opacity: whether the pixels have an opacity.

    Raises:
        UnusableFile: it is.
    """
    size = max(4, itemsize) * (1.5 if opacity else 1)
    _require(path, shape, MAX_PIXELS, "pixels", "crop or scale the picture", itemsize=int(size))


def can_hold(stored: int, wanted: int, *, packed: bool) -> bool:
    """Whether so many bytes of a file, ``packed`` by gzip or zlib or not, can make the ``wanted`` ones.

    Args:
        stored: bytes in the file.
        wanted: bytes that they should become.
        packed: whether they are compressed.
    """
    return stored * (MOST_UNPACKED if packed else 1) >= wanted


def require_voxels(path: Path, shape: Sequence[int]) -> None:
    """Refuse a volume (X, Y, Z, ...) that is larger than what is read.

    Raises:
        UnusableFile: it is.
    """
    _require(path, shape, MAX_VOXELS, "voxels", "crop the volume")


def require_pictures(path: Path, location: str, shape: Sequence[int], itemsize: int) -> None:
    """Refuse an array (N, ...) of more rows than are read, or of pictures (H, W, ...) that are too large.

    Numbers of 8 bytes count twice.

    Args:
        path: of the file.
        location: the array in it, for the error.
        shape: of the array.
        itemsize: bytes of a number.

    Raises:
        UnusableFile: it is.
    """
    if shape and shape[0] > MAX_PICTURES:
        raise _too_large(
            location,
            f"cannot be read, as it announces {shape[0]:,} pictures",
            f"at most {MAX_PICTURES:,} in one array",
            path,
            "Save fewer pictures, or each as its own file.",
        )
    _require(
        path,
        shape[1:],
        _most(MAX_PIXELS) * 4 // max(4, itemsize),
        "values a picture",
        "crop or scale them",
        location,
    )


def most_pictures(path: Path) -> int:
    """How many pictures a file may hold, at most: no more than `require_contents` and `require_pictures` allow."""
    if VARIABLE in os.environ:
        return MAX_PICTURES
    return min(MAX_PICTURES, max(MANY_PICTURES, path.stat().st_size // FEWEST_BYTES))


def require_unpacked(path: Path, size: int, most: int) -> None:
    """Refuse a file that holds more than is read.

    Args:
        path: of the file.
        size: how many bytes it holds, unpacked, or more than ``most``.
        most: how many are read.

    Raises:
        UnusableFile: it holds more.
    """
    if size > most:
        what = f"cannot be read, as it unpacks to more than {most:,} bytes"
        raise _too_large(
            str(path), what, f"at most {most:,}", path, "The file may be damaged: fetch it again."
        )


class _Room:
    """Pixels that are decoded at once, in all threads."""

    def __init__(self) -> None:
        self._changed = Condition()
        self._taken = 0

    @contextmanager
    def of(self, pixels: int) -> Iterator[None]:
        with self._changed:
            self._changed.wait_for(lambda: not self._taken or self._taken + pixels <= MAX_PIXELS)
            self._taken += pixels
        try:
            yield
        finally:
            with self._changed:
                self._taken -= pixels
                self._changed.notify_all()


_room = _Room()


def room_for(pixels: int) -> AbstractContextManager[None]:
    """Wait until a picture of so many pixels can be looked at without more than `MAX_PIXELS` at once in memory.

    A larger one is looked at alone.
    """
    return _room.of(pixels)


def _require(
    path: Path,
    shape: Sequence[int],
    usual: int,
    unit: str,
    way: str,
    location: str | None = None,
    itemsize: int = 1,
) -> None:
    times = max(4, itemsize)
    count, most = prod(int(length) for length in shape), _most(usual) * 4 // times
    if count <= most:
        return
    raise _too_large(
        location or str(path),
        f"cannot be read, as it announces {' x '.join(str(length) for length in shape)}, {count:,} {unit}",
        f"at most {most:,}",
        path,
        f"The header may be damaged. If the size is right, {way}; or, with enough memory, raise the "
        f"limit with --max-pixels {-(-count * times // 4)}.",
    )


def _too_large(location: str, what: str, expected: str, path: Path, advice: str) -> UnusableFile:
    size = f"{path.stat().st_size if path.is_file() else 0:,} bytes"
    found = f"that many in {'the files of a folder' if path.is_dir() else size}"
    return UnusableFile(Problem("error", location, what, expected, found, advice, kind="too-large"))
