"""A trained classification network: the classes of pictures, and how many of them are right."""

from __future__ import annotations

import csv
import io
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from torch import nn

from netwright.data.base import AnyDataset, OnCase, OnPart
from netwright.data.files import write_whole
from netwright.data.images.prepared import PreparedImages
from netwright.data.images.settings import PicturePreparation
from netwright.errors import DatasetError
from netwright.means import mean_scores
from netwright.tasks.base import SavedNetwork
from netwright.tasks.classification.task import Classification, ClassificationTask
from netwright.tasks.exchange import single_row
from netwright.tasks.images import (
    PREDICTIONS,
    LabelledPicture,
    network_inputs,
    opened_pictures,
    predict_table,
    prepare_as_trained,
    runs_of,
)
from netwright.tasks.inputs import Images
from netwright.tasks.outputs import refuse_additional, refuse_format, refuse_masks
from netwright.tasks.predictor import Results


@dataclass(frozen=True)
class Classifier:
    """A network with its weights on a device, and everything that turns a picture into its input."""

    network: nn.Module
    task: ClassificationTask
    preparation: PicturePreparation
    device: Any

    is_postprocessed: ClassVar[bool] = False

    @classmethod
    def load(cls, network: nn.Module, saved: SavedNetwork, device: Any) -> Classifier:
        """A predictor for a saved network. Arguments are those of `netwright.tasks.base.Task.predictor`."""
        preparation = PicturePreparation.from_dict(saved.preprocessing)
        return cls(network, Classification().network_task(saved.architecture), preparation, device)

    def without_postprocessing(self) -> Classifier:
        """The same: it has none."""
        return self

    def prepare(self, dataset: AnyDataset, cache_root: Path, workers: int) -> PreparedImages:
        """Its pictures, prepared as those of the training."""
        return prepare_as_trained(dataset, self.preparation, cache_root, workers)

    def probabilities(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        """Class probabilities (N, K) of prepared pictures (N, C, H, W)."""
        import torch

        from netwright.training.inference import evaluating, forward

        with evaluating(self.network):
            logits = forward(self.network, torch.from_numpy(np.ascontiguousarray(images)).to(self.device))
        return np.asarray(logits.float().softmax(1).cpu().numpy())

    def score(
        self, cases: Sequence[Any], predictions: Path | None = None, on_case: OnCase | None = None
    ) -> dict[str, dict[str, float]]:
        """1 for every picture whose class is found, 0 for the others: name -> its true class -> 0 or 1.

        ``cases`` are `LabelledPicture`. With the folder ``predictions``, what was found of each picture is written
        there as a table.

        Args:
            cases: `LabelledPicture` each.
            predictions: the folder for a table; None: none is written.
            on_case: called with the number of pictures done and of all pictures.

        Raises:
            DatasetError: a picture has a class that the network does not know.
        """
        chunks = [self.probabilities(inputs) for _, inputs in network_inputs(cases, self.preparation)]
        probabilities = np.concatenate([np.empty((0, self.task.classes), np.float32), *chunks])
        truths = self._truths(cases)
        if predictions is not None:
            names = [case.name for case in cases]
            _write_table(predictions / PREDICTIONS, names, probabilities, self.task.class_names, truths)
        if on_case is not None:
            on_case(len(cases), len(cases))
        right = probabilities.argmax(1) == truths
        rows = zip(cases, truths, right, strict=True)
        return {case.name: {self.task.class_names[truth]: float(hit)} for case, truth, hit in rows}

    def results(
        self, cases: Sequence[Any], predictions: Path | None = None, on_case: OnCase | None = None
    ) -> Results:
        """`score` as "scores"."""
        return {"scores": self.score(cases, predictions, on_case)}

    def means(self, results: Results) -> dict[str, float]:
        """Accuracy over all pictures, and over those of each class."""
        return mean_scores(results["scores"], self.task.metric)

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
        """The class of pictures, or of each in folders, as a table in ``output``. Returns the file written.

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

        def write(path: Path, names: Sequence[str], probabilities: NDArray[np.float32]) -> None:
            _write_table(path, names, probabilities, self.task.class_names)

        return predict_table(
            images, output, self.preparation, self.probabilities, write, on_case, overwrite=overwrite
        )

    def _truths(self, cases: Sequence[LabelledPicture]) -> NDArray[np.int64]:
        """The index of each picture's class among those of the network, (N,)."""
        truths: list[int] = []
        for chunk in runs_of(cases, len(cases)):
            prepared = opened_pictures(chunk[0].prepared)
            for label in prepared.labels_of([case.index for case in chunk]).tolist():
                name = prepared.class_names[label]
                if name not in self.task.class_names:
                    raise DatasetError(
                        f"{prepared.dataset} has the class {name!r}; the network knows "
                        f"{', '.join(self.task.class_names)}. Rename the class, or leave its pictures out."
                    )
                truths.append(self.task.class_names.index(name))
        return np.array(truths, dtype=np.int64)


@dataclass(frozen=True)
class ClassifiedPicture:
    """A tested picture: its true class, the predicted class, and the probability of the prediction."""

    picture: str
    truth: str
    predicted: str
    probability: float


def read_table(path: Path, classes: Sequence[str]) -> list[ClassifiedPicture]:
    """The rows of a table that `Classifier.score` wrote. They are read by position, because a class may be called
    "found".
    """
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))[1:]
    return [ClassifiedPicture(row[0], row[1], row[2], float(row[3 + classes.index(row[2])])) for row in rows]


def picture_values(path: Path) -> dict[str, Any]:
    """The class of the one picture of a table that `Classifier.predict` wrote, and the probability of each."""
    (_, _, *classes), (_, found, *probabilities) = single_row(path)
    return {"class": found, "probabilities": dict(zip(classes, map(float, probabilities), strict=True))}


def _write_table(
    path: Path,
    names: Sequence[str],
    probabilities: NDArray[np.float32],
    classes: Sequence[str],
    truths: NDArray[np.int64] | None = None,
) -> None:
    """One row for each picture: name, the truth where it is known, the predicted class and the probability of each
    class.
    """
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["picture", *(["truth"] if truths is not None else []), "found", *classes])
    for row, name in enumerate(names):
        truth = [classes[truths[row]]] if truths is not None else []
        table.writerow(
            [
                name,
                *truth,
                classes[int(probabilities[row].argmax())],
                *(f"{p:.6f}" for p in probabilities[row]),
            ]
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, text.getvalue().encode())
