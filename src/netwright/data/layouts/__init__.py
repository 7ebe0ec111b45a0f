"""Dataset folders on disk, one module a format, and which of them a folder is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from netwright.data.layouts import acdc, brats, btcv, cine, image_masks, kits, msd, nnunet
from netwright.data.layouts import volume_pairs as pairs
from netwright.data.layouts.unlabelled import find_cases
from netwright.data.volumes.dataset import Dataset

__all__ = ["FORMATS", "Format", "find_cases"]


@dataclass(frozen=True)
class Format:
    """How a kind of folder is recognised by itself and its ``dataset.json``, in code and in words, and read.

    ``recognised`` says whether a folder is taken for this format when the user names none; None: wherever it matches.
    ``anywhere``: whether such volumes are looked for in the folders below, too; then pictures may be what is meant.
    """

    title: str
    looked_for: str
    matches: Callable[[Path, Mapping[str, Any]], bool]
    read: Callable[[Path, Mapping[str, Any], Mapping[int, int]], Dataset]
    recognised: Callable[[Path, Mapping[str, Any]], bool] | None = None
    anywhere: bool = False

    def means(self, root: Path, description: Mapping[str, Any]) -> bool:
        """Whether a folder is taken for this format when the user names none."""
        return (self.recognised or self.matches)(root, description)


def _never(root: Path, description: Mapping[str, Any]) -> bool:
    """For folders that may mean another thing."""
    return False


FORMATS: dict[str, Format] = {
    "nnunet": Format("nnU-Net v2 raw", nnunet.LOOKED_FOR, nnunet.matches, nnunet.read),
    "msd": Format("Medical Segmentation Decathlon", msd.LOOKED_FOR, msd.matches, msd.read),
    "acdc": Format("ACDC", acdc.LOOKED_FOR, acdc.matches, acdc.read, anywhere=True),
    "brats": Format("BraTS", brats.LOOKED_FOR, brats.matches, brats.read, anywhere=True),
    "kits": Format("KiTS", kits.LOOKED_FOR, kits.matches, kits.read, anywhere=True),
    "btcv": Format(
        "Beyond the Cranial Vault, abdomen",
        btcv.LOOKED_FOR,
        btcv.matches,
        btcv.read,
        btcv.recognised,
        anywhere=True,
    ),
    "volume-pairs": Format(
        "volumes with label maps", pairs.LOOKED_FOR, pairs.matches, pairs.read, anywhere=True
    ),
    "cine": Format("cines", cine.LOOKED_FOR, cine.matches, cine.read, recognised=_never),
    "image-masks": Format(
        "pictures with masks",
        image_masks.LOOKED_FOR,
        image_masks.matches,
        image_masks.read,
        image_masks.recognised,
    ),
}
"""The formats that are read, the more particular first."""
