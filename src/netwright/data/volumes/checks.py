"""Reads and checks one case. Inspection reports the same problems for which preparation refuses a case."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from netwright.data.files import is_folder, require_file
from netwright.data.io.alignment import misplacement
from netwright.data.io.formats import is_flat
from netwright.data.io.grid import Grid
from netwright.data.io.images import read_head
from netwright.data.io.masks import require_one_orientation
from netwright.data.io.tiff import is_stack
from netwright.data.io.tiff_spacing import unknown_spacing
from netwright.data.io.time_axis import advice_on_time
from netwright.data.io.volumes import Volume, read_image, read_label, read_label_grid
from netwright.data.io.whole_labels import advice_on_scale, value_text
from netwright.data.issues import Problem, UnusableFile, enumerate_words
from netwright.data.volumes.dataset import ACDC, Case, Dataset
from netwright.data.volumes.labels import class_indices, count_values, unnamed_values

_SHOWN_VALUES = 8


@dataclass(frozen=True)
class CheckedCase:
    """One case as far as it can be read.

    Args:
        volume: the image, in canonical RAS axes; None where an error prevents its use.
        labels: the class indices (X, Y, Z), in the same axes; None where an error prevents their use.
        problems: what is wrong.
    """

    volume: Volume | None
    labels: NDArray[np.uint8] | None
    problems: tuple[Problem, ...]

    def require_usable(self) -> tuple[Volume, NDArray[np.uint8]]:
        """The image and the labels.

        Raises:
            UnusableFile: there are errors. It carries the first one.
        """
        for problem in self.problems:
            if problem.severity == "error":
                raise UnusableFile(problem)
        assert self.volume is not None
        assert self.labels is not None
        return self.volume, self.labels


def check_case(case: Case, dataset: Dataset) -> CheckedCase:
    """Reads a case's files and looks for everything that would spoil a training."""
    if (unsound := case_problem(case, dataset)) is not None:
        return CheckedCase(None, None, (unsound.relative_to(dataset.root),))
    volume, problems = _check_image(case, dataset)
    labels = None
    try:
        path = require_label(case)
        if volume is not None and is_flat(path):
            require_one_orientation(case.images[0], path)
        if volume is not None:
            own = read_label_grid(path, volume.grid)
            misplaced = misplacement(path, own, volume.grid, case.images[0].name)
            if misplaced is not None and misplaced.severity == "error":
                raise UnusableFile(misplaced)
            problems += [] if misplaced is None else [misplaced]
        values = read_label(path, volume.grid if volume else None, case.time)
        problems += value_problems(path, count_values(values)[0], dataset)
        if not any(problem.severity == "error" for problem in problems):
            labels = class_indices(values, dataset.label_values, dataset.map_label)
    except UnusableFile as error:
        problems.append(naming_labels(error.problem, dataset))
    return CheckedCase(volume, labels, tuple(problem.relative_to(dataset.root) for problem in problems))


def case_problem(case: Case, dataset: Dataset) -> Problem | None:
    """The problem of a case by its names and headers alone: that which it has, or a stack of pages among pictures."""
    if case.problem is not None or dataset.dimensions > 2:
        return case.problem
    for path in filter(is_stack, (*case.images, *([case.label] if case.label is not None else []))):
        try:
            read_head(path)
        except UnusableFile as error:
            return error.problem
    return None


def require_label(case: Case) -> Path:
    """The label file of a case.

    Raises:
        UnusableFile: the case has none, or the file is missing.
    """
    _require_sound(case)
    advice = "Add the label map, or remove the case from the dataset: only labelled cases can be used."
    if case.label is None and is_flat(case.images[0]):
        raise UnusableFile(_no_mask(case.images[0]))
    if case.label is None:
        raise UnusableFile(
            Problem(
                "error",
                str(case.images[0]),
                "has no label map",
                expected="an image and a label for every training case in dataset.json",
                found="an image alone",
                advice=advice,
                kind="missing-label",
            )
        )
    if not is_folder(case.label):
        require_file(case.label, advice)
    return case.label


def require_images(case: Case) -> tuple[Path, ...]:
    """The image files of a case.

    Raises:
        UnusableFile: it is a mask without a picture, or the case has a problem.
    """
    _require_sound(case)
    if is_flat(case.images[0]) and not case.images[0].is_file():
        raise UnusableFile(_no_image(case))
    return case.images


def _require_sound(case: Case) -> None:
    if case.problem is not None:
        raise UnusableFile(case.problem)


def _no_mask(image: Path) -> Problem:
    return Problem(
        "error",
        str(image),
        "has no mask",
        expected=f"a mask {image.stem} in PNG, TIFF, BMP or GIF in the folder {image.parent.parent / 'masks'}",
        found="none of that stem",
        advice="Add the mask, or remove the image: only images with masks can be used.",
        kind="missing-label",
    )


def _no_image(case: Case) -> Problem:
    return Problem(
        "error",
        str(case.label),
        "has no image",
        expected=f"an image {case.name} in PNG, TIFF, JPEG, BMP or GIF in the folder {case.images[0].parent}",
        found="none of that stem",
        advice="Add the image, or remove the mask.",
        kind="missing-image",
    )


def _check_image(case: Case, dataset: Dataset) -> tuple[Volume | None, list[Problem]]:
    try:
        volume = read_image(require_images(case), case.time)
    except UnusableFile as error:
        return None, [error.problem]
    channels = len(volume.array)
    path = case.images[0]
    problems = [
        *spacing_problems(path, volume.grid),
        *volume.problems,
        *channel_problems(case, dataset, channels),
    ]
    for number, values in enumerate(volume.array):
        file = case.images[number] if len(case.images) == channels else path
        problems += check_intensities(file, number, values)
    return volume, problems


def spacing_problems(path: Path, grid: Grid) -> list[Problem]:
    """A warning of an image that does not say how large its voxels are."""
    return [] if grid.sized else [unknown_spacing(path)]


def channel_problems(case: Case, dataset: Dataset, channels: int) -> list[Problem]:
    """The problem of an image with the wrong number of channels.

    Args:
        case: with the image.
        dataset: names the channels.
        channels: that the image has.
    """
    path = case.images[0]
    if channels == len(dataset.channels):
        return []
    if is_flat(path):
        return [_other_colours(path, channels, dataset)]
    return [
        Problem(
            "error",
            str(path),
            f"has {channels} channel{'s' if channels != 1 else ''}",
            expected=f"{len(dataset.channels)} ({', '.join(dataset.channels)}), as dataset.json names them",
            found=str(channels),
            advice="Name every channel in dataset.json, in order, or remove the volumes that are not "
            "channels." + advice_on_time(path),
            kind="channels",
        )
    ]


def _other_colours(path: Path, channels: int, dataset: Dataset) -> Problem:
    kinds = {1: "a grey picture", 3: "a picture in red, green and blue"}
    expected = kinds.get(len(dataset.channels), f"{len(dataset.channels)} channels")
    return Problem(
        "error",
        str(path),
        "is grey among colours" if channels == 1 else "is coloured among greys",
        expected=f"{expected}, as the first image is",
        found=kinds.get(channels, f"{channels} channels"),
        advice="A network needs one kind: convert all images, for example with Pillow: "
        f"Image.open(path).convert('{'RGB' if channels == 1 else 'L'}').save(path).",
        kind="channels",
    )


def check_intensities(path: Path, channel: int, values: NDArray[np.float32]) -> list[Problem]:
    """The problems of one channel's intensities (X, Y, Z): NaN or infinite voxels, or no contrast.

    Args:
        path: of the image.
        channel: its number.
        values: of all voxels.
    """
    broken = int(values.size - np.count_nonzero(np.isfinite(values)))
    return intensity_problems(path, channel, broken, values.size, (float(values.min()), float(values.max())))


def intensity_problems(
    path: Path, channel: int, broken: int, voxels: int, limits: tuple[float, float]
) -> list[Problem]:
    """Like `check_intensities`, for a channel that has been counted already.

    Args:
        path: the channel's file.
        channel: its number.
        broken: how many voxels are NaN or infinite.
        voxels: how many voxels there are.
        limits: the smallest and the largest intensity.
    """
    if broken:
        return [
            Problem(
                "error",
                str(path),
                "has voxels that are not numbers (NaN or infinite)",
                expected="finite intensities",
                found=f"{broken} of {voxels} voxels in channel {channel}",
                advice="They come from resampling or from division outside the scanned region: replace them, for "
                "example with numpy.nan_to_num, and save the volume again.",
                kind="not-finite",
            )
        ]
    if limits[0] == limits[1]:
        return [
            Problem(
                "warning",
                str(path),
                "is constant",
                expected="an image",
                found=f"the intensity {limits[0]:g} everywhere in channel {channel}",
                advice="Nothing can be learned from it: check whether the export failed, or remove the case.",
                kind="constant",
            )
        ]
    return []


def value_problems(path: Path, values: NDArray[Any], dataset: Dataset) -> list[Problem]:
    """The problems of a label map's values (whole numbers, in order).

    Args:
        path: of the label map.
        values: that occur in it.
        dataset: names the labels.
    """
    whole_numbers = [int(value) for value in values]
    unnamed = [int(value) for value in unnamed_values(whole_numbers, dataset.label_values, dataset.map_label)]
    if not unnamed:
        return []
    if dataset.proposed:
        return [_unconfirmed(path, values, dataset)]
    return [
        Problem(
            "error",
            str(path),
            f"has labels that {dataset.naming} does not name",
            expected=enumerate_words(list(dataset.labels)),
            found=value_text(values),
            advice=f"{_advice_on_values(unnamed, dataset)} {advice_on_scale(path)}".rstrip(),
            kind="unknown-label",
        )
    ]


def naming_labels(problem: Problem, dataset: Dataset) -> Problem:
    """Adds the expected labels to a problem about a label that is no whole number."""
    if problem.kind not in ("not-integer", "label-not-finite", "label-range"):
        return problem
    return replace(problem, expected=f"{enumerate_words(list(dataset.labels))}, {dataset.as_named}")


def _unconfirmed(path: Path, values: NDArray[Any], dataset: Dataset) -> Problem:
    """The problem of masks whose values are not 0, 1, 2, ...: it names the label that each value would get, and the
    flag that confirms this.
    """
    readings = [f"{value} -> {label} ({dataset.labels[label]})" for value, label in dataset.proposed.items()]
    flag = ",".join(f"{value}={label}" for value, label in dataset.proposed.items() if value != label)
    return Problem(
        "error",
        str(path),
        "has values that are not numbered 0, 1, 2, ... in order",
        expected=enumerate_words(list(dataset.labels)),
        found=value_text(values),
        advice=f"The values of the masks would become these labels: {', '.join(readings)}. If that is right, confirm "
        f"it with --map-label {flag}; otherwise give other labels there, or name the values in a dataset.json.",
        kind="unconfirmed-labels",
    )


def _advice_on_values(unnamed: list[int], dataset: Dataset) -> str:
    target, name = next((value, name) for value, name in dataset.labels.items() if value != 0)
    first = unnamed[0]
    if unnamed == [255]:
        return (
            "Masks saved as 8-bit images often use 255 for foreground. "
            f"If 255 means {target} ({name}), run again with --map-label 255={target}."
        )
    if len(unnamed) > 2 * dataset.classes + _SHOWN_VALUES:
        return "So many values look like the intensities of an image: is this the label map?"
    say = (
        f"what each value means, for example --map-label {first}={target} ({name}) or --map-label {first}=0 "
        "(background)."
    )
    if dataset.naming == ACDC:
        return f"Say {say}"
    if dataset.named_by_layout:
        names = {name: value for value, name in dataset.labels.items()}
        names |= {dataset.elsewhere.get(value, f"name of {value}"): value for value in unnamed}
        return f"Name all labels in {dataset.root / 'dataset.json'}: {json.dumps({'labels': names})}. Or say {say}"
    table = "`labels` in dataset.json" if Path(dataset.naming).suffix in ("", ".json") else dataset.naming
    return f"Add the missing names to {table}, or say {say}"
