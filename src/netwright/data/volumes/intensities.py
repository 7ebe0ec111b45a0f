"""Intensities of CT, which are measured over the whole training part: Hounsfield units mean the same in every scan."""

from __future__ import annotations

from collections.abc import Callable, Sequence, Set
from dataclasses import replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from netwright.data.base import OnCase
from netwright.data.parallel import counted, in_order
from netwright.data.volumes.checks import check_case
from netwright.data.volumes.dataset import Case, Dataset
from netwright.data.volumes.fingerprint import ChannelFacts, pooled
from netwright.data.volumes.preprocessing import CtIntensities, Intensities, PreprocessingSettings
from netwright.data.volumes.regions import IGNORED
from netwright.errors import DatasetError, SettingsError

SAMPLED_VOXELS = 100_000
"""How many foreground voxels of each case and channel, evenly spread, the percentiles are estimated from."""

SMALLEST_DEVIATION = 1e-3
"""In Hounsfield units: less is what rounding leaves of a constant."""


def is_ct(channel: str) -> bool:
    """Whether a channel of that name is CT, as the Decathlon and nnU-Net name it.

    >>> is_ct("CT"), is_ct("MRI"), is_ct("PET/CT")
    (True, False, False)
    """
    return channel.strip().casefold() == "ct"


def with_intensities(
    settings: PreprocessingSettings, dataset: Dataset, measured: Callable[[], CtIntensities]
) -> PreprocessingSettings:
    """The same settings with the intensities of CT filled in, if they ask for them and have none.

    Where no channel is CT, ``normalise`` becomes "zscore".

    Args:
        settings: of the preparation.
        dataset: to be prepared.
        measured: gives the intensities, see `measured_intensities`.

    Raises:
        SettingsError: the user gave intensities for another number of channels.
    """
    if settings.normalise != "modality":
        return settings
    if not any(map(is_ct, dataset.channels)):
        return replace(settings, normalise="zscore", ct_intensities=None)
    known, channels = settings.ct_intensities, len(dataset.channels)
    if known is None:
        return replace(settings, ct_intensities=measured())
    if len(known) != channels:
        raise SettingsError(
            f"preprocessing.ct_intensities has {len(known)} entries: expected one for each of the {channels} "
            f"channels of {dataset.root}. Set it to null, to measure them."
        )
    return settings


def measured_intensities(
    dataset: Dataset, training: Set[str], workers: int, on_case: OnCase | None = None
) -> CtIntensities:
    """The intensities of each channel that is CT, None for the others.

    They are measured as in nnU-Net (Isensee et al., Nature Methods 2021), over the foreground voxels of all training
    cases.

    Args:
        dataset: to be prepared.
        training: the names of the training cases.
        workers: the number of threads.
        on_case: called with the number of cases measured and of all that are.

    Raises:
        UnusableFile: a file cannot be used.
        DatasetError: no training case has a foreground voxel.
    """
    ct = [is_ct(name) for name in dataset.channels]
    cases = [case for case in dataset.cases if case.name in training]
    results = in_order(partial(_foreground, dataset=dataset, ct=ct), cases, workers)
    facts = list(counted(results, len(cases), on_case))
    return tuple(
        _of_channel(dataset, [case[number] for case in facts], len(cases)) if asked else None
        for number, asked in enumerate(ct)
    )


def _foreground(case: Case, dataset: Dataset, ct: Sequence[bool]) -> list[ChannelFacts | None]:
    """The foreground voxels of each channel of a case; None for a channel that is no CT, or without such voxels."""
    volume, labels = check_case(case, dataset).require_usable()
    within = (labels != 0) & (labels != IGNORED)
    if not within.any():
        return [None] * len(ct)
    return [_facts(values[within]) if asked else None for values, asked in zip(volume.array, ct, strict=True)]


def _facts(values: NDArray[np.float32]) -> ChannelFacts:
    return ChannelFacts(
        values.size,
        float(values.mean(dtype=np.float64)),
        float(values.var(dtype=np.float64)),
        float(values.min()),
        float(values.max()),
        values[:: -(-values.size // SAMPLED_VOXELS)].copy(),
    )


def _of_channel(dataset: Dataset, facts: Sequence[ChannelFacts | None], cases: int) -> Intensities:
    labelled = [case for case in facts if case is not None]
    if not labelled:
        raise DatasetError(
            f"{dataset.root}: none of the {cases} training cases has a labelled voxel, from which CT is normalised: "
            "expected some. Take another seed or split, which split the cases differently, or --set "
            "preprocessing.normalise=zscore."
        )
    statistics = pooled("CT", labelled)
    deviation = statistics.std if statistics.std > SMALLEST_DEVIATION else 1.0
    return statistics.percentile_0_5, statistics.percentile_99_5, statistics.mean, deviation
