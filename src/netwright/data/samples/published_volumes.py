"""Made-up small copies of public datasets of volumes: blocks as bright as their labels say, in their layouts, and in
each file format."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from netwright.data.files import write_whole
from netwright.data.samples.volume_formats import SERIES, save

SHAPE = (16, 16, 16)
_NEW = 1
"""Cases without a label map, behind the others."""


def _nothing(numbers: Sequence[int], new: Sequence[int]) -> dict[str, str]:
    return {}


@dataclass(frozen=True)
class VolumeLayout:
    """Where the files of a case lie, by its number, without their endings.

    Args:
        images: one for each channel.
        label: the label map.
        labels: value -> name.
        new: the images of a case without a label map, where they lie elsewhere than others.
        to_predict: the folder that is given to ``predict``.
        beside: other files and what is in them, from the numbers of the cases with and without a label map.
        ending: of the images, see `save`.
        label_ending: of the label maps.
    """

    images: tuple[str, ...]
    label: str
    labels: Mapping[int, str]
    new: tuple[str, ...] = ()
    to_predict: str = "."
    beside: Callable[[Sequence[int], Sequence[int]], dict[str, str]] = _nothing
    ending: str = ".nii.gz"
    label_ending: str = ".nii.gz"


_UNTIL_2021 = ("_flair", "_t1", "_t1ce", "_t2", "_seg")
_SINCE_2023 = ("-t2f", "-t1n", "-t1c", "-t2w", "-seg")


def _brats(name: str, kinds: Sequence[str], enhancing: int, home: str = "") -> VolumeLayout:
    """A folder a patient, with four scans and a segmentation.

    Args:
        name: of a patient, by the number.
        kinds: how the names of the five files end.
        enhancing: the value of the enhancing tumour.
        home: the folder of the patients.
    """
    *images, label = (f"{home}{name}/{name}{kind}" for kind in kinds)
    labels = {1: "necrotic core", 2: "oedema", enhancing: "enhancing tumour"}
    return VolumeLayout(tuple(images), label, labels)


def _in_format(ending: str, label_ending: str, masks: str = "labels") -> VolumeLayout:
    """Images and label maps in folders beside each other, and scans without label maps.

    Args:
        ending: of the images.
        label_ending: of the label maps.
        masks: the folder of the label maps.
    """
    return VolumeLayout(
        ("images/s{:02d}",),
        f"{masks}/s{{:02d}}",
        {1: "label 1", 2: "label 2"},
        ("new scans/s{:02d}",),
        "new scans",
        ending=ending,
        label_ending=label_ending,
    )


_STRUCTURES = {value: f"Structure-{value}" for value in range(2, 59, 3)}
"""As many as in the brain dataset of the SegNAS3D paper."""

_ORGANS = (
    "spleen",
    "right kidney",
    "left kidney",
    "gallbladder",
    "esophagus",
    "liver",
    "stomach",
    "aorta",
    "inferior vena cava",
    "portal vein and splenic vein",
    "pancreas",
    "right adrenal gland",
    "left adrenal gland",
)
_AMOS = {1: "spleen", 15: "prostate/uterus"}


def _of_amos(numbers: Sequence[int], new: Sequence[int]) -> dict[str, str]:
    names = [f"amos_{number:04d}.nii.gz" for number in numbers]
    description = {
        "name": "AMOS",
        "modality": {"0": "CT"},
        "labels": {"0": "background", **{str(value): name for value, name in _AMOS.items()}},
        "training": [{"image": f"./imagesTr/{name}", "label": f"./labelsTr/{name}"} for name in names],
        "test": [{"image": f"./imagesTs/amos_{number:04d}.nii.gz"} for number in new],
    }
    return {"dataset.json": json.dumps(description, indent=1)}


def _of_nnunet(numbers: Sequence[int], new: Sequence[int]) -> dict[str, str]:
    description = {
        "channel_names": {"0": "T1", "1": "T2"},
        "labels": {"background": 0, "anterior": 1, "posterior": 2},
        "numTraining": len(numbers),
        "file_ending": ".nii.gz",
    }
    return {"dataset.json": json.dumps(description, indent=1)}


def _of_kits(numbers: Sequence[int], new: Sequence[int]) -> dict[str, str]:
    return {"dataset/kits23.json": "[]"}


def _of_brains(numbers: Sequence[int], new: Sequence[int]) -> dict[str, str]:
    return {"lut.txt": "".join(f"{value} {name} 1 2 3 0\n" for value, name in _STRUCTURES.items())}


VOLUME_LAYOUTS: dict[str, VolumeLayout] = {
    "brats": _brats("BraTS20_Training_{0:03d}", _UNTIL_2021, 4),
    "brats-2018": _brats("Brats18_2013_{0}_1", _UNTIL_2021, 4, "HGG/"),
    "brats-2023": _brats("BraTS-GLI-{0:05d}-000", _SINCE_2023, 3),
    "kits": VolumeLayout(
        ("dataset/case_{:05d}/imaging",),
        "dataset/case_{:05d}/segmentation",
        {1: "kidney", 2: "tumour", 3: "cyst"},
        to_predict="dataset",
        beside=_of_kits,
    ),
    "amos": VolumeLayout(
        ("imagesTr/amos_{:04d}",),
        "labelsTr/amos_{:04d}",
        _AMOS,
        ("imagesTs/amos_{:04d}",),
        "imagesTs",
        _of_amos,
    ),
    "btcv": VolumeLayout(
        ("Training/img/img{:04d}",),
        "Training/label/label{:04d}",
        dict(enumerate(_ORGANS, 1)),
        ("Testing/img/img{:04d}",),
        "Testing/img",
    ),
    "nnunet": VolumeLayout(
        ("imagesTr/hippocampus_{:03d}_0000", "imagesTr/hippocampus_{:03d}_0001"),
        "labelsTr/hippocampus_{:03d}",
        {1: "anterior", 2: "posterior"},
        ("imagesTs/hippocampus_{:03d}_0000", "imagesTs/hippocampus_{:03d}_0001"),
        "imagesTs",
        _of_nnunet,
    ),
    "brains": VolumeLayout(
        ("images/s{:02d}",),
        "labels/s{:02d}",
        _STRUCTURES,
        ("new scans/s{:02d}",),
        "new scans",
        _of_brains,
    ),
    "nrrd": _in_format(".nrrd", ".nrrd"),
    "metaimage": _in_format(".mha", ".mha"),
    "dicom": _in_format(SERIES, ".nii.gz"),
    "tiff": _in_format(".tif", ".tif", "masks"),
    "ome-tiff": _in_format(".ome.tif", ".ome.tif", "masks"),
}
"""By the name of the sample. `brains` has a table of labels beside images and label maps."""


def write_volumes_of(kind: str) -> Callable[..., Path]:
    """What writes a layout of `VOLUME_LAYOUTS`."""

    def write(root: Path, *, cases: int = 10, seed: int = 0) -> Path:
        return _write(root, VOLUME_LAYOUTS[kind], cases, seed)

    return write


def _write(root: Path, layout: VolumeLayout, cases: int, seed: int) -> Path:
    rng = np.random.default_rng(seed)
    labels = np.zeros(SHAPE, np.uint8)
    for number, value in enumerate(layout.labels):
        x, y = 12 - 3 * (number % 5), 4 * (number // 5)  # what is right of its counterpart comes first
        labels[x : x + 3, y : y + 4, 4:12] = value
    numbers, new = range(1, cases + 1), range(cases + 1, cases + 1 + _NEW)
    for number in (*numbers, *new):
        moved = np.roll(labels, rng.integers(-2, 3), axis=2)
        for image in (layout.new or layout.images) if number in new else layout.images:
            brightness = rng.normal(100, 5, SHAPE) + 30 * moved
            save(root / image.format(number), layout.ending, brightness.astype(np.float32))
        if number in numbers:
            save(root / layout.label.format(number), layout.label_ending, moved)
    for name, text in layout.beside(numbers, new).items():
        write_whole(root / name, text.encode())
    return root


FRAMES = 4
"""Time points of a cine."""


def write_cines(root: Path, *, cases: int = 10, seed: int = 0) -> Path:
    """Cines (X, Y, Z, time) of a block that shrinks, with label maps of the first and the third time point.

    Args:
        root: the folder.
        cases: how many cines there are with label maps; there is one more without.
        seed: others give other data.
    """
    rng = np.random.default_rng(seed)
    for number in range(1, cases + 1 + _NEW):
        labels = np.zeros((*SHAPE[:2], 8, FRAMES), np.uint8)
        x, y = rng.integers(1, 5, 2)
        for frame in range(FRAMES):
            labels[x : x + 9 - frame, y : y + 9 - frame, 2:6, frame] = 1
        images = rng.normal(100, 5, labels.shape) + 50 * labels
        home = "images" if number <= cases else "new cines"
        save(root / home / f"heart_{number:02d}", ".nii.gz", images.astype(np.float32))
        if number <= cases:
            labels[..., 1::2] = 0
            save(root / "labels" / f"heart_{number:02d}", ".nii.gz", labels)
    return root
