"""Files that say how far a run is.

They are of one study. After a change of the space (`netwright.runs.changes`) they hold no longer.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from netwright.files import read_json, write_json
from netwright.runs.folder import RunFolder
from netwright.runs.place import SQLITE, STUDY_NAME, place_of

FINISHED = "finished.json"
COMPARING = "comparison.json"
STUDY = "study"


def write_mark(folder: RunFolder, name: str, values: Mapping[str, Any]) -> None:
    """Writes such a file, for the run's present study.

    Args:
        folder: of the run.
        name: of the file.
        values: what it says.
    """
    write_json(folder.root / name, {**values, STUDY: place_of(folder).study})


def has_mark(folder: RunFolder, name: str) -> bool:
    """Whether there is such a file, of the run's present study."""
    return (folder.root / name).exists() and not is_of_earlier_study(folder, name)


def is_of_earlier_study(folder: RunFolder, name: str) -> bool:
    """Whether there is such a file, of the study that the run had before its space was changed."""
    file, place = folder.root / name, place_of(folder)
    if place.study == STUDY_NAME or not place.url.startswith(SQLITE) or not file.exists():
        return False
    return bool(read_json(file).get(STUDY, STUDY_NAME) != place.study)
