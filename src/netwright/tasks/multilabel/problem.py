"""Several labels of a picture."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from netwright.data.loading.pictures import ImageBatches, LabelledImages
from netwright.tasks.images import picture_batches, picture_outputs
from netwright.tasks.multilabel.metrics.average_precision import average_precision, mean_average_precision
from netwright.tasks.multilabel.metrics.f1 import f1, macro_f1
from netwright.tasks.multilabel.task import MACRO_F1, MEAN_AVERAGE_PRECISION, MultilabelTask
from netwright.tasks.multilabel.thresholds import best_thresholds
from netwright.training.config import TrainingProtocol
from netwright.training.inference import evaluating, forward, require_finite
from netwright.training.losses import TrainingLoss, loss_of


class MultilabelProblem:
    """Tell the labels of each picture: a `Problem` whose scores are (cases, 2 labels), the probability of each label
    and then 1 for each that the picture has, else 0.

    Macro F1 is that of the thresholds which are best on these very cases, as they will be chosen there.
    """

    def __init__(self, prepared: LabelledImages, task: MultilabelTask) -> None:
        self.task = task
        self._prepared = prepared

    def batches(
        self, cases: Sequence[int], protocol: TrainingProtocol, device: torch.device, seed: int
    ) -> ImageBatches:
        """Batches of pictures."""
        return picture_batches(self._prepared, cases, protocol, device, seed)

    def loss(self, cases: Sequence[int], protocol: TrainingProtocol, device: torch.device) -> TrainingLoss:
        """The protocol's, every label with the weight 1."""
        return loss_of(protocol, self.task, torch.ones(self.task.classes, device=device))

    def validation_batches(self, cases: Sequence[int], protocol: TrainingProtocol) -> int:
        """As many as batches of pictures."""
        return math.ceil(len(cases) / protocol.batch_size)

    def scores(
        self, network: nn.Module, cases: Sequence[int], protocol: TrainingProtocol, device: torch.device
    ) -> NDArray[np.float64]:
        """(cases, 2 labels): probabilities, and what is true."""
        return self.scores_of(cases, self.outputs(network, cases, protocol, device))

    def outputs(
        self, network: nn.Module, cases: Sequence[int], protocol: TrainingProtocol, device: torch.device
    ) -> Iterator[NDArray[np.floating]]:
        """The probability of each label (labels,) of each picture."""
        return picture_outputs(label_probabilities, network, self._prepared, cases, protocol, device)

    def scores_of(self, cases: Sequence[int], outputs: Iterable[NDArray[np.floating]]) -> NDArray[np.float64]:
        """(cases, 2 labels): the probabilities, and what is true."""
        probabilities = np.array(list(outputs), dtype=np.float64).reshape(len(cases), self.task.classes)
        truths = self._prepared.labels_of(cases).reshape(probabilities.shape)
        return np.concatenate([probabilities, truths], axis=1)

    def metrics(self, scores: NDArray[np.float64]) -> dict[str, float]:
        """Mean average precision, macro F1, and those of the labels for which they are defined."""
        probabilities, stored = np.split(scores, 2, axis=1)
        truths = stored.astype(np.int64)
        decided = best_thresholds(probabilities, truths).decide(probabilities)
        means = {
            MEAN_AVERAGE_PRECISION: mean_average_precision(probabilities, truths),
            MACRO_F1: macro_f1(decided, truths),
        }
        for number, name in enumerate(self.task.label_names):
            truth = truths[:, number]
            means[f"{MEAN_AVERAGE_PRECISION}.{name}"] = average_precision(probabilities[:, number], truth)
            means[f"{MACRO_F1}.{name}"] = f1(decided[:, number], truth)
        principal = {MEAN_AVERAGE_PRECISION: means[MEAN_AVERAGE_PRECISION]}
        return principal | {name: value for name, value in means.items() if not math.isnan(value)}


def label_probabilities(
    network: nn.Module,
    images: NDArray[np.float32],
    *,
    device: torch.device | str = "cpu",
    mixed_precision: bool = False,
    channels_last: bool = False,
) -> NDArray[np.float64]:
    """The probability of each label (N, labels) of pictures (N, C, H, W), in one forward pass.

    In double precision, in which large logits do not become equal.

    Args:
        network: on the device.
        images: prepared pictures.
        device: where the network is computed.
        mixed_precision: compute in half precision where the device can.
        channels_last: compute in channels-last format.

    Raises:
        FloatingPointError: the network's output is not finite.
    """
    with evaluating(network):
        batch = torch.from_numpy(np.ascontiguousarray(images)).to(device)
        logits = forward(network, batch, mixed_precision=mixed_precision, channels_last=channels_last)
        require_finite(bool(logits.isfinite().all()))
        return np.asarray(logits.cpu().double().sigmoid().numpy())
