"""Which kind of dataset lies in a folder or file, and what to say where there is none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from netwright.data.io.formats import is_volume
from netwright.data.layouts import FORMATS, Format, acdc, image_masks
from netwright.data.layouts.class_folders import folders_in
from netwright.data.layouts.description import DESCRIPTION, read_description
from netwright.data.layouts.image_formats import IMAGE_FOLDER, IMAGE_FORMATS, OF_FILES, PUBLISHED, ImageFormat
from netwright.data.layouts.not_classes import refuse_no_classes, refuse_unclear_part
from netwright.data.layouts.objects import refuse_objects
from netwright.data.layouts.paired import refuse_paired
from netwright.data.layouts.picture_tables import tables_in
from netwright.data.layouts.pictures_or_volumes import holds_volumes, more_pictures, refuse_among_slices
from netwright.data.layouts.structures import refuse_structures
from netwright.data.layouts.table_choice import CLASS_TABLE, TABLE
from netwright.data.layouts.volume_names import are_counterparts
from netwright.data.layouts.wrong_level import published_around, refuse_wrong_level
from netwright.data.volumes.dataset import PICTURES_WITH_MASKS
from netwright.errors import DatasetError

_VOLUME_PAIRS = "volume-pairs"
"""The format of volumes and label maps with names alike."""

_USUAL = (
    "Expected images with label maps (as imagesTr/ and labelsTr/, or images/ and masks/), a folder of pictures for "
    "each class, or another layout of docs/layouts.md (--format cine is never assumed)"
)
_ADVICE = "Name the folder that has them in it; 'netwright sample -o Sample' writes one to compare with."

_UNREAD = (".h5", ".hdf5", ".npy", ".parquet", ".tfrecord", ".tfrecords", ".pt", ".avi", ".mp4")

_FOLDERS_SEARCHED = 20
"""At most this many folders within a folder are searched for a dataset."""


def recognise(root: Path) -> str | None:
    """The format of what lies in a folder or file, one of `FORMATS` or `IMAGE_FORMATS`; None: no known format.

    Only the description is read.

    Raises:
        DatasetError: the description cannot be read, or images and masks lie in a layout that is not supported.
    """
    root = dataset_path(root)
    return recognised(root, description_of(root))


def format_if_it_matches(root: Path, format: str, description: Mapping[str, Any]) -> str | None:
    """The format if a folder or file can be read as one; else None.

    Args:
        root: the folder or file.
        format: one of `FORMATS` or `IMAGE_FORMATS`.
        description: that of the folder.
    """
    known = FORMATS.get(format)
    matches = known.matches(root, description) if known else IMAGE_FORMATS[format].matches(root)
    return format if matches else None


def recognised(root: Path, description: Mapping[str, Any]) -> str | None:
    """The format of a folder or file. Images with masks in a layout that is not supported are refused."""
    name = _format_of(root, description)
    if name in (CLASS_TABLE, *OF_FILES) and TABLE not in description:
        refuse_wrong_level(root, name)
    if name in (None, *OF_FILES) and root.is_dir():
        refuse_objects(root)
    if name is None and root.is_dir():
        refuse_structures(root)
    if name in OF_FILES:
        refuse_among_slices(root, name)
        refuse_paired(root)
        refuse_unclear_part(root)
    if name == IMAGE_FOLDER:
        refuse_no_classes(root)
    return name


def _format_of(root: Path, description: Mapping[str, Any]) -> str | None:
    """The format of a folder or file. Volumes that lie anywhere in it come last: pictures may be what is meant."""
    for name, known in FORMATS.items():
        if not known.anywhere and known.means(root, description):
            volumes = name == PICTURES_WITH_MASKS and image_masks.of_volumes(root, description)
            return _VOLUME_PAIRS if volumes and FORMATS[_VOLUME_PAIRS].matches(root, description) else name
    pictures = next((name for name, known in IMAGE_FORMATS.items() if known.means(root)), None)
    if pictures in (None, CLASS_TABLE, *OF_FILES) and holds_volumes(root):
        anywhere = (
            name for name, known in FORMATS.items() if known.anywhere and known.means(root, description)
        )
        format = next(anywhere, None)
        if format is not None and (pictures is None or not more_pictures(root, pictures)):
            return format
    return pictures


def task_of_format(format: str) -> tuple[str, int]:
    """The task for data in a format, and the number of dimensions: 2 for pictures, 3 for volumes."""
    if format in IMAGE_FORMATS:
        return IMAGE_FORMATS[format].task, 2
    return "segmentation", 2 if format == PICTURES_WITH_MASKS else 3


def alike(root: Path) -> str:
    """What is there with a name like that of a path that is not there, as a question."""
    try:
        names = [path.name for path in root.parent.iterdir()]
    except OSError:
        return ""
    meant = get_close_matches(root.name, names, n=1)
    return f" Did you mean {root.parent / meant[0]}?" if meant else ""


def dataset_path(root: Path) -> Path:
    """The dataset's folder or file. The path of its description stands for the folder."""
    root = Path(root).expanduser()
    return root.parent if root.name == DESCRIPTION and root.is_file() else root


def description_of(root: Path) -> dict[str, Any]:
    """What the description in a folder says; empty where there is none.

    Raises:
        DatasetError: it cannot be read.
    """
    return read_description(root) if (root / DESCRIPTION).is_file() else {}


def all_looked_for(root: Path, format: str | None, description: Mapping[str, Any]) -> str:
    """A text: which layouts were looked for, and what the folder holds instead.

    Args:
        root: the folder or file.
        format: the only layout that was looked for; None: all.
        description: that of the folder.
    """
    known: dict[str, Format | ImageFormat] = {**FORMATS, **IMAGE_FORMATS}
    kinds = [known[format]] if format is not None else list(known.values())
    described = [kind for kind in kinds if DESCRIPTION in kind.looked_for] if description else []
    texts = [f"{kind.title}: {kind.looked_for}" for kind in (described or kinds)]
    looked_for = f"Looked for {'; or '.join(texts)}" if described or format is not None else _USUAL
    inner = sorted(root.iterdir()) if root.is_dir() else []
    names = ", ".join(path.name for path in inner[:8]) + (", ..." if len(inner) > 8 else "")
    contents = (f"; found {names}." if inner else "; it is empty.") if root.is_dir() else "; it is a file."
    if description:
        contents = f"{contents.removesuffix('.')}; its {DESCRIPTION} has the keys {', '.join(description)}."
    meant = _one_level_off(root, inner)
    series = next(
        (path for path in [root, *inner[:_FOLDERS_SEARCHED]] if path.is_dir() and is_volume(path)), None
    )
    if series is not None:
        contents += (
            f" {series} is a DICOM series: a dataset.json can name such folders as images, and files as "
            "their label maps; netwright predict reads them as they are."
        )
        if tables_in(root):
            contents += (
                " Pictures in DICOM of which a table tells the classes are not read: save each as PNG."
            )
    unread = next((path for path in inner if path.name.lower().removesuffix(".gz").endswith(_UNREAD)), None)
    if unread is not None:
        contents += (
            f" {unread.name} is of a format that is not read: save pictures as files or in an .npz with train_images "
            "and train_labels, and volumes as NIfTI."
        )
    return f"{looked_for}{contents}" + (f" Did you mean {meant}?" if meant else f" {_ADVICE}")


def _one_level_off(root: Path, inner: Sequence[Path]) -> Path | None:
    """The dataset in a folder below, or around, where the user gave a folder one level too high or too low."""
    within = [path for path in inner if path.is_dir()]
    described = [path for path in within if (path / DESCRIPTION).is_file()]
    for candidate in [*described, *within[:_FOLDERS_SEARCHED]]:
        try:
            name = _format_of(candidate, description_of(candidate))
        except DatasetError:
            name = DESCRIPTION  # it is there, and reading it says what is wrong
        if name in (*FORMATS, *PUBLISHED, DESCRIPTION):
            return candidate
    if (published := published_around(root)) is not None:
        return published[0]
    around = root.absolute().parent
    return around if _is_made_of(around, root.absolute()) else None


def _is_made_of(around: Path, folder: Path) -> bool:
    """Whether a folder is a dataset through another in it: as images beside label maps, or as the patient of ACDC."""
    if (around / DESCRIPTION).is_file() or (folder.name.startswith("patient") and acdc.matches(around, {})):
        return True
    return any(are_counterparts(folder, other) for other in folders_in(around))
