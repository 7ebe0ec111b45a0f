"""Opens, inspects, prepares and splits datasets of every kind."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from netwright.data.base import AnyDataset, AnyPrepared, OnCase
from netwright.data.folds import folds_of
from netwright.data.given_parts import GivenParts
from netwright.data.images.cache import content_digests, prepare_images
from netwright.data.images.dataset import PICTURES
from netwright.data.images.inspection import inspect_images
from netwright.data.images.prepared import INDEX, open_prepared_images
from netwright.data.images.settings import ImageSettings
from netwright.data.images.splits import image_splits, strata_by_name
from netwright.data.layouts import FORMATS
from netwright.data.layouts.description import ignored_in
from netwright.data.layouts.image_formats import IMAGE_FORMATS
from netwright.data.layouts.meaning import with_meaning
from netwright.data.layouts.patients import with_patients
from netwright.data.recognition import (
    alike,
    all_looked_for,
    dataset_path,
    description_of,
    format_if_it_matches,
    recognised,
)
from netwright.data.splits import FRACTIONS, Splits
from netwright.data.volumes.cache import image_digests, prepare, split_volumes
from netwright.data.volumes.dataset import VOLUMES
from netwright.data.volumes.inspection import Inspection, inspect_dataset
from netwright.data.volumes.prepared import open_prepared
from netwright.data.volumes.preprocessing import PreprocessingSettings
from netwright.errors import DatasetError, SettingsError
from netwright.user_cache import prepared_here


@dataclass(frozen=True)
class DataKind:
    """How data of one kind is read, prepared and split.

    Args:
        title: in words, for messages.
        setting: the table of a run's settings that has those of its preparation.
        settings: the type of these settings.
        inspect: as `inspect_any`.
        prepare: as `prepare_any`.
        split: as `split_any`.
        strata: the class of each case, to be alike in all parts; None: it has no classes.
        open_prepared: what ``prepare`` has written.
        digests: as `digests_any`.
    """

    title: str
    setting: str
    settings: type
    inspect: Callable[..., Inspection]
    prepare: Callable[..., AnyPrepared]
    split: Callable[[Any, int, tuple[float, float, float], GivenParts | None], Splits]
    strata: Callable[[Any], Mapping[str, int]] | None
    open_prepared: Callable[[Path], AnyPrepared]
    digests: Callable[[Any, int], dict[str, str]]


KINDS: dict[str, DataKind] = {
    VOLUMES: DataKind(
        title="images with label maps",
        setting="preprocessing",
        settings=PreprocessingSettings,
        inspect=inspect_dataset,
        prepare=prepare,
        split=split_volumes,
        strata=None,
        open_prepared=open_prepared,
        digests=image_digests,
    ),
    PICTURES: DataKind(
        title="pictures",
        setting="images",
        settings=ImageSettings,
        inspect=inspect_images,
        prepare=prepare_images,
        split=image_splits,
        strata=strata_by_name,
        open_prepared=open_prepared_images,
        digests=content_digests,
    ),
}
"""The kinds of data by the name in a dataset's and in prepared data's ``kind``."""


def open_any(
    root: Path,
    format: str | None = None,
    map_label: Mapping[int, int] | None = None,
    regions: Mapping[str, Sequence[int]] | None = None,
) -> AnyDataset:
    """Opens the dataset of any kind in a folder or file.

    For volumes and masks, only the description and the file names are read, and of DICOM a header a case;
    `inspect_any` reads the rest.

    Args:
        root: the folder or file.
        format: one of `FORMATS` or `IMAGE_FORMATS`; None: it is recognised.
        map_label: value in the label maps -> value to use instead, or `IGNORE`.
        regions: name -> labels, to be learned and scored in place of the labels, in the order in which they are
            written (see `in_order`); None or empty: those of a ``dataset.json``, if it has any.

    Raises:
        DatasetError: nothing is there, its format is unknown, or it cannot be used.
        SettingsError: the name of the format is unknown, or ``map_label`` or ``regions`` are given for a dataset
            without label maps.
    """
    root = dataset_path(root)
    known = [*FORMATS, *IMAGE_FORMATS]
    if format is not None and format not in known:
        raise SettingsError(f"The format is {format!r}: expected one of {', '.join(known)}.")
    if not root.exists():
        raise DatasetError(
            f"{root} does not exist: expected the folder of a dataset, or an .npz file.{alike(root)}"
        )
    description = description_of(root)
    name = (
        recognised(root, description) if format is None else format_if_it_matches(root, format, description)
    )
    if name in FORMATS:
        meant = {**ignored_in(root, description), **(map_label or {})}
        read = FORMATS[name].read(root, description, meant)
        return with_meaning(with_patients(read), description, regions or {})
    if name in IMAGE_FORMATS:
        if map_label or regions:
            option = "--map-label" if map_label else "--region"
            raise SettingsError(
                f"{option} is for the values of label maps, but {root} holds pictures "
                f"({IMAGE_FORMATS[name].title}). Leave it out."
            )
        return IMAGE_FORMATS[name].read(root)
    raise DatasetError(f"{root} holds no dataset that is known. {all_looked_for(root, format, description)}")


def inspect_any(dataset: AnyDataset, workers: int = 1, on_case: OnCase | None = None) -> Inspection:
    """Reads every file of a dataset, measures it and collects every problem. Never raises for a file's content.

    Args:
        dataset: to be read.
        workers: the number of threads.
        on_case: called with the number of cases done and of all cases.
    """
    return KINDS[dataset.kind].inspect(dataset, workers=workers, on_case=on_case)


def prepare_any(
    dataset: AnyDataset,
    settings: PreprocessingSettings | ImageSettings,
    cache_root: Path,
    *,
    seed: int = 0,
    fractions: tuple[float, float, float] = FRACTIONS,
    given: GivenParts | None = None,
    workers: int = 1,
    on_case: OnCase | None = None,
) -> AnyPrepared:
    """Preprocesses a dataset into a folder under ``cache_root``. See `prepare` and `prepare_images`.

    Args:
        dataset: the dataset.
        settings: the settings for its kind of data.
        cache_root: the folder of all prepared data.
        seed: as in `split_any`. It matters for CT, and for pictures without an official test part: their normalisation
            is measured on the training part alone.
        fractions: as in `split_any`.
        given: as in `split_any`.
        workers: the number of threads.
        on_case: called after each case.

    Raises:
        UnusableFile: a file cannot be used.
        DatasetError: there are too few cases.
        SettingsError: the settings are for another kind of dataset.
        StorageError: there is no room for the cache, or it cannot be written.
    """
    kind = KINDS[dataset.kind]
    if not isinstance(settings, kind.settings):
        raise SettingsError(
            f"{dataset.root} holds {kind.title}, but the preprocessing is given as {type(settings).__name__}: expected "
            f"{kind.settings.__name__}."
        )
    return kind.prepare(
        dataset,
        settings,
        cache_root,
        seed=seed,
        fractions=fractions,
        given=given,
        workers=workers,
        on_case=on_case,
    )


def split_any(
    prepared: AnyPrepared,
    seed: int,
    fractions: tuple[float, float, float] = FRACTIONS,
    given: GivenParts | None = None,
) -> Splits:
    """Training, validation and test cases. Official parts are kept: see `split` and `image_splits`.

    Args:
        prepared: the data.
        seed: another seed gives another division.
        fractions: of training, validation and test.
        given: parts that the user gave (`netwright.data.split_file`), in place of the official ones.

    Raises:
        DatasetError: too few cases.
        SettingsError: the fractions are not three positive numbers that sum to 1.
    """
    return KINDS[prepared.kind].split(prepared, seed, fractions, given)


def folds_any(
    dataset: AnyDataset,
    count: int,
    seed: int,
    fractions: tuple[float, float, float] = FRACTIONS,
    given: GivenParts | None = None,
) -> tuple[Splits, ...]:
    """The parts of the cases in each fold of a cross-validation: see `folds_of`.

    Args:
        dataset: the cases.
        count: how many folds.
        seed: as in `split_any`.
        fractions: as in `split_any`.
        given: as in `split_any`.

    Raises:
        DatasetError: there are too few cases, or too few of a class, for so many folds.
        SettingsError: the fractions are not three positive numbers that sum to 1.
    """
    kind = KINDS[dataset.kind]
    strata = None if kind.strata is None else kind.strata(dataset)
    folds = folds_of(dataset, count, seed, fractions, given, strata)
    for fold in folds:
        kind.split(dataset, seed, fractions, GivenParts.of(fold))
    return folds


def digests_any(dataset: AnyDataset, workers: int = 1) -> dict[str, str]:
    """A hash of each case's images, by the name of the case. Two cases with equal hashes are the same.

    Raises:
        UnusableFile: a file is missing or damaged.
    """
    return KINDS[dataset.kind].digests(dataset, workers)


def open_prepared_any(folder: Path) -> AnyPrepared:
    """Opens what `prepare_any` has written.

    Raises:
        DatasetError: the folder holds no prepared data, or is of another version or damaged.
    """
    try:
        kind = json.loads((Path(folder) / INDEX).read_text(encoding="utf-8")).get("kind", VOLUMES)
    except (OSError, ValueError, AttributeError):
        kind = VOLUMES  # whatever is wrong with it, `open_prepared` says
    return KINDS.get(kind, KINDS[VOLUMES]).open_prepared(folder)


def open_prepared_once(folder: Path) -> AnyPrepared:
    """Like `open_prepared_any`, but keeps the last folder open for the next call in this process.

    On a node of a cluster the data may be in the node's own cache, see `netwright.user_cache.prepared_here`.
    """
    if folder not in _OPEN:
        _OPEN.clear()
        _OPEN[folder] = open_prepared_any(prepared_here(folder))
    return _OPEN[folder]


_OPEN: dict[Path, AnyPrepared] = {}
