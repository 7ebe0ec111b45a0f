"""The output of inspect as lines of text. It needs no torch, which takes seconds and 200 MB to load."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from netwright.data.images.dataset import PICTURES
from netwright.data.images.fingerprint import ImageFingerprint
from netwright.data.volumes.dataset import VOLUMES
from netwright.data.volumes.fingerprint import Fingerprint
from netwright.data.volumes.inspection import Inspection
from netwright.data.volumes.targets import ANISOTROPIC


def command(*words: object) -> str:
    """A netwright command that can be pasted into a shell."""
    return shlex.join(["netwright", *map(str, words)])


def inspection_lines(
    dataset: Path, inspection: Inspection, *, show_all: bool, options: Sequence[str] = ()
) -> Iterator[str]:
    """The contents of a dataset, and what is wrong with it. ``options``: see `plan_lines`."""
    lines, fine = _OF_KIND[inspection.fingerprint.kind]
    yield from lines(inspection.fingerprint)
    if inspection.sizes is not None:
        yield from (f"{name:<10} {text}" for name, text in inspection.sizes.lines())
    counts: dict[str, int] = {}
    for problem in inspection.problems:
        counts[problem.kind] = counts.get(problem.kind, 0) + 1
        if show_all or counts[problem.kind] == 1:
            yield f"{problem.severity}  {problem}"
    more = sum(count - 1 for count in counts.values())
    if more and not show_all:
        yield f"       {more} more of the same kinds: {command('inspect', dataset, *options, '--all')}"
    if not any(problem.severity == "error" for problem in inspection.problems):
        if not counts:
            yield f"looks fine {fine}"
        yield f"next       {command('plan', dataset, *options)}"


def _volume_lines(fingerprint: Fingerprint) -> Iterator[str]:
    """Numbers about volumes, or about images with masks."""
    patients = "" if fingerprint.groups == fingerprint.cases else f" of {fingerprint.groups} patients"
    orientations = ", ".join(f"{name} {count}" for name, count in fingerprint.orientations.items())
    yield (
        f"{fingerprint.dataset}   {fingerprint.cases} cases{patients}{_parts(fingerprint)}   "
        f"format {fingerprint.format}   orientation {orientations}"
    )
    if fingerprint.shape is not None and fingerprint.spacing is not None:
        yield f"shape      {_range(fingerprint.shape, '.0f')} voxels (smallest, median, largest)"
        yield f"spacing    {_range(fingerprint.spacing, '.3g')} mm"
        thick = max(fingerprint.spacing.median) / min(fingerprint.spacing.median)
        if thick >= ANISOTROPIC and min(fingerprint.shape.median) > 1:
            yield (
                f"thick      voxels are {thick:.1f} times as thick as wide: for networks of two dimensions "
                "--set preprocessing.spacing=native keeps the slices of the scan"
            )
    for channel in fingerprint.channels:
        yield (
            f"channel    {channel.name}: mean {channel.mean:.1f}, standard deviation {channel.std:.4g}, "
            f"0.5 to 99.5 % {channel.percentile_0_5:.4g} to {channel.percentile_99_5:.4g}"
        )
    if fingerprint.unlabelled:
        count = len(fingerprint.unlabelled)
        yield (
            f"to predict {count} case{'s' * (count != 1)} without a label map, such as {fingerprint.unlabelled[0]}: "
            "not used in training"
        )
    if not any(label.voxels for label in fingerprint.labels):
        return  # no case is usable; the problems follow
    for label in fingerprint.labels:
        yield (
            f"label      {label.value} {label.name}: {label.voxels:,} voxels, {label.percent:.2f} %, "
            f"in {label.cases} cases"
        )
    for region in fingerprint.regions:
        labels = ", ".join(map(str, region.labels))
        yield (
            f"region     {region.name}: {region.voxels:,} voxels, {region.percent:.2f} %, in {region.cases} cases; "
            f"label{'s' * (len(region.labels) > 1)} {labels}, written as {region.written}"
        )
    if fingerprint.ignored:
        yield f"ignored    {fingerprint.ignored:.2f} % of all voxels: in no loss and in no score"


def _picture_lines(fingerprint: ImageFingerprint) -> Iterator[str]:
    """Numbers about labelled images."""
    yield (
        f"{fingerprint.dataset}   {fingerprint.cases} pictures{_parts(fingerprint)}   "
        f"format {fingerprint.format}"
    )
    if fingerprint.size is not None:
        yield f"size       {_range(fingerprint.size, '.0f')} pixels (height x width; smallest, median, largest)"
    for channel in fingerprint.channels:
        yield (
            f"channel    {channel.name}: mean {channel.mean:.1f}, standard deviation {channel.std:.4g}, "
            f"from {channel.minimum:.4g} to {channel.maximum:.4g}"
        )
    if not fingerprint.classes:
        yield "classes    none: the pictures are to be restored (inpainting)"
    for number, one in enumerate(fingerprint.classes):
        word = f"{fingerprint.class_word:11}"
        yield f"{word}{number} {one.name}: {one.pictures:,} pictures, {one.percent:.2f} %"


_OF_KIND: dict[str, tuple[Callable[[Any], Iterator[str]], str]] = {
    VOLUMES: (_volume_lines, "labels complete, geometry consistent, no NaN, no duplicates"),
    PICTURES: (_picture_lines, "every picture can be read, one size and kind, no duplicates"),
}
"""For each kind of data, the function for its numbers, and what to call data without problems."""


def _parts(fingerprint: Fingerprint | ImageFingerprint) -> str:
    """The sizes of the official parts in brackets; empty where there are none."""
    parts = ", ".join(f"{part} {count}" for part, count in fingerprint.parts.items())
    return "" if set(fingerprint.parts) <= {"all"} else f" ({parts})"


def _range(values: Any, form: str) -> str:
    rows = (values.minimum, values.median, values.maximum)
    texts = [" x ".join(format(x, form) for x in row) for row in rows]
    return texts[0] if len(set(texts)) == 1 else ", ".join(texts)
