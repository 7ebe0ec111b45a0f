"""A trained segmentation network: label maps of images, and how well they fit the truth."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from netwright.data.base import AnyDataset, OnCase, OnPart
from netwright.data.io.formats import files_of
from netwright.data.io.volumes import label_ending, write_label_map
from netwright.data.layouts import find_cases
from netwright.data.layouts.unlabelled import cases_of_files
from netwright.data.volumes.dataset import Case
from netwright.data.volumes.preprocessing import PreprocessingSettings
from netwright.means import mean_scores
from netwright.tasks.base import SavedNetwork
from netwright.tasks.inputs import Images, folders_of, given_paths, together
from netwright.tasks.outputs import (
    PROBABILITIES,
    UNCERTAINTY,
    VOLUMES,
    Outputs,
    Reading,
    each_usable,
    plan_outputs,
    refuse_masks,
    require_additional,
)
from netwright.tasks.predictor import Predictor, Results
from netwright.tasks.segmentation.additional import (
    TABLE,
    names_of,
    volume_rows,
    write_additional,
    write_volumes,
)
from netwright.tasks.segmentation.dense_crf import DenseCRF
from netwright.tasks.segmentation.metrics.surface_distance import HAUSDORFF, mean_distances
from netwright.tasks.segmentation.segmenting import SegmentingNetwork
from netwright.tasks.segmentation.task import Segmentation
from netwright.tasks.segmentation.testing import SegmentationTest, score_cases


@dataclass(frozen=True)
class Segmenter(SegmentingNetwork):
    """A trained network with every step from a file to its labels: a `netwright.tasks.predictor.Predictor`."""

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
    def is_postprocessed(self) -> bool:
        """Whether the network has a CRF."""
        return self.crf is not None

    def without_postprocessing(self) -> Segmenter:
        """The network without its CRF."""
        return replace(self, crf=None)

    def prepare(self, dataset: AnyDataset, cache_root: Path, workers: int) -> None:
        """Nothing: each case is prepared when it is tested."""

    def test(
        self,
        cases: Sequence[Any],
        predictions: Path | None = None,
        on_case: OnCase | None = None,
        unkept: DenseCRF | None = None,
    ) -> SegmentationTest:
        """How every foreground label, or region, fits the truth on every case's own grid.

        Args:
            cases: `LabelledCase` each.
            predictions: the folder for label maps; None: none are written.
            on_case: called with the number of cases done and of all cases.
            unkept: a CRF whose scores are measured besides.

        Raises:
            MemoryShortage: a CRF needs more memory than there is.
        """
        return score_cases(self, cases, predictions, on_case, unkept)

    def results(
        self,
        cases: Sequence[Any],
        predictions: Path | None = None,
        on_case: OnCase | None = None,
        *,
        unkept: DenseCRF | None = None,
    ) -> Results:
        """`test` as `netwright.tasks.predictor.Results`: Dice as "scores", the distances, with a CRF also the Dice
        without it, and with an ``unkept`` one that with it.
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
        """A label map for each image of files or folders, on the image's own grid. Returns the files written.

        To a network of one channel a 4D image is a cine: its label map is 4D, each time point segmented by itself.
        ``overwrite``: whether label maps that were written there before may be replaced, see `plan_outputs`. ``masks``:
        there are none for this task. ``format``: that of the label maps, see `label_ending`; None: each image's own.
        ``additional``: some of `netwright.tasks.outputs.ADDITIONAL`, written beside the label maps: float32 files in
        the folders ``probabilities`` and ``uncertainty``, and the table ``volumes.csv``. ``on_part``: told how much of
        the image at hand is computed.

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
        given = given_paths(images)
        cases = [
            case
            for paths in together(given)
            for case in (
                find_cases(paths[0], self.channels, self.channel_names)
                if len(paths) == 1
                else cases_of_files(paths, self.channels)
            )
        ]
        names = [f"{case.name}{label_ending(case.images[0], format)}" for case in cases]
        kinds = [kind for kind in (PROBABILITIES, UNCERTAINTY) if kind in additional]
        beside = [name for kind in kinds for name in names_of(kind, cases)]
        tables = [TABLE] * (VOLUMES in additional)
        sources = [case.images[0] for case in cases] * (1 + len(kinds)) + [cases[0].images[0]] * len(tables)
        folders = folders_of(given)
        read = Reading(_files_read(cases, folders), folders)
        outputs = plan_outputs(output, [*names, *beside, *tables], sources, read, overwrite=overwrite)
        written, rows = [], list[tuple[str, ...]]()

        def segment(at: int) -> None:
            case, path = cases[at], outputs.paths[at]
            others = {kind: outputs.paths[at + (1 + i) * len(cases)] for i, kind in enumerate(kinds)}
            labels = self._write(outputs, case, path, others, on_part)
            if tables:
                rows.extend(volume_rows(case, labels, self.label_values, self.names))
            written.append(path)

        try:
            each_usable(range(len(cases)), segment, on_case)
        finally:  # also of what was segmented before an error or Ctrl-C
            if rows:
                outputs.put(outputs.paths[-1], lambda made: write_volumes(made, rows))
        return written

    def _write(
        self, outputs: Outputs, case: Case, path: Path, others: dict[str, Path], on_part: OnPart | None
    ) -> NDArray[np.uint8]:
        """Writes the label map of an image, and other files by their kind. Returns the class indices."""
        image = case.images[0]
        segmented = self.segment_files(case.images, scores=bool(others), on_part=on_part)
        for kind, other in others.items():
            write = partial(
                write_additional, kind=kind, segmented=segmented, image=image, exclusive=not self.task.written
            )
            outputs.put(other, write)
        labels = segmented.labels
        outputs.put(path, lambda made: write_label_map(made, labels, image, self.label_values, self.names))
        return labels


def _files_read(cases: Sequence[Case], folders: Sequence[Path]) -> list[Path]:
    """The files of the images, of a folder of slices also the slices; not the ``folders`` themselves."""
    images = [image for case in cases for image in case.images]
    files = [file for image in images for file in (files_of(image) if image.is_dir() else (image,))]
    return [file for file in files if file not in folders]


def as_segmenter(predictor: Predictor) -> Segmenter:
    """The predictor, as the one of this task."""
    assert isinstance(predictor, Segmenter)
    return predictor
