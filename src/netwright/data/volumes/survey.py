"""Inspects one case piece by piece, in little memory however large its files are.

It finds the same problems as `check_case`, which reads a case for training.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from math import prod
from pathlib import Path

import numpy as np

from netwright.data.io.alignment import misplacement
from netwright.data.io.bounds import room_for
from netwright.data.io.formats import format_of, is_flat
from netwright.data.io.grid import Grid
from netwright.data.io.masks import mask_size, require_one_orientation
from netwright.data.io.pieces import image_pieces, label_pieces, volume_shape
from netwright.data.io.time_axis import time_points
from netwright.data.io.volumes import read_grid, read_label_grid, require_one_volume
from netwright.data.io.whole_labels import whole_labels
from netwright.data.issues import Problem, UnusableFile
from netwright.data.volumes.checks import (
    case_problem,
    channel_problems,
    intensity_problems,
    naming_labels,
    require_images,
    require_label,
    spacing_problems,
    value_problems,
)
from netwright.data.volumes.counting import ContentHash, IntensityCount, ValueCount
from netwright.data.volumes.dataset import Case, Dataset
from netwright.data.volumes.fingerprint import CaseFacts, ChannelFacts, Point
from netwright.data.volumes.labels import mapped
from netwright.data.volumes.sides import CentreSum, opposites_of


def case_facts(case: Case, dataset: Dataset) -> CaseFacts:
    """Reads and measures one case."""
    if (unsound := case_problem(case, dataset)) is not None:
        return CaseFacts(case, None, (), {}, "", (unsound.relative_to(dataset.root),))
    grid: Grid | None = None
    channels: tuple[ChannelFacts, ...] = ()
    content = ""
    voxels: dict[int, int] = {}
    centres: dict[int, Point] = {}
    try:
        with _room(require_images(case)[0]):
            grid, channels, content, problems = _image_facts(case, dataset)
    except UnusableFile as error:
        problems = [error.problem]
    try:
        value_counts, centres = _label_values(case, dataset, grid, problems)
        if not any(problem.severity == "error" for problem in problems):
            for value, count in value_counts.items():
                meant = mapped(value, dataset.map_label)
                voxels[meant] = voxels.get(meant, 0) + count
    except UnusableFile as error:
        problems.append(naming_labels(error.problem, dataset))
    relative = tuple(problem.relative_to(dataset.root) for problem in problems)
    return CaseFacts(case, grid, channels, voxels, content, relative, centres)


def _room(path: Path) -> AbstractContextManager[None]:
    return room_for(prod(mask_size(path))) if is_flat(path) else nullcontext()


def _image_facts(case: Case, dataset: Dataset) -> tuple[Grid, tuple[ChannelFacts, ...], str, list[Problem]]:
    """The grid, intensities and hash of an image, and its problems.

    Raises:
        UnusableFile: one of its files cannot be used.
    """
    paths = require_images(case)
    grid = read_grid(paths[0])
    problems: list[Problem] = spacing_problems(paths[0], grid)
    counts: list[IntensityCount] = []
    channel_paths: list[Path] = []
    hashes = []
    for path in paths:
        own = grid if path == paths[0] else read_grid(path)
        problem = None if own is grid else misplacement(path, own, grid, paths[0].name, "channel")
        if problem is not None and problem.severity == "error":
            raise UnusableFile(problem)
        problems += [] if problem is None else [problem]
        orientation = own.orientation_in(grid)
        for piece in image_pieces(path, case.time):
            if not any(part.start for part in piece.box):
                counts.append(IntensityCount(prod(own.shape)))
                channel_paths.append(path)
                hashes.append(ContentHash(grid.canonical_shape, orientation))
            with np.errstate(over="ignore", invalid="ignore"):
                values = piece.values.astype(np.float32)
            counts[-1].add(values)
            hashes[-1].add(values, piece.box)
    problems += channel_problems(case, dataset, len(counts))
    for number, (count, path_of_channel) in enumerate(zip(counts, channel_paths, strict=True)):
        problems += intensity_problems(
            path_of_channel, number, count.broken, count.voxels, (count.minimum, count.maximum)
        )
    content = f"{grid.canonical_shape} {' '.join(f'{one.value:016x}' for one in hashes)}"
    facts = tuple(
        ChannelFacts(count.finite, count.mean, count.variance, count.minimum, count.maximum, count.sample)
        for count in counts
        if count.finite
    )
    return grid, facts, content, problems


def _label_values(
    case: Case, dataset: Dataset, image: Grid | None, problems: list[Problem]
) -> tuple[dict[int, int], dict[int, Point]]:
    """How often each value occurs in a label map, and where those lie whose names say a side.

    Problems are added to ``problems``.

    Raises:
        UnusableFile: the label map cannot be used.
    """
    path = require_label(case)
    if image is not None and is_flat(path):
        require_one_orientation(case.images[0], path)
    grid = read_label_grid(path, image)
    if image is not None:
        misplaced = misplacement(path, grid, image, case.images[0].name)
        if misplaced is not None and misplaced.severity == "error":
            raise UnusableFile(misplaced)
        problems += [] if misplaced is None else [misplaced]
    time = case.time
    if not is_flat(path):
        time = time if time is not None and time_points(path) > 1 else None
        require_one_volume(path, volume_shape(path, time, image))
    count = ValueCount()
    pairs = opposites_of(dataset.labels) if format_of(path).oriented and not is_flat(path) else ()
    places = CentreSum({value for pair in pairs for value in (pair.low, pair.high)}, dataset.map_label)
    with _room(path):
        for piece in label_pieces(path, time, image):
            count.add(piece.values)
            if pairs:
                places.add(piece.values, piece.box)
    stored, times = count.arrays()
    values = whole_labels(path, stored, times)
    value_counts: dict[int, int] = {}
    for value, occurrences in zip(values.tolist(), times.tolist(), strict=True):
        value_counts[value] = value_counts.get(value, 0) + occurrences
    problems += value_problems(path, np.array(sorted(value_counts)), dataset)
    return value_counts, places.centres(grid)
