"""How pictures become a network's input: one size, and channels normalised by the training part."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from netwright.data.images.dataset import Depth
from netwright.errors import DatasetError, SettingsError
from netwright.setting_fields import setting

LARGEST_DEFAULT_SIZE = 224
"""A size chosen from the pictures is at most this along its longer side, as in networks for photographs."""

WHITE = {"uint8": 255.0, "uint16": 65535.0, "float32": 1.0}
"""The largest value of a picture, by the type of its numbers; real numbers are taken as they are."""


@dataclass(frozen=True)
class ImageSettings:
    """Size and normalisation of pictures; survives a round trip through JSON.

    Raises:
        SettingsError: a value that is not known.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = {"extra": "forbid", "allow_inf_nan": False}

    size: tuple[int, int] | None = setting(
        None,
        "height and width of the network's input in pixels; `null`: the median of the training pictures, at most 224 "
        "along the longer side",
    )
    normalise: Literal["zscore", "unit", "none"] = setting(
        "zscore",
        "`zscore`: each channel to zero mean and unit variance over the training part; `unit`: black to 0, white to 1",
    )
    fit: Literal["pad", "stretch"] = setting(
        "pad",
        "how a picture of another size is brought to the input size: `pad` keeps its proportions and "
        "fills with black, `stretch` does not",
    )

    def __post_init__(self) -> None:
        for name, known in (("normalise", ("zscore", "unit", "none")), ("fit", ("pad", "stretch"))):
            value = getattr(self, name)
            if value not in known:
                raise SettingsError(f"{name} is {value!r}: expected one of {', '.join(known)}.")
        if self.size is not None and (
            len(self.size) != 2 or any(length != int(length) or length < 1 for length in self.size)
        ):
            raise SettingsError(
                f"size is {self.size}: expected height and width of pictures in pixels, two whole numbers above 0."
            )

    def resolved(self, sizes: Sequence[tuple[int, int]]) -> ImageSettings:
        """The same settings with the size chosen from those of pictures (height, width).

        Raises:
            DatasetError: there are none to choose from.
        """
        if self.size is not None:
            return self
        if not sizes:
            raise DatasetError("No pictures: a size cannot be chosen. Add pictures, or set the size by hand.")
        median = np.median(np.array(sizes), axis=0)
        height, width = median * min(1.0, LARGEST_DEFAULT_SIZE / float(median.max()))
        return replace(self, size=(max(1, round(float(height))), max(1, round(float(width)))))

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> ImageSettings:
        """The inverse of `to_dict`; unknown keys of a newer version are ignored."""
        known = {name: values[name] for name in (field.name for field in fields(cls)) if name in values}
        if isinstance(known.get("size"), list):
            known["size"] = tuple(known["size"])
        return cls(**known)


@dataclass(frozen=True)
class PicturePreparation:
    """All that turns a picture into a network's input, the numbers measured on the training part included.

    ``settings`` are resolved; ``depth`` is the type in which pixels are kept; ``means`` and ``stds`` are one for
    each channel, in units of the stored values. Survives a round trip through JSON, so that a trained network can
    carry it.
    """

    settings: ImageSettings
    channel_names: tuple[str, ...]
    depth: Depth
    means: tuple[float, ...]
    stds: tuple[float, ...]

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the network's input."""
        assert self.settings.size is not None
        return self.settings.size

    def normalised(self, stored: NDArray[Any]) -> NDArray[np.float32]:
        """Stored pixels (..., C, H, W), each channel normalised; a channel that is constant becomes zeros."""
        means = np.array(self.means, dtype=np.float32)[:, None, None]
        factors = [1 / std if std > 0 else 0.0 for std in self.stds]
        result = stored.astype(np.float32)
        result -= means
        result *= np.array(factors, dtype=np.float32)[:, None, None]
        return result

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {
            "settings": self.settings.to_dict(),
            "channels": list(self.channel_names),
            "depth": self.depth,
            "means": list(self.means),
            "stds": list(self.stds),
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> PicturePreparation:
        """The inverse of `to_dict`."""
        return cls(
            settings=ImageSettings.from_dict(values["settings"]),
            channel_names=tuple(values["channels"]),
            depth=values["depth"],
            means=tuple(values["means"]),
            stds=tuple(values["stds"]),
        )


def stored(
    pixels: NDArray[Any], channels: int, depth: Depth, settings: ImageSettings
) -> NDArray[np.uint8] | NDArray[np.uint16] | NDArray[np.float32]:
    """A picture (H, W) or (H, W, 3) as it is kept: (C, *size) of the type ``depth``.

    Grey among colours is repeated in each channel; 8 bits among 16 are scaled so that white stays white.

    Args:
        pixels: as they were read.
        channels: to be kept.
        depth: the number type to be kept.
        settings: of the preparation.

    Raises:
        ValueError: a colour picture where one channel is kept, or numbers that ``depth`` cannot hold.
    """
    pixels = converted(pixels[..., None] if pixels.ndim == 2 else pixels, channels, depth)
    assert settings.size is not None
    return np.ascontiguousarray(np.moveaxis(fitted(pixels, settings.size, settings.fit), -1, 0))


def converted(pixels: NDArray[Any], channels: int, depth: Depth) -> NDArray[Any]:
    """Pixels (..., C) with other channels and another type of numbers: see `stored`.

    Args:
        pixels: as they were read.
        channels: of the result.
        depth: the number type of the result.
    """
    if pixels.shape[-1] not in (1, channels):
        raise ValueError(f"a picture of {pixels.shape[-1]} channels where {channels} are expected")
    if pixels.dtype == np.uint8 and depth == "uint16":
        pixels = pixels.astype(np.uint16) * np.uint16(257)
    if pixels.dtype != depth:
        raise ValueError(f"a picture of {pixels.dtype} pixels where {depth} is expected")
    return pixels if pixels.shape[-1] == channels else np.repeat(pixels, channels, axis=-1)


def fitted(pixels: NDArray[Any], size: tuple[int, int], fit: str) -> NDArray[Any]:
    """A picture (H, W, C) at another size (height, width), of the same type of numbers.

    Resized linearly, with averages over the area where it becomes smaller; with "pad", what is left over is black.

    Args:
        pixels: of one picture.
        size: (height, width) of the result.
        fit: "pad" keeps the proportions, "stretch" does not.
    """
    height, width = pixels.shape[:2]
    if (height, width) == size:
        return pixels
    inner = size
    if fit == "pad":
        scale = min(size[0] / height, size[1] / width)
        inner = (max(1, round(height * scale)), max(1, round(width * scale)))
    result = np.zeros((*size, pixels.shape[2]), dtype=pixels.dtype)
    top, left = (size[0] - inner[0]) // 2, (size[1] - inner[1]) // 2
    for channel in range(pixels.shape[2]):
        result[top : top + inner[0], left : left + inner[1], channel] = _resized(pixels[..., channel], inner)
    return result


def _resized(plane: NDArray[Any], size: tuple[int, int]) -> NDArray[Any]:
    if plane.shape == size:
        return plane
    real = Image.fromarray(np.ascontiguousarray(plane, dtype=np.float32))
    values = np.asarray(real.resize((size[1], size[0]), Image.Resampling.BILINEAR))
    if plane.dtype.kind == "f":
        return values
    return np.asarray(np.clip(np.rint(values), 0, np.iinfo(plane.dtype).max), dtype=plane.dtype)
