"""What the formats share: reading ``dataset.json`` and naming what is wrong with it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from netwright.data.files import is_file, is_folder, read_json
from netwright.data.io.formats import VOLUME_ENDINGS
from netwright.data.issues import enumerate_words
from netwright.data.volumes.dataset import Case
from netwright.errors import DatasetError

DESCRIPTION = "dataset.json"


def read_description(root: Path) -> dict[str, Any]:
    """The contents of ``root/dataset.json``.

    Raises:
        DatasetError: it cannot be read or holds no JSON object.
    """
    path = root / DESCRIPTION
    values = read_json(path, "a JSON object", "Repair the file.")
    if not isinstance(values, dict):
        raise DatasetError(
            f"{path} holds a JSON {type(values).__name__}: expected an object. Repair the file."
        )
    return values


def read_channels(root: Path, description: Mapping[str, Any]) -> tuple[str, ...]:
    """The names of the channels, in order of their numbers, from ``channel_names`` or ``modality``.

    Raises:
        DatasetError: neither is there, or the numbers are not 0, 1, 2, ...
    """
    channels = description.get("channel_names", description.get("modality"))
    if isinstance(channels, list):
        channels = {str(number): name for number, name in enumerate(channels)}
    if not isinstance(channels, dict) or sorted(channels) != sorted(
        str(i) for i in range(len(channels) or 1)
    ):
        raise DatasetError(
            f"{root / DESCRIPTION} gives the channels as {channels!r}: expected `channel_names` (or "
            "`modality`) "
            'with a name for each number from 0, for example {"0": "MRI"}.'
        )
    return tuple(str(channels[str(number)]) for number in range(len(channels)))


def read_labels(root: Path, labels: object, pairs: Iterable[tuple[object, object]]) -> dict[int, str]:
    """Value -> name, from (value, name) pairs as ``labels`` gave them.

    Args:
        root: of the dataset.
        labels: as the description has them, for the error.
        pairs: (value, name) of each label.

    Raises:
        DatasetError: regions, an ignore label, or values that are not whole numbers.
    """
    name_of: dict[int, str] = {}
    for value, name in pairs:
        if isinstance(value, list):
            raise DatasetError(
                f"{root / DESCRIPTION} gives the label {name!r} as the region {value}: expected one whole "
                "number. Regions that overlap are not supported: give each label a value of its own."
            )
        if str(name).lower() == "ignore":
            raise DatasetError(
                f"{root / DESCRIPTION} names an `ignore` label ({value}), which is not supported: expected "
                f"every voxel to have a label. Remove it from `labels` and run with --map-label {value}=0 to "
                "read it as background."
            )
        try:
            number = int(value) if isinstance(value, float) and value.is_integer() else int(str(value))
        except ValueError:
            raise DatasetError(
                f"{root / DESCRIPTION} gives the labels as {labels!r}: expected a whole number for each "
                "name, "
                'for example {"0": "background", "1": "tumour"}.'
            ) from None
        if number in name_of:
            raise DatasetError(
                f"{root / DESCRIPTION} names the label value {number} twice ({name_of[number]!r} and "
                f"{name!r}): give each label a value of its own."
            )
        name_of[number] = str(name)
    return name_of


def value_first(labels: Mapping[str, Any]) -> list[tuple[object, object]]:
    """(value, name) pairs of a table of labels, whichever stands first.

    The Decathlon writes values first, nnU-Net names: whole numbers tell which side the values are on. Where both sides
    are, values are written without quotes.
    """
    numbered = all(key.lstrip("-").isdigit() for key in labels)
    if numbered and not all(isinstance(value, int) for value in labels.values()):
        return list(labels.items())
    return [(value, name) for name, value in labels.items()]


def file_of(root: Path, name: str) -> Path:
    """A file that a description names; Windows writes ``\\`` between folders where all others write ``/``."""
    path = root / name
    return path if "\\" not in name or is_file(path) else root / name.replace("\\", "/")


def stem(path: Path) -> str:
    """The file name without its ending, such as ``.nii.gz``, in small or capital letters; all of a folder's name."""
    if is_folder(path):
        return path.name
    ending = next((ending for ending in VOLUME_ENDINGS if path.name.lower().endswith(ending)), path.suffix)
    return path.name[: len(path.name) - len(ending)]


def by_stem(folder: Path, files: Iterable[Path], advice: str = "Remove or rename one.") -> dict[str, Path]:
    """The files of a folder by stem, in their order.

    Args:
        folder: the folder, for the error.
        files: in it.
        advice: what to do, for the error.

    Raises:
        DatasetError: two have one stem.
    """
    file_of: dict[str, Path] = {}
    for file in files:
        if (other := file_of.setdefault(stem(file), file)) is not file:
            raise DatasetError(
                f"{folder} holds {other.name} and {file.name}: expected one file for each stem. {advice}"
            )
    return file_of


def require_unique(root: Path, cases: Iterable[Case]) -> tuple[Case, ...]:
    """The cases, sorted by name.

    Raises:
        DatasetError: two cases have one name.
    """
    ordered = tuple(sorted(cases, key=lambda case: case.name))
    twice = [name for name, count in Counter(case.name for case in ordered).items() if count > 1]
    if twice:
        raise DatasetError(
            f"{root / DESCRIPTION} lists the cases {enumerate_words(twice[:5])} more than once: every case "
            "needs a file name of its own."
        )
    return ordered
