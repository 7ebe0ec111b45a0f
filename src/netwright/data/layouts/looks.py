"""Whether pictures look like drawings, such as masks, or like photographs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

from netwright.data.io.images import read_picture
from netwright.data.issues import UnusableFile

_SAMPLED = 4
_FLAT = 0.75

_T = TypeVar("_T")


def some(items: Sequence[_T]) -> Sequence[_T]:
    """A few of the items, spread over all of them: looking at every file would take long."""
    return items[:: max(1, len(items) // _SAMPLED)][:_SAMPLED]


def is_flat(path: Path) -> bool | None:
    """Whether most pixels are as their neighbours, as in drawings and unlike in photographs; None where it cannot be
    read."""
    try:
        pixels = read_picture(path).pixels
    except UnusableFile:
        return None
    same = pixels[:, 1:] == pixels[:, :-1]
    return bool((same if same.ndim == 2 else same.all(axis=-1)).mean() >= _FLAT) if same.size else None
