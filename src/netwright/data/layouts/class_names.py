"""Names for the classes of array files, from a JSON file beside them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from netwright.data.files import read_json
from netwright.data.layouts.description import DESCRIPTION
from netwright.errors import DatasetError

_KEYS = ("classes", "class_names", "labels", "label")


def described_names(folder: Path, stem: str) -> tuple[str | None, tuple[str, ...] | None]:
    """The names of the dataset and of its classes, each None where no file says so.

    Looked for in ``<stem>.json``, ``dataset.json`` and ``INFO.json`` of the folder: an object whose ``classes`` (or
    ``class_names``, ``labels``, ``label``) is a list of names, or has a name for each number from 0; or, as MedMNIST's
    ``INFO``, one that has such an object under the stem of the file.

    Raises:
        DatasetError: a file names the classes in a way that cannot be used.
    """
    for name in dict.fromkeys((f"{stem}.json", DESCRIPTION, "INFO.json")):
        path = folder / name
        if not path.is_file():
            continue
        values = read_json(path)
        if isinstance(values, dict) and isinstance(values.get(stem), dict):
            values = values[stem]
        if not isinstance(values, dict):
            continue
        title = values.get("name")
        found = next((values[key] for key in _KEYS if key in values), None)
        return (str(title) if title else None), None if found is None else _in_order(path, found)
    return None, None


def _in_order(path: Path, found: Any) -> tuple[str, ...]:
    if isinstance(found, list):
        found = {str(number): name for number, name in enumerate(found)}
    if (
        not isinstance(found, dict)
        or set(found) != {str(number) for number in range(len(found))}
        or len(found) < 2
    ):
        raise DatasetError(
            f"{path} names the classes {found!r}: expected a list of at least two names, or a name for each number "
            'from 0, for example {"0": "benign", "1": "malignant"}.'
        )
    names = tuple(str(found[str(number)]) for number in range(len(found)))
    if len(set(names)) < len(names):
        raise DatasetError(
            f"{path} gives two classes one name: expected a name of its own for each of {names}."
        )
    return names
