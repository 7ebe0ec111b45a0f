"""Inpainting of pictures."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from netwright.data.images.inpainting_masks import draw_mask, fixed_masks, masked
from netwright.data.images.inpainting_settings import MaskSettings
from netwright.data.loading.pictures import ImageBatches, LabelledImages
from netwright.means import mean_known
from netwright.tasks.images import picture_batches
from netwright.tasks.inpainting.metrics import image_quality
from netwright.tasks.inpainting.task import InpaintingTask
from netwright.training.config import TrainingProtocol
from netwright.training.inference import evaluating, forward, require_finite, restore_images
from netwright.training.losses import TrainingLoss, loss_of


class InpaintingBatches:
    """The batches of `ImageBatches`, first augmented and then masked.

    One mask is drawn for each batch, as in PDAS (Section 4.2). So everything that is computed for a batch, by any
    network, is for the same masked pictures.
    """

    def __init__(self, pictures: ImageBatches, masks: MaskSettings, size: Sequence[int]) -> None:
        self._pictures = pictures
        self._masks = masks
        self._size = size

    @property
    def generator(self) -> torch.Generator:
        """Of order, augmentation and masks."""
        return self._pictures.generator

    def __len__(self) -> int:
        return len(self._pictures)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Masked and whole images, (B, C, H, W) float32 each, on the device."""
        for images, _ in self._pictures:
            yield masked(images, draw_mask(self._masks, self._size, self.generator)), images


class InpaintingProblem:
    """Restores each picture from what its mask leaves: a `Problem` with scores (cases, 2), PSNR in dB and SSIM.

    The metrics, ``psnr`` and ``ssim``, are the means over the pictures. The whole output of the network counts, clipped
    to 0 to 1; known pixels are not put back. The mask of a picture in a test is that of its index.

    Args:
        prepared: pictures normalised to 0 to 1. Their labels have no meaning.
        task: channels and size.
        masks: what is missing.
    """

    def __init__(self, prepared: LabelledImages, task: InpaintingTask, masks: MaskSettings) -> None:
        self.task = task
        self._prepared = prepared
        self._masks = masks

    def batches(
        self, cases: Sequence[int], protocol: TrainingProtocol, device: torch.device, seed: int
    ) -> InpaintingBatches:
        """Batches of masked and whole pictures; order, augmentation and masks are drawn with one generator."""
        pictures = picture_batches(self._prepared, cases, protocol, device, seed)
        return InpaintingBatches(pictures, self._masks, self.task.size)

    def loss(self, cases: Sequence[int], protocol: TrainingProtocol, device: torch.device) -> TrainingLoss:
        """The protocol's."""
        return loss_of(protocol, self.task, torch.ones(self.task.classes, device=device))

    def validation_batches(self, cases: Sequence[int], protocol: TrainingProtocol) -> int:
        """As many as batches of pictures."""
        return math.ceil(len(cases) / protocol.batch_size)

    def scores(
        self, network: nn.Module, cases: Sequence[int], protocol: TrainingProtocol, device: torch.device
    ) -> NDArray[np.float64]:
        """(cases, 2): PSNR in dB and SSIM of each restored picture."""
        scores = [np.empty((0, 2))]
        for start in range(0, len(cases), protocol.batch_size):
            chosen = cases[start : start + protocol.batch_size]
            truth = torch.from_numpy(self._prepared.images(chosen)).to(device)
            restored = restore_images(
                network,
                masked(truth, fixed_masks(self._masks, self.task.size, chosen)),
                mixed_precision=protocol.mixed_precision,
                channels_last=protocol.channels_last,
            )
            scores.append(image_quality(restored, truth))
        return np.concatenate(scores)

    def outputs(
        self, network: nn.Module, cases: Sequence[int], protocol: TrainingProtocol, device: torch.device
    ) -> Iterator[NDArray[np.floating]]:
        """Each restored picture (C, H, W), not yet clipped."""
        for start in range(0, len(cases), protocol.batch_size):
            chosen = cases[start : start + protocol.batch_size]
            truth = torch.from_numpy(self._prepared.images(chosen)).to(device)
            with evaluating(network):
                restored = forward(
                    network,
                    masked(truth, fixed_masks(self._masks, self.task.size, chosen)),
                    mixed_precision=protocol.mixed_precision,
                    channels_last=protocol.channels_last,
                ).float()
                require_finite(bool(restored.isfinite().all()))
                pictures = restored.cpu().numpy()
            yield from pictures

    def scores_of(self, cases: Sequence[int], outputs: Iterable[NDArray[np.floating]]) -> NDArray[np.float64]:
        """(cases, 2): PSNR in dB and SSIM of the pictures, clipped to 0 to 1."""
        scores = [np.empty((0, 2))]
        for case, output in zip(cases, outputs, strict=True):
            truth = torch.from_numpy(self._prepared.images([case]))
            picture = torch.from_numpy(np.asarray(output, np.float32))[None].clamp(0, 1)
            scores.append(image_quality(picture, truth))
        return np.concatenate(scores)

    def metrics(self, scores: NDArray[np.float64]) -> dict[str, float]:
        """``psnr`` and ``ssim``; NaN without a case."""
        means = map(mean_known, scores.T.tolist())
        return dict(zip(self.task.metric_names, means, strict=True))
