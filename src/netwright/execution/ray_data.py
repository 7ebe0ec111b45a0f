"""Data for nodes of a Ray cluster that do not see its folder: each gets it once, through Ray's object store."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from filelock import FileLock

PIECE_BYTES = 64 * 2**20
"""A node that unpacks a file has so much of it in memory."""
Pieces = list[tuple[str, list[Any]]]
"""The files of a folder: the name of each, and the references of its pieces in the object store."""


class Parcel:
    """A folder that is put into Ray's object store when a node first lacks it.

    Args:
        ray: the package.
        folder: whose files do not change.
    """

    def __init__(self, ray: Any, folder: Path) -> None:
        self._ray = ray
        self._folder = folder
        self._lock = threading.Lock()
        self._pieces: Pieces | None = None

    def pieces(self) -> Pieces:
        """Its files in the object store."""
        with self._lock:
            if self._pieces is None:
                files = (path for path in sorted(self._folder.rglob("*")) if path.is_file())
                self._pieces = [
                    (
                        str(path.relative_to(self._folder)),
                        [self._ray.put(piece) for piece in _pieces_of(path)],
                    )
                    for path in files
                ]
            return self._pieces


def unpack(pieces: Pieces, folder: Path, get: Callable[[Any], bytes]) -> None:
    """Makes a folder on this node, whole or not at all, unless it is there: whoever comes meanwhile waits for that.

    Args:
        pieces: of a `Parcel`.
        folder: to be made.
        get: fetches a piece.

    Raises:
        OSError: it cannot be written.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(folder.with_name(f".{folder.name}.lock")):
        if folder.is_dir():
            return
        partial = folder.with_name(f".{folder.name}.partial")
        shutil.rmtree(partial, ignore_errors=True)
        try:
            for name, references in pieces:
                (partial / name).parent.mkdir(parents=True, exist_ok=True)
                with (partial / name).open("wb") as file:
                    for reference in references:
                        file.write(get(reference))
            partial.replace(folder)
        finally:
            shutil.rmtree(partial, ignore_errors=True)


def _pieces_of(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while piece := file.read(PIECE_BYTES):
            yield piece
