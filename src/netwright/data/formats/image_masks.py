"""Pictures with masks: the folders ``images`` and ``masks`` hold files with the same stems.

Images are PNG, JPEG, TIFF or BMP, grey or in colours; masks are PNG, TIFF or BMP with one value a pixel. A
``dataset.json`` beside them may name the labels (``labels``, from value to name or from name to value) and the
dataset (``name``); without one the labels are the values that the masks hold.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from netwright.data.dataset import Case, Dataset
from netwright.data.formats.description import DESCRIPTION, read_labels, stem, value_first
from netwright.data.labels import count_values, mapped
from netwright.data.parallel import in_order
from netwright.data.pictures import channel_names, is_picture, read_head, read_mask
from netwright.data.problems import UnusableFile, enumerate_words
from netwright.data.whole_labels import whole_labels
from netwright.errors import DatasetError

LOOKED_FOR = "folders `images` and `masks` with pictures of the same stems"

IMAGES = "images"
MASKS = "masks"

MOST_UNNAMED = 64
"""More different values than this are taken for intensities, unless a ``dataset.json`` names them."""

_READERS = 4


def matches(root: Path, description: Mapping[str, Any]) -> bool:
    """Whether a folder is of this format: it has the two folders, and pictures in one of them."""
    folders = [root / IMAGES, root / MASKS]
    return all(folder.is_dir() for folder in folders) and any(map(list_pictures, folders))


def list_pictures(folder: Path) -> list[Path]:
    """The pictures in a folder, sorted, without hidden files."""
    if not folder.is_dir():
        return []
    return sorted(
        file for file in folder.iterdir() if is_picture(file) and file.name[0] != "." and file.is_file()
    )


def read(root: Path, description: Mapping[str, Any], map_label: Mapping[int, int]) -> Dataset:
    """The dataset in ``root``. Without names in a description every mask is read, for the values that it holds.

    Raises:
        DatasetError: no image has a mask, two files have one stem, or the masks hold no labels.
    """
    images, masks = (by_stem(root / folder) for folder in (IMAGES, MASKS))
    if not images.keys() & masks.keys():
        raise DatasetError(_no_pair(root, images, masks))
    cases = []
    for name in sorted(images.keys() | masks.keys()):
        image = images.get(name, root / IMAGES / f"{name}.png")
        cases.append(Case(name, (image,), masks.get(name)))
    named = description.get("labels")
    proposed: dict[int, int] = {}
    if isinstance(named, dict):
        labels = read_labels(root, named, value_first(named))
    else:
        labels, proposed = _labels_found(root, list(masks.values()), map_label)
    return Dataset(
        name=str(description.get("name") or root.name),
        root=root,
        format="image-masks",
        channels=_channels([images[name] for name in sorted(images)]),
        labels=labels,
        cases=tuple(cases),
        map_label=map_label,
        file_ending=".png",
        naming=DESCRIPTION if isinstance(named, dict) else MASKS,
        proposed=proposed,
    )


def by_stem(folder: Path, advice: str = "Remove or rename one.") -> dict[str, Path]:
    """The pictures in a folder by stem, sorted.

    Raises:
        DatasetError: two have one stem.
    """
    files: dict[str, Path] = {}
    for file in list_pictures(folder):
        if (other := files.setdefault(stem(file), file)) is not file:
            raise DatasetError(
                f"{folder} holds {other.name} and {file.name}: expected one file for each stem. {advice}"
            )
    return files


def _no_pair(root: Path, images: Mapping[str, Path], masks: Mapping[str, Path]) -> str:
    shown = [", ".join(file.name for file in list(files.values())[:2]) or "none" for files in (images, masks)]
    return (
        f"{root} has no image with a mask of the same stem: expected pairs such as {IMAGES}/a.png and {MASKS}/a.png, "
        f"found the images {shown[0]} and the masks {shown[1]}. Rename the masks after their images."
    )


def _channels(images: Sequence[Path]) -> tuple[str, ...]:
    """The channels of the first image that can be read."""
    for image in images:
        try:
            return channel_names(read_head(image).channels)
        except UnusableFile:
            continue
    return channel_names(1)


def _labels_found(
    root: Path, masks: Sequence[Path], map_label: Mapping[int, int]
) -> tuple[dict[int, str], dict[int, int]]:
    """The labels of masks that nobody has named, and what each value would become where that is still to be said.

    Values 0, 1, 2, ... (after ``map_label``) are labels as they are. Of others the labels would be their ranks: each
    value -> its rank among them, 0 included.
    """
    return labels_of_values(root / MASKS, set().union(*in_order(_values, masks, _READERS)), map_label)


def labels_of_values(
    folder: Path, found: Collection[int], map_label: Mapping[int, int]
) -> tuple[dict[int, str], dict[int, int]]:
    """The same of the values that the label maps in a folder hold.

    Raises:
        DatasetError: so many values that they are no labels, or none but one.
    """
    values = sorted(found)
    if len(values) > MOST_UNNAMED:
        raise DatasetError(
            f"{folder} holds {len(values)} different values ({enumerate_words(values[:4])}, ...): expected few, "
            "one for each label. So many look like intensities, or like masks blurred by resizing or JPEG: threshold "
            f"them. If they are labels, name each in `labels` of a {DESCRIPTION}."
        )
    meant = sorted({0, *(mapped(value, map_label) for value in values)})
    if len(meant) < 2:
        raise DatasetError(
            f"{folder} holds no label: expected a value for background (0) and at least one other, found "
            f"{enumerate_words(values) or 'no mask that can be read'}. Look whether the masks were exported rightly."
        )
    names = {0: "background", 1: "foreground"} if len(meant) == 2 else {0: "background"}
    labels = {rank: names.get(rank, f"label {rank}") for rank in range(len(meant))}
    if meant == list(labels):
        return labels, {}
    ranks = {value: rank for rank, value in enumerate(meant)}
    return labels, {value: ranks[mapped(value, map_label)] for value in values}


def _values(mask: Path) -> set[int]:
    """The whole numbers in a mask, none where it cannot be used: inspection says why."""
    try:
        return set(count_values(whole_labels(mask, read_mask(mask)))[0].tolist())
    except UnusableFile:
        return set()
