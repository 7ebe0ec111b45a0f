"""The task of telling an image's labels: what a network gets, and what it must give."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from netwright.data.base import AnyDataset, AnyPrepared
from netwright.errors import DatasetError, SettingsError
from netwright.tasks.base import InferenceScript, SavedNetwork, SettingsDraft, TestCase
from netwright.tasks.exchange import Exchange
from netwright.tasks.multilabel.thresholds import FILE as THRESHOLDS
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

BINARY_CROSS_ENTROPY = "binary_cross_entropy"
MEAN_AVERAGE_PRECISION, MACRO_F1 = "mean_average_precision", "macro_f1"


@dataclass(frozen=True)
class MultilabelTask:
    """Images (batch, channels, *size) to logits (batch, labels), judged by mean average precision.

    ``label_names``: in order of the output. ``size``: the network's input, (H, W) of pictures.

    Raises:
        SettingsError: no channel, no label, or a size that is not positive.
    """

    label_type: ClassVar[Literal["float32"]] = "float32"
    output: ClassVar[Literal["sigmoid"]] = "sigmoid"
    metric: ClassVar[str] = MEAN_AVERAGE_PRECISION
    losses: ClassVar[tuple[str, ...]] = (BINARY_CROSS_ENTROPY,)

    channels: int
    label_names: tuple[str, ...]
    size: tuple[int, ...]

    def __post_init__(self) -> None:
        if self.channels < 1 or not self.label_names or not self.size or min(self.size) < 1:
            raise SettingsError(
                "A task of several labels needs a channel, a label and a positive size; got "
                f"channels={self.channels}, {len(self.label_names)} labels, size={self.size}."
            )

    @property
    def classes(self) -> int:
        """Labels of the output."""
        return len(self.label_names)

    @property
    def label_size(self) -> tuple[int, ...]:
        """0 or 1 for each label."""
        return (self.classes,)

    def loss_function(self, name: str) -> Loss:
        """Binary cross-entropy, which is this task's alone."""
        from netwright.tasks.multilabel.loss import binary_cross_entropy

        return {BINARY_CROSS_ENTROPY: binary_cross_entropy}[name]

    def loss_of_guess(self, training: TrainingProtocol) -> float | None:
        """Each label as likely as not."""
        return math.log(2.0) if training.loss == BINARY_CROSS_ENTROPY else None

    @property
    def metric_names(self) -> tuple[str, ...]:
        """Both metrics, and both of each label."""
        names = (MEAN_AVERAGE_PRECISION, MACRO_F1)
        return (*names, *(f"{name}.{label}" for name in names for label in self.label_names))


class Multilabel:
    """To tell which of several labels a picture has: a `netwright.tasks.base.Task`."""

    name: ClassVar[str] = "multilabel"
    metric: ClassVar[str] = MultilabelTask.metric
    metrics: ClassVar[tuple[str, ...]] = (MEAN_AVERAGE_PRECISION, MACRO_F1)
    losses: ClassVar[tuple[str, ...]] = MultilabelTask.losses
    guessed_losses: ClassVar[tuple[str, ...]] = MultilabelTask.losses
    networks: ClassVar[str] = "classification"
    result_names: ClassVar[tuple[str, ...]] = ("scores", MACRO_F1)
    format: ClassVar[None] = None
    fitted_files: ClassVar[tuple[str, ...]] = (THRESHOLDS,)
    mirror_axes: ClassVar[tuple[int, ...]] = ()
    output_folder: ClassVar[str] = "/path/to/labels"

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
        """Each picture may have several labels."""
        from netwright.tasks.images import prepared_pictures
        from netwright.tasks.multilabel.problem import MultilabelProblem

        pictures = prepared_pictures(prepared)
        task = MultilabelTask(pictures.channels, pictures.class_names, pictures.size)
        return MultilabelProblem(pictures, task)

    def network_task(self, architecture: Mapping[str, Any]) -> MultilabelTask:
        """The task with the labels that the network was trained on."""
        return MultilabelTask(
            channels=architecture["channels"],
            label_names=tuple(architecture["label_names"]),
            size=tuple(architecture["size"]),
        )

    def describe(self, prepared: AnyPrepared, settings: RunSettings) -> dict[str, Any]:
        """The names of the labels."""
        return {"label_names": list(self.score_names(prepared))}

    def describe_use(self, architecture: Mapping[str, Any]) -> dict[str, Any]:
        """The labels."""
        return {"axes": ["rows", "columns"], "labels": list(architecture["label_names"])}

    def inference_script(self, saved: SavedNetwork) -> InferenceScript:
        """The table of `predict`."""
        from netwright.tasks.multilabel.thresholds import read_thresholds
        from netwright.tasks.picture_graphs import graphs, samples

        labels, channels = self.network_task(saved.architecture).classes, saved.architecture["channels"]
        thresholds = list(read_thresholds(saved.folder, labels).values)
        values = {"image_channels": channels, "thresholds": thresholds}
        made = graphs(saved.preprocessing, channels)
        return InferenceScript(
            "infer_table.py.j2", values, made, partial(samples, saved.preprocessing, channels)
        )

    def exchange(self, saved: SavedNetwork) -> Exchange:
        """The labels of a picture, and the probability of each."""
        from netwright.tasks.multilabel.predictor import picture_values

        return Exchange("picture", "labels", saved.architecture["channels"], picture_values)

    def predictor(self, network: nn.Module, saved: SavedNetwork, device: Any) -> Predictor:
        """A `LabelPredictor`."""
        from netwright.tasks.multilabel.predictor import LabelPredictor

        return LabelPredictor.load(network, saved, device)

    def finish(
        self,
        predictor: Predictor,
        folder: Path,
        settings: RunSettings,
        prepared: AnyPrepared,
        validation: Sequence[int],
    ) -> Predictor:
        """Choose the thresholds on the validation cases, where the network was not trained on them."""
        from netwright.tasks.multilabel.predictor import LabelPredictor

        assert isinstance(predictor, LabelPredictor)
        return predictor.with_thresholds(
            folder, prepared, validation if settings.train.cases == "training" else ()
        )

    def join(self, members: Sequence[SavedNetwork], folder: Path) -> Joined:
        """The threshold of a label is the mean of the members' thresholds."""
        from netwright.tasks.folds import join_pictures
        from netwright.tasks.multilabel.thresholds import mean_thresholds

        labels = self.network_task(members[0].architecture).classes
        mean_thresholds([member.folder for member in members], labels).write(folder)
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
        """Refuse images with label maps, and pictures without labels."""
        from netwright.tasks.images import require_pictures

        require_pictures(dataset, "tells labels of")
        if dataset.task != self.name:
            raise DatasetError(
                f"{dataset.root} holds no table of labels; the network tells several labels of a picture. Put a "
                "labels.csv beside the pictures."
            )

    def remarks(self, results: Results, *, postprocessed: bool) -> tuple[str, ...]:
        """The metrics say it all."""
        return ()

    def score_names(self, prepared: AnyPrepared) -> tuple[str, ...]:
        """The labels."""
        from netwright.tasks.images import prepared_pictures

        return prepared_pictures(prepared).class_names

    def data_facts(
        self, dataset: AnyDataset, prepared: AnyPrepared, settings: RunSettings
    ) -> tuple[tuple[str, str], ...]:
        """Pictures, labels and size."""
        from netwright.tasks.images import picture_facts

        return picture_facts(dataset, prepared, [("labels", ", ".join(self.score_names(prepared)))])

    def report_sections(self, run: ReportedRun) -> tuple[Section, ...]:
        """The scores of each label, and pictures with wrong labels."""
        from netwright.tasks.multilabel.report import report_sections

        return report_sections(run)

    def undefined_metrics(self, prepared: AnyPrepared, cases: Sequence[int]) -> dict[str, str]:
        """The average precision of labels that no case has. Their F1 is defined: 0 as soon as one is predicted."""
        from netwright.tasks.images import prepared_pictures

        pictures = prepared_pictures(prepared)
        counts = pictures.class_counts_of(cases)
        lacking = [name for name, count in zip(pictures.class_names, counts, strict=True) if not count]
        return {f"{MEAN_AVERAGE_PRECISION}.{name}": name for name in lacking}

    def predicted_words(self, written: Sequence[Path], output: Path) -> str:
        """The path of the table."""
        return f"the labels in {written[0]}"
