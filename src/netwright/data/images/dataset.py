"""A set of pictures as its folder or file describes it: the pictures, and their classes where they have any."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Literal

from netwright.data.io.arrays import PictureArray
from netwright.data.io.images import channel_names
from netwright.data.issues import Problem
from netwright.data.splits import Part

PICTURES = "pictures"
"""The kind of data, in `netwright.data.open.KINDS`."""

Depth = Literal["uint8", "uint16", "float32"]
"""The number type that pictures are kept in."""


Label = int | tuple[int, ...]
"""The index of a picture's class. For pictures that may have several labels: for each label 1 where the picture has it,
else 0."""

Box = tuple[int, int, int, int]
"""A part of a picture in pixels, counted from 0: left, top, right and bottom. Right and bottom are not included."""


@dataclass(frozen=True, slots=True)
class Record:
    """One picture.

    Args:
        name: its name.
        label: its class (0 where pictures have none), or its labels where it may have several.
        part: its official part; None where the dataset has none.
        path: the file that holds it.
        row: its row, in a file of many pictures; else None.
        size: (height, width) in pixels, from the header of the file or of its ``box``; None where it cannot be read.
        box: the part of the file's picture that is used; None: all of it.
    """

    name: str
    label: Label
    part: Part | None
    path: Path
    row: int | None = None
    size: tuple[int, int] | None = None
    box: Box | None = None

    @property
    def classes(self) -> tuple[int, ...]:
        """The index of its class, or of each label that it has."""
        return classes_of(self.label)


@dataclass(frozen=True)
class ImageSet:
    """Pictures of one class each, or with several labels each, or without classes, to be restored: ``classes`` is empty
    then.

    ``channels`` and ``classes`` are names; ``records`` are in order of name; ``depth`` is the type that holds the
    pixels of all of them. ``arrays`` are the files of many pictures, by part, where the format has such.
    ``problems`` were met while the names and headers were read. ``labels_for``: the task that the labels are for; "":
    classification, or inpainting where there are no classes.
    """

    kind: ClassVar[str] = PICTURES
    dimensions: ClassVar[int] = 2
    sliceable: ClassVar[bool] = False

    name: str
    root: Path
    format: str
    channels: tuple[str, ...]
    classes: tuple[str, ...]
    records: tuple[Record, ...]
    depth: Depth = "uint8"
    arrays: Mapping[Part, PictureArray] = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()
    labels_for: str = ""

    @property
    def task(self) -> str:
        """What the labels are for."""
        return task_of_pictures(self.labels_for, self.classes)

    @property
    def class_names(self) -> tuple[str, ...]:
        """The names of the classes, or of the labels."""
        return self.classes

    @property
    def class_word(self) -> str:
        """What to call one of ``classes``: a label, where pictures may have several."""
        return "label" if several_labels(self.labels) else "class"

    @property
    def groups(self) -> dict[str, str]:
        """Pictures have no patients."""
        return {}

    @property
    def counted(self) -> str:
        """The number of pictures, in words."""
        return f"{len(self.records)} pictures"

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the pictures."""
        return tuple(record.name for record in self.records)

    @property
    def labels(self) -> tuple[Label, ...]:
        """Each picture's class, or its labels."""
        return tuple(record.label for record in self.records)

    @property
    def parts(self) -> tuple[Part | None, ...]:
        """The official part of each picture, None where there is none."""
        return tuple(record.part for record in self.records)


def set_of_arrays(
    root: Path,
    format: str,
    classes: tuple[str, ...],
    records: Sequence[Record],
    arrays: Mapping[Part, PictureArray],
    problems: Sequence[Problem],
) -> ImageSet:
    """The pictures in colours, of 8 bits, of a folder with files of many pictures, such as CIFAR and SVHN.

    Args:
        root: the folder.
        format: the name of the layout.
        classes: their names.
        records: the pictures, in order of name.
        arrays: the files, by part.
        problems: that were found.
    """
    return ImageSet(
        name=root.resolve().name,
        root=root,
        format=format,
        channels=channel_names(3),
        classes=classes,
        records=tuple(records),
        arrays=arrays,
        problems=tuple(problem.relative_to(root) for problem in problems),
    )


def classes_of(label: Label) -> tuple[int, ...]:
    """The index of a picture's class, or of each label that it has.

    >>> classes_of(2), classes_of((1, 0, 1)), classes_of((0, 0, 0))
    ((2,), (0, 2), ())
    """
    return (label,) if isinstance(label, int) else tuple(i for i, has in enumerate(label) if has)


def several_labels(labels: Sequence[Label]) -> bool:
    """Whether pictures may have several labels each, and not one class."""
    return bool(labels) and not isinstance(labels[0], int)


def task_of_pictures(labels_for: str, classes: tuple[str, ...]) -> str:
    """The task that pictures are for. Where ``labels_for`` is "", it follows from whether the pictures have classes."""
    return labels_for or ("classification" if classes else "inpainting")
