"""Folders that are built once for all processes, and appear whole or not at all."""

from __future__ import annotations

import errno
import os
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from filelock import FileLock

from netwright.errors import DatasetError, StorageError

MARGIN = 16e6
"""Bytes that must stay free beside the arrays: for the index, and for what a file system needs itself."""

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}

Opened = TypeVar("Opened")


def cache_folder(root: Path, dataset: str, key: str) -> Path:
    """The folder of a prepared dataset: its key, and its name in characters that every file system accepts.

    Args:
        root: the folder of all prepared data.
        dataset: its name.
        key: identifies contents and settings.
    """
    name = re.sub(r"[^A-Za-z0-9_.-]+", "_", dataset)[:60]
    return root / f"{name}-{key}"


def open_or_build(
    folder: Path, open_folder: Callable[[Path], Opened], build: Callable[[Path], None], needed: int
) -> Opened:
    """Opens a folder that is built once. ``build`` fills it where it is missing or damaged.

    Several processes may want the same folder: all wait for the first. A process that is killed leaves nothing that
    looks complete, because ``build`` writes into another folder, which is renamed at the end.

    Args:
        folder: the folder to open.
        open_folder: opens the folder. It raises DatasetError where the folder is missing or damaged.
        build: writes the contents into the folder that it is given.
        needed: about how many bytes ``build`` writes.

    Raises:
        StorageError: there is no room, or the folder cannot be written.
    """
    if (contents := _opened_or_none(folder, open_folder)) is not None:
        return contents
    with _locked(folder):
        if (contents := _opened_or_none(folder, open_folder)) is not None:
            return contents
        shutil.rmtree(folder, ignore_errors=True)
        partial_folder = folder.with_name(f".{folder.name}.partial")
        shutil.rmtree(partial_folder, ignore_errors=True)
        try:
            with _storage_errors(folder, needed):
                if shutil.disk_usage(folder.parent).free < needed + MARGIN:
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                partial_folder.mkdir()
                build(partial_folder)
                partial_folder.replace(folder)
        finally:
            shutil.rmtree(partial_folder, ignore_errors=True)
    return open_folder(folder)


def write_header(file: Any, shape: tuple[int, ...], dtype: str) -> None:
    """Writes the header of a .npy file. The values follow in order.

    Args:
        file: open for writing in binary mode.
        shape: of the array.
        dtype: of the array, in numpy's short form.
    """
    header = {"descr": dtype, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, header)


def _opened_or_none(folder: Path, open_folder: Callable[[Path], Opened]) -> Opened | None:
    """The contents of a folder, or None where it is missing or damaged."""
    try:
        return open_folder(folder)
    except DatasetError:
        return None


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Lets one process at a time into the block. The operating system releases the lock when the process dies."""
    with _storage_errors(folder, 0):
        folder.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder.with_name(f".{folder.name}.lock"))
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


@contextmanager
def _storage_errors(folder: Path, needed: int) -> Iterator[None]:
    """Turns errors of the operating system about a cache folder into messages for the user.

    Raises:
        StorageError: in place of an OSError.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in _FULL:
            raise StorageError(
                f"{folder} cannot be written ({error.strerror or error}): expected a folder for the "
                "preprocessed dataset. Choose another folder for the cache, or change its permissions."
            ) from error
        free = shutil.disk_usage(next(parent for parent in folder.parents if parent.exists())).free
        raise StorageError(
            f"{folder.parent} does not have enough space for the preprocessed dataset: expected "
            f"{(needed + MARGIN) / 1e6:.0f} MB, found {free / 1e6:.0f} MB free. Free some space, choose another "
            "folder for the cache, or a smaller size."
        ) from error
