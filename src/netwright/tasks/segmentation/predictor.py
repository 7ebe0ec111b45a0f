"""A trained segmentation network: label maps of images, and how well they fit the truth."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from functools import partial
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import torch
from numpy.typing import NDArray
from torch import nn

from netwright.data.base import AnyDataset, OnCase
from netwright.data.io.formats import files_of, is_flat
from netwright.data.io.volumes import Volume, label_ending, read_image, write_label_map
from netwright.data.layouts import find_cases
from netwright.data.layouts.description import stem
from netwright.data.loading.batches import Image
from netwright.data.volumes.dataset import Case
from netwright.data.volumes.preprocessing import (
    PreparedImage,
    PreprocessingSettings,
    coarsened,
    prepare_volume,
)
from netwright.data.volumes.slabs import Slabs, labels_of
from netwright.data.volumes.surroundings import SurroundedImage
from netwright.errors import DatasetError, MemoryShortage
from netwright.means import mean_scores
from netwright.tasks.base import Predictor, Results, SavedNetwork, Scores
from netwright.tasks.outputs import (
    PROBABILITIES,
    UNCERTAINTY,
    VOLUMES,
    Outputs,
    Reading,
    each_usable,
    folder_of,
    plan_outputs,
    refuse_masks,
    require_additional,
)
from netwright.tasks.segmentation.additional import (
    TABLE,
    Segmented,
    names_of,
    together,
    volume_rows,
    write_additional,
    write_volumes,
)
from netwright.tasks.segmentation.data import tell_names
from netwright.tasks.segmentation.dense_crf import DenseCRF, memory_mb, refine
from netwright.tasks.segmentation.metrics.surface_distance import (
    HAUSDORFF,
    hausdorff_95_per_label,
    mean_distances,
)
from netwright.tasks.segmentation.task import Segmentation, SegmentationTask


@dataclass(frozen=True)
class SegmentationTest:
    """How a network does on cases, on their own grids.

    ``dice``: NaN where a label is absent from truth and prediction. ``distances``: the Hausdorff distance, 95 %, in
    mm: NaN where absent from both, infinite where absent from one. ``dice_without_crf``: of the network's own
    probabilities; empty where it has no CRF. ``dice_with_unkept_crf``: with one that was fitted and is not used; empty
    where there is none.
    """

    dice: Scores
    distances: Scores
    dice_without_crf: Scores
    dice_with_unkept_crf: Scores


@dataclass(frozen=True)
class Segmenter:
    """A network with its weights, ready on a device, and all that turns a file into its input and back.

    ``label_values``: the value in label maps of each class, background first. ``slice_axis``: the canonical axis that
    the slices are normal to which a network of two dimensions sees; None for one that sees volumes. ``crf``: what its
    probabilities are refined with before labels are told; None: nothing. ``channel_names``: those of the data it was
    trained on; empty where they were not kept.
    """

    network: nn.Module
    task: SegmentationTask
    label_values: tuple[int, ...]
    preprocessing: PreprocessingSettings
    device: Any
    slice_axis: int | None = None
    crf: DenseCRF | None = None
    channel_names: tuple[str, ...] = ()

    @classmethod
    def load(cls, network: nn.Module, saved: SavedNetwork, device: Any) -> Segmenter:
        """A predictor for a saved network. Arguments are those of `netwright.tasks.base.Task.predictor`."""
        return cls(
            network=network,
            task=Segmentation().network_task(saved.architecture),
            label_values=tuple(saved.architecture["label_values"]),
            preprocessing=PreprocessingSettings.from_dict(saved.preprocessing),
            device=device,
            slice_axis=saved.architecture.get("slice_axis"),
            channel_names=tuple(saved.architecture.get("channel_names", ())),
        )

    @property
    def channels(self) -> int:
        """Of an image. A network may also see its surroundings, in as many channels."""
        return self.task.channels // (1 if self.preprocessing.coarse_factors is None else 2)

    @property
    def is_postprocessed(self) -> bool:
        """Whether the network has a CRF."""
        return self.crf is not None

    def without_postprocessing(self) -> Segmenter:
        """The network without its CRF."""
        return replace(self, crf=None)

    def prepare(self, dataset: AnyDataset, cache_root: Path, workers: int) -> None:
        """Nothing: each case is prepared when it is tested."""

    def probabilities(
        self, image: NDArray[np.float32], air: Sequence[float] | NDArray[np.float32] = ()
    ) -> NDArray[np.float32]:
        """Probabilities (K, X, Y, Z) of a prepared image (C, X, Y, Z), the network's own.

        ``air``: what each channel is padded with; empty: zeros.
        """
        return self._slabs(image, air).whole()

    def _slabs(self, image: NDArray[np.float32], air: Sequence[float] | NDArray[np.float32]) -> Slabs:
        from netwright.training.device import to_channels_last
        from netwright.training.inference import predict_slices, predict_volume

        # On a CPU channels last is faster in full precision, too.
        on_cpu = torch.device(self.device).type == "cpu"
        network = to_channels_last(self.network) if on_cpu else self.network
        if self.slice_axis is not None:
            return predict_slices(
                network,
                image,
                self.task.size,
                self.slice_axis,
                device=self.device,
                channels_last=on_cpu,
                air=air,
                written=self.task.written,
            )
        factors, padding = self.preprocessing.coarse_factors, np.asarray(air, np.float32)
        volume: Image = image
        if factors is not None:
            padding = padding if len(padding) else np.zeros(len(image), np.float32)
            volume = SurroundedImage(image, coarsened(image, factors), factors, padding)
            padding = np.tile(padding, 2)
        return predict_volume(
            network,
            volume,
            self.task.size,
            device=self.device,
            channels_last=on_cpu,
            air=padding,
            written=self.task.written,
        )

    def _segment(self, prepared: PreparedImage, images: Sequence[Path], frames: int = 0) -> Segmented:
        """Class indices; also probabilities of all classes, for which there must be the memory for so many ``frames``.
        0: without them.
        """
        if self.crf is not None:
            self._require_memory(prepared, images)
        if frames:
            self._require_memory_for_scores(prepared, images, frames)
        slabs = self._slabs(prepared.image, prepared.air)
        refined = self._refined(slabs, prepared, self.crf, images)
        if not frames:
            return Segmented(prepared.geometry.restore(refined))
        whole = refined.whole() if isinstance(refined, Slabs) else refined
        restored = np.stack(list(prepared.geometry.restore_scores(whole)))
        return Segmented(labels_of(restored, self.task.written), np.moveaxis(restored, 0, -1))

    def _prepared(self, volume: Volume, images: Sequence[Path]) -> PreparedImage:
        prepared = prepare_volume(volume, images, self.preprocessing)
        channels = prepared.image.shape[0]
        if channels != self.channels:
            raise DatasetError(
                f"{images[0]} has {channels} channel{'s' * (channels != 1)}; this network was trained on "
                f"{self.channels}. Give images like those it was trained on{self._as_files(images[0])}."
            )
        return prepared if self.slice_axis is None else prepared.without_padding(self.slice_axis)

    def _as_files(self, image: Path) -> str:
        """How the channels of a volume are given, where there are several."""
        if self.channels < 2 or is_flat(image):
            return ""
        name = stem(image)
        return (
            f": one 4D file with {self.channels} volumes, or a file for each channel, named {name}_0000.nii.gz to "
            f"{name}_{self.channels - 1:04d}.nii.gz"
        )

    def _refined(
        self,
        own: NDArray[np.float32] | Slabs,
        prepared: PreparedImage,
        crf: DenseCRF | None,
        images: Sequence[Path],
    ) -> NDArray[np.float32] | Slabs:
        """What a CRF makes of the network's own probabilities, which it needs all at once; None: these."""
        if crf is None:
            return own
        probabilities = own.whole() if isinstance(own, Slabs) else own
        try:
            return refine(probabilities, prepared.image, prepared.geometry.spacing, crf)
        except MemoryError:
            raise self._shortage(prepared, images) from None

    def _require_memory(self, prepared: PreparedImage, images: Sequence[Path]) -> None:
        """Refuse a volume for whose CRF there is not the memory, before its probabilities are computed for minutes."""
        if self._crf_mb(prepared) > psutil.virtual_memory().available / 1e6:
            raise self._shortage(prepared, images)

    def _require_memory_for_scores(
        self, prepared: PreparedImage, images: Sequence[Path], frames: int
    ) -> None:
        """Refuse an image for whose probabilities, on both grids and as they are written, there is not the memory."""
        voxels = prod(prepared.image.shape[1:]) + 3 * frames * prod(prepared.geometry.grid.shape)
        needed = 4e-6 * self.task.classes * voxels
        if needed > psutil.virtual_memory().available / 1e6:
            raise MemoryShortage(
                f"{images[0]}: the probabilities of its {self.task.classes} classes need about {needed:,.0f} MB, more "
                "than there is. Free some memory, or leave out --probabilities and --uncertainty."
            )

    def _crf_mb(self, prepared: PreparedImage) -> float:
        channels, *shape = prepared.image.shape
        return memory_mb(shape, self.task.classes, channels)

    def _shortage(self, prepared: PreparedImage, images: Sequence[Path]) -> MemoryShortage:
        shape = " x ".join(map(str, prepared.image.shape[1:]))
        return MemoryShortage(
            f"{images[0]}: the CRF needs about {self._crf_mb(prepared):,.0f} MB for its {shape} voxels, more than "
            "there is. Free some memory, or leave the CRF out: --no-crf, in Python crf=False."
        )

    def test(
        self,
        cases: Sequence[Any],
        predictions: Path | None = None,
        on_case: OnCase | None = None,
        unkept: DenseCRF | None = None,
    ) -> SegmentationTest:
        """How every foreground label, or region, fits the truth on every case's own grid.

        ``cases`` are `LabelledCase`. Label maps are written to the folder ``predictions`` if given. ``unkept``: a CRF
        whose effect is told beside, without being used.

        Args:
            cases: `LabelledCase` each.
            predictions: the folder for label maps; None: none are written.
            on_case: called with the number of cases done and of all cases.
            unkept: a CRF whose scores are measured besides.

        Raises:
            MemoryShortage: a CRF needs more memory than there is.
        """
        tell_names(cases, self._names)
        result = SegmentationTest({}, {}, {}, {})
        for number, case in enumerate(cases, 1):
            volume = read_image(case.images, case.time)
            prepared, grid = self._prepared(volume, case.images), volume.grid
            del volume  # a large one would stay in memory
            if self.crf is not None or unkept is not None:
                self._require_memory(prepared, case.images)
            truth = case.classes(grid, self.label_values, self._names)
            slabs = self._slabs(prepared.image, prepared.air)
            read_once = self.crf is None and unkept is None
            own = slabs if read_once else slabs.whole()
            prediction = prepared.geometry.restore(self._refined(own, prepared, self.crf, case.images))
            if predictions is not None:
                self._write_prediction(predictions, case.name, prediction, case.images[0])
            labels = grid.to_canonical(prediction)
            result.dice[case.name] = self._dice(labels, truth)
            scored = list(self.task.scored.values())
            result.distances[case.name] = self._named(
                hausdorff_95_per_label(labels, truth, self.task.labels, grid.spacing, scored)
            )
            if self.crf is not None:
                plain = grid.to_canonical(prepared.geometry.restore(own))
                result.dice_without_crf[case.name] = self._dice(plain, truth)
            if unkept is not None:
                refined = prepared.geometry.restore(self._refined(own, prepared, unkept, case.images))
                result.dice_with_unkept_crf[case.name] = self._dice(grid.to_canonical(refined), truth)
            if on_case is not None:
                on_case(number, len(cases))
        return result

    def results(
        self,
        cases: Sequence[Any],
        predictions: Path | None = None,
        on_case: OnCase | None = None,
        *,
        unkept: DenseCRF | None = None,
    ) -> Results:
        """`test` as `netwright.tasks.base.Results`: Dice as "scores", the distances, with a CRF also the Dice without
        it, and with an ``unkept`` one that with it.
        """
        tested = self.test(cases, predictions, on_case, unkept)
        results = {"scores": tested.dice, HAUSDORFF: tested.distances}
        if self.crf is not None:
            results["scores_without_crf"] = tested.dice_without_crf
        if unkept is not None:
            results["scores_with_unkept_crf"] = tested.dice_with_unkept_crf
        return results

    def means(self, results: Results) -> dict[str, float]:
        """Dice and Hausdorff distance, of all labels and of each."""
        distances = mean_distances(results.get(HAUSDORFF, {}))
        return {**mean_scores(results["scores"], self.task.metric), **distances}

    def _dice(self, labels: NDArray[np.uint8], truth: NDArray[np.uint8]) -> dict[str, float]:
        return self._named(self.task.dice(labels, truth))

    def _named(self, scores: NDArray[np.float64]) -> dict[str, float]:
        return dict(zip(self.task.scored, map(float, scores), strict=True))

    def predict(
        self,
        images: Path,
        output: Path,
        on_case: OnCase | None = None,
        masks: Path | None = None,
        *,
        overwrite: bool = False,
        format: str | None = None,
        additional: Collection[str] = (),
    ) -> list[Path]:
        """A label map for each image of a file or folder, on the image's own grid. Returns the files written.

        To a network of one channel a 4D image is a cine: its label map is 4D, each time point segmented by itself.
        ``overwrite``: whether label maps that were written there before may be replaced, see `plan_outputs`. ``masks``:
        there are none for this task. ``format``: that of the label maps, see `label_ending`; None: each image's own.
        ``additional``: some of `netwright.tasks.outputs.ADDITIONAL`, written beside the label maps: float32 files in
        the folders ``probabilities`` and ``uncertainty``, and the table ``volumes.csv``.

        Warns:
            DatasetWarning: what of a folder is left out: a case that cannot be used, or other files.

        Raises:
            DatasetError: no file can be used: unreadable, or another number of channels than the network was trained
                on; or two cases lead to one name.
            MemoryShortage: the CRF or the probabilities need more memory than there is.
            SettingsError: the network has a CRF, and pydensecrf2 is not installed; masks are given, something unknown
                is wanted beside, or the format is none that label maps of these images are written in.
            StorageError: a file would be lost.
        """
        refuse_masks(masks, self.task.metric)
        require_additional(additional)
        cases = find_cases(images, self.channels, self.channel_names)
        names = [f"{case.name}{label_ending(case.images[0], format)}" for case in cases]
        kinds = [kind for kind in (PROBABILITIES, UNCERTAINTY) if kind in additional]
        beside = [name for kind in kinds for name in names_of(kind, cases)]
        tables = [TABLE] * (VOLUMES in additional)
        sources = [case.images[0] for case in cases] * (1 + len(kinds)) + [cases[0].images[0]] * len(tables)
        read = Reading(_files_read(cases, folder_of(images)), folder_of(images))
        outputs = plan_outputs(output, [*names, *beside, *tables], sources, read, overwrite=overwrite)
        written, rows = [], list[tuple[str, ...]]()

        def segment(at: int) -> None:
            case, path = cases[at], outputs.paths[at]
            others = {kind: outputs.paths[at + (1 + i) * len(cases)] for i, kind in enumerate(kinds)}
            labels = self._write(outputs, case, path, others)
            if tables:
                rows.extend(volume_rows(case, labels, self.label_values, self._names))
            written.append(path)

        try:
            each_usable(range(len(cases)), segment, on_case)
        finally:  # also of what was segmented before an error or Ctrl-C
            if rows:
                outputs.put(outputs.paths[-1], lambda made: write_volumes(made, rows))
        return written

    def _write(self, outputs: Outputs, case: Case, path: Path, others: dict[str, Path]) -> NDArray[np.uint8]:
        """Writes the label map of an image, and other files by their kind. Returns the class indices."""
        image, segmented = case.images[0], self._segment_all(case.images, scores=bool(others))
        for kind, other in others.items():
            write = partial(
                write_additional, kind=kind, segmented=segmented, image=image, exclusive=not self.task.written
            )
            outputs.put(other, write)
        labels = segmented.labels
        outputs.put(path, lambda made: write_label_map(made, labels, image, self.label_values, self._names))
        return labels

    @property
    def _names(self) -> dict[int, str]:
        """The names of the labels but background, by their values in label maps."""
        return dict(zip(self.label_values[1:], self.task.label_names, strict=True))

    def _segment_all(self, images: Sequence[Path], *, scores: bool) -> Segmented:
        """An image, or every frame of a cine. ``scores``: with probabilities."""
        volume = read_image(images)
        if self.channels > 1 or is_flat(images[0]) or len(volume.array) == 1:
            prepared = self._prepared(volume, images)
            del volume  # a large one would stay in memory
            return self._segment(prepared, images, int(scores))
        frames = (Volume(frame[None], volume.grid) for frame in volume.array)
        count = len(volume.array) if scores else 0
        return together([self._segment(self._prepared(frame, images), images, count) for frame in frames])

    def _write_prediction(self, folder: Path, name: str, labels: NDArray[np.uint8], image: Path) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{name}{label_ending(image)}"
        write_label_map(path, labels, image, self.label_values)
        return path


def _files_read(cases: Sequence[Case], folder: Path | None) -> list[Path]:
    """The files of the images, of a folder of slices also the slices; not the ``folder`` itself that was given."""
    images = [image for case in cases for image in case.images]
    files = [file for image in images for file in (files_of(image) if image.is_dir() else (image,))]
    return [file for file in files if file != folder]


def as_segmenter(predictor: Predictor) -> Segmenter:
    """The predictor, as the one of this task."""
    assert isinstance(predictor, Segmenter)
    return predictor
