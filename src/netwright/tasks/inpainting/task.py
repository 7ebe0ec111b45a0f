"""The task of restoring an image of which a part is missing: what a network gets, and what it must give."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from netwright.data.base import AnyDataset, AnyPrepared
from netwright.errors import SettingsError
from netwright.tasks.base import InferenceScript, SavedNetwork, SettingsDraft, TestCase
from netwright.tasks.exchange import Exchange
from netwright.tasks.inpainting.settings import choose_masks, choose_preparation
from netwright.tasks.predictor import Predictor, Results

if TYPE_CHECKING:
    from torch import nn

    from netwright.nn.losses import Loss
    from netwright.report.run import ReportedRun
    from netwright.report.sections import Section
    from netwright.settings import RunSettings
    from netwright.tasks.folds import Joined
    from netwright.training.config import TrainingProtocol
    from netwright.training.problem import Problem

SSIM_WINDOW = 11
"""Rows and columns over which SSIM compares two images (Wang et al. 2004, Section III-C)."""


@dataclass(frozen=True)
class InpaintingTask:
    """Masked images (batch, channels, *size) to whole ones of the same shape, values 0 to 1, judged by their mean PSNR.

    ``size``: of the images, (H, W), at least 11 pixels along both axes, the window of SSIM.

    Raises:
        SettingsError: no channel, or images that are too small.
    """

    label_type: ClassVar[Literal["float32"]] = "float32"
    output: ClassVar[Literal["values"]] = "values"
    metric: ClassVar[str] = "psnr"
    losses: ClassVar[tuple[str, ...]] = ("mse",)

    channels: int
    size: tuple[int, ...]

    def __post_init__(self) -> None:
        if self.channels < 1 or len(self.size) != 2 or min(self.size) < SSIM_WINDOW:
            raise SettingsError(
                f"An inpainting task needs a channel and images of at least {SSIM_WINDOW} x {SSIM_WINDOW} pixels, over "
                f"which SSIM compares them; got channels={self.channels}, size={self.size}."
            )

    @property
    def classes(self) -> int:
        """Channels of the output: those of the images."""
        return self.channels

    @property
    def label_size(self) -> tuple[int, ...]:
        """The label of an image is the whole image."""
        return (self.channels, *self.size)

    def loss_function(self, name: str) -> Loss:
        """Of `netwright.nn.losses.LOSSES`."""
        from netwright.nn.losses import LOSSES

        return LOSSES[name]

    def loss_of_guess(self, training: TrainingProtocol) -> float | None:
        """It depends on the pictures."""
        return None

    @property
    def metric_names(self) -> tuple[str, ...]:
        """PSNR in dB and SSIM."""
        return "psnr", "ssim"


class Inpainting:
    """To restore a picture of which a part is missing: a `netwright.tasks.base.Task`."""

    name: ClassVar[str] = "inpainting"
    metric: ClassVar[str] = InpaintingTask.metric
    metrics: ClassVar[tuple[str, ...]] = ("psnr", "ssim")
    losses: ClassVar[tuple[str, ...]] = InpaintingTask.losses
    guessed_losses: ClassVar[tuple[str, ...]] = ()
    networks: ClassVar[str] = name
    result_names: ClassVar[tuple[str, ...]] = ("scores",)
    format: ClassVar[str] = "images"
    fitted_files: ClassVar[tuple[str, ...]] = ()
    mirror_axes: ClassVar[tuple[int, ...]] = ()
    output_folder: ClassVar[str] = "/path/to/pictures"

    def recipe(self, dimensions: int) -> str:
        """The autoencoders of PDAS."""
        return "pdas-inpainting"

    def choose_settings(self, draft: SettingsDraft, dataset: AnyDataset, *, repeats: bool) -> None:
        """Small pictures from 0 to 1, augmented by flips alone, as in PDAS."""
        choose_preparation(draft, repeats=repeats)

    def finish_settings(self, draft: SettingsDraft, prepared: AnyPrepared) -> None:
        """What is missing of the pictures."""
        choose_masks(draft)

    def refuse_settings(self, draft: SettingsDraft, task: str) -> None:
        """Refuse masks where nothing is restored."""
        if draft.inpainting is not None:
            raise SettingsError(
                f"inpainting is for pictures to be restored; this dataset is for {task}. Leave it out, or say --format "
                "images where it holds pictures."
            )

    def problem(self, prepared: AnyPrepared, settings: RunSettings) -> Problem:
        """What is missing is as the settings' ``inpainting`` says, or the usual."""
        from netwright.data.images.inpainting_settings import MaskSettings
        from netwright.tasks.images import prepared_pictures
        from netwright.tasks.inpainting.problem import InpaintingProblem

        pictures = prepared_pictures(prepared)
        masks = settings.inpainting or MaskSettings()
        return InpaintingProblem(pictures, InpaintingTask(pictures.channels, pictures.size), masks)

    def network_task(self, architecture: Mapping[str, Any]) -> InpaintingTask:
        """Channels and size."""
        return InpaintingTask(channels=architecture["channels"], size=tuple(architecture["size"]))

    def describe(self, prepared: AnyPrepared, settings: RunSettings) -> dict[str, Any]:
        """The masks."""
        from netwright.data.images.inpainting_settings import MaskSettings

        return {"masks": (settings.inpainting or MaskSettings()).to_dict()}

    def describe_use(self, architecture: Mapping[str, Any]) -> dict[str, Any]:
        """The masks: what is missing is zero in the input."""
        return {"axes": ["rows", "columns"], "labels": [], "masks": dict(architecture["masks"])}

    def inference_script(self, saved: SavedNetwork) -> InferenceScript:
        """Restored pictures. What is missing of them must be given."""
        from netwright.tasks.picture_graphs import graphs, samples

        lacks = ("It needs a mask for each picture: those that netwright draws by itself come from torch.",)
        channels = saved.architecture["channels"]
        made = graphs(saved.preprocessing, channels, masked=True)
        checked = partial(samples, saved.preprocessing, channels, masked=True)
        return InferenceScript("inpainting/infer.py.j2", {"image_channels": channels}, made, checked, lacks)

    def exchange(self, saved: SavedNetwork) -> Exchange:
        """A restored picture; what is missing is drawn as in training and test."""
        return Exchange("picture", "picture", saved.architecture["channels"])

    def predictor(self, network: nn.Module, saved: SavedNetwork, device: Any) -> Predictor:
        """An `Inpainter`."""
        from netwright.tasks.inpainting.predictor import Inpainter

        return Inpainter.load(network, saved, device)

    def finish(
        self,
        predictor: Predictor,
        folder: Path,
        settings: RunSettings,
        prepared: AnyPrepared,
        validation: Sequence[int],
    ) -> Predictor:
        """Nothing is fitted after the training."""
        return predictor

    def join(self, members: Sequence[SavedNetwork], folder: Path) -> Joined:
        """Nothing is fitted after the training."""
        from netwright.tasks.folds import join_pictures

        return join_pictures(members)

    def postprocessing(self, folder: Path) -> None:
        """Nothing is fitted to the output."""

    def final_results(
        self, predictor: Predictor, folder: Path, cases: Sequence[Any], *, searched: bool
    ) -> Results:
        """Every network is tested alike."""
        return predictor.results(cases, folder / "predictions")

    def test_cases(
        self, dataset: AnyDataset, prepared: AnyPrepared | None, names: Sequence[str]
    ) -> tuple[TestCase, ...]:
        """Pictures as they were prepared."""
        from netwright.tasks.images import pictures_of

        assert prepared is not None
        return pictures_of(prepared, names)

    def require_testable(self, dataset: AnyDataset) -> None:
        """Refuse images with label maps."""
        from netwright.tasks.images import require_pictures

        require_pictures(dataset, "restores")

    def remarks(self, results: Results, *, postprocessed: bool) -> tuple[str, ...]:
        """The metrics say it all."""
        return ()

    def score_names(self, prepared: AnyPrepared) -> tuple[str, ...]:
        """The metrics: pictures have no labels."""
        return InpaintingTask(prepared.channels, prepared.size).metric_names

    def data_facts(
        self, dataset: AnyDataset, prepared: AnyPrepared, settings: RunSettings
    ) -> tuple[tuple[str, str], ...]:
        """Pictures, what is missing of them, and size."""
        from netwright.tasks.images import picture_facts

        masks = settings.inpainting
        return picture_facts(dataset, prepared, [] if masks is None else [("missing", masks.words())])

    def report_sections(self, run: ReportedRun) -> tuple[Section, ...]:
        """Restored pictures."""
        from netwright.tasks.inpainting.report import report_sections

        return report_sections(run)

    def undefined_metrics(self, prepared: AnyPrepared, cases: Sequence[int]) -> dict[str, str]:
        """There is none: every picture can be restored."""
        return {}

    def predicted_words(self, written: Sequence[Path], output: Path) -> str:
        """How many pictures."""
        return f"{len(written)} restored picture{'s' * (len(written) != 1)} in {output}"
