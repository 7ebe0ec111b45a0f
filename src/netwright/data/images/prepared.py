"""A prepared set of pictures on disk: one memory-mapped array that every process shares."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from netwright.data.images.dataset import PICTURES, Label, several_labels, task_of_pictures
from netwright.data.images.settings import ImageSettings, PicturePreparation
from netwright.data.splits import Part
from netwright.errors import DatasetError

INDEX = "index.json"
IMAGES = "images.npy"
VERSION = 1


@dataclass(frozen=True, eq=False)
class PreparedImages:
    """Pictures of one size, in order of name. The pixels have the number type of the files.

    ``channels`` and ``classes`` are counts. ``labels`` are the pictures' classes, or the labels of each, and ``parts``
    their official parts. Pictures to restore have no classes: ``class_names`` is empty, and each label is 0.
    ``preparation`` holds the resolved settings, and the means and standard deviations of the training part.
    ``labels_for``: see `ImageSet`. Pickles as the path of its folder, so that worker processes map the same pages of
    memory.
    """

    kind: ClassVar[str] = PICTURES
    sliceable: ClassVar[bool] = False
    sizes: ClassVar[None] = None

    folder: Path
    dataset: str
    preparation: PicturePreparation
    class_names: tuple[str, ...]
    names: tuple[str, ...]
    labels: tuple[Label, ...]
    parts: tuple[Part | None, ...]
    labels_for: str = ""

    def __reduce__(self) -> tuple[Any, tuple[Path]]:
        return open_prepared_images, (self.folder,)

    def __len__(self) -> int:
        return len(self.names)

    @property
    def task(self) -> str:
        """What the labels are for."""
        return task_of_pictures(self.labels_for, self.class_names)

    def preprocessing(self) -> dict[str, Any]:
        """Every step from a file to a network's input, as plain values."""
        return self.preparation.to_dict()

    @property
    def settings(self) -> ImageSettings:
        """The resolved settings."""
        return self.preparation.settings

    @property
    def channel_names(self) -> tuple[str, ...]:
        """Grey, or red, green and blue."""
        return self.preparation.channel_names

    @property
    def channels(self) -> int:
        """Number of channels."""
        return len(self.preparation.channel_names)

    @property
    def classes(self) -> int:
        """Number of classes."""
        return len(self.class_names)

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of every picture in pixels."""
        return self.preparation.size

    @property
    def means(self) -> tuple[float, ...]:
        """What normalisation subtracts from each channel, in the units of the stored pixels."""
        return self.preparation.means

    @property
    def stds(self) -> tuple[float, ...]:
        """What normalisation divides each channel by, in the units of the stored pixels."""
        return self.preparation.stds

    def label(self, index: int) -> Label:
        """A picture's class, or its labels."""
        return self.labels[index]

    def labels_of(self, indices: Sequence[int]) -> NDArray[Any]:
        """The class indices of some pictures (N,), int64; or their labels (N, classes), 0 or 1, float32 as losses take
        them.
        """
        return self._label_array[np.asarray(indices, dtype=np.intp)]

    def image(self, index: int) -> NDArray[np.float32]:
        """A picture (C, H, W), normalised."""
        return self.preparation.normalised(self._images[index])

    def images(self, indices: Sequence[int]) -> NDArray[np.float32]:
        """Some pictures (N, C, H, W), normalised."""
        return self.preparation.normalised(self.raw_images(indices))

    def raw_images(self, indices: Sequence[int]) -> NDArray[Any]:
        """Some pictures (N, C, H, W) as they are stored. `means` and `stds` normalise them on a device."""
        return np.asarray(self._images[np.asarray(indices, dtype=np.intp)])

    def class_counts_of(self, indices: Iterable[int]) -> NDArray[np.int64]:
        """The number of pictures of each class, or with each label, (classes,) among some pictures."""
        labels = self.labels_of(list(indices))
        if labels.ndim == 2:
            return np.asarray(np.count_nonzero(labels, axis=0), dtype=np.int64)
        return np.bincount(labels, minlength=self.classes).astype(np.int64)

    def indices(self, names: Iterable[str]) -> tuple[int, ...]:
        """The indices of named pictures.

        Raises:
            DatasetError: a name is not among them.
        """
        position, names = self._positions, list(names)
        missing = [name for name in names if name not in position]
        if missing:
            raise DatasetError(
                f"{self.folder} has no picture {missing[0]}: expected one of its {len(self)} pictures, such as "
                f"{self.names[0]}. Was the dataset changed since the split was made?"
            )
        return tuple(position[name] for name in names)

    @cached_property
    def _positions(self) -> dict[str, int]:
        return {name: index for index, name in enumerate(self.names)}

    @cached_property
    def _label_array(self) -> NDArray[Any]:
        return np.array(self.labels, dtype=np.float32 if several_labels(self.labels) else np.int64)

    @cached_property
    def _images(self) -> Any:
        return np.load(self.folder / IMAGES, mmap_mode="r", allow_pickle=False)

    def to_dict(self) -> dict[str, Any]:
        """The contents of the index file, as plain values."""
        return {
            "kind": PICTURES,
            "version": VERSION,
            "dataset": self.dataset,
            "preparation": self.preparation.to_dict(),
            "classes": list(self.class_names),
            "names": list(self.names),
            "labels": list(self.labels),
            "parts": list(self.parts),
            "labels_for": self.labels_for,
        }

    @classmethod
    def from_dict(cls, folder: Path, values: Mapping[str, Any]) -> PreparedImages:
        """The inverse of `to_dict`, in a folder."""
        return cls(
            folder=folder,
            dataset=values["dataset"],
            preparation=PicturePreparation.from_dict(values["preparation"]),
            class_names=tuple(values["classes"]),
            names=tuple(values["names"]),
            labels=tuple(label if isinstance(label, int) else tuple(label) for label in values["labels"]),
            parts=tuple(values["parts"]),
            labels_for=values.get("labels_for", ""),  # caches of before have none
        )


def open_prepared_images(folder: Path) -> PreparedImages:
    """The pictures that `prepare_images` has written.

    Raises:
        DatasetError: the folder is none, of another version, or damaged.
    """
    folder = Path(folder)
    advice = "Delete the folder and prepare the dataset again."
    try:
        values = json.loads((folder / INDEX).read_text(encoding="utf-8"))
        if values.get("kind") != PICTURES or values["version"] != VERSION:
            raise DatasetError(
                f"{folder} holds a cache of {values.get('kind', 'volumes')}, version {values['version']}: expected "
                f"{PICTURES}, version {VERSION}. {advice}"
            )
        prepared = PreparedImages.from_dict(folder, values)
        shape = (len(prepared), prepared.channels, *prepared.size)
        images = prepared._images
        if images.shape != shape or images.dtype != prepared.preparation.depth:
            raise DatasetError(
                f"{folder / IMAGES} holds an array of shape {images.shape} and type {images.dtype}: expected {shape} "
                f"of type {prepared.preparation.depth}. {advice}"
            )
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DatasetError(
            f"{folder} is not a complete set of prepared pictures: expected {INDEX} and {IMAGES}, but {error}. {advice}"
        ) from error
    return prepared
