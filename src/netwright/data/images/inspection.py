"""Reads every picture of a set once: the fingerprint, and everything that is wrong."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from hashlib import blake2b
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from netwright.data.base import OnCase
from netwright.data.images.dataset import ImageSet, Record
from netwright.data.images.fingerprint import (
    ClassStatistics,
    ImageFingerprint,
    PixelStatistics,
    SizeRange,
)
from netwright.data.images.issues import (
    beyond_white,
    constant,
    duplicates,
    few_pictures,
    mixed_kinds,
    mixed_sizes,
    sort_of_classes,
    transparent,
)
from netwright.data.images.reading import array_chunks, not_finite, read_record, unfit
from netwright.data.io.bounds import room_for
from netwright.data.io.images import Picture, read_head
from netwright.data.issues import Problem, UnusableFile
from netwright.data.parallel import counted, many_in_order
from netwright.data.volumes.inspection import Inspection

_BLOCK = 1 << 20
"""About how many values are measured at a time."""


@dataclass(frozen=True, slots=True)
class PictureFacts:
    """What one picture adds to the fingerprint. ``content`` is a hash of its pixels.

    ``low``, ``high``, ``mean`` and ``variance`` have one number for each channel.
    """

    record: Record
    size: tuple[int, int]
    depth: str
    low: tuple[float, ...]
    high: tuple[float, ...]
    mean: tuple[float, ...]
    variance: tuple[float, ...]
    content: bytes
    transparent: bool = False


def inspect_images(dataset: ImageSet, *, workers: int = 1, on_case: OnCase | None = None) -> Inspection:
    """Reads every picture, measures the set and collects every problem. Never raises for a file's content.

    Args:
        dataset: to be read.
        workers: the number of threads.
        on_case: called with the number of pictures done and of all pictures.
    """
    problems = list(dataset.problems)
    try:
        results = _array_facts(dataset) if dataset.arrays else _file_facts(dataset, workers, problems)
        facts = list(counted(results, len(dataset.records), on_case))
    except UnusableFile as error:  # of an array file, which holds all pictures of its part
        facts, problems = [], [*problems, error.problem]
    problems += sort_of_classes(dataset) + few_pictures(dataset)
    problems += mixed_sizes(dataset, [fact.size for fact in facts])
    problems += mixed_kinds(
        dataset, Counter(len(fact.low) for fact in facts), Counter(fact.depth for fact in facts)
    )
    problems += beyond_white(dataset, [(fact.record, min(fact.low), max(fact.high)) for fact in facts])
    problems += transparent([fact.record for fact in facts if fact.transparent])
    problems += constant([(fact.record, fact.low[0]) for fact in facts if fact.low == fact.high])
    problems += duplicates(dataset, [(fact.record, fact.content) for fact in facts])
    relative = [problem.relative_to(dataset.root) for problem in problems]
    return Inspection(
        dataset.root,
        _fingerprint(dataset, facts),
        tuple(sorted(relative, key=lambda problem: problem.severity != "error")),
    )


def _file_facts(dataset: ImageSet, workers: int, problems: list[Problem]) -> Iterator[PictureFacts]:
    for result in many_in_order(partial(_look, dataset=dataset), dataset.records, workers):
        if isinstance(result, Problem):
            problems.append(result)
        else:
            yield result


def _look(record: Record, dataset: ImageSet) -> PictureFacts | Problem:
    """Reads and measures one picture, or says what is wrong with it. Its pixels are not kept."""
    try:
        with room_for(prod(read_head(record.path).size)):
            picture = read_record(record)
            return unfit(record.path, picture, len(dataset.channels), dataset.depth) or _facts(
                record, picture
            )
    except UnusableFile as error:
        return error.problem


def _facts(record: Record, picture: Picture) -> PictureFacts:
    pixels = picture.pixels
    planes = pixels[..., None] if pixels.ndim == 2 else pixels
    content = blake2b(repr((planes.shape, pixels.dtype.str)).encode(), digest_size=16)
    content.update(np.ascontiguousarray(planes).data)
    low, high, mean, variance = (tuple(measured[0].tolist()) for measured in _measures(planes[None]))
    return PictureFacts(
        record,
        (planes.shape[0], planes.shape[1]),
        pixels.dtype.name,
        low,
        high,
        mean,
        variance,
        content.digest(),
        picture.transparent,
    )


def _array_facts(dataset: ImageSet) -> Iterator[PictureFacts]:
    """The facts of the pictures in array files. Many pictures are measured at a time.

    Raises:
        UnusableFile: a file is damaged, or holds pixels that are NaN or infinite.
    """
    known = {(record.part, record.row): record for record in dataset.records}
    parts_and_rows = [(part, row) for part, file in dataset.arrays.items() for row in range(file.shape[0])]
    done = 0
    for chunk in array_chunks(dataset):
        if (problem := not_finite(dataset, chunk)) is not None:
            raise UnusableFile(problem)
        rows = parts_and_rows[done : done + len(chunk)]
        done += len(chunk)
        measures = zip(*(_rows(measured) for measured in _measures(chunk)), strict=True)
        for part_and_row, pixels, (low, high, mean, variance) in zip(rows, chunk, measures, strict=True):
            if (record := known.get(part_and_row)) is not None:
                content = blake2b(np.ascontiguousarray(pixels).data, digest_size=16).digest()
                size = (pixels.shape[0], pixels.shape[1])
                yield PictureFacts(record, size, dataset.depth, low, high, mean, variance, content)


def _measures(pictures: NDArray[Any]) -> tuple[NDArray[Any], ...]:
    """Minimum, maximum, mean and variance (N, C) of pictures (N, H, W, C).

    They are computed in blocks: all pictures at once, as real numbers, would take eight times the memory of bytes.
    """
    count, height, width, channels = pictures.shape
    together = max(1, _BLOCK // (height * width * channels))
    rows = max(1, _BLOCK // (width * channels))
    measures = []
    for first in range(0, count, together):
        group = pictures[first : first + together]
        blocks = [group[:, top : top + rows] for top in range(0, height, rows)]
        mean = np.sum([block.sum(axis=(1, 2), dtype=np.float64) for block in blocks], axis=0) / (
            height * width
        )
        squares = [((block - mean[:, None, None]) ** 2).sum(axis=(1, 2)) for block in blocks]
        low = np.min([block.min(axis=(1, 2)) for block in blocks], axis=0)
        high = np.max([block.max(axis=(1, 2)) for block in blocks], axis=0)
        measures.append((low, high, mean, np.sum(squares, axis=0) / (height * width)))
    return tuple(np.concatenate(measured) for measured in zip(*measures, strict=True))


def _rows(values: NDArray[Any]) -> Iterable[tuple[float, ...]]:
    return map(tuple, values.tolist())


def _fingerprint(dataset: ImageSet, facts: Sequence[PictureFacts]) -> ImageFingerprint:
    parts = Counter(str(record.part or "all") for record in dataset.records)
    counts = Counter(
        (label, str(record.part or "all")) for record in dataset.records for label in record.classes
    )
    total = len(dataset.records)
    classes = []
    for label, name in enumerate(dataset.classes):
        own = {part: counts[label, part] for part in parts}
        pictures = sum(own.values())
        classes.append(ClassStatistics(name, pictures, 100 * pictures / total if total else 0.0, own))
    return ImageFingerprint(
        dataset=dataset.name,
        format=dataset.format,
        cases=total,
        parts=dict(parts),
        size=_sizes([fact.size for fact in facts]),
        depth=dataset.depth,
        channels=_channels(dataset, facts),
        classes=tuple(classes),
        class_word=dataset.class_word,
    )


def _sizes(sizes: Sequence[tuple[int, int]]) -> SizeRange | None:
    if not sizes:
        return None
    array = np.array(sizes)
    low, high = array.min(axis=0).tolist(), array.max(axis=0).tolist()
    middle = np.median(array, axis=0).tolist()
    return SizeRange((low[0], low[1]), (middle[0], middle[1]), (high[0], high[1]))


def _channels(dataset: ImageSet, facts: Sequence[PictureFacts]) -> tuple[PixelStatistics, ...]:
    """The statistics of each channel. Only pictures with the set's number type count; grey counts for each colour."""
    facts = [fact for fact in facts if fact.depth == dataset.depth]
    if not facts:
        return ()
    pixels = np.array([fact.size[0] * fact.size[1] for fact in facts], dtype=np.float64)
    statistics = []
    for number, name in enumerate(dataset.channels):
        channel_of_each = [min(number, len(fact.low) - 1) for fact in facts]
        means = np.array([fact.mean[channel] for fact, channel in zip(facts, channel_of_each, strict=True)])
        inner = np.array(
            [fact.variance[channel] for fact, channel in zip(facts, channel_of_each, strict=True)]
        )
        mean = float(np.average(means, weights=pixels))
        variance = float(np.average(inner + (means - mean) ** 2, weights=pixels))
        statistics.append(
            PixelStatistics(
                name,
                mean,
                float(np.sqrt(variance)),
                float(min(fact.low[channel] for fact, channel in zip(facts, channel_of_each, strict=True))),
                float(max(fact.high[channel] for fact, channel in zip(facts, channel_of_each, strict=True))),
            )
        )
    return tuple(statistics)
