"""The cases of images and masks that were found below a folder, and what is wrong with them."""

from __future__ import annotations

import shlex
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from netwright.data.files import is_folder
from netwright.data.io.images import PICTURE_ENDINGS, is_picture
from netwright.data.io.masks import is_lossy
from netwright.data.issues import Problem, enumerate_words
from netwright.data.layouts import class_folders
from netwright.data.layouts.description import DESCRIPTION
from netwright.data.layouts.mask_names import IMAGES, MASKS, Named
from netwright.data.layouts.mask_objects import of_objects
from netwright.data.layouts.mask_pairs import Arrangement, Pair, arrange
from netwright.data.splits import drawn_parts
from netwright.data.volumes.dataset import Case
from netwright.errors import DatasetError

_MOST_FOLDERS = 4
_SHOWN = 3
_MAY_BE_JPEG = (".jpg", ".jpeg", ".tif", ".tiff")


def cases_of(found: Arrangement) -> tuple[Case, ...]:
    """A case for each image and for each mask without one, in order of name.

    Raises:
        DatasetError: the files are several datasets, an image may have one of several masks, two images have one stem,
            or a file is in a format that is not read.
    """
    _require_one_dataset(found)
    _require_one_kind(found)
    _require_one_of_each_stem(found)
    _require_readable(found)
    names = _names(found.pairs)
    classes = _if_classes(found)
    cases = [_case(found, name, pair, classes) for name, pair in zip(names, found.pairs, strict=True)]
    return tuple(sorted(cases, key=lambda case: case.name))


def readable(root: Path, description: Mapping[str, str]) -> Arrangement | None:
    """The images and masks below a folder as a description would have them read; None where they would be refused."""
    try:
        if found := arrange(root, description):
            cases_of(found)
    except DatasetError:
        return None
    return found or None


def problems_of(found: Arrangement) -> tuple[Problem, ...]:
    """What is wrong with the lists of parts, that masks of objects are joined, that masks are split at half as they are
    JPEG, that folders may be patients, and the pictures that are left out, one warning for each reason."""
    masks = [mask for pair in found.pairs for mask in pair.masks]
    problems = [*found.problems, *of_objects(masks), *_as_jpeg(masks), *_folders_of_patients(found)]
    left_out = (
        Problem(
            "warning",
            str(files[0].relative_to(found.root)),
            f"{reason}, and is left out",
            expected="images with masks alone",
            found=f"{len(files)} such picture{'s' * (len(files) > 1)}",
            advice="If it belongs to the dataset, name it as the pairs are named; otherwise nothing is to be done."
            + _if_classes(found),
            kind=f"left-out: {reason}",
        )
        for reason, files in found.left_out.items()
        if files
    )
    return (*(problem.relative_to(found.root) for problem in problems), *left_out)


def _as_jpeg(masks: Sequence[Named]) -> list[Problem]:
    """A warning of masks that are read although JPEG has changed them."""
    lossy = [mask.path for mask in masks if mask.path.suffix.lower() in _MAY_BE_JPEG and is_lossy(mask.path)]
    if not lossy:
        return []
    return [
        Problem(
            "warning",
            str(lossy[0]),
            "is a mask stored as JPEG, which changes edges",
            expected="PNG, TIFF, BMP or GIF",
            found=f"{len(lossy)} such mask{'s' * (len(lossy) > 1)}",
            advice="Those in black and white are read: from 128 on a pixel is 255, otherwise 0. Edges may be off by a "
            "pixel: if there are masks without loss, use those.",
            kind="jpeg-masks",
        )
    ]


def _folders_of_patients(found: Arrangement) -> list[Problem]:
    """A warning where several folders have several images, as of patients, and parts are drawn. There are at least as
    many of them as images in the largest one; otherwise they may be of sites, cities or diagnoses."""
    if len(drawn_parts([pair.named.part for pair in found.pairs])) == 1:
        return []
    of_folder: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for name, pair in zip(_names(found.pairs), found.pairs, strict=True):
        if pair.named.rest and pair.named.part in (None, "train"):
            of_folder[pair.named.rest].append(name)
    several = {"/".join(rest): names for rest, names in of_folder.items() if len(names) > 1}
    if len(several) < 2 or len(of_folder) < max(map(len, several.values())):
        return []
    first, names = next(iter(several.items()))
    rows = "\n".join(f"{name},,{first}" for name in names[:_SHOWN])
    return [
        Problem(
            "warning",
            str(found.root),
            "has images in folders that may be patients",
            expected="the patient of each case, so that all of a patient's images are in one part",
            found=f"no patients, but {len(several)} folders with several images each, such as {first}",
            advice="A network that has seen a patient looks too good on the patient's other images. If the folders are "
            "patients, write a CSV file with a row for each case, as below (a part that is left empty is drawn), and "
            f"give it to plan and search: --split-file FILE.csv\ncase,part,group\n{rows}",
            kind="likely-patients",
        )
    ]


def _if_classes(found: Arrangement) -> str:
    """What to do where the folders may be classes; empty where they cannot."""
    may_be = not found.plain and class_folders.matches(found.root)
    return " If the folders are classes, say --format image-folder." if may_be else ""


def _case(found: Arrangement, name: str, pair: Pair, classes: str) -> Case:
    root = found.root
    image = pair.image.path if pair.image else pair.masks[0].path
    problem = None
    if found.plain and len(pair.masks) < 2:
        image = pair.image.path if pair.image else root / IMAGES / f"{name}.png"
    elif pair.image is None:
        problem = _without(found, pair.named, "image", classes)
    elif not pair.masks:
        problem = _without(found, pair.named, "mask", classes)
    elif len(pair.masks) > 1:
        problem = _several(root, image, pair.masks)
    mask = pair.masks[0].path if pair.masks else None
    return Case(name, (image,), mask, problem=problem, part=pair.named.part)


def _without(found: Arrangement, file: Named, partner: str, classes: str) -> Problem:
    """The problem of an image without a mask, or of a mask without an image. It names a pair of the same part.

    Args:
        found: all images and masks.
        file: the one without a partner.
        partner: what it lacks, `image` or `mask`.
        classes: what to do where the folders may be classes.
    """
    pairs = found.complete
    example = next((pair for pair in pairs if pair.named.part == file.part), pairs[0])
    of = [within(found.root, one.path) for one in (example.named, example.masks[0])]
    is_image = partner == "mask"
    return Problem(
        "error",
        str(file.path),
        f"has no {partner}",
        expected=f"{'a mask' if is_image else 'an image'}, as {enumerate_words(of)} belong together",
        found="none of that name",
        advice=(
            "Add the mask, or remove the image: only images with masks can be used."
            if is_image
            else "Add the image, or remove the mask."
        )
        + classes,
        kind="missing-label" if is_image else "missing-image",
    )


def _several(root: Path, image: Path, masks: Sequence[Named]) -> Problem:
    return Problem(
        "error",
        str(image),
        "has several masks",
        expected="one mask for each image",
        found=enumerate_words([within(root, mask.path) for mask in masks[:4]]),
        advice="Where each shows one object, join them into one picture: each pixel is labelled where any of them is.",
        kind="several-masks",
    )


def within(root: Path, file: Path) -> str:
    """A file's name within the dataset."""
    return file.relative_to(root).as_posix()


def _names(pairs: Sequence[Pair]) -> list[str]:
    """The names of the cases: the stem of the image, as `predict` names its output. Where that is not enough to tell
    them apart, all get their part, or their folders, too."""
    ways: list[Callable[[Named], list[str]]] = [
        lambda one: [one.path.stem],
        lambda one: [one.part or "", one.path.stem],
        lambda one: [*one.rest, one.bare and one.path.stem],
        lambda one: [one.part or "", *one.rest, one.bare and one.path.stem],
        lambda one: [one.part or "", *one.rest, one.path.name],
    ]
    named = [pair.named for pair in pairs]
    for way in ways:
        names = ["_".join(filter(None, way(one))) for one in named]
        if len(set(names)) == len(names):
            break
    return names


def _require_one_dataset(found: Arrangement) -> None:
    homes = sorted({mask.before for pair in found.complete for mask in pair.masks if mask.kind.count("/")})
    if len(homes) > 1:
        folders = ["/".join(home) or "." for home in homes]
        raise DatasetError(
            f"{found.root} has images and masks in each of {len(homes)} folders ({enumerate_words(folders[:3])}): "
            f"expected one dataset. Give one of them, such as {found.root.joinpath(*homes[-1])}; or move their images "
            "into one folder `images`, and their masks into one folder `masks`."
        )


def _require_one_kind(found: Arrangement) -> None:
    for pair in found.complete:
        kinds = {mask.kind: mask for mask in pair.masks}
        if len(kinds) > 1 and pair.image is not None:
            files = [within(found.root, mask.path) for mask in kinds.values()]
            choice = _choice_among(found, list(kinds.values()))
            raise DatasetError(
                f"{found.root} has several masks for {within(found.root, pair.image.path)}: {enumerate_words(files)}. "
                "Expected one. "
                + (
                    "Move the others out of the folder."
                    if choice is None
                    else f"Say which with `{MASKS}` in a {DESCRIPTION}, a folder's name or how the names of the masks "
                    f'end, such as {{"{MASKS}": "{choice}"}}; or move the others out of the folder.'
                )
            )


def _choice_among(found: Arrangement, masks: Sequence[Named]) -> str | None:
    """What a description can say of the masks so that each image has one of several; None where nothing decides."""
    apart = len({mask.path.parent for mask in masks}) > 1
    with_masks = {pair.named.path for pair in found.complete}
    lone = len(found.pairs) - len(with_masks)
    for mask in masks:
        choice = mask.path.parent.name if apart else mask.path.name.removeprefix(mask.bare)
        chosen = readable(found.root, {MASKS: choice})
        if chosen is None:
            continue
        chosen_with_masks = {pair.named.path for pair in chosen.complete}
        if chosen_with_masks >= with_masks and len(chosen.pairs) - len(chosen_with_masks) <= lone:
            return choice
    return None


def _require_one_of_each_stem(found: Arrangement) -> None:
    of_stem: dict[tuple[object, ...], list[Path]] = defaultdict(list)
    for pair in found.pairs:
        for one in (*([pair.image] if pair.image else []), *pair.masks):
            of_stem[one.role, one.kind, one.path.parent, one.path.stem].append(one.path)
    for files in of_stem.values():
        if len(files) > 1:
            names = " and ".join(within(found.root, file) for file in files[:2])
            raise DatasetError(
                f"{found.root} holds {names}: expected one file for each stem. Remove or rename one."
            )


def _require_readable(found: Arrangement) -> None:
    files = [one.path for pair in found.pairs for one in (*([pair.image] if pair.image else []), *pair.masks)]
    unreadable = [file for file in files if not is_picture(file) and not is_folder(file)]
    if not unreadable:
        return
    ending, _ = Counter(file.suffix for file in unreadable).most_common(1)[0]
    some = [file for file in unreadable if file.suffix == ending]
    homes = list(dict.fromkeys(shlex.quote(within(found.root, file.parent)) for file in some))
    raise DatasetError(
        f"{found.root} has images and masks, but {ending[1:].upper()} is not read: expected pictures that end in "
        f"{enumerate_words(PICTURE_ENDINGS, 'or')}, found {within(found.root, some[0])}"
        + f" and {len(some) - 1} more" * (len(some) > 1)
        + ". Save them as PNG, which loses nothing; with ImageMagick, in that folder: mogrify -format png "
        + " ".join(f"{home}/*{ending}" for home in homes[:_MOST_FOLDERS])
        + (" and so on." if len(homes) > _MOST_FOLDERS else "")
    )
