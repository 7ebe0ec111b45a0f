"""Made-up small copies of public datasets of volumes: blocks as bright as their labels say, in their layouts."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
from numpy.typing import NDArray

from netwright.data.files import write_whole
from netwright.data.io.nifti import write_volume

_nibabel: Any = nibabel

SHAPE = (16, 16, 16)
_NEW = 1
"""Cases without a label map, behind the others."""


def _nothing(numbers: Sequence[int], new: Sequence[int]) -> dict[str, str]:
    return {}


@dataclass(frozen=True)
class VolumeLayout:
    """Where the files of a case lie, by its number, without ``.nii.gz``.

    Args:
        images: one for each channel.
        label: the label map.
        labels: value -> name.
        new: the images of a case without a label map, where they lie elsewhere than others.
        to_predict: the folder that is given to ``predict``.
        beside: other files and what is in them, from the numbers of the cases with and without a label map.
    """

    images: tuple[str, ...]
    label: str
    labels: Mapping[int, str]
    new: tuple[str, ...] = ()
    to_predict: str = "."
    beside: Callable[[Sequence[int], Sequence[int]], dict[str, str]] = _nothing


_BRATS = tuple(
    f"BraTS20_Training_{{0:03d}}/BraTS20_Training_{{0:03d}}_{kind}"
    for kind in ("flair", "t1", "t1ce", "t2", "seg")
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
    "brats": VolumeLayout(_BRATS[:4], _BRATS[4], {1: "necrotic core", 2: "oedema", 4: "enhancing tumour"}),
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
            _save(root / f"{image.format(number)}.nii.gz", brightness.astype(np.float32))
        if number in numbers:
            _save(root / f"{layout.label.format(number)}.nii.gz", moved)
    for name, text in layout.beside(numbers, new).items():
        write_whole(root / name, text.encode())
    return root


def _save(path: Path, voxels: NDArray[Any]) -> None:
    volume = _nibabel.Nifti1Image(voxels, np.eye(4))
    volume.header.set_xyzt_units("mm")
    write_volume(path, volume)
