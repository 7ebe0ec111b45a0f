"""Classification of pictures."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from netwright.data.loading.pictures import ImageBatches, LabelledImages
from netwright.means import mean_known
from netwright.tasks.classification.metrics.accuracy import top_1_correct
from netwright.tasks.classification.task import ClassificationTask
from netwright.tasks.images import picture_batches, picture_outputs
from netwright.training.config import TrainingProtocol
from netwright.training.inference import class_probabilities, predict_classes
from netwright.training.losses import TrainingLoss, loss_of


class ImageProblem:
    """Classify each picture: a `Problem` whose scores are (cases, 1), 1 where the class is right, else 0.

    The metric, ``accuracy``, is their mean: top-1 accuracy. Classes are not weighted.
    """

    def __init__(self, prepared: LabelledImages, task: ClassificationTask) -> None:
        self.task = task
        self._prepared = prepared

    def batches(
        self, cases: Sequence[int], protocol: TrainingProtocol, device: torch.device, seed: int
    ) -> ImageBatches:
        """Batches of pictures."""
        return picture_batches(self._prepared, cases, protocol, device, seed)

    def loss(self, cases: Sequence[int], protocol: TrainingProtocol, device: torch.device) -> TrainingLoss:
        """The protocol's, every class with the weight 1."""
        return loss_of(protocol, self.task, torch.ones(self.task.classes, device=device))

    def validation_batches(self, cases: Sequence[int], protocol: TrainingProtocol) -> int:
        """As many as batches of pictures."""
        return math.ceil(len(cases) / protocol.batch_size)

    def scores(
        self, network: nn.Module, cases: Sequence[int], protocol: TrainingProtocol, device: torch.device
    ) -> NDArray[np.float64]:
        """(cases, 1): whether the class of the largest logit is the true one."""
        correct = []
        for start in range(0, len(cases), protocol.batch_size):
            chosen = cases[start : start + protocol.batch_size]
            predicted = predict_classes(
                network,
                self._prepared.images(chosen),
                device=device,
                mixed_precision=protocol.mixed_precision,
                channels_last=protocol.channels_last,
            )
            correct.append(top_1_correct(predicted, self._prepared.labels_of(chosen)))
        return np.concatenate([np.empty(0), *correct])[:, None]

    def outputs(
        self, network: nn.Module, cases: Sequence[int], protocol: TrainingProtocol, device: torch.device
    ) -> Iterator[NDArray[np.floating]]:
        """Class probabilities (K,) of each picture."""
        return picture_outputs(class_probabilities, network, self._prepared, cases, protocol, device)

    def scores_of(self, cases: Sequence[int], outputs: Iterable[NDArray[np.floating]]) -> NDArray[np.float64]:
        """(cases, 1): whether the likeliest class is the true one."""
        likeliest = np.array([output.argmax() for output in outputs], dtype=np.int64)
        return np.asarray(likeliest == self._prepared.labels_of(cases), dtype=np.float64)[:, None]

    def metrics(self, scores: NDArray[np.float64]) -> dict[str, float]:
        """``accuracy``; NaN without a case."""
        return {"accuracy": mean_known(scores[:, 0].tolist())}
