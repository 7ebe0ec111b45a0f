"""A trained network that tells the labels of pictures, and how well it does."""

from __future__ import annotations

import csv
import io
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from torch import nn

from netwright.data.base import AnyDataset, AnyPrepared, OnCase, OnPart
from netwright.data.files import write_whole
from netwright.data.images.prepared import PreparedImages
from netwright.data.images.settings import PicturePreparation
from netwright.errors import DatasetError
from netwright.means import mean_scores
from netwright.tasks.base import SavedNetwork
from netwright.tasks.exchange import single_row
from netwright.tasks.images import (
    PREDICTIONS,
    LabelledPicture,
    network_inputs,
    opened_pictures,
    pictures_of,
    predict_table,
    prepare_as_trained,
    runs_of,
)
from netwright.tasks.inputs import Images
from netwright.tasks.multilabel.metrics.average_precision import average_precision_shares
from netwright.tasks.multilabel.metrics.f1 import f1_shares
from netwright.tasks.multilabel.task import MACRO_F1, MEAN_AVERAGE_PRECISION, Multilabel, MultilabelTask
from netwright.tasks.multilabel.thresholds import Thresholds, best_thresholds, read_thresholds
from netwright.tasks.outputs import refuse_additional, refuse_format, refuse_masks
from netwright.tasks.predictor import Results, Scores

Truths = NDArray[np.int64]


@dataclass(frozen=True)
class LabelPredictor:
    """A network with its weights, ready on a device, and all that turns a picture into its input and its labels."""

    network: nn.Module
    task: MultilabelTask
    preparation: PicturePreparation
    device: Any
    thresholds: Thresholds

    is_postprocessed: ClassVar[bool] = False

    @classmethod
    def load(cls, network: nn.Module, saved: SavedNetwork, device: Any) -> LabelPredictor:
        """A predictor for a saved network. Arguments are those of `netwright.tasks.base.Task.predictor`.

        Raises:
            RunError: its thresholds are damaged.
        """
        task = Multilabel().network_task(saved.architecture)
        preparation = PicturePreparation.from_dict(saved.preprocessing)
        return cls(network, task, preparation, device, read_thresholds(saved.folder, task.classes))

    def with_thresholds(
        self, folder: Path, prepared: AnyPrepared, validation: Sequence[int]
    ) -> LabelPredictor:
        """The same with thresholds chosen on validation cases, kept in the network's folder; without such cases 0.5.

        Args:
            folder: of the network.
            prepared: the run's pictures.
            validation: indices of the validation cases.
        """
        cases = pictures_of(prepared, [prepared.names[index] for index in validation])
        thresholds = Thresholds.usual(self.task.classes)
        if cases:
            thresholds = best_thresholds(self._probabilities_of(cases), self._truths(cases))
        thresholds.write(folder)
        return replace(self, thresholds=thresholds)

    def without_postprocessing(self) -> LabelPredictor:
        """The same: thresholds belong to the network."""
        return self

    def prepare(self, dataset: AnyDataset, cache_root: Path, workers: int) -> PreparedImages:
        """Its pictures, prepared as those of the training."""
        return prepare_as_trained(dataset, self.preparation, cache_root, workers)

    def probabilities(self, images: NDArray[np.float32]) -> NDArray[np.float64]:
        """The probability of each label (N, labels) of prepared pictures (N, C, H, W)."""
        from netwright.tasks.multilabel.problem import label_probabilities

        return label_probabilities(self.network, images, device=self.device)

    def results(
        self, cases: Sequence[Any], predictions: Path | None = None, on_case: OnCase | None = None
    ) -> Results:
        """What each picture contributes to each label's average precision, as "scores", and to its F1.

        ``cases`` are `LabelledPicture`. With the folder ``predictions``, what was found of each picture is written
        there as a table.

        Raises:
            DatasetError: the labels are not those of the network.
            FloatingPointError: the network's output is not finite.
        """
        probabilities, truths = self._probabilities_of(cases, on_case), self._truths(cases)
        decided = self.thresholds.decide(probabilities)
        names = [case.name for case in cases]
        if predictions is not None:
            table = Table(tuple(names), probabilities, decided, truths)
            write_table(predictions / PREDICTIONS, table, self.task.label_names)
        precision = [average_precision_shares(*pair) for pair in zip(probabilities.T, truths.T, strict=True)]
        f1 = [f1_shares(*pair) for pair in zip(decided.T, truths.T, strict=True)]
        return {"scores": self._by_case(names, precision), MACRO_F1: self._by_case(names, f1)}

    def _by_case(self, names: Sequence[str], shares: Sequence[NDArray[np.float64]]) -> Scores:
        """By case and label, without labels that are not defined."""
        rows = np.stack(shares, axis=1)
        known = [
            (at, name) for at, name in enumerate(self.task.label_names) if not np.isnan(rows[:, at]).any()
        ]
        return {
            case: {name: float(row[at]) for at, name in known} for case, row in zip(names, rows, strict=True)
        }

    def means(self, results: Results) -> dict[str, float]:
        """Mean average precision and macro F1, and those of each label."""
        precision = mean_scores(results["scores"], MEAN_AVERAGE_PRECISION)
        return precision | mean_scores(results[MACRO_F1], MACRO_F1)

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
        """The labels of pictures, or of each in folders, as a table in ``output``: the probability of each label, and
        1 where it reaches the label's threshold. Returns the file written.

        ``overwrite``: whether a table that was written there before may be replaced, see `plan_outputs`. ``masks``
        and ``format``: there are none for this task.

        Warns:
            DatasetWarning: what of a folder is left out: a picture that cannot be used, or other files.

        Raises:
            DatasetError: nothing is there to read, or no picture can be used.
            SettingsError: masks, or a format of label maps, are given.
            StorageError: a file would be lost.
        """
        refuse_masks(masks, self.task.metric)
        refuse_format(format, self.task.metric)
        refuse_additional(additional, self.task.metric)

        def write(path: Path, names: Sequence[str], probabilities: NDArray[np.float64]) -> None:
            table = Table(tuple(names), probabilities, self.thresholds.decide(probabilities))
            write_table(path, table, self.task.label_names)

        return predict_table(
            images, output, self.preparation, self.probabilities, write, on_case, overwrite=overwrite
        )

    def _probabilities_of(
        self, cases: Sequence[LabelledPicture], on_case: OnCase | None = None
    ) -> NDArray[np.float64]:
        rows, done = [np.empty((0, self.task.classes))], 0
        for run, inputs in network_inputs(cases, self.preparation):
            rows.append(self.probabilities(inputs))
            done += len(run)
            if on_case is not None:
                on_case(done, len(cases))
        return np.concatenate(rows)

    def _truths(self, cases: Sequence[LabelledPicture]) -> Truths:
        """1 for each label that a picture has, else 0, (N, labels), in the order of the network's labels."""
        rows = [np.empty((0, self.task.classes), np.int64)]
        for chunk in runs_of(cases, len(cases)):
            prepared = opened_pictures(chunk[0].prepared)
            if set(prepared.class_names) != set(self.task.label_names):
                raise DatasetError(
                    f"{prepared.dataset} has the labels {', '.join(prepared.class_names)}; the network knows "
                    f"{', '.join(self.task.label_names)}. Rename, add or remove columns of its table."
                )
            order = [prepared.class_names.index(name) for name in self.task.label_names]
            rows.append(prepared.labels_of([case.index for case in chunk])[:, order].astype(np.int64))
        return np.concatenate(rows)


@dataclass(frozen=True)
class Table:
    """What was predicted of pictures, (pictures, labels) each; ``truths`` None where they are not known."""

    names: tuple[str, ...]
    probabilities: NDArray[np.float64]
    decided: NDArray[np.bool_]
    truths: Truths | None = None


def write_table(path: Path, table: Table, labels: Sequence[str]) -> None:
    """One row a picture, with columns ``probability.<label>`` and ``decision.<label>``, behind them ``truth.<label>``
    where it is known.

    Args:
        path: of the CSV file.
        table: what it contains.
        labels: their names, in order.
    """
    kinds = ["probability", "decision", *(["truth"] if table.truths is not None else [])]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["file", *(f"{kind}.{label}" for kind in kinds for label in labels)])
    for row, name in enumerate(table.names):
        known = [] if table.truths is None else table.truths[row].tolist()
        # Whole, as rounded ones may be equal: then their ranks, and so the average precision, would be others.
        probabilities = [repr(float(value)) for value in table.probabilities[row]]
        writer.writerow([name, *probabilities, *table.decided[row].astype(int).tolist(), *known])
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, text.getvalue().encode())


def read_table(path: Path, labels: Sequence[str]) -> Table:
    """What `write_table` wrote of pictures whose truths are known."""
    with path.open(encoding="utf-8", newline="") as file:
        rows: list[Mapping[str, str]] = list(csv.DictReader(file))
    columns = {
        kind: np.array([[float(row[f"{kind}.{label}"]) for label in labels] for row in rows])
        for kind in ("probability", "decision", "truth")
    }
    return Table(
        tuple(row["file"] for row in rows),
        columns["probability"],
        columns["decision"].astype(bool),
        columns["truth"].astype(np.int64),
    )


def picture_values(path: Path) -> dict[str, Any]:
    """The labels of the one picture of a table that `LabelPredictor.predict` wrote, and the probability of each."""
    (_, *header), (_, *values) = single_row(path)
    count = len(header) // 2
    labels = [name.removeprefix("probability.") for name in header[:count]]
    return {
        "labels": [label for label, decided in zip(labels, values[count:], strict=True) if int(decided)],
        "probabilities": dict(zip(labels, map(float, values[:count]), strict=True)),
    }
