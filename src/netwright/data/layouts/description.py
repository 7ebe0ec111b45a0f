"""What the formats share: reading ``dataset.json`` and naming what is wrong with it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from netwright.data.files import is_file, is_folder, read_json
from netwright.data.io.formats import VOLUME_ENDINGS
from netwright.data.issues import enumerate_words
from netwright.data.volumes.dataset import Case
from netwright.data.volumes.regions import IGNORE, IGNORED_WORD, Region
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


def read_labels(root: Path, labels: object, pairs: Sequence[tuple[object, object]]) -> dict[int, str]:
    """Value -> name, from (value, name) pairs as ``labels`` gave them; without the label that is ignored.

    A list of values is a region (see `regions_in`). Where there are any, a value that is no region by itself is called
    by its number.

    Args:
        root: of the dataset.
        labels: as the description has them, for the error.
        pairs: (value, name) of each label.

    Raises:
        DatasetError: values that are not whole numbers, or one that has two names.
    """
    name_of: dict[int, str] = {}
    regions = [_numbers(root, labels, value) for value, _ in pairs if _is_region(value)]
    for value, name in _without_ignored(pairs):
        if _is_region(value):
            continue
        (number,) = _numbers(root, labels, value)
        if number in name_of and not regions:
            raise DatasetError(
                f"{root / DESCRIPTION} names the label value {number} twice ({name_of[number]!r} and "
                f"{name!r}): give each label a value of its own."
            )
        name_of.setdefault(number, str(name))
    for number in (number for region in regions for number in region):
        name_of.setdefault(number, f"label {number}")
    return name_of


def regions_in(root: Path, description: Mapping[str, Any]) -> tuple[Region, ...]:
    """The regions of a description, as nnU-Net has them: where any label is a list of several values, each label but
    background is a region, written as the label that ``regions_class_order`` has in its place. Empty if there are none.

    Args:
        root: of the dataset.
        description: its ``dataset.json``.

    Raises:
        DatasetError: ``regions_class_order`` lacks, or has not a label for each region.
    """
    labels = description.get("labels")
    pairs = _without_ignored(value_first(labels)) if isinstance(labels, dict) else []
    if not any(_is_region(value) for value, _ in pairs):
        return ()
    named = [(str(name), _numbers(root, labels, value)) for value, name in pairs]
    foreground = [(name, numbers) for name, numbers in named if numbers != (0,)]
    order = description.get("regions_class_order")
    if not isinstance(order, list) or len(order) != len(foreground):
        raise DatasetError(
            f"{root / DESCRIPTION} gives `regions_class_order` as {order!r}: expected the {len(foreground)} labels "
            f"that are written for {enumerate_words([name for name, _ in foreground])}, in this order; later ones "
            "overwrite earlier ones. Add them."
        )
    written = [_numbers(root, order, value)[0] for value in order]
    return tuple(Region(*named, label) for named, label in zip(foreground, written, strict=True))


def ignored_in(root: Path, description: Mapping[str, Any]) -> dict[int, int]:
    """The value whose voxels are ignored, as a table for ``map_label``; empty if the description has none.

    Args:
        root: of the dataset.
        description: its ``dataset.json``.

    Raises:
        DatasetError: it is not the highest value, as nnU-Net demands.
    """
    labels = description.get("labels")
    pairs = value_first(labels) if isinstance(labels, dict) else []
    others = [number for value, _ in _without_ignored(pairs) for number in _numbers(root, labels, value)]
    ignored = [value for value, name in pairs if str(name).lower() == IGNORED_WORD]
    numbers = [number for value in ignored for number in _numbers(root, labels, value)]
    if not ignored:
        return {}
    if len(numbers) != 1 or numbers[0] <= max(others, default=0):
        raise DatasetError(
            f"{root / DESCRIPTION} gives the label `ignore` as {ignored[0]}: expected one value above all others, "
            f"{enumerate_words(sorted(set(others)))}. Correct it; or leave it out, and say --map-label OLD=ignore."
        )
    return {numbers[0]: IGNORE}


def _is_region(value: object) -> bool:
    return isinstance(value, list) and len(value) > 1


def _without_ignored(pairs: Iterable[tuple[object, object]]) -> list[tuple[object, object]]:
    return [(value, name) for value, name in pairs if str(name).lower() != IGNORED_WORD]


def _numbers(root: Path, labels: object, value: object) -> tuple[int, ...]:
    """A value, or those of a list, as whole numbers. ``labels``: in which it stands, for the error."""
    numbers = []
    for one in value if isinstance(value, list) and value else [value]:
        try:
            numbers.append(int(one) if isinstance(one, float) and one.is_integer() else int(str(one)))
        except ValueError:
            raise DatasetError(
                f"{root / DESCRIPTION} gives the labels as {labels!r}: expected a whole number for each "
                "name, "
                'for example {"0": "background", "1": "tumour"}.'
            ) from None
    return tuple(numbers)


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
