"""A dataset in numbers: shapes, spacings, intensities, labels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from netwright.data.io.grid import Grid
from netwright.data.issues import Problem
from netwright.data.volumes.dataset import VOLUMES, Case, Dataset
from netwright.data.volumes.regions import IGNORE


@dataclass(frozen=True)
class Range:
    """Smallest, median and largest along each canonical RAS axis."""

    minimum: tuple[float, float, float]
    median: tuple[float, float, float]
    maximum: tuple[float, float, float]


@dataclass(frozen=True)
class ChannelStatistics:
    """Intensities of one channel over all voxels of all cases. The percentiles come from an evenly spread sample."""

    name: str
    mean: float
    std: float
    minimum: float
    percentile_0_5: float
    median: float
    percentile_99_5: float
    maximum: float


@dataclass(frozen=True)
class LabelStatistics:
    """One label: its ``voxels`` over all cases, its ``percent`` of all voxels that are not ignored, and the number of
    ``cases`` that have it.
    """

    value: int
    name: str
    voxels: int
    percent: float
    cases: int


@dataclass(frozen=True)
class RegionStatistics:
    """One region: its ``labels``, the one that is ``written`` for it, and as of a label its ``voxels``, ``percent`` and
    ``cases``.
    """

    name: str
    labels: tuple[int, ...]
    written: int
    voxels: int
    percent: float
    cases: int


@dataclass(frozen=True)
class Fingerprint:
    """A dataset in numbers. ``shape`` in voxels and ``spacing`` in mm, None where no case can be read.

    ``groups``: how many groups of cases there are, such as patients. The cases of a group stay in one part.
    ``parts``: the number of cases of each official part, or of ``all`` where there are none.

    ``unlabelled``: the names of the cases without a label map, which are left for prediction.

    ``ignored``: the percentage of voxels that are ignored.

    ``orientations`` counts the axis directions of the image files, for example ``{"RAS": 200}``.
    """

    kind: ClassVar[str] = VOLUMES

    dataset: str
    format: str
    cases: int
    groups: int
    shape: Range | None
    spacing: Range | None
    orientations: dict[str, int]
    channels: tuple[ChannelStatistics, ...]
    labels: tuple[LabelStatistics, ...]
    parts: dict[str, int] = field(default_factory=dict)
    unlabelled: tuple[str, ...] = ()
    regions: tuple[RegionStatistics, ...] = ()
    ignored: float = 0.0

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return asdict(self)


@dataclass(frozen=True)
class ChannelFacts:
    """Intensities of one channel of one case, over its finite voxels."""

    voxels: int
    mean: float
    variance: float
    minimum: float
    maximum: float
    sample: NDArray[np.float32]


Point = tuple[float, float, float]


@dataclass(frozen=True)
class CaseFacts:
    """What one case adds to the fingerprint, and what is wrong with it.

    ``content`` is a hash of its image. ``centres``: where the labels lie that have a side by name, in mm of RAS.
    """

    case: Case
    grid: Grid | None
    channels: tuple[ChannelFacts, ...]
    voxels: dict[int, int]
    content: str
    problems: tuple[Problem, ...]
    centres: Mapping[int, Point] = field(default_factory=dict)


def summarise(dataset: Dataset, facts: Sequence[CaseFacts]) -> Fingerprint:
    """The fingerprint of a dataset from the facts of its cases."""
    grids = [case.grid for case in facts if case.grid is not None]
    ignored = sum(case.voxels.get(IGNORE, 0) for case in facts)
    total = sum(sum(case.voxels.values()) for case in facts) - ignored

    def counted(*values: int) -> tuple[int, float, int]:
        """Voxels of some labels, their percentage, and the cases that have any."""
        counts = [sum(case.voxels.get(value, 0) for value in values) for case in facts]
        percent = 100 * sum(counts) / total if total else 0.0
        return sum(counts), percent, sum(count > 0 for count in counts)

    return Fingerprint(
        dataset=dataset.name,
        format=dataset.format,
        cases=len(dataset.cases),
        groups=len({case.group for case in dataset.cases}),
        shape=_range([grid.canonical_shape for grid in grids]),
        spacing=_range([grid.spacing for grid in grids]),
        orientations=dict(Counter(grid.orientation for grid in grids).most_common()),
        channels=_channels(dataset, facts),
        labels=tuple(LabelStatistics(value, name, *counted(value)) for value, name in dataset.labels.items()),
        parts=dict(Counter(str(part or "all") for part in dataset.parts)),
        unlabelled=dataset.unlabelled,
        regions=tuple(
            RegionStatistics(region.name, region.labels, region.written, *counted(*region.labels))
            for region in dataset.regions
        ),
        ignored=100 * ignored / (total + ignored) if ignored else 0.0,
    )


def _channels(dataset: Dataset, facts: Sequence[CaseFacts]) -> tuple[ChannelStatistics, ...]:
    complete = [case for case in facts if len(case.channels) == len(dataset.channels)]
    if not complete:
        return ()
    return tuple(
        pooled(name, [case.channels[number] for case in complete])
        for number, name in enumerate(dataset.channels)
    )


def pooled(name: str, facts: Sequence[ChannelFacts]) -> ChannelStatistics:
    """The intensities of a channel over several cases, of which each voxel counts alike."""
    voxels = np.array([case.voxels for case in facts], dtype=np.float64)
    means = np.array([case.mean for case in facts])
    mean = float(np.average(means, weights=voxels))
    # variance within the cases and variance between them
    variance = np.average([case.variance for case in facts], weights=voxels)
    variance += np.average((means - mean) ** 2, weights=voxels)
    sample = np.concatenate([case.sample for case in facts])
    weights = np.concatenate([np.full(len(case.sample), case.voxels / len(case.sample)) for case in facts])
    low, middle, high = np.quantile(
        sample, [0.005, 0.5, 0.995], weights=weights, method="inverted_cdf"
    ).tolist()
    return ChannelStatistics(
        name=name,
        mean=mean,
        std=float(np.sqrt(variance)),
        minimum=min(case.minimum for case in facts),
        percentile_0_5=low,
        median=middle,
        percentile_99_5=high,
        maximum=max(case.maximum for case in facts),
    )


def _range(rows: Sequence[Sequence[float]]) -> Range | None:
    if not rows:
        return None
    low, middle, high = (
        tuple(float(x) for x in measure(np.array(rows), axis=0)) for measure in (np.min, np.median, np.max)
    )
    return Range(*(((x, y, z)) for x, y, z in (low, middle, high)))
