"""The layouts of pictures with a class or labels each, or without, and how each is recognised and read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from netwright.data.images.dataset import ImageSet
from netwright.data.layouts import (
    celeba,
    cifar,
    class_table,
    imagenet,
    images,
    label_table,
    stanford_cars,
    svhn,
    svhn_numbers,
    table_choice,
)
from netwright.data.layouts import class_folders as folder
from netwright.data.layouts import image_tables as tables


@dataclass(frozen=True)
class ImageFormat:
    """How pictures of one layout are recognised and read.

    ``recognised`` says whether a folder is taken for this layout when the user names none; None: wherever it matches.
    ``task`` is what the labels are for, a name in `netwright.tasks.TASKS`. ``to_restore`` reads the pictures without
    their classes, for ``--format images``; None: they are read as those of any folder. ``folders`` are what the
    publisher calls the folders in it.
    """

    title: str
    looked_for: str
    matches: Callable[[Path], bool]
    read: Callable[[Path], ImageSet]
    recognised: Callable[[Path], bool] | None = None
    task: str = "classification"
    to_restore: Callable[[Path], ImageSet] | None = None
    folders: tuple[str, ...] = ()

    def means(self, root: Path) -> bool:
        """Whether a folder is taken for this layout when the user names none."""
        return (self.recognised or self.matches)(root)


def _read_npz(root: Path) -> ImageSet:
    path = tables.npz_in(root)
    assert path is not None  # as `matches` has found it
    return tables.read_npz(path)


def _read_folder(root: Path) -> ImageSet:
    return class_table.with_unused_parts(folder.read(root))


def _without_classes(read: Callable[[Path], ImageSet]) -> Callable[[Path], ImageSet]:
    return lambda root: images.without_classes(read(root))


def _never(root: Path) -> bool:
    return False


_PUBLISHED: dict[str, ImageFormat] = {
    "idx": ImageFormat(
        "IDX",
        tables.IDX_LOOKED_FOR,
        tables.matches_idx,
        tables.read_idx,
        to_restore=_without_classes(tables.read_idx),
    ),
    "npz": ImageFormat(
        "NumPy .npz",
        tables.NPZ_LOOKED_FOR,
        lambda root: tables.npz_in(root) is not None,
        _read_npz,
        to_restore=_without_classes(_read_npz),
    ),
    "cifar": ImageFormat(
        "CIFAR, binary version",
        cifar.LOOKED_FOR,
        cifar.matches,
        cifar.read,
        to_restore=_without_classes(cifar.read),
    ),
    cifar.COARSE: ImageFormat(
        "CIFAR-100 with coarse classes", cifar.COARSE_LOOKED_FOR, cifar.matches, cifar.read_coarse, _never
    ),
    svhn.SVHN: ImageFormat(
        "SVHN", svhn.LOOKED_FOR, svhn.matches, svhn.read, to_restore=_without_classes(svhn.read)
    ),
    svhn_numbers.SVHN_NUMBERS: ImageFormat(
        "SVHN, whole house numbers",
        svhn_numbers.LOOKED_FOR,
        svhn_numbers.matches,
        svhn_numbers.read,
        to_restore=images.read,
    ),
    svhn.SVHN_EXTRA: ImageFormat(
        "SVHN with its extra pictures", svhn.EXTRA_LOOKED_FOR, svhn.matches, svhn.read_with_extra, _never
    ),
    svhn_numbers.SVHN_NUMBERS_EXTRA: ImageFormat(
        "SVHN, whole house numbers with the extra ones",
        svhn_numbers.EXTRA_LOOKED_FOR,
        svhn_numbers.matches,
        svhn_numbers.read_with_extra,
        _never,
    ),
    stanford_cars.CARS: ImageFormat(
        "Stanford Cars",
        stanford_cars.LOOKED_FOR,
        stanford_cars.matches,
        stanford_cars.read,
        to_restore=stanford_cars.read_to_restore,
        folders=stanford_cars.FOLDERS,
    ),
    celeba.CELEBA: ImageFormat(
        "CelebA",
        celeba.LOOKED_FOR,
        celeba.matches,
        celeba.read,
        task="multilabel",
        to_restore=celeba.read_to_restore,
        folders=celeba.FOLDERS,
    ),
    imagenet.IMAGENET: ImageFormat(
        "ImageNet",
        imagenet.LOOKED_FOR,
        imagenet.matches,
        imagenet.read,
        to_restore=imagenet.read_to_restore,
        folders=imagenet.FOLDERS,
    ),
}
"""Layouts of which each is recognised by files that only it has."""

PUBLISHED = tuple(_PUBLISHED)
"""The names of these."""


def _published_reader(root: Path) -> Callable[[Path], ImageSet] | None:
    """How the pictures of a published layout are read without their classes; None where there is no such layout."""
    layouts = (known for known in _PUBLISHED.values() if known.to_restore and known.matches(root))
    return next((known.to_restore for known in layouts), None)


def _read_images(root: Path) -> ImageSet:
    """Pictures without classes. Those of a published layout have its parts and boxes."""
    return (_published_reader(root) or images.read)(root)


IMAGE_FOLDER = "image-folder"
"""The name of the format of folders of classes."""

IMAGE_FORMATS: dict[str, ImageFormat] = {
    **_PUBLISHED,
    label_table.LABEL_TABLE: ImageFormat(
        "pictures with several labels",
        label_table.LOOKED_FOR,
        label_table.matches,
        label_table.read,
        label_table.recognised,
        task="multilabel",
    ),
    table_choice.CLASS_TABLE: ImageFormat(
        "pictures with a table of classes",
        table_choice.LOOKED_FOR,
        table_choice.matches,
        class_table.read,
        table_choice.recognised,
    ),
    images.IMAGES: ImageFormat(
        "pictures without classes",
        images.LOOKED_FOR,
        lambda root: images.matches(root) or _published_reader(root) is not None,
        _read_images,
        images.recognised,
        task="inpainting",
    ),
    IMAGE_FOLDER: ImageFormat("image folder", folder.LOOKED_FOR, folder.matches, _read_folder),
}
"""The formats of pictures with a class or labels each, or without. The more specific ones come first."""

OF_FILES = (images.IMAGES, IMAGE_FOLDER)
"""The formats that accept any pictures in a folder."""
