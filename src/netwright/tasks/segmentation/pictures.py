"""Which segmentation networks are for pictures, and of how many channels."""

from __future__ import annotations

from netwright.data.io.images import COLOUR, GREY
from netwright.data.volumes.preprocessing import PreprocessingSettings
from netwright.tasks.base import SavedNetwork


def image_channels(saved: SavedNetwork) -> int:
    """The channels of an image that a network takes. One with a first stage sees each twice."""
    staged = PreprocessingSettings.from_dict(saved.preprocessing).low_resolution
    return int(saved.architecture["channels"]) // (2 if staged else 1)


def of_pictures(saved: SavedNetwork) -> bool:
    """Whether a network was trained on pictures."""
    size = PreprocessingSettings.from_dict(saved.preprocessing).size
    names = tuple(saved.architecture.get("channel_names", ()))
    return size is not None and size[2] == 1 and names in ((), GREY, COLOUR)
