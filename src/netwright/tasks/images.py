"""Pictures to test on and to predict, as networks that classify and networks that restore have them in common."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from netwright.data.base import AnyDataset, AnyPrepared, OnCase
from netwright.data.images.cache import prepare_like
from netwright.data.images.dataset import ImageSet
from netwright.data.images.prepared import PreparedImages
from netwright.data.images.reading import prepare_one
from netwright.data.images.settings import WHITE, PicturePreparation
from netwright.data.io.images import is_picture
from netwright.data.layouts.class_folders import files_below
from netwright.data.layouts.paired import refuse_masks_to_predict
from netwright.data.layouts.unlabelled import not_predicted, tell_others
from netwright.data.open import open_prepared_once
from netwright.errors import DatasetError
from netwright.tasks.inputs import Images, folders_of, given_paths, together
from netwright.tasks.outputs import Reading, each_usable, plan_outputs

if TYPE_CHECKING:
    import torch
    from torch import nn

    from netwright.data.loading.pictures import ImageBatches, LabelledImages
    from netwright.training.config import TrainingProtocol

BATCH = 64

PREDICTIONS = "predictions.csv"
"""The table of what a network that tells classes or labels gives of pictures."""


@dataclass(frozen=True)
class LabelledPicture:
    """A picture to test on, with its class or itself for a label: where it is kept prepared, and its index there."""

    name: str
    prepared: Path
    index: int


def prepared_pictures(prepared: AnyPrepared) -> PreparedImages:
    """The prepared data, as pictures.

    Raises:
        DatasetError: they are volumes.
    """
    if not isinstance(prepared, PreparedImages):
        raise DatasetError(f"{prepared.folder} holds prepared volumes: expected pictures.")
    return prepared


def opened_pictures(folder: Path) -> PreparedImages:
    """The prepared pictures in a folder, opened once a process.

    Raises:
        DatasetError: they are volumes.
    """
    return prepared_pictures(open_prepared_once(folder))


def pictures_of(prepared: AnyPrepared, names: Sequence[str]) -> tuple[LabelledPicture, ...]:
    """Named pictures, ready for testing."""
    return tuple(
        LabelledPicture(name, prepared.folder, index)
        for name, index in zip(names, prepared.indices(names), strict=True)
    )


def picture_facts(
    dataset: AnyDataset, prepared: AnyPrepared, own: Sequence[tuple[str, str]]
) -> tuple[tuple[str, str], ...]:
    """What a report says of a dataset of pictures: a name and a text each.

    Args:
        dataset: the pictures.
        prepared: the same, prepared.
        own: what a task says besides.
    """
    pictures = f"{len(prepared)} pictures, channels {', '.join(dataset.channels)}"
    return (
        ("dataset", f"{dataset.name}, {pictures}"),
        *own,
        ("network input", f"{' x '.join(map(str, prepared.size))} pixels"),
    )


def pictures_to_draw(prepared: AnyPrepared, names: Sequence[str]) -> list[NDArray[np.float32]]:
    """Named pictures, (C, H, W) each, values 0 to 1."""
    pictures = prepared_pictures(prepared)
    white = WHITE[pictures.preparation.depth]
    raw = pictures.raw_images(pictures.indices(names))
    return [np.clip(image.astype(np.float32) / white, 0, 1) for image in raw]


def picture_batches(
    pictures: LabelledImages,
    cases: Sequence[int],
    protocol: TrainingProtocol,
    device: torch.device,
    seed: int,
) -> ImageBatches:
    """Shuffled and augmented batches of pictures.

    Args:
        pictures: prepared.
        cases: indices of the pictures to train on.
        protocol: of the training.
        device: where the batches are needed.
        seed: of order and augmentation.
    """
    import torch

    from netwright.data.loading.pictures import ImageBatches
    from netwright.training.seeding import derive_seed

    return ImageBatches(
        pictures,
        cases,
        protocol.batch_size,
        device=device,
        augmentation=protocol.augmentation,
        generator=torch.Generator().manual_seed(derive_seed(seed, "batches")),
    )


def picture_outputs(
    probabilities: Callable[..., NDArray[np.float64]],
    network: nn.Module,
    pictures: LabelledImages,
    cases: Sequence[int],
    protocol: TrainingProtocol,
    device: torch.device,
) -> Iterator[NDArray[np.floating]]:
    """What a network gives of each picture, computed batch by batch.

    Args:
        probabilities: of pictures (N, C, H, W), one row each.
        network: in evaluation.
        pictures: prepared.
        cases: indices of pictures.
        protocol: how forward passes are computed.
        device: of the network.
    """
    for start in range(0, len(cases), protocol.batch_size):
        yield from probabilities(
            network,
            pictures.images(cases[start : start + protocol.batch_size]),
            device=device,
            mixed_precision=protocol.mixed_precision,
            channels_last=protocol.channels_last,
        )


def require_pictures(dataset: AnyDataset, what: str) -> ImageSet:
    """The dataset, as one of pictures. ``what``: what a network does with them, for the message.

    Raises:
        DatasetError: it holds images with label maps.
    """
    if not isinstance(dataset, ImageSet):
        raise DatasetError(f"{dataset.root} holds images with label maps; the network {what} pictures.")
    return dataset


def prepare_as_trained(
    dataset: AnyDataset, preparation: PicturePreparation, cache_root: Path, workers: int
) -> PreparedImages:
    """Pictures prepared as those that a network was trained on.

    Args:
        dataset: the pictures.
        preparation: of the training pictures.
        cache_root: the folder for prepared data.
        workers: number of threads.

    Raises:
        DatasetError: they are no pictures, or have colours or numbers that the training had not.
    """
    return prepare_like(require_pictures(dataset, "is for"), preparation, cache_root, workers=workers)


def find_pictures(path: Path, beside: Collection[str] = (), *, alone: bool = True) -> list[Path]:
    """The pictures at a path: the file, or all pictures in the folder and the folders below, in order of name.

    Hidden files and earlier predictions are left out.

    Args:
        path: a picture or a folder.
        beside: names of files that belong to pictures and are read with them.
        alone: refuse masks among the pictures.

    Warns:
        DatasetWarning: other files are there, and are left out.

    Raises:
        DatasetError: there are no pictures, or there are masks among them.
    """
    path = path.expanduser()
    files, there = [path], [path]
    if path.is_dir():
        there = [file for file in not_predicted(path, files_below(path)) if file.name not in beside]
        files = sorted(filter(is_picture, there), key=lambda file: file.relative_to(path).as_posix())
    if not files or not files[0].is_file() or not is_picture(files[0]):
        raise DatasetError(
            f"{path} contains no images: expected a picture (PNG, JPEG, TIFF, BMP, GIF) or a folder."
        )
    if path.is_dir() and alone:
        refuse_masks_to_predict(path, files)
    tell_others(path, there, files, "pictures")
    return files


def names_within(path: Path, files: Sequence[Path]) -> list[str]:
    """What files found by `find_pictures` are called: within the folder, or the one by its own name."""
    base = path.expanduser() if path.expanduser().is_dir() else path.expanduser().parent
    return [file.relative_to(base).as_posix() for file in files]


@dataclass(frozen=True)
class FoundPictures:
    """Pictures of a folder that was given, or that were given from one folder, with their names within it."""

    path: Path
    files: tuple[Path, ...]
    names: tuple[str, ...]


def find_given_pictures(images: Images, beside: Collection[str] = ()) -> list[FoundPictures]:
    """The pictures of files and folders. Arguments, warnings and errors are those of `find_pictures`."""
    found = []
    for paths in together(given_paths(images)):
        files = [file for path in paths for file in find_pictures(path, beside)]
        found.append(FoundPictures(paths[0], tuple(files), tuple(names_within(paths[0], files))))
    return found


def predict_table(
    images: Images,
    output: Path,
    preparation: PicturePreparation,
    predict: Callable[[NDArray[np.float32]], NDArray[Any]],
    write: Callable[[Path, Sequence[str], NDArray[Any]], None],
    on_case: OnCase | None,
    *,
    overwrite: bool,
) -> list[Path]:
    """Write what a network gives of a picture, or of each in a folder, as one table. Returns the file written.

    Args:
        images: pictures or folders.
        output: the folder to write to.
        preparation: from a file to the network's input.
        predict: the rows of prepared pictures (N, C, H, W).
        write: makes the table of the pictures' names and rows.
        on_case: told how far it is.
        overwrite: whether a table that was predicted there before may be replaced.

    Warns:
        DatasetWarning: what of a folder is left out: a picture that cannot be used, or other files.

    Raises:
        DatasetError: nothing is there to read, two pictures have one name, or no picture can be used.
        StorageError: a file would be lost.
    """
    found = find_given_pictures(images)
    files = [file for one in found for file in one.files]
    names = [name for one in found for name in one.names]
    _require_own_names(names, files)
    read = Reading(files, folders_of(given_paths(images)))
    outputs = plan_outputs(output, [PREDICTIONS], files[:1], read, overwrite=overwrite, apart=False)
    used: list[str] = []
    rows: list[NDArray[Any]] = []

    def add_row(at: int) -> None:
        rows.append(predict(prepare_one(files[at], preparation)[None])[0])
        used.append(names[at])

    each_usable(range(len(files)), add_row, on_case)
    (path,) = outputs.paths
    outputs.put(path, lambda made: write(made, used, np.array(rows)))
    return [path]


def _require_own_names(names: Sequence[str], files: Sequence[Path]) -> None:
    """Refuse two pictures of one name, whose rows in a table nobody could tell apart.

    Raises:
        DatasetError: it names them.
    """
    known: dict[str, Path] = {}
    for name, file in zip(names, files, strict=True):
        if (other := known.setdefault(name, file)) is not file:
            raise DatasetError(
                f"Two pictures would be {name} in one table: {other} and {file}. Expected another name for each. Give "
                "a folder that has both of them in folders, or predict them one by one; nothing was written."
            )


def network_inputs(
    cases: Sequence[LabelledPicture], preparation: PicturePreparation
) -> Iterator[tuple[Sequence[LabelledPicture], NDArray[np.float32]]]:
    """Some cases at a time, and what a network gets of them, (N, C, H, W)."""
    for run in runs_of(cases):
        raw = opened_pictures(run[0].prepared).raw_images([case.index for case in run])
        yield run, preparation.normalised(raw)


def runs_of(cases: Sequence[LabelledPicture], most: int = BATCH) -> list[Sequence[LabelledPicture]]:
    """Runs of cases kept in one place, at most ``most`` long."""
    result: list[list[LabelledPicture]] = []
    for case in cases:
        if not result or len(result[-1]) == most or result[-1][0].prepared != case.prepared:
            result.append([])
        result[-1].append(case)
    return list(result)
