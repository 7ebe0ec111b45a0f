"""The images of a folder."""

from __future__ import annotations

import re
from pathlib import Path

CHANNEL = re.compile(r"_\d{4}$")
"""The end of a name in nnU-Net's layout: the number of the channel."""


def find_images(folder: str | Path) -> list[dict[str, list[str]]]:
    """The NIfTI files of a folder, by case: ``{"image": [files]}`` each.

    If all names end in the number of a channel, such as ``case_0000.nii.gz``, the files of a case are its channels.
    Otherwise each file is a case, with all of its channels.

    Raises:
        FileNotFoundError: there is none.
    """
    files = sorted(file for file in Path(folder).iterdir() if file.name.endswith((".nii", ".nii.gz")))
    if not files:
        raise FileNotFoundError(
            f"{folder} has no NIfTI files (.nii, .nii.gz). Give a folder with --dataset_dir."
        )
    names = [file.name.removesuffix(".gz").removesuffix(".nii") for file in files]
    if all(map(CHANNEL.search, names)):
        names = [CHANNEL.sub("", name) for name in names]
    cases: dict[str, list[str]] = {}
    for name, file in zip(names, files, strict=True):
        cases.setdefault(name, []).append(str(file))
    return [{"image": channels} for channels in cases.values()]
