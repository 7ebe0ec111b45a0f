"""A labelled dataset as its folder describes it: which files belong together, and what their values mean."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from netwright.data.io.whole_labels import LARGEST
from netwright.data.issues import Problem, enumerate_words
from netwright.errors import DatasetError

VOLUMES = "volumes"
"""The kind of data, in `netwright.data.open.KINDS`: images with label maps, pictures among them."""

PICTURES_WITH_MASKS = "image-masks"
"""The layout whose images have two dimensions."""

ACDC = "ACDC"
"""Names the labels where the layout, no file, says what they are."""

MAXIMUM_CLASSES = 256
"""Prepared labels are stored in one byte a voxel."""


LARGEST_IN_PICTURES = 2**16 - 1
"""The largest label value that a PNG holds."""


@dataclass(frozen=True)
class Case:
    """One scan or picture: one image file a channel, or a single file that holds them all, and its label map.

    ``time``: the time point, from 0, that the case is, of files that hold several; None: volumes beyond the first are
    channels. ``group``: the patient, where a patient has several cases: a group is never divided between training,
    validation and test; by default each case is one by itself. ``problem``: what is known to be wrong from the names
    of the files alone.
    """

    name: str
    images: tuple[Path, ...]
    label: Path | None
    time: int | None = None
    group: str = ""
    problem: Problem | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "group", self.group or self.name)


@dataclass(frozen=True)
class Dataset:
    """A folder of labelled volumes, or of pictures with masks.

    ``channels`` are the names of the image channels; ``labels`` maps the values in the label files to names,
    in order of value, with 0 for background; ``map_label`` maps values found in the files to values of
    ``labels`` before anything else sees them. The class index of a label is the position of its value in
    ``labels``. ``naming`` is the file that names the labels, or the folder of the masks whose values they are;
    ``proposed`` the labels that values of masks would get, where these are not numbered in order and nobody has said
    what they mean.

    Raises:
        DatasetError: the labels make no segmentation task, ``map_label`` leads to a value without a name, or the name
            of a case would lead out of the folder that its label map is written to.
    """

    kind: ClassVar[str] = VOLUMES
    task: ClassVar[str] = "segmentation"
    sliceable: ClassVar[bool] = True

    name: str
    root: Path
    format: str
    channels: tuple[str, ...]
    labels: dict[int, str]
    cases: tuple[Case, ...]
    map_label: Mapping[int, int] = field(default_factory=dict)
    file_ending: str = ".nii.gz"
    naming: str = "dataset.json"
    proposed: Mapping[int, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        description = self.root / self.naming
        if 0 not in self.labels or len(self.labels) < 2:
            raise DatasetError(
                f"{description} names the labels {dict(self.labels)}: expected 0 for background and at least "
                "one other. Add what is missing to its `labels`."
            )
        if len(self.labels) > MAXIMUM_CLASSES:
            raise DatasetError(
                f"{description} names {len(self.labels)} labels: at most {MAXIMUM_CLASSES} are supported. "
                "Merge some with --map-label."
            )
        self._require_writable(description)
        unnamed = sorted({value for value in self.map_label.values() if value not in self.labels})
        if unnamed:
            add = ", or add the label to dataset.json" if self.naming != ACDC else ""
            raise DatasetError(
                f"--map-label leads to {enumerate_words(unnamed)}, but {description} names only "
                f"{enumerate_words(sorted(self.labels))}. Map to one of these{add}."
            )
        _require_plain_names(self.root, [case.name for case in self.cases])
        object.__setattr__(self, "labels", dict(sorted(self.labels.items())))
        object.__setattr__(self, "map_label", dict(sorted(self.map_label.items())))

    def _require_writable(self, description: Path) -> None:
        """Raise where a label value could not be written again: below 0, or beyond what label maps hold."""
        largest = LARGEST_IN_PICTURES if self.file_ending == ".png" else LARGEST
        for value, name in self.labels.items():
            if not 0 <= value <= largest:
                free = next(one for one in range(1, MAXIMUM_CLASSES + 1) if one not in self.labels)
                raise DatasetError(
                    f"{description} names the label {value} ({name}): expected values from 0 to {largest}, as label "
                    f"maps are written with. Name it {free} there, and read the files with --map-label {value}={free}."
                )

    @property
    def dimensions(self) -> int:
        """2 of pictures with masks, 3 of volumes."""
        return 2 if self.format == PICTURES_WITH_MASKS else 3

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the cases."""
        return tuple(case.name for case in self.cases)

    @property
    def groups(self) -> dict[str, str]:
        """The patient of each case by the case's name; the case itself where it is one by itself."""
        return {case.name: case.group for case in self.cases}

    @property
    def counted(self) -> str:
        """How many cases there are, in words."""
        return f"{len(self.cases)} cases"

    @property
    def classes(self) -> int:
        """Number of labels, background included."""
        return len(self.labels)

    @property
    def as_named(self) -> str:
        """In words, where the labels come from."""
        return (
            "as dataset.json names them"
            if self.naming == "dataset.json"
            else f"as the {self.naming} have them"
        )

    @property
    def label_values(self) -> tuple[int, ...]:
        """The value of each class in the label files, in order of class index."""
        return tuple(self.labels)

    @property
    def label_names(self) -> tuple[str, ...]:
        """The names of the foreground labels, in order of value."""
        return tuple(name for value, name in self.labels.items() if value != 0)


def _require_plain_names(root: Path, names: Sequence[str]) -> None:
    """Refuse names of cases that are paths: files are named after them, beside which others lie."""
    for name in names:
        if name in ("", ".", "..") or any(mark in name for mark in "/\0"):
            raise DatasetError(
                f"{root} has a case of the name {name!r}: expected one without folders, as files "
                "are named after it. Rename it."
            )
