"""The task of classifying an image: what a network gets, and what it must give."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from netwright.data.base import AnyDataset, AnyPrepared
from netwright.errors import DatasetError, SettingsError
from netwright.tasks.base import InferenceScript, SavedNetwork, SettingsDraft, TestCase
from netwright.tasks.exchange import Exchange
from netwright.tasks.predictor import Predictor, Results
from netwright.training.guess import GUESSED, guessed_loss

if TYPE_CHECKING:
    from torch import nn

    from netwright.nn.losses import Loss
    from netwright.report.run import ReportedRun
    from netwright.report.sections import Section
    from netwright.settings import RunSettings
    from netwright.tasks.folds import Joined
    from netwright.training.config import TrainingProtocol
    from netwright.training.problem import Problem


@dataclass(frozen=True)
class ClassificationTask:
    """Images (batch, channels, *size) to logits (batch, classes), judged by top-1 accuracy.

    ``class_names``: in order of class index. ``size``: the network's input, (H, W) of pictures.

    Raises:
        SettingsError: no channel, fewer than two classes, or a size that is not positive.
    """

    label_type: ClassVar[Literal["int64"]] = "int64"
    output: ClassVar[Literal["softmax"]] = "softmax"
    metric: ClassVar[str] = "accuracy"
    losses: ClassVar[tuple[str, ...]] = ("cross_entropy",)

    channels: int
    class_names: tuple[str, ...]
    size: tuple[int, ...]

    def __post_init__(self) -> None:
        if self.channels < 1 or len(self.class_names) < 2 or not self.size or min(self.size) < 1:
            raise SettingsError(
                "A classification task needs a channel, two classes and a positive size; got "
                f"channels={self.channels}, {len(self.class_names)} classes, size={self.size}."
            )

    @property
    def classes(self) -> int:
        """Classes of the output."""
        return len(self.class_names)

    @property
    def label_size(self) -> tuple[int, ...]:
        """An image has one label."""
        return ()

    def loss_function(self, name: str) -> Loss:
        """Of `netwright.nn.losses.LOSSES`."""
        from netwright.nn.losses import LOSSES

        return LOSSES[name]

    def loss_of_guess(self, training: TrainingProtocol) -> float | None:
        """Every class alike."""
        return guessed_loss(training, self.classes)

    @property
    def metric_names(self) -> tuple[str, ...]:
        """Accuracy alone."""
        return (self.metric,)


class Classification:
    """To tell the class of a picture: a `netwright.tasks.base.Task`."""

    name: ClassVar[str] = "classification"
    metric: ClassVar[str] = ClassificationTask.metric
    metrics: ClassVar[tuple[str, ...]] = (metric,)
    losses: ClassVar[tuple[str, ...]] = ClassificationTask.losses
    guessed_losses: ClassVar[tuple[str, ...]] = GUESSED
    networks: ClassVar[str] = name
    result_names: ClassVar[tuple[str, ...]] = ("scores",)
    format: ClassVar[None] = None
    fitted_files: ClassVar[tuple[str, ...]] = ()
    mirror_axes: ClassVar[tuple[int, ...]] = ()
    output_folder: ClassVar[str] = "/path/to/classes"

    def recipe(self, dimensions: int) -> str:
        """The layers of VGG-16."""
        return "marl-vgg16"

    def choose_settings(self, draft: SettingsDraft, dataset: AnyDataset, *, repeats: bool) -> None:
        """The recipe's settings are used."""

    def finish_settings(self, draft: SettingsDraft, prepared: AnyPrepared) -> None:
        """The task has no settings of its own."""

    def refuse_settings(self, draft: SettingsDraft, task: str) -> None:
        """The task has no settings of its own."""

    def problem(self, prepared: AnyPrepared, settings: RunSettings) -> Problem:
        """Each picture has one class."""
        from netwright.tasks.classification.problem import ImageProblem
        from netwright.tasks.images import prepared_pictures

        pictures = prepared_pictures(prepared)
        return ImageProblem(
            pictures, ClassificationTask(pictures.channels, pictures.class_names, pictures.size)
        )

    def network_task(self, architecture: Mapping[str, Any]) -> ClassificationTask:
        """With the classes that the network knows."""
        return ClassificationTask(
            channels=architecture["channels"],
            class_names=tuple(architecture["class_names"]),
            size=tuple(architecture["size"]),
        )

    def describe(self, prepared: AnyPrepared, settings: RunSettings) -> dict[str, Any]:
        """The names of the classes."""
        from netwright.tasks.images import prepared_pictures

        return {"class_names": list(prepared_pictures(prepared).class_names)}

    def describe_use(self, architecture: Mapping[str, Any]) -> dict[str, Any]:
        """The classes."""
        return {"axes": ["rows", "columns"], "labels": list(architecture["class_names"])}

    def inference_script(self, saved: SavedNetwork) -> InferenceScript:
        """The table of `predict`."""
        from netwright.tasks.picture_graphs import graphs, samples

        channels = saved.architecture["channels"]
        made = graphs(saved.preprocessing, channels)
        checked = partial(samples, saved.preprocessing, channels)
        return InferenceScript("infer_table.py.j2", {"image_channels": channels}, made, checked)

    def exchange(self, saved: SavedNetwork) -> Exchange:
        """The class of a picture, and the probability of each."""
        from netwright.tasks.classification.predictor import picture_values

        return Exchange("picture", "class", saved.architecture["channels"], picture_values)

    def predictor(self, network: nn.Module, saved: SavedNetwork, device: Any) -> Predictor:
        """A `Classifier`."""
        from netwright.tasks.classification.predictor import Classifier

        return Classifier.load(network, saved, device)

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
        """Refuse images with label maps, pictures with several labels, and pictures without classes."""
        from netwright.tasks.images import require_pictures

        pictures = require_pictures(dataset, "tells classes of")
        if dataset.task != self.name:
            held = "with several labels each" if pictures.classes else "without classes"
            raise DatasetError(
                f"{dataset.root} holds pictures {held}; the network tells classes of pictures. Sort them into a folder "
                "for each class."
            )

    def remarks(self, results: Results, *, postprocessed: bool) -> tuple[str, ...]:
        """The metrics say it all."""
        return ()

    def score_names(self, prepared: AnyPrepared) -> tuple[str, ...]:
        """The classes."""
        from netwright.tasks.images import prepared_pictures

        return prepared_pictures(prepared).class_names

    def data_facts(
        self, dataset: AnyDataset, prepared: AnyPrepared, settings: RunSettings
    ) -> tuple[tuple[str, str], ...]:
        """Pictures, classes and size."""
        from netwright.tasks.images import picture_facts

        return picture_facts(dataset, prepared, [("classes", ", ".join(self.score_names(prepared)))])

    def report_sections(self, run: ReportedRun) -> tuple[Section, ...]:
        """Which class is taken for which."""
        from netwright.tasks.classification.report import report_sections

        return report_sections(run)

    def undefined_metrics(self, prepared: AnyPrepared, cases: Sequence[int]) -> dict[str, str]:
        """There is none: accuracy is over all classes."""
        return {}

    def predicted_words(self, written: Sequence[Path], output: Path) -> str:
        """The path of the table."""
        return f"the classes in {written[0]}"
