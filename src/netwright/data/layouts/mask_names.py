"""What names of folders and files say of images and masks: which of the two a file is, its part, and what pairs it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from netwright.data.layouts.description import DESCRIPTION
from netwright.data.layouts.part_names import PARTS
from netwright.data.splits import Part
from netwright.errors import DatasetError

Role = Literal["image", "mask", "other"]

IMAGES = "images"
MASKS = "masks"

_PART = "|".join(PARTS)
IMAGE_WORDS = "images?|imgs?|pictures?|photos?|inputs?|originals?"
MASK_WORDS = "masks?|labels?|annotations?|annots?|gts?|segmentations?|segs?|trimaps?"
"""What says of a name that it is that of images, or of masks, in lower case."""

_IMAGE_NAMES = f"{IMAGE_WORDS}|jpegimages|leftimg8bit|701_stillsraw_full"
_MASK_NAMES = (
    f"{MASK_WORDS}|ground[ _-]?truths?|segmentationclass|gtfine|1st_manual|manual1|labeledapproved_full"
)
_FOLDER = re.compile(
    rf"(?:(?P<before>{_PART})[ _-]?)?(?:(?P<image>{_IMAGE_NAMES})|(?P<mask>{_MASK_NAMES}))(?:[ _-]?(?P<after>{_PART}))?"
)
_OF_A_CHALLENGE = re.compile(
    rf"(?:.*?[ _-])??(?:(?P<before>{_PART})(?:_v2)?(?:_part1)?[ _-])?(?:(?P<image>input)|(?P<mask>groundtruth))|"
    rf"is(?:ic|bi).*?_(?P<after>{_PART})(?:_v2)?_(?P<data>data)"
)
"""ISIC 2016, 2017 and 2018: ``ISIC2018_Task1-2_Training_Input`` and ``ISIC2018_Task1_Training_GroundTruth``, or
``ISIC-2017_Test_v2_Data`` and ``ISIC-2017_Test_v2_Part1_GroundTruth``."""

_OTHER_FOLDERS = ("2nd_manual", "gtcoarse", "segmentationobject")
"""Second opinions of DRIVE, coarse masks of Cityscapes, and objects of PASCAL VOC: known, and not read."""

_BESIDE = {"1st_manual": "mask", "manual1": "mask"}
"""In DRIVE and HRF ``mask`` is the field of view, and ``1st_manual`` or ``manual1`` the vessels."""

_CITYSCAPES = "gtfine"
"""Its masks of the test part are published without labels: they show the car that carries the camera, and borders."""

_MASK_ENDING = re.compile(
    r"(?P<bare>.*?[^_. -])[_. -]+(?P<ending>(?:gtfine_)?labelids|masks?|segmentation|seg|labels?|gt|1stho)(?:_\d+)?",
    re.IGNORECASE,
)
"""The numbers are those of BUSI, where ``benign (4)_mask_1.png`` is the second mask of a picture."""

_IN_MASK_FOLDERS = re.compile(r"(?P<bare>.*[^_. -])_(?P<ending>manual1|L)")
"""Endings of DRIVE and CamVid. They say something in a folder of masks only."""

_IMAGE_ENDING = re.compile(r"(?P<bare>.*[^_. -])_(?:leftimg8bit|sat|image|img|training|test)", re.IGNORECASE)
_OTHER_ENDING = re.compile(
    r".*_(?P<ending>superpixels|gtfine_(?:color|instanceids|labeltrainids)|2ndho)", re.IGNORECASE
)
_MAY_BE_MARKED = re.compile("mask|seg|label|gt|1stho", re.IGNORECASE)
"""In every stem that says of a mask that it is one."""

_MASK_BEGINNING = re.compile(r"(?P<ending>mask|label|seg|gt)(?:[_-](?P<bare>.+))?", re.IGNORECASE)
_IMAGE_BEGINNING = re.compile(r"(?:image|img)(?:[_-](?P<bare>.+))?", re.IGNORECASE)


@dataclass(frozen=True)
class Choice:
    """What a ``dataset.json`` says of the images and of the masks: a folder's name, or how the names of files end."""

    images: str | None = None
    masks: str | None = None


@dataclass(frozen=True)
class Named:
    """A file, and what its name and folders say.

    Args:
        path: the file.
        role: image, mask, or ``other``: neither.
        part: of the publisher; None where no folder names one.
        before: the folders above the one that says the role, without those of parts.
        rest: all folders that say neither role nor part.
        bare: the stem without what marks images and masks.
        kind: what marks a mask: its folder and how its name ends.
        sure: a folder whose name is known says the role, or the file is known to be neither.
    """

    path: Path
    role: Role
    part: Part | None
    before: tuple[str, ...]
    rest: tuple[str, ...]
    bare: str
    kind: str = ""
    sure: bool = False


def read_choice(root: Path, description: Mapping[str, Any]) -> Choice:
    """The keys ``images`` and ``masks`` of a ``dataset.json``, where they are texts. COCO, for one, has a list there.

    Raises:
        DatasetError: one of them is empty.
    """
    given = {key: description.get(key) for key in (IMAGES, MASKS)}
    chosen = {key: value.rstrip("/") for key, value in given.items() if isinstance(value, str)}
    for key, value in chosen.items():
        if not value:
            raise DatasetError(
                f"{root / DESCRIPTION} gives `{key}` as '': expected the name of a folder, or how the names of its "
                f'files end, such as "{key}" or "_{key}.png". Correct it, or leave the key out.'
            )
    return Choice(**chosen)


def name_masks(root: Path, files: Sequence[Path]) -> bool:
    """Whether the name of a folder or file below ``root`` may be that of masks. It is quick."""
    homes = dict.fromkeys(file.parent for file in files)
    folders = {folder for home in homes for folder in home.relative_to(root).parts}
    if any(_read_folder(folder, folders, Choice())[0] == "mask" for folder in folders):
        return True
    return any(_MAY_BE_MARKED.search(file.name) for file in files)


def read_names(root: Path, files: Sequence[Path], choice: Choice, plain: bool = False) -> list[Named]:
    """What the names of ``files`` below ``root`` say. Where a folder is of masks, folders say what is a mask; otherwise
    the endings of names do.

    Args:
        root: of the dataset.
        files: pictures below it.
        choice: what the description says.
        plain: the files are in `images` and `masks` in ``root``. Folders below say no role.
    """
    homes = dict.fromkeys(file.parent for file in files)
    folders = {folder for home in homes for folder in home.relative_to(root).parts}
    places = {home: _read_place(home.relative_to(root).parts, folders, choice, plain) for home in homes}
    by_folder = any(place.role == "mask" for place in places.values())
    images_apart = any(place.role == "image" for place in places.values())
    chosen: dict[Role, str | None] = {"mask": choice.masks, "image": choice.images}
    endings = {role: value for role, value in chosen.items() if value is not None and value not in folders}
    named = []
    for file in files:
        place = places[file.parent]
        role, bare, ending = _read_stem(file, (place.role or "image") if by_folder else None, endings)
        if by_folder and images_apart and place.role is None and role == "image":
            role = "other"
        sure = place.role is not None or _OTHER_ENDING.fullmatch(file.stem) is not None
        kind = f"{place.kind}{ending}".lower()
        named.append(Named(file, role, place.part, place.before, place.rest, bare, kind, sure))
    return named


@dataclass(frozen=True)
class _Place:
    """What the folders of a file say: see `Named`. ``role`` is None where they say none, and ``kind`` has the folders
    that say the role, without their parts."""

    role: Role | None
    part: Part | None
    before: tuple[str, ...]
    rest: tuple[str, ...]
    kind: str


def _read_place(parents: Sequence[str], folders: set[str], choice: Choice, plain: bool) -> _Place:
    role: Role | None = None
    part: Part | None = None
    before: tuple[str, ...] = ()
    rest: list[str] = []
    kinds: list[str] = []
    for folder in parents:
        own, part_of_folder, kind = _read_folder(folder, folders, choice)
        if plain and kinds and own is not None:
            own = part_of_folder = None
        part = part_of_folder or part
        if own is not None:
            before = before if kinds else tuple(rest)
            role = "other" if "other" in (role, own) else own
            kinds.append(kind)
        elif part_of_folder is None:
            rest.append(folder)
    if part == "test" and _CITYSCAPES in kinds:
        role = "other"
    return _Place(role, part, before, tuple(rest), "".join(f"{kind}/" for kind in kinds))


def _read_folder(folder: str, folders: set[str], choice: Choice) -> tuple[Role | None, Part | None, str]:
    """The role of a folder, the part that its name has, and the kind of images or masks."""
    name = folder.lower()
    if name in PARTS:
        return None, PARTS[name], ""
    found = _FOLDER.fullmatch(name) or _OF_A_CHALLENGE.fullmatch(name)
    groups = found.groupdict() if found else {}
    part = PARTS.get(groups.get("before") or groups.get("after") or "")
    if folder in (choice.images, choice.masks):
        return ("image" if folder == choice.images else "mask"), part, folder
    role: Role | None = None
    if name in _OTHER_FOLDERS or any(name == other and main in folders for main, other in _BESIDE.items()):
        role = "other"
    elif found:
        role = "mask" if groups["mask"] else "image"
        if (choice.masks if role == "mask" else choice.images) in folders:
            role = "other"  # another folder is chosen
    return role, part, groups.get("mask") or name


def _read_stem(file: Path, of_folder: Role | None, endings: Mapping[Role, str]) -> tuple[Role, str, str]:
    """The role of a file, its stem without what marks images and masks, and how the name of a mask ends.

    Args:
        file: the file.
        of_folder: the role that its folder gives it; None: its name says it.
        endings: how the names of images or masks end, as the description says.
    """
    if of_folder == "other":
        return "other", file.stem, ""
    for role, end in endings.items():
        if of_folder in (None, role) and (file.name.endswith(end) or file.stem.endswith(end)):
            bare = file.name.removesuffix(end) if file.name.endswith(end) else file.stem.removesuffix(end)
            return role, bare, end
    of_name = _MASK_ENDING.fullmatch(file.stem) or _MASK_BEGINNING.fullmatch(file.stem)
    role = of_folder or ("mask" if of_name else "image")
    if role in endings or _OTHER_ENDING.fullmatch(file.stem):
        return "other", file.stem, ""
    if role == "image":
        found = _IMAGE_ENDING.fullmatch(file.stem) or _IMAGE_BEGINNING.fullmatch(file.stem)
        return role, (found["bare"] or "") if found else file.stem, ""
    found = _IN_MASK_FOLDERS.fullmatch(file.stem) or of_name
    return role, (found["bare"] or "") if found else file.stem, found["ending"] if found else ""
