"""Reads the pixels of a set of pictures, many at a time, in the order of its records."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from netwright.data.images.dataset import Box, ImageSet, Record
from netwright.data.images.issues import range_problem
from netwright.data.images.settings import ImageSettings, PicturePreparation, converted, stored
from netwright.data.io.images import Picture, read_picture
from netwright.data.issues import Problem, UnusableFile
from netwright.data.parallel import chunks, in_order
from netwright.errors import DatasetError


def array_chunks(dataset: ImageSet) -> Iterator[NDArray[Any]]:
    """The pictures (N, H, W, C) of a dataset's array files, in the order of its records.

    Raises:
        UnusableFile: a file is damaged.
    """
    for file in dataset.arrays.values():
        for chunk in file.chunks():
            pictures = chunk if chunk.ndim == 4 else chunk[..., None]
            yield pictures.astype(np.float32, copy=False) if pictures.dtype.kind == "f" else pictures


def stored_chunks(dataset: ImageSet, settings: ImageSettings, workers: int) -> Iterator[NDArray[Any]]:
    """The pictures (N, C, H, W) of a dataset as they are stored, in the order of its records.

    Args:
        dataset: the pictures.
        settings: of the preparation.
        workers: number of threads.

    Raises:
        UnusableFile: a picture cannot be used. It is the error that `inspect_images` reports.
    """
    channels = len(dataset.channels)
    if not dataset.arrays:
        stored_files = partial(_stored_files, dataset=dataset, settings=settings)
        yield from in_order(stored_files, chunks(dataset.records), workers)
        return
    for chunk in array_chunks(dataset):
        problem = not_finite(dataset, chunk)
        if problem is None and not dataset.classes:
            problem = _beyond_white(str(dataset.root), chunk)
        if problem is not None:
            raise UnusableFile(problem)
        if chunk.shape[1:3] == settings.size:
            yield np.ascontiguousarray(np.moveaxis(converted(chunk, channels, dataset.depth), -1, 1))
        else:
            yield np.stack([stored(pixels, channels, dataset.depth, settings) for pixels in chunk])


def read_record(record: Record) -> Picture:
    """Reads a picture that has its own file, and crops it to its box where it has one.

    Raises:
        UnusableFile: as `read_picture`.
    """
    return cropped(read_picture(record.path), record.box)


def cropped(picture: Picture, box: Box | None) -> Picture:
    """The part of a picture within a box; the whole picture without a box."""
    if box is None:
        return picture
    left, top, right, bottom = box
    return picture._replace(pixels=picture.pixels[top:bottom, left:right])


def as_trained(dataset: ImageSet, preparation: PicturePreparation) -> ImageSet:
    """A set of pictures that is read like a network's training pictures: grey as colours, 8 bits as 16.

    Raises:
        DatasetError: its pictures cannot be read so.
    """
    channels, depth = preparation.channel_names, preparation.depth
    if len(dataset.channels) > len(channels):
        raise DatasetError(
            f"{dataset.root} holds pictures in colours: expected grey ones, as the network was trained on. Convert "
            "them to grey."
        )
    if dataset.depth != depth and not (dataset.depth == "uint8" and depth == "uint16"):
        raise DatasetError(
            f"{dataset.root} holds {_words(dataset.depth)}: expected {_words(depth)}, as the network was trained on. "
            "Save the pictures with these."
        )
    return replace(dataset, channels=channels, depth=depth)


def prepare_one(
    path: Path,
    preparation: PicturePreparation,
    box: Box | None = None,
    *,
    to_restore: bool = False,
) -> NDArray[np.float32]:
    """Takes one picture file (C, H, W) through every step, exactly as for training.

    Args:
        path: the file.
        preparation: of the training pictures.
        box: the part of the picture to use; None: all of it.
        to_restore: whether the picture is to be restored.

    Raises:
        UnusableFile: the file cannot be read, has colours where the training pictures were grey, or has another number
            type; or it is to be restored and holds real numbers outside 0 to 1.
    """
    picture = cropped(read_picture(path), box)
    problem = unfit(path, picture, len(preparation.channel_names), preparation.depth)
    if problem is None and to_restore:
        problem = _beyond_white(str(path), picture.pixels)
    if problem is not None:
        raise UnusableFile(problem)
    return preparation.normalised(
        stored(picture.pixels, len(preparation.channel_names), preparation.depth, preparation.settings)
    )


def unfit(path: Path, picture: Picture, channels: int, depth: str) -> Problem | None:
    """Why a picture does not fit to the others, which have ``channels`` and ``depth``; None where it does.

    Args:
        path: of the picture.
        picture: as it was read.
        channels: of the others.
        depth: the number type of the others.
    """
    pixels = picture.pixels
    if pixels.ndim == 3 and channels == 1:
        return Problem(
            "error",
            str(path),
            "is a picture in colours",
            expected="a grey one, as in training",
            found="red, green and blue",
            advice="Convert it, for example with Pillow: Image.open(path).convert('L').save(path).",
            kind="channels",
        )
    if pixels.dtype != depth and not (pixels.dtype == np.uint8 and depth == "uint16"):
        return Problem(
            "error",
            str(path),
            f"holds {_words(pixels.dtype.name)}",
            expected=f"{_words(depth)}, as the other pictures",
            found=_words(pixels.dtype.name),
            advice="Black and white do not lie at the same values there: save all pictures with one type of numbers.",
            kind="depth",
        )
    if pixels.dtype.kind == "f" and not np.isfinite(pixels).all():
        return _broken(str(path), int(np.count_nonzero(~np.isfinite(pixels))))
    return None


def not_finite(dataset: ImageSet, chunk: NDArray[Any]) -> Problem | None:
    """The problem of a chunk of pictures in which some numbers are NaN or infinite; None where all are finite."""
    if chunk.dtype.kind != "f" or (finite := np.isfinite(chunk)).all():
        return None
    return _broken(str(dataset.root), int(np.count_nonzero(~finite)))


def _beyond_white(location: str, pixels: NDArray[Any]) -> Problem | None:
    """The problem of pictures to restore with real numbers outside 0 to 1; None where all lie within."""
    if pixels.dtype.kind != "f":
        return None
    return range_problem(location, float(pixels.min()), float(pixels.max()))


def _broken(file: str, count: int) -> Problem:
    return Problem(
        "error",
        file,
        "has pixels that are not numbers (NaN or infinite)",
        expected="finite values",
        found=f"{count} pixel{'s' * (count != 1)} that are not",
        advice="Replace them, for example with numpy.nan_to_num, and save the pictures again.",
        kind="not-finite",
    )


def _words(depth: str) -> str:
    return {"uint8": "8-bit numbers", "uint16": "16-bit numbers"}.get(depth, "real or 32-bit numbers")


def _stored_files(records: Sequence[Record], dataset: ImageSet, settings: ImageSettings) -> NDArray[Any]:
    channels = len(dataset.channels)
    pictures = []
    for record in records:
        picture = read_record(record)
        problem = unfit(record.path, picture, channels, dataset.depth)
        if problem is None and not dataset.classes:
            problem = _beyond_white(str(record.path), picture.pixels)
        if problem is not None:
            raise UnusableFile(problem.relative_to(dataset.root))
        pictures.append(stored(picture.pixels, channels, dataset.depth, settings))
    return np.stack(pictures)
