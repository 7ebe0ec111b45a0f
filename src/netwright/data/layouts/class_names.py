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
        classes = next((values[key] for key in _KEYS if key in values), None)
        return (str(title) if title else None), None if classes is None else _in_order(path, classes)
    return None, None


def _in_order(path: Path, classes: Any) -> tuple[str, ...]:
    if isinstance(classes, list):
        classes = {str(number): name for number, name in enumerate(classes)}
    if (
        not isinstance(classes, dict)
        or set(classes) != {str(number) for number in range(len(classes))}
        or len(classes) < 2
    ):
        raise DatasetError(
            f"{path} names the classes {classes!r}: expected a list of at least two names, or a name for each number "
            'from 0, for example {"0": "benign", "1": "malignant"}.'
        )
    names = tuple(str(classes[str(number)]) for number in range(len(classes)))
    if len(set(names)) < len(names):
        raise DatasetError(
            f"{path} gives two classes one name: expected a name of its own for each of {names}."
        )
    return names
