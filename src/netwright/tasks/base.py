"""What a task is: everything that the other rooms must know of what networks are trained for.

Nothing else asks which task it is. A dataset, prepared data and a saved network name their task;
`netwright.tasks.TASKS` has the object by that name, and whoever needs something of it asks the object.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from netwright.data.base import AnyDataset, AnyPrepared
from netwright.tasks.predictor import Predictor, Results

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import nn

    from netwright.report.run import ReportedRun
    from netwright.report.sections import Section
    from netwright.settings import RunSettings
    from netwright.tasks.exchange import Exchange
    from netwright.tasks.folds import Joined
    from netwright.training.config import TrainingProtocol
    from netwright.training.problem import NetworkTask, Problem


class SettingsDraft(Protocol):
    """A run's settings while they are made: `netwright.planning.draft.Draft`, with all fields of `RunSettings`."""

    @property
    def user_set(self) -> frozenset[str]:
        """Dotted names of the settings that the user gave. A table is there by its own name and the names in it."""

    @property
    def images(self) -> Any:
        """How pictures are prepared."""

    @property
    def inpainting(self) -> Any:
        """Which part of a picture is missing, if pictures are restored."""

    @property
    def training(self) -> TrainingProtocol:
        """How candidates are trained."""

    @property
    def machine(self) -> Any:
        """What the run may use of this machine."""

    @property
    def postprocessing(self) -> Any:
        """What is fitted after the training."""

    @property
    def dataset(self) -> Any:
        """Where the dataset is."""

    def change(self, changes: Mapping[str, Any]) -> None:
        """Set settings by their dotted names."""

    def choose(self, changes: Mapping[str, Any]) -> None:
        """Set those settings that the user did not give."""


class TestCase(Protocol):
    """A labelled case to test on."""

    @property
    def name(self) -> str:
        """Its name in the dataset."""


@dataclass(frozen=True)
class SavedNetwork:
    """A trained network on disk.

    Args:
        folder: where its files are.
        architecture: what is needed to build the network, including what `Task.describe` returned.
        preprocessing: every step from a file to the network's input.
    """

    folder: Path
    architecture: Mapping[str, Any]
    preprocessing: Mapping[str, Any]


@dataclass(frozen=True)
class Graph:
    """A step before or after an exported network, as a graph of ONNX.

    Args:
        inputs: their types (`onnx_ir.DataType`) and shapes, by name. A name stands for a length that is free.
        outputs: their names.
        build: gives the outputs for an `onnxscript.OpBuilder` and the inputs.
    """

    inputs: Mapping[str, tuple[Any, tuple[int | str, ...]]]
    outputs: tuple[str, ...]
    build: Callable[..., Sequence[Any]]


@dataclass(frozen=True)
class GraphSample:
    """What a graph must give, as netwright computes it.

    Args:
        graph: its name.
        inputs: by name.
        outputs: by name.
    """

    graph: str
    inputs: Mapping[str, NDArray[Any]]
    outputs: Mapping[str, NDArray[Any]]


@dataclass(frozen=True)
class InferenceScript:
    """A script that uses an exported network as `Predictor.predict` does, without netwright.

    Args:
        template: its template below `netwright.tasks`.
        values: what it must know besides the description of the network, plain values.
        graphs: what goes before and after the network, by the name of its file.
        samples: gives samples of each graph, by which it is checked.
        lacks: what it does not do, a sentence each.
    """

    template: str
    values: Mapping[str, Any]
    graphs: Mapping[str, Graph]
    samples: Callable[[], Iterable[GraphSample]]
    lacks: tuple[str, ...] = ()


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
        """The names of its metrics, `metric` first. Those of single labels, such as "dice.heart", are not listed."""

    @property
    def losses(self) -> tuple[str, ...]:
        """The names of the losses that are defined for it, the usual one first."""

    @property
    def guessed_losses(self) -> tuple[str, ...]:
        """The losses whose value is known for a network that has learned nothing, see `NetworkTask.loss_of_guess`."""

    @property
    def networks(self) -> str:
        """The task in `netwright.spaces.kinds.KINDS` whose networks are used: this one, or one with the same output."""

    @property
    def result_names(self) -> tuple[str, ...]:
        """The names of all tables that `Results` may have."""

    @property
    def format(self) -> str | None:
        """The default dataset layout; None: the layout is recognised from the files."""

    @property
    def fitted_files(self) -> tuple[str, ...]:
        """The names of the files that `finish` writes into a network's folder. They are removed before another network
        is trained there.
        """

    @property
    def mirror_axes(self) -> tuple[int, ...]:
        """The axes along which a mirrored image may be as likely as the image, so that predictions may be averaged."""

    @property
    def output_folder(self) -> str:
        """The output folder in examples of the command ``predict``."""

    def recipe(self, dimensions: int) -> str:
        """The published recipe for images of two or three dimensions."""

    def choose_settings(self, draft: SettingsDraft, dataset: AnyDataset, *, repeats: bool) -> None:
        """Choose settings that depend on the data, before it is prepared.

        Args:
            draft: the settings; those that the user gave are not changed.
            dataset: as its folder describes it.
            repeats: whether all settings come from an earlier run, and none is changed.

        Raises:
            SettingsError: the user asked for something that is impossible with such data.
        """

    def finish_settings(self, draft: SettingsDraft, prepared: AnyPrepared) -> None:
        """Fill in settings that only this task has, and say what will not be possible.

        Args:
            draft: the settings.
            prepared: the data.

        Raises:
            SettingsError: a setting does not fit the task.
        """

    def refuse_settings(self, draft: SettingsDraft, task: str) -> None:
        """Refuse settings that only this task has. It is called if the data is for another task.

        Raises:
            SettingsError: with what to do.
        """

    def problem(self, prepared: AnyPrepared, settings: RunSettings) -> Problem:
        """The problem that networks are trained on: this task on prepared data."""

    def network_task(self, architecture: Mapping[str, Any]) -> NetworkTask:
        """The input and output of a saved network, from `SavedNetwork.architecture`."""

    def describe(self, prepared: AnyPrepared, settings: RunSettings) -> dict[str, Any]:
        """What `network_task` and `predictor` need to know of a network, besides its choice, channels and size."""

    def describe_use(self, architecture: Mapping[str, Any]) -> dict[str, Any]:
        """What somebody needs to know who uses a saved network without netwright, as plain values.

        ``axes``: of the input, after batch and channels. ``labels``: what each channel of the output stands for.

        ``architecture``: of `SavedNetwork`, also one that an older version wrote.
        """

    def inference_script(self, saved: SavedNetwork) -> InferenceScript:
        """The script that goes with a saved network which is exported.

        Raises:
            RunError: a file of the network is damaged.
        """

    def exchange(self, saved: SavedNetwork) -> Exchange:
        """What a user gives to a saved network, and gets from it."""

    def predictor(self, network: nn.Module, saved: SavedNetwork, device: Any) -> Predictor:
        """A predictor for a saved network, which is on the device and has its weights.

        Args:
            network: with its weights, on the device.
            saved: the files of the network.
            device: where it is computed.
        """

    def finish(
        self,
        predictor: Predictor,
        folder: Path,
        settings: RunSettings,
        prepared: AnyPrepared,
        validation: Sequence[int],
    ) -> Predictor:
        """Fit what this task fits after a training, and store it in the network's folder.

        Returns the predictor with it.

        Args:
            predictor: the network after its training.
            folder: of the network.
            settings: of the run.
            prepared: the run's data.
            validation: indices of the validation cases.
        """

    def join(self, members: Sequence[SavedNetwork], folder: Path) -> Joined:
        """What networks that were trained on different parts of a dataset have in common, to be used as one.

        What `finish` fitted to them is joined too, where it can be, and stored in the folder of that one network.

        Args:
            members: the networks.
            folder: of the one network that they become.

        Raises:
            RunError: they prepare images differently, or a file is damaged.
        """

    def postprocessing(self, folder: Path) -> Postprocessing | None:
        """What `finish` fitted to the output of the network in a folder; None where nothing was.

        Raises:
            RunError: its file is damaged.
        """

    def final_results(
        self, predictor: Predictor, folder: Path, cases: Sequence[Any], *, searched: bool
    ) -> Results:
        """Tests a network of the final comparison, and writes its predictions to ``predictions`` in its folder.

        ``searched``: whether the search found this network; the report shows more of it.

        Args:
            predictor: the network.
            folder: of the network.
            cases: the test cases.
            searched: whether the search found this network; the report shows more of it.
        """

    def test_cases(
        self, dataset: AnyDataset, prepared: AnyPrepared | None, names: Sequence[str]
    ) -> tuple[TestCase, ...]:
        """Named cases of a dataset, ready for testing.

        Args:
            dataset: with the cases.
            prepared: what `Predictor.prepare` returned.
            names: of the cases.

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
        """The columns of the scores: labels, classes, or metrics."""

    def data_facts(
        self, dataset: AnyDataset, prepared: AnyPrepared, settings: RunSettings
    ) -> tuple[tuple[str, str], ...]:
        """What the report says about the data, as pairs of a name and a text.

        Args:
            dataset: as its folder describes it.
            prepared: the run's data.
            settings: of the run.
        """

    def report_sections(self, run: ReportedRun) -> tuple[Section, ...]:
        """The sections of the report that only this task has."""

    def undefined_metrics(self, prepared: AnyPrepared, cases: Sequence[int]) -> dict[str, str]:
        """The metrics that are undefined because no case has their label, as metric -> label."""

    def predicted_words(self, written: Sequence[Path], output: Path) -> str:
        """A line for the user about the files that `Predictor.predict` wrote."""
