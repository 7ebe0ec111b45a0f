"""What a predictor is: a trained network with all that turns files into predictions, whatever its task."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from netwright.data.base import AnyDataset, AnyPrepared, OnCase, OnPart
from netwright.tasks.inputs import Images

if TYPE_CHECKING:
    from torch import nn

    from netwright.training.problem import NetworkTask

Scores = dict[str, dict[str, float]]
"""Case -> label, class or metric -> score."""

Results = dict[str, Scores]
"""The results of a network, as in ``result.json``: the table "scores", and one table for each further measurement."""


class Predictor(Protocol):
    """A trained network on a device, with every step from a file to its input, and from its output to a file."""

    @property
    def network(self) -> nn.Module:
        """The network, with its weights."""

    @property
    def task(self) -> NetworkTask:
        """The input and output of the network."""

    @property
    def device(self) -> Any:
        """The device of the network."""

    @property
    def is_postprocessed(self) -> bool:
        """Whether something that was fitted after the training is applied to the network's output."""

    def without_postprocessing(self) -> Predictor:
        """The network without postprocessing; the same object if there is none."""

    def prepare(self, dataset: AnyDataset, cache_root: Path, workers: int) -> AnyPrepared | None:
        """Prepares labelled data for a test as the training data was prepared.

        Returns None if each case is prepared when it is tested.

        Args:
            dataset: the labelled data.
            cache_root: the folder for prepared data.
            workers: number of threads.

        Raises:
            DatasetError: the data cannot be prepared.
        """

    def results(
        self, cases: Sequence[Any], predictions: Path | None = None, on_case: OnCase | None = None
    ) -> Results:
        """Tests the network on cases from `Task.test_cases`.

        Args:
            cases: the cases.
            predictions: the folder for the predictions; None: nothing is written.
            on_case: called with the number of cases done and of all cases.

        Raises:
            DatasetError: a case has a label that the network does not know, or cannot be read.
            FloatingPointError: the network's output is not finite.
            MemoryShortage: there is not enough memory for the postprocessing.
        """

    def means(self, results: Results) -> dict[str, float]:
        """The metrics, from the scores of all cases."""

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
        """Predicts files, or each file of folders, and writes the results into a folder.

        Args:
            images: a file or folder, or several of them.
            output: the folder to write to.
            on_case: called with the number of cases done and of all cases.
            masks: for pictures that are restored, which part of them is missing.
            overwrite: whether earlier predictions in that folder may be replaced.
            format: the file format of label maps, one of `netwright.data.io.formats.FILE_FORMATS`; None: that of
                each image.
            additional: what is written beside label maps, see `netwright.tasks.outputs.ADDITIONAL`.
            on_part: told how much of the image at hand is computed, where that takes several steps.

        Returns:
            The files written, without the additional ones.

        Raises:
            DatasetError: there is no file, or none that can be used.
            SettingsError: masks for a network that restores nothing, or a format that it does not write.
            StorageError: a file would be lost.
        """
