"""Pictures inside the page."""

from __future__ import annotations

import base64
import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

TILE = 232
"""Width of one tile in pixels of the file; the page shows it somewhat smaller, for sharpness."""

GAP = 4
"""Pixels between two tiles."""


def png_uri(pixels: NDArray[np.uint8]) -> str:
    """Rows, columns and red, green, blue as a picture inside the page."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="PNG", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode('ascii')}"
