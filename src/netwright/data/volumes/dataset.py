"""A labelled dataset as its folder describes it: which files belong together, and what their label values mean."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from netwright.data.io.whole_labels import LARGEST
from netwright.data.issues import Problem, enumerate_words
from netwright.data.splits import Part
from netwright.data.volumes.regions import IGNORE, Region, require_regions
from netwright.errors import DatasetError

VOLUMES = "volumes"
"""The kind of data, in `netwright.data.open.KINDS`: images with label maps, pictures among them."""

PICTURES_WITH_MASKS = "image-masks"
"""The layout of two-dimensional images with masks."""

ACDC = "ACDC"
BRATS = "BraTS"
BTCV = "BTCV"
KITS = "KiTS"
LAYOUTS_WITH_LABELS = (ACDC, BRATS, BTCV, KITS)
"""The layouts whose labels no file names: the layout itself says what they are."""

MAXIMUM_CLASSES = 256
"""Prepared labels take one byte a voxel."""


LARGEST_IN_PICTURES = 2**16 - 1
"""The largest label value that a PNG holds."""


@dataclass(frozen=True)
class Case:
    """One scan or picture with its label map.

    Args:
        name: the name of the case.
        images: one file for each channel, or one file with all channels.
        label: the label map; None where there is none.
        time: the time point (from 0) of the case in files that hold several; None: further volumes in a file are
            channels.
        group: the patient, where a patient has several cases. The cases of a group are never divided between training,
            validation and test. By default, each case is a group by itself.
        problem: what the file names alone show to be wrong.
        part: its official part; None where the dataset has none.
    """

    name: str
    images: tuple[Path, ...]
    label: Path | None
    time: int | None = None
    group: str = ""
    problem: Problem | None = None
    part: Part | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "group", self.group or self.name)


@dataclass(frozen=True)
class Dataset:
    """A folder of labelled volumes, or of pictures with masks.

    The class index of a label is the position of its value in ``labels``.

    Args:
        name: the name of the dataset.
        root: its folder.
        format: its layout.
        channels: the names of the image channels.
        labels: the values in the label files and their names, in order of value; 0 is the background.
        cases: the cases.
        map_label: value in the files -> value in ``labels``, or `IGNORE`. It is applied before anything else.
        file_ending: the ending of the label maps that are written for it.
        naming: the file that names the labels, the folder of masks whose values are the labels, or the layout that says
            what they are.
        proposed: the labels that mask values would get, where the values are not numbered in order and nobody has said
            what they mean.
        problems: what the names of files show beside the cases, such as files that are left out.
        unlabelled: the names of the cases without a label map, which are left for prediction.
        elsewhere: labels that the layout has in other years, to be proposed where a file has their values.
        regions: unions of labels that are learned and scored in place of the labels; none: the labels are.

    Raises:
        DatasetError: there is no background or no other label, there are more than 256 labels, or one cannot be
            written; ``map_label`` leads to a value without a name; a region cannot be learned (see `require_regions`);
            or the name of a case is a path, so that its label map would be written to another folder.
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
    problems: tuple[Problem, ...] = ()
    unlabelled: tuple[str, ...] = ()
    elsewhere: Mapping[int, str] = field(default_factory=dict)
    regions: tuple[Region, ...] = ()

    def __post_init__(self) -> None:
        description = self.naming if self.named_by_layout else self.root / self.naming
        if 0 not in self.labels or len(self.labels) < 2:
            raise DatasetError(
                f"{description} names the labels {dict(self.labels)}: expected 0 for background and at least "
                "one other. Add what is missing to its `labels`."
            )
        most = MAXIMUM_CLASSES - self.ignores
        if len(self.labels) > most:
            raise DatasetError(
                f"{description} names {len(self.labels)} labels: at most {most} are supported. "
                "Merge some with --map-label."
            )
        self._require_writable(description)
        unnamed = sorted({*self.map_label.values()} - self.labels.keys() - {IGNORE})
        if unnamed:
            add = ", or add the label to dataset.json" if self.naming != ACDC else ""
            raise DatasetError(
                f"--map-label leads to {enumerate_words(unnamed)}, but {description} names only "
                f"{enumerate_words(sorted(self.labels))}. Map to one of these{add}."
            )
        require_regions(self.regions, self.labels, str(description))
        _require_plain_names(self.root, [case.name for case in self.cases])
        object.__setattr__(self, "labels", dict(sorted(self.labels.items())))
        object.__setattr__(self, "map_label", dict(sorted(self.map_label.items())))

    def _require_writable(self, description: Path | str) -> None:
        """Raises where a label value could not be written: below 0, or larger than label maps can hold."""
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
        """2 for pictures with masks, 3 for volumes."""
        return 2 if self.format == PICTURES_WITH_MASKS else 3

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the cases."""
        return tuple(case.name for case in self.cases)

    @property
    def groups(self) -> dict[str, str]:
        """The patient of each case, by the name of the case. A case without a patient is its own group."""
        return {case.name: case.group for case in self.cases}

    @property
    def parts(self) -> tuple[Part | None, ...]:
        """The official part of each case, None where there is none."""
        return tuple(case.part for case in self.cases)

    @property
    def counted(self) -> str:
        """The number of cases, in words."""
        return f"{len(self.cases)} cases"

    @property
    def classes(self) -> int:
        """Number of labels, background included."""
        return len(self.labels)

    @property
    def ignores(self) -> bool:
        """Whether a value of the label maps stands for voxels that are ignored."""
        return IGNORE in self.map_label.values()

    @property
    def named_by_layout(self) -> bool:
        """Whether no file names the labels, as the layout says what they are."""
        return self.naming in LAYOUTS_WITH_LABELS

    @property
    def as_named(self) -> str:
        """Where the labels come from, in words."""
        named = self.named_by_layout or Path(self.naming).suffix
        if self.format == PICTURES_WITH_MASKS and not named:
            return "as the masks have them"
        return f"as {self.naming} names them" if named else f"as the {self.naming} have them"

    @property
    def label_values(self) -> tuple[int, ...]:
        """The value of each class in the label files, in order of class index."""
        return tuple(self.labels)

    @property
    def label_names(self) -> tuple[str, ...]:
        """The names of the foreground labels, in order of value."""
        return tuple(name for value, name in self.labels.items() if value != 0)


def _require_plain_names(root: Path, names: Sequence[str]) -> None:
    """Refuses names of cases that are paths, because files are named after the cases."""
    for name in names:
        if name in ("", ".", "..") or any(mark in name for mark in "/\0"):
            raise DatasetError(
                f"{root} has a case of the name {name!r}: expected one without folders, as files "
                "are named after it. Rename it."
            )
