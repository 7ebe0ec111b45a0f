"""A set of pictures in numbers: sizes, intensities, classes."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, ClassVar

from netwright.data.images.dataset import PICTURES


@dataclass(frozen=True)
class SizeRange:
    """The smallest, median and largest (height, width) in pixels. Each axis is measured by itself."""

    minimum: tuple[int, int]
    median: tuple[float, float]
    maximum: tuple[int, int]


@dataclass(frozen=True)
class PixelStatistics:
    """One channel over all pixels of the readable pictures, in the units of the files."""

    name: str
    mean: float
    std: float
    minimum: float
    maximum: float


@dataclass(frozen=True)
class ClassStatistics:
    """One class or label: its number of ``pictures``, their ``percent`` of all pictures, and how many each official
    part has.
    """

    name: str
    pictures: int
    percent: float
    parts: dict[str, int]


@dataclass(frozen=True)
class ImageFingerprint:
    """A set of pictures in numbers. ``cases`` counts the pictures, ``parts`` those of each official part.

    ``size`` is None where no picture can be read. ``depth`` is the number type of the pixels. ``class_word``: what to
    call one of ``classes``, see `ImageSet`.
    """

    kind: ClassVar[str] = PICTURES

    dataset: str
    format: str
    cases: int
    parts: dict[str, int]
    size: SizeRange | None
    depth: str
    channels: tuple[PixelStatistics, ...]
    classes: tuple[ClassStatistics, ...]
    class_word: str = "class"

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return asdict(self)
