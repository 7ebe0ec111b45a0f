"""Which segmentation networks are for pictures."""

from __future__ import annotations

from netwright.data.io.images import COLOUR, GREY
from netwright.data.volumes.preprocessing import PreprocessingSettings
from netwright.tasks.base import SavedNetwork


def of_pictures(saved: SavedNetwork) -> bool:
    """Whether a network was trained on pictures."""
    size = PreprocessingSettings.from_dict(saved.preprocessing).size
    names = tuple(saved.architecture.get("channel_names", ()))
    return size is not None and size[2] == 1 and names in ((), GREY, COLOUR)
