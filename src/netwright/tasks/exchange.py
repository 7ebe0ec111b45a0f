"""What a user gives to a trained network and gets from it, one file at a time, as a server exchanges them."""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal


@dataclass(frozen=True)
class Exchange:
    """What goes into a network, and what comes out of it.

    Args:
        takes: the kind of the file that it is given.
        gives: the kind of the answer.
        channels: of a file, or of the files of an image together.
        values: reads the table that `Predictor.predict` wrote of one picture, as plain values; None: the file that it
            wrote is the answer.
    """

    takes: Literal["volume", "picture"]
    gives: Literal["label map", "class", "labels", "picture"]
    channels: int
    values: Callable[[Path], dict[str, Any]] | None = None


def single_row(path: Path) -> tuple[list[str], list[str]]:
    """The header and the row of a table of one picture, by position: columns are called as classes are."""
    with path.open(encoding="utf-8", newline="") as file:
        header, row = csv.reader(file)
    return header, row
