"""What several tests read from a report's page."""

from __future__ import annotations

import base64
import json
import re
from typing import Any

import numpy as np
from numpy.typing import NDArray


def plot(text: str, name: str) -> dict[str, Any]:
    """The figure that the page hands to plotly."""
    found = re.search(rf'id="plot-{name}">(.*?)</script>', text, flags=re.DOTALL)
    assert found is not None
    value: dict[str, Any] = json.loads(found[1])
    return value


def array(value: Any) -> NDArray[np.float64]:
    """Plotly's packed numbers, or a plain list."""
    if isinstance(value, list):
        return np.array(value, dtype=np.float64)
    flat = np.frombuffer(base64.b64decode(value["bdata"]), dtype=value["dtype"])
    shape = [int(n) for n in value["shape"].split(",")] if "shape" in value else [-1]
    return flat.reshape(shape).astype(np.float64)
