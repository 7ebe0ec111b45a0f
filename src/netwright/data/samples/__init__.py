"""Generated datasets: a file for each sort, and an entry in `SAMPLES`."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from pathlib import Path

from netwright.data.samples.cardiac import write_cardiac_sample
from netwright.data.samples.images import (
    CLASSES,
    write_classification_sample,
    write_multilabel_sample,
    write_segmentation_sample,
)
from netwright.data.samples.inpainting import write_inpainting_sample
from netwright.data.samples.phantoms import require_own, write_sample
from netwright.data.samples.published_arrays import (
    write_chestmnist,
    write_cifar10,
    write_cifar100,
    write_medmnist,
    write_mnist,
    write_svhn_numbers,
)
from netwright.data.samples.published_masks import (
    write_carvana,
    write_cityscapes,
    write_data_science_bowl,
    write_isic,
    write_voc,
)
from netwright.data.samples.published_pictures import (
    write_cars,
    write_celeba,
    write_ham10000,
    write_imagenet,
    write_svhn,
)
from netwright.data.samples.published_volumes import VOLUME_LAYOUTS, write_cines, write_volumes_of
from netwright.errors import SettingsError
from netwright.spec import entry_of


@dataclass(frozen=True)
class Sample:
    """A generated dataset.

    Args:
        write: writes it; takes the folder, ``seed``, and how many under the name ``counted``.
        counted: what is counted, a keyword of ``write``; its default is the usual number.
        words: what is counted, for a line behind the number.
        options: that commands need to read it as it is meant.
    """

    write: Callable[..., Path]
    counted: str
    words: str
    options: tuple[str, ...] = ()

    @property
    def usual(self) -> int:
        """How many there are where nobody says so."""
        default: int = inspect.signature(self.write).parameters[self.counted].default
        return default


def _published(
    write: Callable[..., Path],
    counted: str = "pictures",
    words: str = "pictures",
    fewest: int = 12,
    options: tuple[str, ...] = (),
) -> Sample:
    """A made-up copy of a published dataset, which has no file of ours to tell an earlier one by: the folder has to be
    new.

    Args:
        write: as in `Sample`.
        counted: as in `Sample`.
        words: as in `Sample`.
        fewest: fewer lack a class, or a part.
        options: as in `Sample`.
    """

    @wraps(write)
    def write_anew(folder: Path, **options: int) -> Path:
        folder = Path(folder).expanduser()
        require_own(folder, "")
        if options.get(counted, fewest) < fewest:
            raise SettingsError(f"A sample of {options[counted]} {counted}: expected at least {fewest}.")
        return write(folder, **options)

    return Sample(write_anew, counted, words, options)


_FOR_TRAINING = "pictures for training, with others for testing"
_MASKS = "pictures with masks"
_WHITE = ("--map-label", "255=1")
_ROAD_AND_CAR = ("--map-label", "7=1,26=2")

LAYOUTS: dict[str, Sample] = {
    **{kind: _published(write_volumes_of(kind), "cases", "cases", fewest=4) for kind in VOLUME_LAYOUTS},
    "cine": _published(write_cines, "cases", "cines", fewest=4, options=("--format", "cine")),
    "isic": _published(write_isic, words=_MASKS, fewest=5, options=_WHITE),
    "carvana": _published(write_carvana, words=_MASKS, fewest=5, options=_WHITE),
    "data-science-bowl": _published(write_data_science_bowl, words=_MASKS, fewest=5, options=_WHITE),
    "voc": _published(write_voc, words=_MASKS, fewest=5),
    "cityscapes": _published(
        write_cityscapes, words="pictures, four fifths of them with masks", fewest=5, options=_ROAD_AND_CAR
    ),
    "mnist": _published(write_mnist, words=_FOR_TRAINING),
    "cifar-10": _published(write_cifar10, words=_FOR_TRAINING),
    "cifar-100": _published(write_cifar100, words=_FOR_TRAINING),
    "medmnist": _published(write_medmnist, words=_FOR_TRAINING),
    "chestmnist": _published(write_chestmnist, words=_FOR_TRAINING),
    "svhn": _published(write_svhn, words=_FOR_TRAINING),
    "svhn-numbers": _published(write_svhn_numbers, words=_FOR_TRAINING),
    "stanford-cars": _published(write_cars, words=_FOR_TRAINING),
    "celeba": _published(write_celeba),
    "ham10000": _published(write_ham10000),
    "imagenet": _published(write_imagenet, words="pictures of each synset", fewest=4),
}
"""Made-up copies of published datasets, in the layouts of their publishers."""

SAMPLES: dict[str, Sample] = {
    "volumes": Sample(write_sample, "cases", "cases"),
    "masks": Sample(write_segmentation_sample, "pictures", "pictures with masks"),
    "classes": Sample(
        write_classification_sample,
        "pictures",
        f"pictures for training in each of {len(CLASSES)} classes",
    ),
    "labels": Sample(
        write_multilabel_sample,
        "pictures",
        f"pictures with none, one or several of {len(CLASSES)} labels",
    ),
    "cardiac": Sample(write_cardiac_sample, "patients", "hearts at end diastole and end systole"),
    "images": Sample(write_inpainting_sample, "pictures", "pictures"),
    **LAYOUTS,
}
"""By the name that ``netwright sample --kind`` takes."""


def write_kind(kind: str, folder: Path, count: int | None = None, seed: int = 0) -> str:
    """Write a sample of `SAMPLES`. Returns what it holds, in words.

    Args:
        kind: its name.
        folder: where to write it.
        count: how many cases, pictures or patients; None: the usual number.
        seed: others give other data.

    Raises:
        SettingsError: there is no such kind, or too few are asked for.
        DatasetError: the folder holds something else than a sample.
        StorageError: the folder cannot be written.
    """
    sample = entry_of("sample", SAMPLES, kind)
    count = count or sample.usual
    sample.write(folder, seed=seed, **{sample.counted: count})
    return f"{count} {sample.words}"
