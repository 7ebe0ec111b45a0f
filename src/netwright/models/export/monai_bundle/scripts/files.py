"""The images of a folder."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

CHANNEL = re.compile(r"_(\d{4})$")
"""The end of a name in nnU-Net's layout: the number of the channel."""
ENDINGS = (".nii", ".nii.gz")


def find_images(folder: str | Path, channels: int) -> list[dict[str, Any]]:
    """The NIfTI files of a folder, by case: ``{"case": name, "image": [files]}`` each.

    If all names end in the number of a channel of the network, such as ``case_0000.nii.gz``, the files of a case are
    its channels. Otherwise each file is a case, with all of its channels.

    Args:
        folder: of the files.
        channels: of the network.

    Raises:
        FileNotFoundError: there is none.
        ValueError: two cases have one name.
    """
    there = Path(folder).iterdir()
    files = sorted(file for file in there if file.name.endswith(ENDINGS) and not file.name.startswith("."))
    if not files:
        raise FileNotFoundError(
            f"{folder} has no NIfTI files (.nii, .nii.gz). Give a folder with --dataset_dir."
        )
    names = [file.name.removesuffix(".gz").removesuffix(".nii") for file in files]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"{folder} has {twice} twice, as .nii and .nii.gz. Remove one of them.")
    numbers = [CHANNEL.search(name) for name in names]
    if all(number and int(number[1]) < channels for number in numbers):
        names = [CHANNEL.sub("", name) for name in names]
    cases: dict[str, list[str]] = {}
    for name, file in zip(names, files, strict=True):
        cases.setdefault(name, []).append(str(file))
    return [{"case": name, "image": images} for name, images in cases.items()]
