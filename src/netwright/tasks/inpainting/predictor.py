"""A trained inpainting network: it restores pictures, and measures how close they are to the true ones."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Collection, Hashable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import numpy as np
from numpy.typing import NDArray
from torch import nn

from netwright.data.base import AnyDataset, OnCase, OnPart
from netwright.data.images.dataset import Box
from netwright.data.images.drawn_masks import read_missing, require_size
from netwright.data.images.inpainting_settings import MaskSettings
from netwright.data.images.prepared import PreparedImages
from netwright.data.images.reading import prepare_one
from netwright.data.images.settings import PicturePreparation
from netwright.data.io.images import read_head, write_picture
from netwright.data.issues import UnusableFile, enumerate_words
from netwright.data.layouts.boxes import BOXES, read_boxes
from netwright.errors import DatasetError, DatasetWarning, RunError
from netwright.means import mean_known
from netwright.report.examples import worst_median_best
from netwright.tasks.base import SavedNetwork
from netwright.tasks.images import (
    LabelledPicture,
    find_given_pictures,
    find_pictures,
    names_within,
    network_inputs,
    prepare_as_trained,
)
from netwright.tasks.inpainting.task import Inpainting, InpaintingTask
from netwright.tasks.inputs import Images, folders_of, given_paths
from netwright.tasks.outputs import (
    Reading,
    each_usable,
    plan_outputs,
    refuse_additional,
    refuse_format,
)
from netwright.tasks.predictor import Results

Pictures = NDArray[np.float32]
T = TypeVar("T", bound=Hashable)


@dataclass(frozen=True)
class Inpainter:
    """A network with its weights on a device, everything that turns a picture into its input, and what is missing
    there.
    """

    network: nn.Module
    task: InpaintingTask
    preparation: PicturePreparation
    masks: MaskSettings
    device: Any

    is_postprocessed: ClassVar[bool] = False

    @classmethod
    def load(cls, network: nn.Module, saved: SavedNetwork, device: Any) -> Inpainter:
        """A predictor for a saved network. Arguments are those of `netwright.tasks.base.Task.predictor`."""
        preparation = PicturePreparation.from_dict(saved.preprocessing)
        masks = MaskSettings.from_dict(saved.architecture["masks"])
        return cls(network, Inpainting().network_task(saved.architecture), preparation, masks, device)

    def without_postprocessing(self) -> Inpainter:
        """The same: it has none."""
        return self

    def prepare(self, dataset: AnyDataset, cache_root: Path, workers: int) -> PreparedImages:
        """Its pictures, prepared as those of the training."""
        return prepare_as_trained(dataset, self.preparation, cache_root, workers)

    def restore(self, pictures: Pictures, missing: NDArray[np.bool_], names: Sequence[str]) -> Pictures:
        """Restores prepared pictures, whose pixels in ``missing`` (N, 1, H, W) are removed first.

        Returns whole pictures (N, C, H, W) with values 0 to 1. The network computes all of a picture, also what was
        known.

        Args:
            pictures: (N, C, H, W), whole or not.
            missing: what is removed.
            names: of the pictures, for the error.

        Raises:
            FloatingPointError: the network's output is not finite. The message names the first such picture.
        """
        import torch

        from netwright.data.images.inpainting_masks import masked
        from netwright.training.inference import restore_images

        given = masked(torch.from_numpy(np.array(pictures)), torch.from_numpy(missing))
        restored: Pictures = restore_images(self.network, given.to(self.device), names=names).cpu().numpy()
        return restored

    def fixed_missing(self, numbers: Sequence[int]) -> NDArray[np.bool_]:
        """What is missing of pictures by their numbers, (N, 1, H, W): see `fixed_masks`."""
        from netwright.data.images.inpainting_masks import fixed_masks

        return np.asarray(fixed_masks(self.masks, self.task.size, numbers).numpy())

    def score(
        self, cases: Sequence[Any], predictions: Path | None = None, on_case: OnCase | None = None
    ) -> dict[str, dict[str, float]]:
        """PSNR in dB and SSIM of every picture, restored behind the mask of its index: name -> metric -> value.

        ``cases`` are `LabelledPicture`. The restored pictures with the worst, the median and the best PSNR are written
        to the folder ``predictions`` as ``<name>.png``.

        Args:
            cases: `LabelledPicture` each.
            predictions: the folder for examples; None: none are written.
            on_case: called with the number of pictures done and of all pictures.

        Raises:
            FloatingPointError: as `restore`.
        """
        import torch

        from netwright.tasks.inpainting.metrics import image_quality

        scores: dict[str, dict[str, float]] = {}
        for run, restored, truth in self._restored(cases):
            quality = image_quality(torch.from_numpy(restored), torch.from_numpy(truth))
            for case, values in zip(run, quality.tolist(), strict=True):
                scores[case.name] = dict(zip(self.task.metric_names, values, strict=True))
            if on_case is not None:
                on_case(len(scores), len(cases))
        if predictions is not None:
            examples = worst_median_best({name: values[self.task.metric] for name, values in scores.items()})
            for run, restored, _ in self._restored([case for case in cases if case.name in examples]):
                for case, picture in zip(run, restored, strict=True):
                    write_picture(predictions / f"{case.name}.png", as_bytes(picture))
        return scores

    def results(
        self, cases: Sequence[Any], predictions: Path | None = None, on_case: OnCase | None = None
    ) -> Results:
        """`score` as "scores"."""
        return {"scores": self.score(cases, predictions, on_case)}

    def means(self, results: Results) -> dict[str, float]:
        """The mean of each metric over pictures."""
        scores = results["scores"]
        if not scores:
            return {}
        return {
            name: mean_known(values[name] for values in scores.values()) for name in self.task.metric_names
        }

    def predict(
        self,
        images: Images,
        output: Path,
        on_case: OnCase | None = None,
        masks: Path | None = None,
        *,
        overwrite: bool = False,
        format: str | None = None,
        additional: Collection[str] = (),
        on_part: OnPart | None = None,
    ) -> list[Path]:
        """Restores a picture, or each picture of a folder, as an 8-bit PNG of the size of the network's input.

        A ``boxes.csv`` beside the pictures crops them and their masks, as for training.

        Args:
            images: files or folders.
            output: the folder to write to. The files have the names of the pictures.
            on_case: called with the number of pictures done and of all pictures.
            masks: the mask of the picture, or a folder of masks with the names of the pictures (endings may differ).
                White pixels are missing. None: masks are drawn as in training and test.
            overwrite: whether earlier results in that folder may be replaced, see `plan_outputs`.
            format: must be None.

        Returns:
            The files written.

        Warns:
            DatasetWarning: ``boxes.csv`` has rows of pictures that are not there, or none of some that are; or what of
                a folder is left out: a picture that cannot be used, or other files.

        Raises:
            DatasetError: nothing is there to read, no picture can be used, a mask is missing, or two pictures or masks
                have one name but for their endings.
            RunError: the network's output is not finite.
            SettingsError: a format of label maps is given.
            StorageError: a file would be lost.
        """
        refuse_format(format, self.task.metric)
        refuse_additional(additional, self.task.metric)
        found = find_given_pictures(images, beside=(BOXES,))
        files = [file for one in found for file in one.files]
        names = [name for one in found for name in one.names]
        boxes = {name: box for one in found for name, box in _boxes(one.path, one.files, one.names).items()}
        given = None if masks is None else _masks(masks, files, names)
        read_from = [*given_paths(images), *(() if masks is None else given_paths(masks))]
        beside = [table for one in found for table in _beside(one.path)]
        read = Reading([*files, *beside, *(given or {}).values()], folders_of(read_from))
        targets = [Path(name).with_suffix(".png").as_posix() for name in names]
        outputs = plan_outputs(
            output, targets, files, read, overwrite=overwrite, what="pictures would be restored"
        )
        written = []

        def restore(number: int) -> None:
            file, name, path = files[number], names[number], outputs.paths[number]
            box = boxes.get(name)
            picture = prepare_one(file, self.preparation, box, to_restore=True)[None]
            if given is None:
                missing = self.fixed_missing([number])
            else:
                missing = read_missing(given[name], file, self.preparation.settings, box)[None, None]
            try:
                restored = self.restore(picture, missing, [name])
            except FloatingPointError as error:
                raise RunError(str(error)) from error
            outputs.put(path, lambda made: write_picture(made, as_bytes(restored[0])))
            written.append(path)

        each_usable(range(len(files)), restore, on_case)
        return written

    def _restored(
        self, cases: Sequence[LabelledPicture]
    ) -> Iterator[tuple[Sequence[LabelledPicture], Pictures, Pictures]]:
        """Some cases at a time, what the network makes of them, and the true ones."""
        for run, truth in network_inputs(cases, self.preparation):
            missing = self.fixed_missing([case.index for case in run])
            yield run, self.restore(truth, missing, [case.name for case in run]), truth


def as_bytes(picture: Pictures) -> NDArray[np.uint8]:
    """A picture (C, H, W), values 0 to 1, as (H, W) or (H, W, 3) with values 0 to 255."""
    pixels = np.rint(255 * picture).astype(np.uint8)
    return pixels[0] if len(pixels) == 1 else np.ascontiguousarray(np.moveaxis(pixels, 0, -1))


def _beside(images: Path) -> list[Path]:
    """The table of boxes in the folder of pictures, or beside a single picture; empty where there is none."""
    root = images.expanduser() if images.expanduser().is_dir() else images.expanduser().parent
    return [root / BOXES] if (root / BOXES).is_file() else []


def _boxes(images: Path, files: Sequence[Path], names: Sequence[str]) -> dict[str, Box]:
    """The boxes of pictures, from the table in their folder, or beside a single picture."""
    tables = _beside(images)
    if not tables:
        return {}
    root = tables[0].parent
    sizes = {name: read_head(file).size for name, file in zip(names, files, strict=True)}
    boxes, problems = read_boxes(root, sizes, of_more=True)
    for problem in problems:
        if problem.severity == "error":
            raise UnusableFile(problem)
        warnings.warn(str(problem), DatasetWarning, stacklevel=3)
    return boxes


def _masks(masks: Path, files: Sequence[Path], names: Sequence[str]) -> dict[str, Path]:
    """The mask of each picture. It has the picture's size."""
    drawn = find_pictures(masks, alone=False)
    if not masks.expanduser().is_dir() and len(names) == 1:
        chosen = {names[0]: drawn[0]}
    else:
        chosen = _masks_by_name(masks, drawn, names)
    for file, name in zip(files, names, strict=True):
        require_size(chosen[name], file)
    return chosen


def _masks_by_name(masks: Path, drawn: Sequence[Path], names: Sequence[str]) -> dict[str, Path]:
    stems = [_stem(name) for name in names_within(masks, drawn)]
    by_stem = dict(zip(stems, drawn, strict=True))
    twice = set(_twice(stems))
    for name in names:
        if _stem(name) not in by_stem:
            raise DatasetError(
                f"{masks} has no mask for {name}: expected one of the same name for every picture, white where it is "
                "missing. Draw one, black all over where nothing is missing."
            )
        if _stem(name) in twice:
            own = [file.name for stem, file in zip(stems, drawn, strict=True) if stem == _stem(name)]
            raise DatasetError(
                f"{masks} has {enumerate_words(own)} for {name}: expected one mask for each picture. Remove the others."
            )
    return {name: by_stem[_stem(name)] for name in names}


def _stem(name: str) -> str:
    """The name of a picture without its ending."""
    return Path(name).with_suffix("").as_posix()


def _twice(values: Sequence[T]) -> list[T]:
    """The values that occur more than once, in order."""
    return [value for value, count in Counter(values).items() if count > 1]
