"""Preprocesses a dataset once. The folder's name depends on the files' content and the settings."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from hashlib import blake2b
from math import prod
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from netwright.data.base import Divisible, OnCase
from netwright.data.build_once import cache_folder, open_or_build, write_header
from netwright.data.files import READING
from netwright.data.given_parts import GivenParts, given_splits
from netwright.data.io.formats import image_file_digests
from netwright.data.io.volumes import read_grid
from netwright.data.parallel import counted, in_order
from netwright.data.splits import FRACTIONS, Splits, require_fractions, split
from netwright.data.volumes.checks import check_case, require_images, require_label
from netwright.data.volumes.dataset import Case, Dataset
from netwright.data.volumes.foreground import foreground_positions, labelled_positions
from netwright.data.volumes.geometry import Geometry
from netwright.data.volumes.intensities import measured_intensities, with_intensities
from netwright.data.volumes.prepared import (
    COARSE,
    FOREGROUND,
    IMAGES,
    INDEX,
    LABELS,
    VERSION,
    Prepared,
    PreparedCase,
    open_prepared,
)
from netwright.data.volumes.preprocessing import (
    CtIntensities,
    PreprocessingSettings,
    air_of,
    coarse_shape,
    coarsened,
    normalised,
)
from netwright.data.volumes.regions import IGNORED
from netwright.data.volumes.sizes import cache_bytes
from netwright.errors import DatasetError, SettingsError

__all__ = ["Prepared", "open_prepared", "prepare"]

INTENSITIES = "intensities.json"


def prepare(
    dataset: Dataset,
    settings: PreprocessingSettings,
    cache_root: Path,
    *,
    seed: int = 0,
    fractions: tuple[float, float, float] = FRACTIONS,
    given: GivenParts | None = None,
    workers: int = 1,
    on_case: OnCase | None = None,
) -> Prepared:
    """Preprocesses every case into a folder under ``cache_root``, or opens that folder where it exists.

    The folder's name holds a hash of the files' content and of the settings. Several processes may want the same
    folder: all wait for the first. A process that is killed leaves nothing that looks complete.

    Args:
        dataset: the dataset.
        settings: how its cases are preprocessed.
        cache_root: the folder of all prepared data.
        seed: as in `split_volumes`. It matters for CT, whose normalisation is measured on the training part alone.
        fractions: as in `split_volumes`.
        given: as in `split_volumes`.
        workers: the number of threads.
        on_case: called with the number of cases done and of all cases, after each case that is measured as CT, and from
            the beginning after each that is written. What is in the cache is neither measured nor written.

    Raises:
        UnusableFile: a file cannot be used. It is the error that `inspect_dataset` reports.
        DatasetError: there are no cases.
        StorageError: there is no room for the cache, or it cannot be written.
    """
    geometries, planned = _plan(dataset, settings, workers)
    digests = list(in_order(_case_digests, dataset.cases, workers))
    folder_of = partial(cache_folder, Path(cache_root), dataset.name)

    def measured() -> CtIntensities:
        training = set(split_volumes(dataset, seed, fractions, given).training)
        learned = [digest for name, digest in zip(dataset.names, digests, strict=True) if name in training]
        measure = partial(measured_intensities, dataset, training, workers, on_case)
        key = _key(dataset, learned, measured="CT")
        return _intensities(folder_of(key), len(dataset.channels), measure)

    resolved = with_intensities(planned, dataset, measured)
    values = {name: value for name, value in resolved.to_dict().items() if _matters(name, value)}
    folder = folder_of(_key(dataset, digests, settings=values))

    def build(partial_folder: Path) -> None:
        _build(dataset, resolved, geometries, partial_folder, workers, on_case)

    shapes = [geometry.size for geometry in geometries]
    size = cache_bytes(shapes, len(dataset.channels), resolved.coarse_factors)
    return open_or_build(folder, open_prepared, build, size)


def split_volumes(
    data: Divisible,
    seed: int,
    fractions: tuple[float, float, float],
    given: GivenParts | None = None,
) -> Splits:
    """The parts of a dataset, before and after it is prepared: see `split`.

    Args:
        data: with the cases.
        seed: another seed gives another division.
        fractions: of training, validation and test.
        given: parts that the user gave, in place of the official ones.

    Raises:
        DatasetError: too few cases.
    """
    if given is not None:
        require_fractions(fractions)
        return given_splits(given, seed, fractions)
    return split(data.names, seed, fractions, data.groups, data.parts)


def _plan(
    dataset: Dataset, settings: PreprocessingSettings, workers: int
) -> tuple[list[Geometry], PreprocessingSettings]:
    if not dataset.cases:
        raise DatasetError(f"{dataset.root} has no labelled cases: nothing can be prepared. Add cases.")
    grids = list(in_order(lambda case: read_grid(require_images(case)[0]), dataset.cases, workers))
    resolved = settings.resolved(grids)
    return [resolved.geometry(grid) for grid in grids], resolved


def _intensities(folder: Path, channels: int, measure: Callable[[], CtIntensities]) -> CtIntensities:
    """The intensities of CT, which are measured once for each training part.

    Args:
        folder: where they are kept.
        channels: how many there are.
        measure: called where they are not kept yet.
    """

    def opened(folder: Path) -> CtIntensities:
        try:
            values = json.loads((folder / INTENSITIES).read_text(encoding="utf-8"))
            known = PreprocessingSettings.from_dict({"ct_intensities": values}).ct_intensities or ()
            if len(known) != channels:
                raise ValueError(f"expected {channels} entries, found {len(known)}")
        except (OSError, ValueError, TypeError, SettingsError) as error:
            raise DatasetError(f"{folder} holds no intensities of CT: {error}.") from error
        return known

    def build(partial_folder: Path) -> None:
        (partial_folder / INTENSITIES).write_text(json.dumps(measure()), encoding="utf-8")

    return open_or_build(folder, opened, build, 0)


def _key(dataset: Dataset, cases: Sequence[Sequence[str]], **more: object) -> str:
    """A hash of everything that a folder of the cache depends on. The dataset's own path is not part of it.

    Args:
        dataset: to be prepared.
        cases: the `_case_digests` of its cases, or of some.
        more: what else the folder depends on.
    """
    meaning = {
        "version": VERSION,
        "reading": READING,
        "dataset": dataset.name,
        "channels": dataset.channels,
        "labels": list(dataset.labels.items()),
        "map_label": list(dataset.map_label.items()),
        **({"regions": [region.to_dict() for region in dataset.regions]} if dataset.regions else {}),
        "cases": cases,
        **more,
    }
    return blake2b(json.dumps(meaning, sort_keys=True).encode(), digest_size=8).hexdigest()


def _matters(name: str, value: object) -> bool:
    """Whether a setting is part of the key: not if it has the value that it had before there was such a setting."""
    return (name, value) not in (("ct_intensities", None), ("low_resolution", None))


def _case_digests(case: Case) -> list[str]:
    files = (*require_images(case), require_label(case))
    part = [] if case.part is None else [case.part]  # the keys of cases without a part stay
    return [case.name, case.group, str(case.time), *part, *_digests(files)]


def _digests(files: Iterable[Path]) -> list[str]:
    """The digests of files, and of further files with their voxels."""
    return [digest for file in files for digest in image_file_digests(file)]


def image_digest(case: Case) -> str:
    """A hash of the content of a case's image files, and of its time point in them. File names do not matter.

    Raises:
        UnusableFile: a file is missing.
    """
    files = " ".join(_digests(require_images(case)))
    return files if case.time is None else f"{files} {case.time}"


def image_digests(dataset: Dataset, workers: int = 1) -> dict[str, str]:
    """The `image_digest` of each case, by the name of the case. ``workers``: the number of threads."""
    return dict(zip(dataset.names, in_order(image_digest, dataset.cases, workers), strict=True))


def _build(
    dataset: Dataset,
    settings: PreprocessingSettings,
    geometries: Sequence[Geometry],
    folder: Path,
    workers: int,
    on_case: OnCase | None,
) -> None:
    cases = _write_arrays(dataset, settings, geometries, folder, workers, on_case)
    prepared = Prepared(
        folder,
        dataset.name,
        dataset.channels,
        dataset.label_names,
        dataset.label_values,
        settings,
        tuple(cases),
        tuple(region.indexed(dataset.label_values) for region in dataset.regions),
    )
    factors = settings.coarse_factors
    if factors is not None:
        voxels = sum(prod(coarse_shape(geometry.size, factors)) for geometry in geometries)
        with (folder / COARSE).open("wb") as file:
            write_header(file, (voxels * prepared.channels,), "<f4")
            for index in range(len(prepared)):
                file.write(coarsened(prepared.image(index), factors).data)
    (folder / INDEX).write_text(json.dumps(prepared.to_dict()), encoding="utf-8")


def _write_arrays(
    dataset: Dataset,
    settings: PreprocessingSettings,
    geometries: Sequence[Geometry],
    folder: Path,
    workers: int,
    on_case: OnCase | None,
) -> list[PreparedCase]:
    """Writes the arrays as plain files, in order. On a full disk this raises an error; a memory map would crash."""
    voxels = sum(int(np.prod(geometry.size)) for geometry in geometries)
    process = partial(_process, dataset=dataset, settings=settings)
    pairs = list(zip(dataset.cases, geometries, strict=True))
    cases: list[PreparedCase] = []
    foreground: list[NDArray[np.int64]] = []
    with (folder / IMAGES).open("wb") as images, (folder / LABELS).open("wb") as labels:
        write_header(images, (voxels * len(dataset.channels),), "<f4")
        write_header(labels, (voxels,), "|u1")
        results = zip(pairs, in_order(process, pairs, workers), strict=True)
        for (case, geometry), (image, label, air, positions) in counted(results, len(pairs), on_case):
            images.write(image.astype("<f4", copy=False).data)
            labels.write(label.data)
            counts = np.bincount(label.ravel(), minlength=dataset.classes)[: dataset.classes]
            foreground += positions
            kept = tuple(map(len, positions))
            cases.append(
                PreparedCase(case.name, geometry, tuple(counts.tolist()), case.group, air, case.part, kept)
            )
        for file in (images, labels):
            file.flush()
            os.fsync(file.fileno())
    np.save(folder / FOREGROUND, np.concatenate(foreground).astype("<i8"), allow_pickle=False)
    return cases


def _process(
    pair: tuple[Case, Geometry], dataset: Dataset, settings: PreprocessingSettings
) -> tuple[NDArray[np.float32], NDArray[np.uint8], tuple[float, ...], list[NDArray[np.int64]]]:
    """The prepared image and label map of a case, the value that pads each channel, and where its foreground is."""
    case, geometry = pair
    volume, labels = check_case(case, dataset).require_usable()
    image = normalised(volume.array, settings)
    air = air_of(image, settings)
    prepared = geometry.prepare_labels(labels)
    positions = foreground_positions(prepared, dataset.classes)
    if (prepared == IGNORED).any():
        positions.append(labelled_positions(prepared))
    return geometry.prepare_image(image, air), prepared, air, positions
