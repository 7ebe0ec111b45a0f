"""What a task is: everything that the other rooms must know of what networks are trained for.

Nothing else asks which task it is. A dataset, prepared data and a saved network name their task;
`netwright.tasks.TASKS` has the object by that name, and whoever needs something of it asks the object.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from netwright.data.base import AnyDataset, AnyPrepared, OnCase

if TYPE_CHECKING:
    from torch import nn

    from netwright.report.run import ReportedRun
    from netwright.report.sections import Section
    from netwright.settings import RunSettings
    from netwright.training.config import TrainingProtocol
    from netwright.training.problem import NetworkTask, Problem

Scores = dict[str, dict[str, float]]
"""Case -> label, class or metric -> score."""

Results = dict[str, Scores]
"""How a network does on cases, as ``result.json`` has it: "scores", and what else the task measures, the same way."""


class SettingsDraft(Protocol):
    """A run's settings while they are made: `netwright.planning.draft.Draft`, with all fields of `RunSettings`."""

    @property
    def user_set(self) -> frozenset[str]:
        """Dotted names of the settings that the user gave; of a table also the names in it."""

    @property
    def images(self) -> Any:
        """How pictures are prepared."""

    @property
    def inpainting(self) -> Any:
        """What is missing of pictures that are restored."""

    @property
    def training(self) -> TrainingProtocol:
        """How candidates are trained."""

    @property
    def postprocessing(self) -> Any:
        """What is fitted after the training."""

    @property
    def dataset(self) -> Any:
        """Where the data lies."""

    def change(self, changes: Mapping[str, Any]) -> None:
        """Set settings by their dotted names."""

    def choose(self, changes: Mapping[str, Any]) -> None:
        """Set those settings that the user did not give."""


class TestCase(Protocol):
    """A labelled case to test on."""

    @property
    def name(self) -> str:
        """As in the dataset."""


@dataclass(frozen=True)
class SavedNetwork:
    """A trained network on disk.

    ``architecture``: what is kept of it beside the weights, `Task.describe` among it; ``preprocessing``: every step
    from a file to its input.
    """

    folder: Path
    architecture: Mapping[str, Any]
    preprocessing: Mapping[str, Any]


class Predictor(Protocol):
    """A trained network, ready on a device, and all that turns a file into its input and back."""

    @property
    def network(self) -> nn.Module:
        """With its weights."""

    @property
    def task(self) -> NetworkTask:
        """What the network gets and gives."""

    @property
    def device(self) -> Any:
        """Where the network lies."""

    @property
    def is_postprocessed(self) -> bool:
        """Whether something that was fitted after the training is applied to what the network gives."""

    def without_postprocessing(self) -> Predictor:
        """The network as it was trained, where `is_postprocessed`; else the same."""

    def prepare(self, dataset: AnyDataset, cache_root: Path, workers: int) -> AnyPrepared | None:
        """Labelled data prepared as those of the training, to be tested on; None where each case is prepared when it
        is tested.

        Raises:
            DatasetError: they cannot be.
        """

    def results(
        self, cases: Sequence[Any], predictions: Path | None = None, on_case: OnCase | None = None
    ) -> Results:
        """How well the network does on cases of `Task.test_cases`.

        Args:
            cases: to be tested on.
            predictions: the folder that gets what is predicted; None: nothing is written.
            on_case: told how far it is.

        Raises:
            DatasetError: a case has a label that the network does not know, or cannot be read.
            FloatingPointError: the network's output is not finite.
            MemoryShortage: there is not enough memory for what is applied to the network's output.
        """

    def means(self, results: Results) -> dict[str, float]:
        """What the network reaches on average, by metric."""

    def predict(
        self,
        images: Path,
        output: Path,
        on_case: OnCase | None = None,
        masks: Path | None = None,
        *,
        overwrite: bool = False,
        format: str | None = None,
    ) -> list[Path]:
        """What the network gives of a file, or of each in a folder, written into a folder.

        Args:
            images: the file or folder.
            output: the folder to write to.
            on_case: told how far it is.
            masks: what is missing of pictures that are restored.
            overwrite: whether what was predicted into that folder before may be replaced.
            format: the file format of label maps, one of `netwright.data.io.formats.FILE_FORMATS`; None: each image's.

        Returns:
            The files written.

        Raises:
            DatasetError: nothing is there to read, or no file can be used.
            SettingsError: masks for a network that restores nothing, or a format that it does not write.
            StorageError: a file would be lost.
        """


class Postprocessing(Protocol):
    """What was fitted to a trained network, to be applied to its output."""

    @property
    def kept(self) -> bool:
        """Whether it is applied."""

    @property
    def words(self) -> tuple[str, str]:
        """Its name, and whether and why it is kept."""


class Task(Protocol):
    """One kind of problem: to segment images, to tell their classes, to restore them."""

    @property
    def name(self) -> str:
        """As in `netwright.tasks.TASKS`, in run folders and in messages."""

    @property
    def metric(self) -> str:
        """The metric that a network is judged by."""

    @property
    def metrics(self) -> tuple[str, ...]:
        """The names of its metrics, that which a network is judged by first; without those of single labels, such as
        "dice.heart".
        """

    @property
    def losses(self) -> tuple[str, ...]:
        """The names of the losses that are defined for it, the usual one first."""

    @property
    def guessed_losses(self) -> tuple[str, ...]:
        """Those of which it is known what a network has that has learned nothing: `NetworkTask.loss_of_guess`."""

    @property
    def networks(self) -> str:
        """The task of `netwright.spaces.kinds.KINDS` whose networks suit, its own or another that asks for the same
        output.
        """

    @property
    def result_names(self) -> tuple[str, ...]:
        """The names in `Results`."""

    @property
    def format(self) -> str | None:
        """The layout in which datasets are read where nobody names one; None: the one that is recognised."""

    @property
    def fitted_files(self) -> tuple[str, ...]:
        """The names of all files that `finish` keeps in a network's folder. They belong to its weights, and are removed
        before others are trained there.
        """

    @property
    def mirror_axes(self) -> tuple[int, ...]:
        """The axes along which a mirrored image may be as likely as the image, so that predictions may be averaged."""

    @property
    def output_folder(self) -> str:
        """What to call the folder that `predict` writes to, in an example of a command."""

    def recipe(self, dimensions: int) -> str:
        """The recipe for images of so many dimensions where nobody names one."""

    def choose_settings(self, draft: SettingsDraft, *, repeats: bool) -> None:
        """Choose what such data need, before they are prepared.

        Args:
            draft: the settings; what the user gave stays.
            repeats: whether they are those of an earlier run, and stay.

        Raises:
            SettingsError: the user asked for what such data do not allow.
        """

    def finish_settings(self, draft: SettingsDraft) -> None:
        """Fill in what is the task's own, once the data is prepared.

        Raises:
            SettingsError: what is set does not go with the task.
        """

    def refuse_settings(self, draft: SettingsDraft, task: str) -> None:
        """Refuse settings that only this task has, where the data is for another one.

        Raises:
            SettingsError: with what to do.
        """

    def problem(self, prepared: AnyPrepared, settings: RunSettings) -> Problem:
        """What networks are trained for on prepared data."""

    def network_task(self, architecture: Mapping[str, Any]) -> NetworkTask:
        """What a saved network gets and gives, from what is kept of it."""

    def describe(self, prepared: AnyPrepared, settings: RunSettings) -> dict[str, Any]:
        """What is to be kept with a trained network beside its choice, channels and size."""

    def predictor(self, network: nn.Module, saved: SavedNetwork, device: Any) -> Predictor:
        """A saved network that is ready for use, with the weights in it and on a device."""

    def finish(
        self,
        predictor: Predictor,
        folder: Path,
        settings: RunSettings,
        prepared: AnyPrepared,
        validation: Sequence[int],
    ) -> Predictor:
        """Fit what is fitted once a network is trained, keep it in the network's folder, and apply it.

        Args:
            predictor: the network, just trained.
            folder: where it is kept.
            settings: of the run.
            prepared: the run's data.
            validation: indices of the validation cases.
        """

    def postprocessing(self, folder: Path) -> Postprocessing | None:
        """What `finish` fitted to the output of the network in a folder; None where nothing was.

        Raises:
            RunError: its file is damaged.
        """

    def final_results(
        self, predictor: Predictor, folder: Path, cases: Sequence[Any], *, searched: bool
    ) -> Results:
        """How a network of the final comparison does, with what it predicts kept in ``predictions`` of its folder.

        ``searched``: whether it is the search's own, of which the report shows more.
        """

    def test_cases(
        self, dataset: AnyDataset, prepared: AnyPrepared | None, names: Sequence[str]
    ) -> tuple[TestCase, ...]:
        """Named cases of a dataset, ready for testing.

        Raises:
            DatasetError: one has no label, or another problem.
        """

    def require_testable(self, dataset: AnyDataset) -> None:
        """Refuse data that a network for this task cannot be tested on.

        Raises:
            DatasetError: with what to do.
        """

    def remarks(self, results: Results, *, postprocessed: bool) -> tuple[str, ...]:
        """What a reader of results must know beside the metrics, a line each.

        ``postprocessed``: `Predictor.is_postprocessed` of the network.
        """

    def score_names(self, prepared: AnyPrepared) -> tuple[str, ...]:
        """What each case has scores of: labels, classes, or metrics."""

    def data_facts(
        self, dataset: AnyDataset, prepared: AnyPrepared, settings: RunSettings
    ) -> tuple[tuple[str, str], ...]:
        """What a report says of the data: a name and a text each."""

    def report_sections(self, run: ReportedRun) -> tuple[Section, ...]:
        """What the report shows of a run, beside what it shows of every one."""

    def undefined_metrics(self, prepared: AnyPrepared, cases: Sequence[int]) -> dict[str, str]:
        """Metric -> label, of the metrics that no case defines, as none has the label."""

    def predicted_words(self, written: Sequence[Path], output: Path) -> str:
        """What `Predictor.predict` has written, in a line."""
