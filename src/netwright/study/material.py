"""A run's data: the dataset on disk, prepared and divided into its parts."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from netwright.data.cache import Prepared, image_digest, prepare
from netwright.data.dataset import Case, Dataset
from netwright.data.formats import open_dataset
from netwright.data.splits import Splits
from netwright.errors import DatasetError, RunError
from netwright.settings import RunSettings
from netwright.study.folder import RunFolder
from netwright.study.machine import available_cores
from netwright.study.search import SearchData
from netwright.study.segmenter import LabelledCase


@dataclass(frozen=True)
class Material:
    """A run's dataset, opened and prepared."""

    dataset: Dataset
    prepared: Prepared
    data: SearchData
    test: tuple[LabelledCase, ...]


def cache_root() -> Path:
    """Where prepared data is kept for all runs: ``NETWRIGHT_CACHE``, or the user's cache folder."""
    default = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "netwright"
    return Path(os.environ.get("NETWRIGHT_CACHE", default))


def open_material(
    folder: RunFolder, settings: RunSettings, on_case: Callable[[int, int], None] | None = None
) -> Material:
    """The run's dataset, prepared as the run says; what is in the cache already is not done again.

    Raises:
        DatasetError: the dataset is gone, or has changed in a way that it cannot be used.
        RunError: cases of the run's parts are missing.
    """
    dataset = open_dataset(
        settings.dataset.path, format=settings.dataset.format, map_label=settings.dataset.map_label
    )
    prepared = prepare(
        dataset, settings.preprocessing, cache_root(), workers=available_cores(), on_case=on_case
    )
    splits = folder.splits()
    index = {name: i for i, name in enumerate(prepared.names)}
    missing = [n for n in (*splits.training, *splits.validation, *splits.test) if n not in index]
    if missing:
        raise RunError(
            f"{settings.dataset.path} no longer has the case {missing[0]} ({len(missing)} of the run's cases are "
            f"missing). Put them back, or start a new run."
        )
    cases = {case.name: case for case in dataset.cases}
    return Material(
        dataset=dataset,
        prepared=prepared,
        data=SearchData(
            prepared=prepared.folder,
            training=tuple(index[n] for n in splits.training),
            validation=tuple(index[n] for n in splits.validation),
        ),
        test=tuple(labelled(cases[n], dataset) for n in splits.test),
    )


def labelled(case: Case, dataset: Dataset) -> LabelledCase:
    """A case of a dataset, ready for testing.

    Raises:
        DatasetError: it has no label map.
    """
    if case.label is None:
        raise DatasetError(
            f"{dataset.root}: case {case.name} has no label map; expected one to test against."
        )
    return LabelledCase(case.name, case.images, case.label, dict(dataset.map_label))


def unseen_cases(
    dataset: Dataset, settings: RunSettings, splits: Splits
) -> tuple[list[LabelledCase], int, int]:
    """The cases of a dataset that a run's networks were not made with; how many were left out; how many of the
    others are the run's test cases.

    Cases are the same where their image files have the same content. Where the run's own dataset is gone, those of
    the same name are taken for the same.
    """
    seen, test = set(splits.training) | set(splits.validation), set(splits.test)
    try:
        own = open_dataset(settings.dataset.path, format=settings.dataset.format)
        known = {image_digest(case): case.name for case in own.cases if case.name in seen | test}
    except (DatasetError, OSError):
        known = None
    kept, left_out, tested = [], 0, 0
    for case in dataset.cases:
        name = case.name if known is None else known.get(image_digest(case), "")
        left_out += name in seen
        tested += name in test
        if name not in seen:
            kept.append(labelled(case, dataset))
    return kept, left_out, tested
