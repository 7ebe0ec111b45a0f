"""Which kind of file was sent, by how it begins: the name that a client gives it is never used."""

from __future__ import annotations

from typing import Literal

HEAD_BYTES = 352
"""So much of a file says what it is."""

_VOLUMES = (".nii.gz", ".nii", ".tif")
_PICTURES = (".png", ".jpg", ".tif", ".bmp", ".gif")

_MARKS = {
    b"\x1f\x8b": ".nii.gz",
    b"\x89PNG\r\n\x1a\n": ".png",
    b"\xff\xd8\xff": ".jpg",
    b"II*\0": ".tif",
    b"MM\0*": ".tif",
    b"II+\0": ".tif",
    b"MM\0+": ".tif",
    b"BM": ".bmp",
    b"GIF8": ".gif",
}
TYPES = {
    ".nii.gz": "application/gzip",
    ".nii": "application/octet-stream",
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".tif": "image/tiff",
    ".bmp": "image/bmp",
    ".gif": "image/gif",
}
"""Media types by file ending."""


def endings_of(kind: Literal["volume", "picture"]) -> tuple[str, ...]:
    """The endings of the files that are taken, as `ending_of` tells them. A TIFF of several pages is a volume.

    Formats that may name further files, whose contents would be read from this machine's disk, are not among them.
    """
    return _VOLUMES if kind == "volume" else _PICTURES


def ending_of(head: bytes) -> str | None:
    """The ending for a file that begins so; None where it is of no kind that is taken.

    ``head``: its first `HEAD_BYTES` bytes, or all of it.
    """
    if head[344:348] == b"n+1\0" or head[4:8] == b"n+2\0":
        return ".nii"
    return next((ending for mark, ending in _MARKS.items() if head.startswith(mark)), None)


def type_of(name: str) -> str:
    """The media type of a file by its name."""
    ending = next((ending for ending in TYPES if name.endswith(ending)), None)
    return "application/octet-stream" if ending is None else TYPES[ending]
