"""The task of segmenting images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from netwright.data.base import AnyDataset, AnyPrepared
from netwright.data.volumes.regions import Region
from netwright.errors import MemoryShortage, SettingsError
from netwright.execution.notes import say_once
from netwright.tasks.base import InferenceScript, SavedNetwork, SettingsDraft, TestCase
from netwright.tasks.exchange import Exchange
from netwright.tasks.predictor import Predictor, Results
from netwright.tasks.segmentation.network_task import SegmentationTask
from netwright.training.guess import GUESSED

if TYPE_CHECKING:
    from torch import nn

    from netwright.report.run import ReportedRun
    from netwright.report.sections import Section
    from netwright.settings import RunSettings
    from netwright.tasks.folds import Joined
    from netwright.tasks.segmentation.crf_fitting import FittedCRF
    from netwright.training.problem import Problem

POSTPROCESSING = "postprocessing.json"
"""What was fitted to a trained network, in its folder: the CRF, and whether it is kept."""

BACKGROUND = "background"
WRITING = (
    "where the probability of a region is above 0.5, its label value is written, in this order: later regions "
    "overwrite earlier ones"
)
SURROUNDINGS = (
    "the first half of the channels is the image, the second half what lies around it: as many voxels with the same "
    "centre, {factors} times as long along the axes, whose values are means of such blocks, interpolated linearly"
)
ORIENTATION = (
    "x grows to the patient's right, y to the front, z upwards (RAS). A picture is a slice: x are its columns from "
    "right to left, y its rows from bottom to top"
)
"""Of the axes that a network sees, in words."""


class Segmentation:
    """To label every voxel of a volume, or every pixel of a picture: a `netwright.tasks.base.Task`."""

    name: ClassVar[str] = "segmentation"
    metric: ClassVar[str] = SegmentationTask.metric
    metrics: ClassVar[tuple[str, ...]] = (metric,)
    losses: ClassVar[tuple[str, ...]] = SegmentationTask.losses
    guessed_losses: ClassVar[tuple[str, ...]] = GUESSED
    networks: ClassVar[str] = name
    result_names: ClassVar[tuple[str, ...]] = (
        "scores",
        "hausdorff_95_mm",
        "scores_without_crf",
        "scores_with_unkept_crf",
    )
    format: ClassVar[None] = None
    fitted_files: ClassVar[tuple[str, ...]] = (POSTPROCESSING,)
    mirror_axes: ClassVar[tuple[int, ...]] = (0,)
    output_folder: ClassVar[str] = "/path/to/labels"

    def recipe(self, dimensions: int) -> str:
        """SegNAS4 of volumes, the layers of the U-Net of pictures."""
        return "segnas4" if dimensions == 3 else "marl-unet"

    def choose_settings(self, draft: SettingsDraft, dataset: AnyDataset, *, repeats: bool) -> None:
        """Those of the recipe will do, if the library of a CRF that is asked for is installed.

        A CRF gives each voxel one label: for regions, which overlap, that of a recipe is left out, and one that the
        user set is refused.
        """
        from netwright.tasks.segmentation.data import labelled_dataset
        from netwright.tasks.segmentation.dense_crf import require_library

        crf, regions = draft.postprocessing.crf, labelled_dataset(dataset).regions
        if crf and regions and not repeats and "postprocessing.crf" not in draft.user_set:
            say_once("No CRF is fitted: it gives each voxel one label, and regions overlap.")
            draft.choose({"postprocessing.crf": False})
        elif crf and regions:
            raise SettingsError(
                f"postprocessing.crf = {str(crf).lower()}: the fully connected CRF gives each voxel one label, but "
                f"regions overlap, and {dataset.root} has the regions {', '.join(one.name for one in regions)}. Leave "
                "it out: --set postprocessing.crf=false."
            )
        elif crf:
            require_library()

    def finish_settings(self, draft: SettingsDraft, prepared: AnyPrepared) -> None:
        """Say before the search whether there is too little memory for the CRF."""
        from netwright.tasks.segmentation.data import prepared_volumes
        from netwright.tasks.segmentation.postprocessing import crf_shortage

        if draft.postprocessing.crf:
            shortage = crf_shortage(
                prepared_volumes(prepared), draft.postprocessing.iterations, draft.machine.memory_limit_mb
            )
            if shortage:
                say_once(shortage)

    def refuse_settings(self, draft: SettingsDraft, task: str) -> None:
        """Refuse a CRF where nothing is segmented."""
        crf = draft.postprocessing.crf
        if crf:
            raise SettingsError(
                f"postprocessing.crf = {str(crf).lower()}: the fully connected CRF cleans label maps, expected a "
                f"dataset with label maps; {draft.dataset.path} is for {task}. Leave it out: --set "
                "postprocessing.crf=false."
            )

    def problem(self, prepared: AnyPrepared, settings: RunSettings) -> Problem:
        """Volumes whole, or slice by slice where the settings have ``slices``, by networks of two dimensions."""
        from netwright.tasks.segmentation.data import prepared_volumes
        from netwright.tasks.segmentation.problem import make_problem

        return make_problem(prepared_volumes(prepared), settings.slices)

    def network_task(self, architecture: Mapping[str, Any]) -> SegmentationTask:
        """The task with the labels that the network was trained on."""
        return SegmentationTask(
            channels=architecture["channels"],
            label_names=tuple(architecture["label_names"]),
            size=tuple(architecture["size"]),
            regions=tuple(map(Region.from_dict, architecture.get("regions", ()))),
        )

    def describe(self, prepared: AnyPrepared, settings: RunSettings) -> dict[str, Any]:
        """Names and values of the labels, regions, names of the channels, and the axis that slices are normal to."""
        from netwright.tasks.segmentation.data import prepared_volumes

        volumes = prepared_volumes(prepared)
        return {
            "label_names": list(volumes.label_names),
            "label_values": list(volumes.label_values),
            "channel_names": list(volumes.channel_names),
            "slice_axis": None if settings.slices is None else settings.slices.axis_of(volumes),
            **({"regions": [region.to_dict() for region in volumes.regions]} if volumes.regions else {}),
        }

    def describe_use(self, architecture: Mapping[str, Any]) -> dict[str, Any]:
        """The axes that the network sees, and the labels with their values in label maps; or the regions, with the
        values that are written for them. Of networks with a first stage also what the channels are.
        """
        normal = architecture.get("slice_axis")
        values = list(architecture["label_values"])
        task = self.network_task(architecture)
        use = {
            "axes": [name for axis, name in enumerate("xyz") if axis != normal],
            "orientation": ORIENTATION,
        }
        factors = architecture.get("space", {}).get("low_resolution")
        if factors is not None:
            use["channels"] = SURROUNDINGS.format(factors=" x ".join(map(str, factors)))
        if task.regions:
            written = [values[index] for index in task.written]
            return {**use, "labels": list(task.scored), "label_values": written, "writing": WRITING}
        return {**use, "labels": [BACKGROUND, *task.label_names], "label_values": values}

    def inference_script(self, saved: SavedNetwork) -> InferenceScript:
        """Label maps, without a CRF."""
        from netwright.tasks.segmentation.inference_script import script_of

        return script_of(saved, self.describe_use(saved.architecture))

    def exchange(self, saved: SavedNetwork) -> Exchange:
        """Label maps of volumes, or of pictures."""
        from netwright.tasks.segmentation.pictures import image_channels, of_pictures

        return Exchange("picture" if of_pictures(saved) else "volume", "label map", image_channels(saved))

    def predictor(self, network: nn.Module, saved: SavedNetwork, device: Any) -> Predictor:
        """With the CRF that was kept for it, if one was."""
        from netwright.tasks.segmentation.postprocessing import with_crf
        from netwright.tasks.segmentation.predictor import Segmenter

        segmenter = Segmenter.load(network, saved, device)
        return with_crf(segmenter, saved.folder)

    def finish(
        self,
        predictor: Predictor,
        folder: Path,
        settings: RunSettings,
        prepared: AnyPrepared,
        validation: Sequence[int],
    ) -> Predictor:
        """Fit the fully connected CRF, where the settings ask for one."""
        from netwright.tasks.segmentation.data import prepared_volumes
        from netwright.tasks.segmentation.postprocessing import fit_postprocessing
        from netwright.tasks.segmentation.predictor import as_segmenter

        if not settings.postprocessing.crf:
            return predictor
        volumes = prepared_volumes(prepared)
        return fit_postprocessing(folder, settings, as_segmenter(predictor), volumes, validation)

    def join(self, members: Sequence[SavedNetwork], folder: Path) -> Joined:
        """Nothing that was fitted is kept: no case was seen by none of the networks, to choose a CRF by."""
        from netwright.tasks.folds import join_volumes

        return join_volumes(members)

    def postprocessing(self, folder: Path) -> FittedCRF | None:
        """The CRF, whether kept or not."""
        from netwright.tasks.segmentation.postprocessing import read_fitted

        return read_fitted(folder)

    def final_results(
        self, predictor: Predictor, folder: Path, cases: Sequence[Any], *, searched: bool
    ) -> Results:
        """Without a CRF where there is not the memory for it, so that no training is lost; of the searched network also
        with a CRF that was fitted and not kept.
        """
        from netwright.tasks.segmentation.postprocessing import drop_crf, unkept_crf
        from netwright.tasks.segmentation.predictor import as_segmenter

        segmenter, predictions = as_segmenter(predictor), folder / "predictions"
        unkept = unkept_crf(folder) if searched else None
        try:
            return segmenter.results(cases, predictions, unkept=unkept)
        except MemoryShortage:
            return drop_crf(segmenter, folder).results(cases, predictions)

    def test_cases(
        self, dataset: AnyDataset, prepared: AnyPrepared | None, names: Sequence[str]
    ) -> tuple[TestCase, ...]:
        """Files with their label maps: each case is tested on its own grid."""
        from netwright.tasks.segmentation.data import labelled, labelled_dataset

        labelled_set = labelled_dataset(dataset)
        cases = {case.name: case for case in labelled_set.cases}
        return tuple(labelled(cases[name], labelled_set) for name in names)

    def require_testable(self, dataset: AnyDataset) -> None:
        """Refuse data without label maps."""
        from netwright.tasks.segmentation.data import labelled_dataset

        labelled_dataset(dataset)

    def remarks(self, results: Results, *, postprocessed: bool) -> tuple[str, ...]:
        """Whether a CRF was applied, and the labels without a distance."""
        from netwright.report.formatting import counted
        from netwright.tasks.segmentation.metrics.surface_distance import HAUSDORFF, undefined_distances

        applied = ("crf    applied to the network's probabilities",) * postprocessed
        return applied + tuple(
            f"no distance of {label} in {counted(count, 'case')}: missed, or found where it is not"
            for label, count in undefined_distances(results.get(HAUSDORFF, {})).items()
            if count
        )

    def score_names(self, prepared: AnyPrepared) -> tuple[str, ...]:
        """The foreground labels, or the regions."""
        from netwright.tasks.segmentation.data import prepared_volumes
        from netwright.tasks.segmentation.problem import volume_task

        return tuple(volume_task(prepared_volumes(prepared)).scored)

    def data_facts(
        self, dataset: AnyDataset, prepared: AnyPrepared, settings: RunSettings
    ) -> tuple[tuple[str, str], ...]:
        """Cases, labels, and what a network sees of a volume."""
        from netwright.tasks.segmentation.data import ignored_voxels, prepared_volumes, written_regions

        volumes = prepared_volumes(prepared)
        size = self.problem(prepared, settings).task.size
        pixels, spacing = " x ".join(map(str, size)), " x ".join(f"{s:.3g}" for s in volumes.spacing)
        whole = len(size) == len(volumes.size)
        regions = [("regions", written_regions(volumes))] if volumes.regions else []
        ignored = [("ignored", ignored_voxels(volumes))] if volumes.ignores else []
        return (
            ("dataset", f"{dataset.name}, {len(prepared)} cases, channels {', '.join(dataset.channels)}"),
            ("labels", ", ".join(map(str, volumes.label_names))),
            *regions,
            *ignored,
            ("network input", f"{pixels} voxels of {spacing} mm" if whole else f"slices of {pixels} pixels"),
        )

    def report_sections(self, run: ReportedRun) -> tuple[Section, ...]:
        """Distances, the CRF, and test cases."""
        from netwright.tasks.segmentation.report import report_sections

        return report_sections(run)

    def undefined_metrics(self, prepared: AnyPrepared, cases: Sequence[int]) -> dict[str, str]:
        """Dice of the labels or regions of which no case has a voxel."""
        from netwright.tasks.segmentation.data import prepared_volumes
        from netwright.tasks.segmentation.problem import volume_task

        volumes = prepared_volumes(prepared)
        voxels = volumes.class_counts_of(cases)
        scored = volume_task(volumes).scored.items()
        return {f"{self.metric}.{name}": name for name, labels in scored if not voxels[list(labels)].any()}

    def predicted_words(self, written: Sequence[Path], output: Path) -> str:
        """How many label maps."""
        return f"{len(written)} label map{'s' * (len(written) != 1)} in {output}"
