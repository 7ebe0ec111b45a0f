"""Made-up small copies of public datasets of pictures with masks: the cells of the sample, in their layouts.

Every writer takes the folder, how many pictures with masks there are, and a seed: the same ones give the same bytes.
"""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from PIL import Image
from scipy import ndimage

from netwright.data.files import write_whole
from netwright.data.samples.images import cells
from netwright.data.samples.published_pictures import Pixels, save

_SIZE = 48
_PALETTE = ((0, 0, 0), (128, 0, 0), (0, 128, 0))


def _parts(pictures: int) -> dict[str, range]:
    """Three fifths of the pictures for training, a fifth for validation, the rest for testing."""
    first, second = 3 * pictures // 5, 4 * pictures // 5
    return {"train": range(first), "val": range(first, second), "test": range(second, pictures)}


def _pair(seed: int, number: int) -> tuple[Pixels, Pixels]:
    """A picture in colours, and its mask: 1 cell, 2 nucleus."""
    picture, mask = cells(np.random.default_rng([seed, number]), _SIZE, hard=False)
    return np.repeat(picture[..., None], 3, axis=2), mask


def write_isic(root: Path, *, pictures: int = 20, seed: int = 0) -> Path:
    """The first task of ISIC 2018: a folder of images and one of masks for each part, JPEG and PNG of 0 and 255.

    The arguments: see above.
    """
    names = {"train": "Training", "val": "Validation", "test": "Test"}
    for part, numbers in _parts(pictures).items():
        for number in numbers:
            picture, mask = _pair(seed, number)
            images, masks = (
                f"ISIC2018_Task1-2_{names[part]}_Input",
                f"ISIC2018_Task1_{names[part]}_GroundTruth",
            )
            save(root / images / f"ISIC_{number:07d}.jpg", picture, "JPEG")
            white = (mask > 0) * np.uint8(255)
            save(root / masks / f"ISIC_{number:07d}_segmentation.png", white, "PNG")
    return root


def write_carvana(root: Path, *, pictures: int = 20, seed: int = 0) -> Path:
    """``train/*.jpg`` with masks as GIF in ``train_masks``, and ``test/*.jpg`` without. The arguments: see above."""
    for number in range(pictures + 2):
        picture, mask = _pair(seed, number)
        home = "train" if number < pictures else "test"
        save(root / home / f"{number:04d}_01.jpg", picture, "JPEG")
        if home == "train":
            save(root / "train_masks" / f"{number:04d}_01_mask.gif", (mask > 0) * np.uint8(255), "GIF")
    return root


def write_data_science_bowl(root: Path, *, pictures: int = 20, seed: int = 0) -> Path:
    """The nuclei of 2018: ``stage1_train/ID/images/ID.png`` with a mask for each in ``masks``, and ``stage1_test``.

    The arguments: see above.
    """
    for number in range(pictures + 2):
        picture, mask = _pair(seed, number)
        name = f"{number:08x}"
        home = root / ("stage1_train" if number < pictures else "stage1_test") / name
        save(home / "images" / f"{name}.png", picture, "PNG")
        if number < pictures:
            objects, count = ndimage.label(mask > 0)
            for one in range(1, count + 1):
                save(home / "masks" / f"{number:04x}{one:04x}f.png", (objects == one) * np.uint8(255), "PNG")
    return root


def write_voc(root: Path, *, pictures: int = 20, seed: int = 0) -> Path:
    """PASCAL VOC's ``VOC2012``: masks with a palette, lists of the parts, and images without masks among the others.

    The arguments: see above.
    """
    home = root / "VOC2012"
    parts = _parts(pictures)
    for number in range(pictures + 4):
        picture, mask = _pair(seed, number)
        save(home / "JPEGImages" / f"2007_{number:06d}.jpg", picture, "JPEG")
        if number in (*parts["train"], *parts["val"]):
            image = Image.fromarray(mask).convert("P")
            image.putpalette([value for colour in _PALETTE for value in colour])
            content = io.BytesIO()
            image.save(content, "PNG")
            write_whole(home / "SegmentationClass" / f"2007_{number:06d}.png", content.getvalue())
    lists = {**parts, "trainval": range(parts["val"].stop)}
    for part, numbers in lists.items():
        text = "".join(f"2007_{number:06d}\n" for number in numbers)
        write_whole(home / "ImageSets" / "Segmentation" / f"{part}.txt", text.encode())
    return root


CITYSCAPES = {7: "road", 26: "car"}
"""The values of the masks, of which the publisher names 34."""


def write_cityscapes(root: Path, *, pictures: int = 20, seed: int = 0) -> Path:
    """``leftImg8bit`` and ``gtFine`` with a folder for each part and city, and masks of colours, of objects and of
    labels, which show nothing of the pictures for testing.

    The arguments: see above.
    """
    cities = {"train": "aachen", "val": "frankfurt", "test": "berlin"}
    for part, numbers in _parts(pictures).items():
        city = cities[part]
        for number in numbers:
            picture, mask = _pair(seed, number)
            name = f"{city}_{number:06d}_000019"
            save(root / "leftImg8bit" / part / city / f"{name}_leftImg8bit.png", picture, "PNG")
            labels = np.array([0, *CITYSCAPES], np.uint8)[mask * np.uint8(part != "test")]
            colours = np.array(_PALETTE, np.uint8)[mask * np.uint8(part != "test")]
            home = root / "gtFine" / part / city
            for kind, pixels in (("labelIds", labels), ("instanceIds", labels), ("color", colours)):
                save(home / f"{name}_gtFine_{kind}.png", pixels, "PNG")
            write_whole(home / f"{name}_gtFine_polygons.json", b'{"objects": []}')
    return root
