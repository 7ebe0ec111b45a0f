"""Generated datasets: a file for each sort, and an entry in `SAMPLES`."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from netwright.data.samples.cardiac import write_cardiac_sample
from netwright.data.samples.images import (
    CLASSES,
    write_classification_sample,
    write_multilabel_sample,
    write_segmentation_sample,
)
from netwright.data.samples.inpainting import write_inpainting_sample
from netwright.data.samples.phantoms import write_sample
from netwright.spec import entry_of


@dataclass(frozen=True)
class Sample:
    """A generated dataset.

    Args:
        write: writes it; takes the folder, ``seed``, and how many under the name ``counted``.
        counted: what is counted, a keyword of ``write``; its default is the usual number.
        words: what is counted, for a line behind the number.
    """

    write: Callable[..., Path]
    counted: str
    words: str

    @property
    def usual(self) -> int:
        """How many there are where nobody says so."""
        default: int = inspect.signature(self.write).parameters[self.counted].default
        return default


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
