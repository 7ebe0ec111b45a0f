"""Opens, recognises, inspects, prepares and splits datasets of every kind."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from netwright.data.base import AnyDataset, AnyPrepared, OnCase
from netwright.data.folds import folds_of
from netwright.data.given_parts import GivenParts
from netwright.data.images.cache import content_digests, prepare_images
from netwright.data.images.dataset import PICTURES
from netwright.data.images.inspection import inspect_images
from netwright.data.images.prepared import INDEX, open_prepared_images
from netwright.data.images.settings import ImageSettings
from netwright.data.images.splits import image_splits, strata_by_name
from netwright.data.io.formats import is_volume
from netwright.data.layouts import FORMATS, Format, acdc, image_masks
from netwright.data.layouts.class_folders import folders_in
from netwright.data.layouts.description import DESCRIPTION, ignored_in, read_description
from netwright.data.layouts.image_formats import IMAGE_FORMATS, OF_FILES, ImageFormat
from netwright.data.layouts.meaning import with_meaning
from netwright.data.layouts.paired import refuse_paired
from netwright.data.layouts.pictures_or_volumes import holds_volumes, more_pictures
from netwright.data.layouts.volume_names import are_counterparts
from netwright.data.splits import FRACTIONS, Splits
from netwright.data.volumes.cache import image_digests, prepare, split_volumes
from netwright.data.volumes.dataset import PICTURES_WITH_MASKS, VOLUMES
from netwright.data.volumes.inspection import Inspection, inspect_dataset
from netwright.data.volumes.prepared import open_prepared
from netwright.data.volumes.preprocessing import PreprocessingSettings
from netwright.errors import DatasetError, SettingsError

_VOLUME_PAIRS = "volume-pairs"
"""The format of volumes and label maps with names alike."""

_USUAL = (
    "Expected images with label maps (as imagesTr/ and labelsTr/, or images/ and masks/), a folder of pictures for "
    "each class, or another layout of docs/layouts.md (--format cine is never assumed)"
)
_ADVICE = "Name the folder that has them in it; 'netwright sample -o Sample' writes one to compare with."

_FOLDERS_SEARCHED = 20
"""At most this many folders within a folder are searched for a dataset."""


@dataclass(frozen=True)
class DataKind:
    """How data of one kind is read, prepared and split.

    Args:
        title: in words, for messages.
        setting: the table of a run's settings that has those of its preparation.
        settings: the type of these settings.
        inspect: as `inspect_any`.
        prepare: as `prepare_any`.
        split: as `split_any`.
        strata: the class of each case, to be alike in all parts; None: it has no classes.
        open_prepared: what ``prepare`` has written.
        digests: as `digests_any`.
    """

    title: str
    setting: str
    settings: type
    inspect: Callable[..., Inspection]
    prepare: Callable[..., AnyPrepared]
    split: Callable[[Any, int, tuple[float, float, float], GivenParts | None], Splits]
    strata: Callable[[Any], Mapping[str, int]] | None
    open_prepared: Callable[[Path], AnyPrepared]
    digests: Callable[[Any, int], dict[str, str]]


KINDS: dict[str, DataKind] = {
    VOLUMES: DataKind(
        title="images with label maps",
        setting="preprocessing",
        settings=PreprocessingSettings,
        inspect=inspect_dataset,
        prepare=prepare,
        split=split_volumes,
        strata=None,
        open_prepared=open_prepared,
        digests=image_digests,
    ),
    PICTURES: DataKind(
        title="pictures",
        setting="images",
        settings=ImageSettings,
        inspect=inspect_images,
        prepare=prepare_images,
        split=image_splits,
        strata=strata_by_name,
        open_prepared=open_prepared_images,
        digests=content_digests,
    ),
}
"""The kinds of data by the name in a dataset's and in prepared data's ``kind``."""


def open_any(
    root: Path,
    format: str | None = None,
    map_label: Mapping[int, int] | None = None,
    regions: Mapping[str, Sequence[int]] | None = None,
) -> AnyDataset:
    """Opens the dataset of any kind in a folder or file.

    For volumes and masks, only the description and the file names are read; `inspect_any` reads the rest.

    Args:
        root: the folder or file.
        format: one of `FORMATS` or `IMAGE_FORMATS`; None: it is recognised.
        map_label: value in the label maps -> value to use instead, or `IGNORE`.
        regions: name -> labels, to be learned and scored in place of the labels, in the order in which they are
            written (see `in_order`); None or empty: those of a ``dataset.json``, if it has any.

    Raises:
        DatasetError: nothing is there, its format is unknown, or it cannot be used.
        SettingsError: the name of the format is unknown, or ``map_label`` or ``regions`` are given for a dataset
            without label maps.
    """
    root = _dataset_path(root)
    known = [*FORMATS, *IMAGE_FORMATS]
    if format is not None and format not in known:
        raise SettingsError(f"The format is {format!r}: expected one of {', '.join(known)}.")
    if not root.exists():
        raise DatasetError(
            f"{root} does not exist: expected the folder of a dataset, or an .npz file.{_alike(root)}"
        )
    description = _description(root)
    name = _recognised(root, description) if format is None else _if_it_matches(root, format, description)
    if name in FORMATS:
        meant = {**ignored_in(root, description), **(map_label or {})}
        return with_meaning(FORMATS[name].read(root, description, meant), description, regions or {})
    if name in IMAGE_FORMATS:
        if map_label or regions:
            option = "--map-label" if map_label else "--region"
            raise SettingsError(
                f"{option} is for the values of label maps, but {root} holds pictures "
                f"({IMAGE_FORMATS[name].title}). Leave it out."
            )
        return IMAGE_FORMATS[name].read(root)
    raise DatasetError(f"{root} holds no dataset that is known. {_all_looked_for(root, format, description)}")


def recognise(root: Path) -> str | None:
    """The format of what lies in a folder or file, one of `FORMATS` or `IMAGE_FORMATS`; None: no known format.

    Only the description is read.

    Raises:
        DatasetError: the description cannot be read, or images and masks lie in a layout that is not supported.
    """
    root = _dataset_path(root)
    return _recognised(root, _description(root))


def _if_it_matches(root: Path, format: str, description: Mapping[str, Any]) -> str | None:
    """The format if a folder or file can be read as one; else None."""
    known = FORMATS.get(format)
    matches = known.matches(root, description) if known else IMAGE_FORMATS[format].matches(root)
    return format if matches else None


def _recognised(root: Path, description: Mapping[str, Any]) -> str | None:
    """The format of a folder or file. Images with masks in a layout that is not supported are refused."""
    name = _format_of(root, description)
    if name in OF_FILES:
        refuse_paired(root)
    return name


def _format_of(root: Path, description: Mapping[str, Any]) -> str | None:
    """The format of a folder or file. Volumes that lie anywhere in it come last: pictures may be what is meant."""
    for name, known in FORMATS.items():
        if not known.anywhere and known.means(root, description):
            volumes = name == PICTURES_WITH_MASKS and image_masks.of_volumes(root, description)
            return _VOLUME_PAIRS if volumes and FORMATS[_VOLUME_PAIRS].matches(root, description) else name
    pictures = next((name for name, known in IMAGE_FORMATS.items() if known.means(root)), None)
    if pictures in (None, *OF_FILES) and holds_volumes(root):
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


def inspect_any(dataset: AnyDataset, workers: int = 1, on_case: OnCase | None = None) -> Inspection:
    """Reads every file of a dataset, measures it and collects every problem. Never raises for a file's content.

    Args:
        dataset: to be read.
        workers: the number of threads.
        on_case: called with the number of cases done and of all cases.
    """
    return KINDS[dataset.kind].inspect(dataset, workers=workers, on_case=on_case)


def prepare_any(
    dataset: AnyDataset,
    settings: PreprocessingSettings | ImageSettings,
    cache_root: Path,
    *,
    seed: int = 0,
    fractions: tuple[float, float, float] = FRACTIONS,
    given: GivenParts | None = None,
    workers: int = 1,
    on_case: OnCase | None = None,
) -> AnyPrepared:
    """Preprocesses a dataset into a folder under ``cache_root``. See `prepare` and `prepare_images`.

    Args:
        dataset: the dataset.
        settings: the settings for its kind of data.
        cache_root: the folder of all prepared data.
        seed: as in `split_any`. It matters for CT, and for pictures without an official test part: their normalisation
            is measured on the training part alone.
        fractions: as in `split_any`.
        given: as in `split_any`.
        workers: the number of threads.
        on_case: called after each case.

    Raises:
        UnusableFile: a file cannot be used.
        DatasetError: there are too few cases.
        SettingsError: the settings are for another kind of dataset.
        StorageError: there is no room for the cache, or it cannot be written.
    """
    kind = KINDS[dataset.kind]
    if not isinstance(settings, kind.settings):
        raise SettingsError(
            f"{dataset.root} holds {kind.title}, but the preprocessing is given as {type(settings).__name__}: expected "
            f"{kind.settings.__name__}."
        )
    return kind.prepare(
        dataset,
        settings,
        cache_root,
        seed=seed,
        fractions=fractions,
        given=given,
        workers=workers,
        on_case=on_case,
    )


def split_any(
    prepared: AnyPrepared,
    seed: int,
    fractions: tuple[float, float, float] = FRACTIONS,
    given: GivenParts | None = None,
) -> Splits:
    """Training, validation and test cases. Official parts are kept: see `split` and `image_splits`.

    Args:
        prepared: the data.
        seed: another seed gives another division.
        fractions: of training, validation and test.
        given: parts that the user gave (`netwright.data.split_file`), in place of the official ones.

    Raises:
        DatasetError: too few cases.
        SettingsError: the fractions are not three positive numbers that sum to 1.
    """
    return KINDS[prepared.kind].split(prepared, seed, fractions, given)


def folds_any(
    dataset: AnyDataset,
    count: int,
    seed: int,
    fractions: tuple[float, float, float] = FRACTIONS,
    given: GivenParts | None = None,
) -> tuple[Splits, ...]:
    """The parts of the cases in each fold of a cross-validation: see `folds_of`.

    Args:
        dataset: the cases.
        count: how many folds.
        seed: as in `split_any`.
        fractions: as in `split_any`.
        given: as in `split_any`.

    Raises:
        DatasetError: there are too few cases, or too few of a class, for so many folds.
        SettingsError: the fractions are not three positive numbers that sum to 1.
    """
    kind = KINDS[dataset.kind]
    strata = None if kind.strata is None else kind.strata(dataset)
    folds = folds_of(dataset, count, seed, fractions, given, strata)
    for fold in folds:
        kind.split(dataset, seed, fractions, GivenParts.of(fold))
    return folds


def digests_any(dataset: AnyDataset, workers: int = 1) -> dict[str, str]:
    """A hash of each case's images, by the name of the case. Two cases with equal hashes are the same.

    Raises:
        UnusableFile: a file is missing or damaged.
    """
    return KINDS[dataset.kind].digests(dataset, workers)


def open_prepared_any(folder: Path) -> AnyPrepared:
    """Opens what `prepare_any` has written.

    Raises:
        DatasetError: the folder holds no prepared data, or is of another version or damaged.
    """
    try:
        kind = json.loads((Path(folder) / INDEX).read_text(encoding="utf-8")).get("kind", VOLUMES)
    except (OSError, ValueError, AttributeError):
        kind = VOLUMES  # whatever is wrong with it, `open_prepared` says
    return KINDS.get(kind, KINDS[VOLUMES]).open_prepared(folder)


def open_prepared_once(folder: Path) -> AnyPrepared:
    """Like `open_prepared_any`, but keeps the last folder open for the next call in this process."""
    if folder not in _OPEN:
        _OPEN.clear()
        _OPEN[folder] = open_prepared_any(folder)
    return _OPEN[folder]


_OPEN: dict[Path, AnyPrepared] = {}


def _alike(root: Path) -> str:
    """What is there with a name like that of a path that is not there, as a question."""
    try:
        names = [path.name for path in root.parent.iterdir()]
    except OSError:
        return ""
    meant = get_close_matches(root.name, names, n=1)
    return f" Did you mean {root.parent / meant[0]}?" if meant else ""


def _dataset_path(root: Path) -> Path:
    """The dataset's folder or file. The path of its description stands for the folder."""
    root = Path(root).expanduser()
    return root.parent if root.name == DESCRIPTION and root.is_file() else root


def _description(root: Path) -> dict[str, Any]:
    return read_description(root) if (root / DESCRIPTION).is_file() else {}


def _all_looked_for(root: Path, format: str | None, description: Mapping[str, Any]) -> str:
    """A text: which layouts were looked for, and what the folder holds instead."""
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
    return f"{looked_for}{contents}" + (f" Did you mean {meant}?" if meant else f" {_ADVICE}")


def _one_level_off(root: Path, inner: Sequence[Path]) -> Path | None:
    """The dataset in a folder below, or around, where the user gave a folder one level too high or too low."""
    within = [path for path in inner if path.is_dir()]
    described = [path for path in within if (path / DESCRIPTION).is_file()]
    for candidate in [*described, *within[:_FOLDERS_SEARCHED]]:
        try:
            name = _format_of(candidate, _description(candidate))
        except DatasetError:
            name = DESCRIPTION  # it is there, and reading it says what is wrong
        if name in FORMATS or name == DESCRIPTION:
            return candidate
    around = root.absolute().parent
    return around if _is_made_of(around, root.absolute()) else None


def _is_made_of(around: Path, folder: Path) -> bool:
    """Whether a folder is a dataset through another in it: as images beside label maps, or as the patient of ACDC."""
    if (around / DESCRIPTION).is_file() or (folder.name.startswith("patient") and acdc.matches(around, {})):
        return True
    return any(are_counterparts(folder, other) for other in folders_in(around))
