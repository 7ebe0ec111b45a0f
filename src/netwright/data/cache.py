"""Preprocessing once for all: a folder keyed by the files' content and the settings, built atomically."""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from hashlib import blake2b, file_digest
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock
from numpy.typing import NDArray

from netwright.data.checks import check_case, require_label
from netwright.data.dataset import Case, Dataset
from netwright.data.geometry import Geometry
from netwright.data.parallel import in_order
from netwright.data.prepared import IMAGES, INDEX, LABELS, VERSION, Prepared, PreparedCase, open_prepared
from netwright.data.preprocessing import PreprocessingSettings, normalised
from netwright.data.volumes import read_grid, require_file
from netwright.errors import DatasetError, StorageError

__all__ = ["Prepared", "open_prepared", "prepare"]

_MARGIN = 16e6
"""Bytes that stay free beside the cache, for the index and for what a file system keeps to itself."""

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


def prepare(
    dataset: Dataset,
    settings: PreprocessingSettings,
    cache_root: Path,
    *,
    workers: int = 1,
    on_case: Callable[[int, int], None] | None = None,
) -> Prepared:
    """Every case preprocessed and written to a folder under ``cache_root``, or that folder as found.

    The folder's name holds a hash of what the files contain and of the settings; processes that want the same
    one wait for the first, and one that is killed leaves nothing that would be taken for whole.
    ``on_case(done, total)`` is called after each case that is written.

    Raises:
        UnusableFile: a file cannot be used; it is the error that `inspect_dataset` reports.
        DatasetError: there are no cases.
        StorageError: there is no room for the cache, or it cannot be written.
    """
    geometries, resolved = _plan(dataset, settings, workers)
    name = re.sub(r"[^A-Za-z0-9_.-]+", "_", dataset.name)[:60]
    folder = Path(cache_root) / f"{name}-{_key(dataset, resolved, workers)}"
    if (found := _opened(folder)) is not None:
        return found
    with _locked(folder):
        if (found := _opened(folder)) is not None:
            return found
        shutil.rmtree(folder, ignore_errors=True)
        _build(dataset, resolved, geometries, folder, workers, on_case)
    return open_prepared(folder)


def _opened(folder: Path) -> Prepared | None:
    """The cache in a folder, None where it is missing or damaged."""
    try:
        return open_prepared(folder)
    except DatasetError:
        return None


def _plan(
    dataset: Dataset, settings: PreprocessingSettings, workers: int
) -> tuple[list[Geometry], PreprocessingSettings]:
    if not dataset.cases:
        raise DatasetError(f"{dataset.root} has no labelled cases: nothing can be prepared. Add cases.")
    grids = list(in_order(lambda case: read_grid(case.images[0]), dataset.cases, workers))
    resolved = settings.resolved(grids)
    return [resolved.geometry(grid) for grid in grids], resolved


def _bytes(dataset: Dataset, geometries: Sequence[Geometry]) -> int:
    voxels = sum(int(np.prod(geometry.size)) for geometry in geometries)
    return voxels * (4 * len(dataset.channels) + 1)


def _key(dataset: Dataset, settings: PreprocessingSettings, workers: int) -> str:
    """A hash of everything that the cache depends on; where the dataset lies is no part of it."""
    meaning = {
        "version": VERSION,
        "dataset": dataset.name,
        "channels": dataset.channels,
        "labels": list(dataset.labels.items()),
        "map_label": list(dataset.map_label.items()),
        "settings": settings.to_dict(),
        "cases": list(in_order(_case_digests, dataset.cases, workers)),
    }
    return blake2b(json.dumps(meaning, sort_keys=True).encode(), digest_size=8).hexdigest()


def _case_digests(case: Case) -> list[str]:
    return [case.name, *map(_file_digest, (*case.images, require_label(case)))]


def image_digest(case: Case) -> str:
    """A hash of the content of a case's image files, whatever they are called.

    Raises:
        UnusableFile: a file is missing.
    """
    return " ".join(map(_file_digest, case.images))


def _file_digest(path: Path) -> str:
    require_file(path)
    with path.open("rb") as file:
        return file_digest(file, partial(blake2b, digest_size=16)).hexdigest()


def _build(
    dataset: Dataset,
    settings: PreprocessingSettings,
    geometries: Sequence[Geometry],
    folder: Path,
    workers: int,
    on_case: Callable[[int, int], None] | None,
) -> None:
    needed = _bytes(dataset, geometries)
    partial_folder = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(partial_folder, ignore_errors=True)
    with _storage_errors(folder, needed):
        if shutil.disk_usage(folder.parent).free < needed + _MARGIN:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        partial_folder.mkdir()
    try:
        cases = _write_arrays(dataset, settings, geometries, partial_folder, workers, on_case)
        prepared = Prepared(
            folder,
            dataset.name,
            dataset.channels,
            dataset.label_names,
            dataset.label_values,
            settings,
            tuple(cases),
        )
        with _storage_errors(folder, needed):
            (partial_folder / INDEX).write_text(json.dumps(prepared.to_dict()), encoding="utf-8")
            partial_folder.replace(folder)
    finally:
        shutil.rmtree(partial_folder, ignore_errors=True)


def _write_arrays(
    dataset: Dataset,
    settings: PreprocessingSettings,
    geometries: Sequence[Geometry],
    folder: Path,
    workers: int,
    on_case: Callable[[int, int], None] | None,
) -> list[PreparedCase]:
    """Written as plain files, in order: a full disk then is an error, where a memory map would be a crash."""
    needed = _bytes(dataset, geometries)
    voxels = sum(int(np.prod(geometry.size)) for geometry in geometries)
    process = partial(_process, dataset=dataset, settings=settings)
    pairs = list(zip(dataset.cases, geometries, strict=True))
    cases: list[PreparedCase] = []
    with (
        _storage_errors(folder, needed),
        (folder / IMAGES).open("wb") as images,
        (folder / LABELS).open("wb") as labels,
    ):
        _write_header(images, voxels * len(dataset.channels), "<f4")
        _write_header(labels, voxels, "|u1")
        for (case, geometry), (image, label) in zip(pairs, in_order(process, pairs, workers), strict=True):
            images.write(image.astype("<f4", copy=False).data)
            labels.write(label.data)
            counts = np.bincount(label.ravel(), minlength=dataset.classes)
            cases.append(PreparedCase(case.name, geometry, tuple(counts.tolist())))
            if on_case is not None:
                on_case(len(cases), len(dataset.cases))
        for file in (images, labels):
            file.flush()
            os.fsync(file.fileno())
    return cases


def _process(
    pair: tuple[Case, Geometry], dataset: Dataset, settings: PreprocessingSettings
) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    case, geometry = pair
    volume, labels = check_case(case, dataset).require_usable()
    return geometry.prepare_image(normalised(volume.array, settings)), geometry.prepare_labels(labels)


def _write_header(file: Any, length: int, dtype: str) -> None:
    header = {"descr": dtype, "fortran_order": False, "shape": (length,)}
    np.lib.format.write_array_header_1_0(file, header)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Held by one process at a time; the operating system releases it when the process dies."""
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
            f"{folder.parent} has no room for the preprocessed dataset: expected "
            f"{(needed + _MARGIN) / 1e6:.0f} MB, found {free / 1e6:.0f} MB free. Make room, choose another "
            "folder for the cache, or a smaller size."
        ) from error
