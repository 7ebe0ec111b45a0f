"""Images to predict, without labels: which files of a folder are read, and which are left out."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path

from netwright.data.io.dicom import is_slice
from netwright.data.io.dicom_frames import read_head as read_dicom_head
from netwright.data.io.dicom_frames import series_of
from netwright.data.io.formats import VOLUME_ENDINGS, files_of, images_of, is_flat, is_volume, volumes_in
from netwright.data.io.images import PICTURE_ENDINGS, is_picture, read_head
from netwright.data.io.tiff import is_stack
from netwright.data.io.time_axis import time_points
from netwright.data.issues import UnusableFile, enumerate_words
from netwright.data.layouts import acdc, brats, kits, mask_objects, nnunet, volume_pairs
from netwright.data.layouts.class_folders import files_below, list_pictures
from netwright.data.layouts.description import DESCRIPTION, by_stem, stem
from netwright.data.layouts.paired import refuse_masks_to_predict
from netwright.data.layouts.volume_files import MANIFEST, volume_files_in
from netwright.data.volumes.dataset import Case
from netwright.errors import DatasetError, DatasetWarning

_MOST_NAMED = 8
_MOST_LOOKED_AT = 10_000
_NUMBERED = re.compile(r".+_(\d{4})")


def find_cases(path: Path, channels: int, names: Sequence[str] = ()) -> tuple[Case, ...]:
    """The unlabelled cases of a file or folder, to predict.

    In the layout of ACDC the cases are the frames of the patients, labelled or not; where there are none, the cines. In
    those of BraTS and KiTS they are the patients, and in a folder of folders with one image each (also in ``images``,
    as in the 2018 Data Science Bowl) these images. If all files are named as in nnU-Net (``{case}_{channel:04d}``),
    they are grouped by case; a file that holds all ``channels`` is a case by itself. Otherwise each volume, or picture,
    is a case, but for label maps that lie beside their images. Folders within are not read.

    Args:
        path: the file or folder.
        channels: how many channels the network has.
        names: of the channels that it was trained on; empty where they are not known.

    Warns:
        DatasetWarning: other files are left out, which it names; or patients of BraTS are given to a network whose
            channels have other names.

    Raises:
        DatasetError: nothing is there to read, a case lacks a channel, or two pictures have one stem.
    """
    path = Path(path).expanduser()
    if not path.exists():
        raise DatasetError(f"{path} does not exist: expected a volume, a picture or a folder of them.")
    if frames := acdc.unlabelled(path):
        read = {file for frame in frames for file in frame.images}
        tell_others(
            path, [file for file in path.iterdir() if _beside_patients(file)], read, "patients' frames"
        )
        return frames
    if patients := _of_patients(path, channels, names):
        read = {file for patient in patients for file in patient.images}
        others = [file for file in volume_files_in(path) if not volume_pairs.is_named_label(file)]
        tell_others(path, others, read, "patients' images")
        return patients
    files, kind = _files(path), "volumes"
    if files and is_flat(files[0]):
        kind = "pictures"
    if not files and (cases := volume_pairs.in_folders(path)):
        return cases
    if not files and path.is_dir() and (cases := mask_objects.unlabelled(path)):
        return cases
    if not files:
        raise DatasetError(_nothing(path))
    if path.is_dir() and files != [path]:
        there = [file for file in path.iterdir() if file.is_file()]
        labels = kind == "volumes" and any(volume_pairs.is_named_label(file) for file in there)
        tell_others(path, there, files, "images" if labels else kind)
        _tell_below(path, is_volume if kind == "volumes" else is_picture, kind, files)
    if kind == "pictures":
        if path.is_dir():
            refuse_masks_to_predict(path, files)
        return tuple(Case(stem(file), (file,), None) for file in _single_pages(files))
    return _grouped(path, files, channels)


def cases_of_files(files: Sequence[Path], channels: int) -> tuple[Case, ...]:
    """The unlabelled cases of files of one folder that were given by name: volumes, grouped as by `find_cases`, and
    pictures.

    Args:
        files: that exist.
        channels: how many channels the network has.

    Raises:
        DatasetError: a file is no image, a case lacks a channel, or files are slices of one DICOM series.
    """
    _require_no_slices(files)
    found: dict[Path, None] = {}
    for file in files:
        if not (images := _files(file)):
            raise DatasetError(_nothing(file))
        found.update(dict.fromkeys(images))
    pictures = [file for file in found if is_flat(file)]
    volumes = [file for file in found if file not in pictures]
    singly = tuple(Case(stem(file), (file,), None) for file in _single_pages(pictures))
    return (*_grouped(files[0].parent, volumes, channels), *singly)


def _require_no_slices(files: Sequence[Path]) -> None:
    """Refuse slices of one DICOM series, each of which would be an image by itself."""
    series: dict[str, Path] = {}
    for file in filter(is_slice, files):
        with suppress(UnusableFile):  # whoever reads the image tells of it
            number, _ = series_of(file, read_dicom_head(file))
            if number and (other := series.setdefault(number, file)) != file:
                raise DatasetError(
                    f"{other} and {file} are slices of one DICOM series: expected the folder of the series. Give "
                    f"{file.parent}."
                )


def _of_patients(path: Path, channels: int, names: Sequence[str]) -> tuple[Case, ...]:
    """The cases of a folder that has a folder for each patient, labelled or not; empty for other folders."""
    if channels != len(brats.CHANNELS) or not (cases := brats.unlabelled(path)):
        return kits.unlabelled(path)
    if names and tuple(names) != brats.CHANNELS:
        warnings.warn(
            f"the network was trained on the channels {enumerate_words(names)}, and gets "
            f"{enumerate_words(brats.CHANNELS)} from {path}, in this order. If the orders differ, give a folder with "
            "files that are numbered as it was trained: NAME_0000 and so on.",
            DatasetWarning,
            stacklevel=4,
        )
    return cases


def _beside_patients(file: Path) -> bool:
    """Whether a file is an image that lies in a folder in the layout of ACDC without being of it."""
    image = file.is_file() and (is_volume(file) or is_picture(file))
    return image and not file.name.startswith("patient")


def _files(path: Path) -> list[Path]:
    """The volumes of a folder, its pictures where there are none, or the one file."""
    volumes = volumes_in(path)
    if volumes or not path.is_dir():
        labels = volume_pairs.label_maps_among(path, volumes) if len(volumes) > 1 else set()
        return [file for file in volumes if file not in labels] or ([path] if is_picture(path) else [])
    return list(by_stem(path, list_pictures(path), "Predict them one by one, or rename one.").values())


def _single_pages(files: Sequence[Path]) -> list[Path]:
    """The pictures without stacks of pages, of which it warns."""
    for file in filter(is_stack, files):
        try:
            read_head(file)
        except UnusableFile as error:
            tell_unusable(error)
    return [file for file in files if not is_stack(file)]


def _grouped(path: Path, files: Sequence[Path], channels: int) -> tuple[Case, ...]:
    """Volumes as cases: those of one name but for the number of the channel together."""
    whole = {file for file in files if channels > 1 and time_points(file) == channels}
    single = [file for file in files if file not in whole]
    numbers = [_NUMBERED.fullmatch(stem(file)) for file in single]
    if not all(number and int(number[1]) < channels for number in numbers):
        return tuple(Case(stem(file), (file,), None) for file in files)
    cases = [Case(stem(file), (file,), None) for file in sorted(whole)]
    for name, by_number in nnunet.group_channels(single).items():
        missing = [number for number in range(channels) if number not in by_number]
        if missing:
            raise DatasetError(
                f"{path} lacks channel {missing[0]} of case {name}: expected {channels} files a case, "
                f"numbered {name}_0000 to {name}_{channels - 1:04d}, or one 4D file with {channels} volumes. Add the "
                "file."
            )
        cases.append(Case(name, tuple(by_number[number] for number in range(channels)), None))
    return tuple(sorted(cases, key=lambda case: case.name))


def not_predicted(folder: Path, files: Iterable[Path]) -> list[Path]:
    """The files below a folder that are not in a folder to which a prediction wrote: it must not read its own."""
    files = list(files)
    written = {file.parent for file in files if file.name == MANIFEST and file.parent != folder}
    return [file for file in files if written.isdisjoint(file.parents)] if written else files


def tell_others(folder: Path, there: Iterable[Path], read: Iterable[Path], kind: str) -> None:
    """Warn of the files ``there`` in a folder that are not ``read``, as they are not of the ``kind``. Names them.

    Args:
        folder: that was read.
        there: all files in it.
        read: the files that are used.
        kind: what these are, for the warning.
    """
    taken = set(read)
    others = sorted(file for file in there if file not in taken and _meant(file))
    if others:
        with_voxels = _with_voxels(taken)
        others = [file for file in others if file.resolve() not in with_voxels]
    if others:
        names = [file.relative_to(folder).as_posix() for file in others]
        count = "a file that is" if len(names) == 1 else f"{len(names)} files that are"
        warnings.warn(
            f"left out {count} none of the {kind} in {folder}: {_some(names)}.", DatasetWarning, stacklevel=4
        )


def _with_voxels(files: Iterable[Path]) -> set[Path]:
    """The files with the voxels of these, as their headers name them, with links followed."""
    named: set[Path] = set()
    for file in files:
        with suppress(UnusableFile):  # whoever reads the image tells of it
            named.update(data.resolve() for data in files_of(file)[1:])
    return named


def tell_unusable(error: DatasetError) -> None:
    """Warn of an input among others that cannot be used."""
    warnings.warn(f"left out: {error}", DatasetWarning, stacklevel=3)


def _meant(file: Path) -> bool:
    """Whether a file may be meant as an image: no system left it there, and it does not describe others."""
    return file.name[0] != "." and file.name not in ("Thumbs.db", "desktop.ini", DESCRIPTION, MANIFEST)


def _tell_below(folder: Path, readable: Callable[[Path], bool], kind: str, read: Sequence[Path]) -> None:
    """Warn of images in the folders below one, but for those that are ``read`` as volumes."""
    below = _below(folder, readable, read)
    if below:
        warnings.warn(
            f"left out {kind} in folders below {folder}: {_some(below)}. Only the folder itself is read: name another "
            "one to predict what is in it.",
            DatasetWarning,
            stacklevel=4,
        )


def _below(folder: Path, readable: Callable[[Path], bool], read: Sequence[Path] = ()) -> list[str]:
    """Images of a kind in the folders below one, but for those that are ``read``, by their names within it."""
    files = not_predicted(folder, islice(files_below(folder), _MOST_LOOKED_AT))
    known = {folder, *read}
    below = images_of(file for file in files if file.parent not in known and readable(file))
    return [image.relative_to(folder).as_posix() for image in below]


def _some(names: Sequence[str]) -> str:
    first = list(names[:_MOST_NAMED])
    return enumerate_words([*first, f"{len(names) - len(first)} more"] if len(names) > len(first) else first)


def _nothing(path: Path) -> str:
    """Why there is nothing to read, and where there may be something."""
    told = (
        f"{path} contains no images: expected volumes that end in "
        f"{enumerate_words(VOLUME_ENDINGS, 'or')}, stacks of TIFF pages, or pictures that end in "
        f"{enumerate_words(PICTURE_ENDINGS, 'or')}"
    )
    if not path.is_dir():
        return f"{told}. Give a file of one of these kinds."
    there = sorted(file.name for file in path.iterdir() if file.is_file() and _meant(file))
    told += f"; found {_some(there)}." if there else "."
    below = _below(path, lambda file: is_volume(file) or is_picture(file))
    if below:
        told += f" Its subfolders contain {_some(below)}: give one of them, such as {path / Path(below[0]).parent}."
    return told
