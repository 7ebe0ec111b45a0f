"""One mask for each object of an image, in a folder of their own, as the 2018 Data Science Bowl has them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from netwright.data.io.images import is_picture
from netwright.data.issues import Problem
from netwright.data.layouts.class_folders import folders_in, list_pictures
from netwright.data.layouts.mask_names import IMAGES, Named
from netwright.data.volumes.dataset import Case

OBJECTS = "objects"
"""What is said of a folder of masks in the place of what marks a mask."""


def joined(named: Sequence[Named]) -> list[Named]:
    """The files with one mask, the folder, in the place of those that lie in a folder beside that of a single image.

    It is so only where all masks lie so (``ID/images/ID.png`` and ``ID/masks/*.png``), and an image has several.
    """
    images: dict[object, list[Named]] = defaultdict(list)
    masks: dict[object, list[Named]] = defaultdict(list)
    for file in named:
        if file.role != "other":
            (images if file.role == "image" else masks)[file.part, file.rest].append(file)
    single = all(_of_one_image(of, images[group]) for group, of in masks.items())
    if not single or all(len(of) < 2 for of in masks.values()):
        return list(named)
    folders = []
    for group, of in masks.items():
        (image,), first = images[group], of[0]
        folder = first.path.parent
        folders.append(Named(folder, "mask", first.part, first.before, first.rest, image.bare, OBJECTS, True))
    return [*(file for file in named if file.role != "mask"), *folders]


def _of_one_image(masks: Sequence[Named], images: Sequence[Named]) -> bool:
    """Whether masks are those of the objects of a single image: none has its name."""
    if len(images) != 1:
        return False
    (image,) = images
    homes = {mask.path.parent for mask in masks}
    names = {name for mask in masks for name in (mask.bare, mask.path.stem)}
    apart = len(homes) == 1 and image.path.parent not in homes
    return (
        apart and not names & {image.bare, image.path.stem} and all(is_picture(mask.path) for mask in masks)
    )


def unlabelled(path: Path) -> tuple[Case, ...]:
    """The images to predict in a folder of ``ID/images/ID.png``, whether they have masks or not; empty for others."""
    homes = folders_in(path)
    pictures = [list_pictures(home / IMAGES) for home in homes]
    if not homes or any(len(of) != 1 for of in pictures):
        return ()
    return tuple(Case(home.name, (image,), None) for home, (image,) in zip(homes, pictures, strict=True))


def of_objects(masks: Sequence[Named]) -> list[Problem]:
    """A warning of the masks that are joined from several files."""
    folders = [mask for mask in masks if mask.kind == OBJECTS]
    if not folders:
        return []
    return [
        Problem(
            "warning",
            str(folders[0].path),
            "holds a mask for each object",
            expected="one mask for each image",
            found=f"{len(folders)} such folder{'s' * (len(folders) > 1)}",
            advice="The masks of an image are joined: a pixel is labelled where any of them labels it, so that objects "
            "that touch are one.",
            kind=OBJECTS,
        )
    ]
