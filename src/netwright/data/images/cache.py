"""Prepares pictures once. The folder's name depends on their content and the settings."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from netwright.data.base import OnCase
from netwright.data.build_once import cache_folder, open_or_build, write_header
from netwright.data.files import READING, content_digest
from netwright.data.given_parts import GivenParts
from netwright.data.images.dataset import ImageSet
from netwright.data.images.prepared import (
    IMAGES,
    INDEX,
    VERSION,
    PreparedImages,
    open_prepared_images,
)
from netwright.data.images.reading import as_trained, stored_chunks
from netwright.data.images.settings import WHITE, ImageSettings, PicturePreparation
from netwright.data.images.splits import image_splits
from netwright.data.io.images import read_otherwise_before
from netwright.data.issues import UnusableFile
from netwright.data.layouts.class_folders import ONE_CLASS
from netwright.data.parallel import many_in_order
from netwright.data.splits import FRACTIONS
from netwright.errors import DatasetError


def prepare_images(
    dataset: ImageSet,
    settings: ImageSettings,
    cache_root: Path,
    *,
    seed: int = 0,
    fractions: tuple[float, float, float] = FRACTIONS,
    given: GivenParts | None = None,
    workers: int = 1,
    on_case: OnCase | None = None,
) -> PreparedImages:
    """Brings every picture to one size and writes them to a folder under ``cache_root``, or opens that folder where it
    exists.

    Size, means and standard deviations are those of the official training part. Without an official test part, they are
    those of the training part that `image_splits` gives for ``seed`` and ``fractions``, or for the parts that the user
    gave, and the folder is for that division only. So test pictures never influence them.

    Args:
        dataset: the pictures.
        settings: size and normalisation.
        cache_root: the folder of all prepared data.
        seed: as in `image_splits`.
        fractions: as in `image_splits`.
        given: as in `image_splits`.
        workers: the number of threads.
        on_case: called with the number of pictures done and of all, while pictures are written.

    Raises:
        UnusableFile: a picture cannot be used. It is the error that `inspect_images` reports.
        DatasetError: there are too few pictures.
        StorageError: there is no room for the cache, or it cannot be written.
    """
    _require_usable(dataset)
    training = _training(dataset, seed, fractions, given)
    known = [
        record.size
        for record, chosen in zip(dataset.records, training, strict=True)
        if chosen and record.size
    ]
    return _prepared(dataset, settings.resolved(known), training, Path(cache_root), workers, on_case)


def prepare_like(
    dataset: ImageSet,
    preparation: PicturePreparation,
    cache_root: Path,
    *,
    workers: int = 1,
    on_case: OnCase | None = None,
) -> PreparedImages:
    """Prepares pictures like those that a network was trained on. Nothing is measured on them.

    Their number and classes do not matter; a single class is enough.

    Args:
        dataset: the pictures.
        preparation: how the network's own pictures were prepared.
        cache_root: the folder of all prepared data.
        workers: the number of threads.
        on_case: as in `prepare_images`.

    Raises:
        UnusableFile: a picture cannot be used.
        DatasetError: there are none, or they have colours or numbers that the training pictures had not.
        StorageError: there is no room for the cache, or it cannot be written.
    """
    _require_usable(dataset, but=ONE_CLASS)
    if not dataset.records:
        raise DatasetError(
            f"{dataset.root} holds no pictures: expected some. Check whether they were copied."
        )
    return _prepared(
        as_trained(dataset, preparation),
        preparation.settings,
        preparation,
        Path(cache_root),
        workers,
        on_case,
    )


def _require_usable(dataset: ImageSet, but: str = "") -> None:
    """Refuses a set that has an error. Errors of the kind ``but`` are allowed."""
    for problem in dataset.problems:
        if problem.severity == "error" and problem.kind != but:
            raise UnusableFile(problem)


def _prepared(
    dataset: ImageSet,
    settings: ImageSettings,
    scales: PicturePreparation | NDArray[np.bool_],
    cache_root: Path,
    workers: int,
    on_case: OnCase | None,
) -> PreparedImages:
    """Prepares the pictures. ``scales`` holds means and standard deviations, or for each picture whether they are
    measured on it.
    """
    folder = cache_folder(cache_root, dataset.name, _key(dataset, settings, scales, workers))

    def build(partial_folder: Path) -> None:
        _build(dataset, settings, scales, partial_folder, workers, on_case)

    return open_or_build(folder, open_prepared_images, build, _bytes(dataset, settings))


def content_digests(dataset: ImageSet, workers: int = 1) -> dict[str, str]:
    """A hash of each picture's content by its name: the bytes of its file, or of its row in an array.

    Two pictures with equal hashes are the same, whatever their names are.

    Raises:
        UnusableFile: a file is missing or damaged.
    """
    digests = (
        _row_digests(dataset) if dataset.arrays else many_in_order(content_digest, _files(dataset), workers)
    )
    return dict(zip(dataset.names, digests, strict=True))


def _training(
    dataset: ImageSet, seed: int, fractions: tuple[float, float, float], given: GivenParts | None
) -> NDArray[np.bool_]:
    """For each picture, whether size and normalisation may be measured on it."""
    parts = dataset.parts
    if given is None and "test" in parts:
        return np.array([part == "train" for part in parts])
    names = set(image_splits(dataset, seed, fractions, given).training)
    return np.array([name in names for name in dataset.names])


def _bytes(dataset: ImageSet, settings: ImageSettings) -> int:
    assert settings.size is not None
    pixels = settings.size[0] * settings.size[1] * len(dataset.channels)
    return len(dataset.records) * pixels * np.dtype(dataset.depth).itemsize


def _key(
    dataset: ImageSet, settings: ImageSettings, scales: PicturePreparation | NDArray[np.bool_], workers: int
) -> str:
    """A hash of everything that the cache depends on. The dataset's own path is not part of it."""
    digest = blake2b(digest_size=8)
    meaning: dict[str, Any] = {
        "version": VERSION,
        "dataset": dataset.name,
        "channels": dataset.channels,
        "classes": dataset.classes,
        "depth": dataset.depth,
        "settings": settings.to_dict(),
        "names": dataset.names,
        "labels": dataset.labels,
        "parts": dataset.parts,
        "scales": scales.to_dict()
        if isinstance(scales, PicturePreparation)
        else np.packbits(scales).tobytes().hex(),
    }
    if dataset.labels_for:  # the keys of others stay
        meaning["labels_for"] = dataset.labels_for
    boxes = {record.name: record.box for record in dataset.records if record.box is not None}
    if boxes:  # the keys of sets without any stay those of before there were boxes
        meaning["boxes"] = boxes
    if not dataset.arrays and any(many_in_order(read_otherwise_before, _files(dataset), workers)):
        meaning["reading"] = READING  # the keys of all others stay, too
    digest.update(json.dumps(meaning, sort_keys=True).encode())
    files = sorted({path for file in dataset.arrays.values() for path in file.paths})
    for content in many_in_order(content_digest, files or _files(dataset), workers):
        digest.update(content.encode())
    return digest.hexdigest()


def _files(dataset: ImageSet) -> list[Path]:
    return [record.path for record in dataset.records]


def _row_digests(dataset: ImageSet) -> Iterator[str]:
    known = {(record.part, record.row) for record in dataset.records}
    for part, file in dataset.arrays.items():
        rows = (row for chunk in file.chunks() for row in np.ascontiguousarray(chunk))
        for number, row in enumerate(rows):
            if (part, number) in known:
                yield blake2b(row.data, digest_size=16).hexdigest()


def _build(
    dataset: ImageSet,
    settings: ImageSettings,
    scales: PicturePreparation | NDArray[np.bool_],
    folder: Path,
    workers: int,
    on_case: OnCase | None,
) -> None:
    assert settings.size is not None
    total, channels = len(dataset.records), len(dataset.channels)
    moments = Moments(channels)
    with (folder / IMAGES).open("wb") as file:
        write_header(file, (total, channels, *settings.size), np.dtype(dataset.depth).newbyteorder("<").str)
        done = 0
        for chunk in stored_chunks(dataset, settings, workers):
            file.write(chunk.astype(chunk.dtype.newbyteorder("<"), copy=False).data)
            if not isinstance(scales, PicturePreparation):
                moments.add(chunk[scales[done : done + len(chunk)]])
            done += len(chunk)
            if on_case is not None:
                on_case(done, total)
        file.flush()
        os.fsync(file.fileno())
    if done != total:
        raise DatasetError(
            f"{dataset.root} changed while it was read: expected {total} pictures, found {done}."
        )
    prepared = PreparedImages(
        folder=folder,
        dataset=dataset.name,
        preparation=scales
        if isinstance(scales, PicturePreparation)
        else _measured(settings, dataset, moments),
        class_names=dataset.classes,
        names=dataset.names,
        labels=dataset.labels,
        parts=dataset.parts,
        labels_for=dataset.labels_for,
    )
    (folder / INDEX).write_text(json.dumps(prepared.to_dict()), encoding="utf-8")


@dataclass
class Moments:
    """Mean and variance of each channel over pictures (N, C, H, W) that come in several parts (Chan et al. 1979)."""

    channels: int

    def __post_init__(self) -> None:
        self.pixels = 0
        self.mean = np.zeros(self.channels)
        self.squares = np.zeros(self.channels)

    def add(self, pictures: NDArray[np.generic]) -> None:
        """Adds more pictures."""
        if not pictures.size:
            return
        pixels = pictures.size // self.channels
        means = pictures.mean(axis=(2, 3), dtype=np.float64)
        mean = means.mean(axis=0)
        inner = pictures.var(axis=(2, 3), dtype=np.float64).mean(axis=0)
        total, shift = self.pixels + pixels, mean - self.mean
        self.squares += pixels * (inner + means.var(axis=0)) + shift**2 * self.pixels * pixels / total
        self.mean = self.mean + shift * pixels / total
        self.pixels = total

    @property
    def std(self) -> NDArray[np.float64]:
        """The standard deviation of each channel."""
        return np.asarray(np.sqrt(self.squares / max(self.pixels, 1)))


def _measured(settings: ImageSettings, dataset: ImageSet, moments: Moments) -> PicturePreparation:
    """The means and standard deviations for the normalisation of each channel."""
    if settings.normalise == "zscore":
        means, stds = tuple(moments.mean.tolist()), tuple(moments.std.tolist())
    else:
        channels = len(dataset.channels)
        white = WHITE[dataset.depth] if settings.normalise == "unit" else 1.0
        means, stds = (0.0,) * channels, (white,) * channels
    return PicturePreparation(settings, dataset.channels, dataset.depth, means, stds)
