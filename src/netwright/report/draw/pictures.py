"""Pictures inside the page."""

from __future__ import annotations

import base64
import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

TILE = 232
"""The width of one tile in the file, in pixels. The page shows it somewhat smaller, so that it is sharp."""

GAP = 4
"""Pixels between two tiles."""

LONGEST = 192
"""Larger pictures of a gallery are scaled down to so many pixels."""


def png_uri(pixels: NDArray[np.uint8]) -> str:
    """Rows, columns and red, green, blue as a picture inside the page."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="PNG")
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode('ascii')}"


def gallery_pixels(image: NDArray[np.floating], name: str = "") -> NDArray[np.uint8]:
    """A picture of a gallery as rows, columns and red, green, blue; other numbers of channels show their first in grey.

    Args:
        image: (H, W) or (C, H, W), from 0 to 1.
        name: for messages.

    Raises:
        ValueError: it has another shape.
    """
    image = np.asarray(image, dtype=np.float32)
    if image.ndim not in (2, 3):
        raise ValueError(
            f"image {name!r} has shape {image.shape}, expected (height, width) or (channels, height, width)"
        )
    channels = image[None] if image.ndim == 2 else image
    colours = channels if len(channels) == 3 else np.repeat(channels[:1], 3, axis=0)
    scaled = np.clip(np.rint(255 * np.nan_to_num(colours)), 0, 255).astype(np.uint8).transpose(1, 2, 0)
    picture = Image.fromarray(np.ascontiguousarray(scaled))
    picture.thumbnail((LONGEST, LONGEST), Image.Resampling.LANCZOS)
    return np.asarray(picture)
