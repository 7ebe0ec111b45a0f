"""A network that segments: from the files of an image to its labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from netwright.data.base import OnPart
from netwright.data.io.formats import is_flat
from netwright.data.io.volumes import Volume, read_image
from netwright.data.layouts.description import stem
from netwright.data.loading.batches import Image
from netwright.data.volumes.preprocessing import (
    PreparedImage,
    PreprocessingSettings,
    coarsened,
    prepare_volume,
)
from netwright.data.volumes.slabs import Slabs, labels_of
from netwright.data.volumes.surroundings import SurroundedImage
from netwright.errors import DatasetError, MemoryShortage
from netwright.execution.resources import free_memory_mb
from netwright.tasks.segmentation.additional import Segmented, together
from netwright.tasks.segmentation.crf_tiles import margins
from netwright.tasks.segmentation.dense_crf import DenseCRF, memory_mb, refine
from netwright.tasks.segmentation.network_task import SegmentationTask


@dataclass(frozen=True)
class SegmentingNetwork:
    """A network with its weights, ready on a device, and all that turns a file into its input and back.

    ``label_values``: the value in label maps of each class, background first. ``slice_axis``: the canonical axis that
    the slices are normal to which a network of two dimensions sees; None for one that sees volumes. ``crf``: what its
    probabilities are refined with before labels are told; None: nothing. ``channel_names``: those of the data it was
    trained on; empty where they were not kept.
    """

    network: nn.Module
    task: SegmentationTask
    label_values: tuple[int, ...]
    preprocessing: PreprocessingSettings
    device: Any
    slice_axis: int | None = None
    crf: DenseCRF | None = None
    channel_names: tuple[str, ...] = ()

    @property
    def channels(self) -> int:
        """Of an image. A network may also see its surroundings, in as many channels."""
        return self.task.channels // (1 if self.preprocessing.coarse_factors is None else 2)

    def probabilities(
        self, image: NDArray[np.float32], air: Sequence[float] | NDArray[np.float32] = ()
    ) -> NDArray[np.float32]:
        """Probabilities (K, X, Y, Z) of a prepared image (C, X, Y, Z), the network's own.

        ``air``: what each channel is padded with; empty: zeros.
        """
        return self.slabs(image, air).whole()

    def slabs(self, image: NDArray[np.float32], air: Sequence[float] | NDArray[np.float32]) -> Slabs:
        """The network's own probabilities of a prepared image, some planes at a time. See `probabilities`."""
        from netwright.training.device import to_channels_last
        from netwright.training.inference import predict_slices, predict_volume

        # On a CPU channels last is faster in full precision, too.
        on_cpu = torch.device(self.device).type == "cpu"
        network = to_channels_last(self.network) if on_cpu else self.network
        if self.slice_axis is not None:
            return predict_slices(
                network,
                image,
                self.task.size,
                self.slice_axis,
                device=self.device,
                channels_last=on_cpu,
                air=air,
                written=self.task.written,
            )
        factors, padding = self.preprocessing.coarse_factors, np.asarray(air, np.float32)
        volume: Image = image
        if factors is not None:
            padding = padding if len(padding) else np.zeros(len(image), np.float32)
            volume = SurroundedImage(image, coarsened(image, factors), factors, padding)
            padding = np.tile(padding, 2)
        return predict_volume(
            network,
            volume,
            self.task.size,
            device=self.device,
            channels_last=on_cpu,
            air=padding,
            written=self.task.written,
        )

    def prepared(self, volume: Volume, images: Sequence[Path]) -> PreparedImage:
        """The network's input for a volume that was read from ``images``.

        Raises:
            DatasetError: it has another number of channels than the network was trained on.
        """
        prepared = prepare_volume(volume, images, self.preprocessing)
        channels = prepared.image.shape[0]
        if channels != self.channels:
            raise DatasetError(
                f"{images[0]} has {channels} channel{'s' * (channels != 1)}; this network was trained on "
                f"{self.channels}. Give images like those it was trained on{self._as_files(images[0])}."
            )
        return prepared if self.slice_axis is None else prepared.without_padding(self.slice_axis)

    def _as_files(self, image: Path) -> str:
        """How the channels of a volume are given, where there are several."""
        if self.channels < 2 or is_flat(image):
            return ""
        name = stem(image)
        return (
            f": one 4D file with {self.channels} volumes, or a file for each channel, named {name}_0000.nii.gz to "
            f"{name}_{self.channels - 1:04d}.nii.gz"
        )

    def refined(
        self,
        own: NDArray[np.float32] | Slabs,
        prepared: PreparedImage,
        crf: DenseCRF | None,
        images: Sequence[Path],
    ) -> NDArray[np.float32] | Slabs:
        """What a CRF makes of the network's own probabilities, which it needs all at once; None: these.

        Args:
            own: of the network.
            prepared: the image.
            crf: the CRF.
            images: the files of the image.

        Raises:
            MemoryShortage: the CRF needs more memory than there is.
        """
        if crf is None:
            return own
        probabilities = own.whole() if isinstance(own, Slabs) else own
        try:
            return refine(probabilities, prepared.image, prepared.geometry.spacing, crf)
        except MemoryError:
            raise self._shortage(prepared, crf, images) from None

    def require_memory(self, prepared: PreparedImage, crf: DenseCRF, images: Sequence[Path]) -> None:
        """Refuse a volume for whose CRF there is not the memory, before its probabilities are computed for minutes.

        Args:
            prepared: the image.
            crf: the CRF.
            images: the files of the image.

        Raises:
            MemoryShortage: the CRF needs more memory than there is.
        """
        if self._crf_mb(prepared, crf) > free_memory_mb():
            raise self._shortage(prepared, crf, images)

    def _require_memory_for_scores(
        self, prepared: PreparedImage, images: Sequence[Path], frames: int
    ) -> None:
        """Refuse an image for whose probabilities, on both grids and as they are written, there is not the memory."""
        voxels = prod(prepared.image.shape[1:]) + 3 * frames * prod(prepared.geometry.grid.shape)
        needed = 4e-6 * self.task.classes * voxels
        if needed > free_memory_mb():
            raise MemoryShortage(
                f"{images[0]}: the probabilities of its {self.task.classes} classes need about {needed:,.0f} MB, more "
                "than there is. Free some memory, or leave out --probabilities and --uncertainty."
            )

    def _crf_mb(self, prepared: PreparedImage, crf: DenseCRF) -> float:
        channels, *shape = prepared.image.shape
        around = margins(crf.reach_mm, crf.iterations, prepared.geometry.spacing)
        return memory_mb(shape, self.task.classes, channels, around)

    def _shortage(self, prepared: PreparedImage, crf: DenseCRF, images: Sequence[Path]) -> MemoryShortage:
        shape = " x ".join(map(str, prepared.image.shape[1:]))
        return MemoryShortage(
            f"{images[0]}: the CRF needs about {self._crf_mb(prepared, crf):,.0f} MB for its {shape} voxels, more than "
            "there is. Free some memory, or leave the CRF out: --no-crf, in Python crf=False."
        )

    @property
    def names(self) -> dict[int, str]:
        """The names of the labels but background, by their values in label maps."""
        return dict(zip(self.label_values[1:], self.task.label_names, strict=True))

    def segment_files(
        self, images: Sequence[Path], *, scores: bool, on_part: OnPart | None = None
    ) -> Segmented:
        """An image, or every frame of a cine.

        Args:
            images: its files.
            scores: with probabilities.
            on_part: told how much of it is computed.
        """
        volume = read_image(images)
        if self.channels > 1 or is_flat(images[0]) or len(volume.array) == 1:
            prepared = self.prepared(volume, images)
            del volume  # a large one would stay in memory
            return self.segment(prepared, images, int(scores), on_part)
        total = len(volume.array)

        def segmented(at: int) -> Segmented:
            prepared = self.prepared(Volume(volume.array[at][None], volume.grid), images)
            within = None if on_part is None else _of_frame(at, total, on_part)
            return self.segment(prepared, images, total if scores else 0, within)

        return together([segmented(at) for at in range(total)])

    def segment(
        self,
        prepared: PreparedImage,
        images: Sequence[Path],
        frames: int = 0,
        on_part: OnPart | None = None,
    ) -> Segmented:
        """Class indices, and on demand probabilities of all classes.

        Args:
            prepared: the image.
            images: its files.
            frames: so many such images there must be the memory for, with their probabilities; 0: without them.
            on_part: told how much of it is computed.

        Raises:
            MemoryShortage: there is not the memory for the CRF or the probabilities.
        """
        if self.crf is not None:
            self.require_memory(prepared, self.crf, images)
        if frames:
            self._require_memory_for_scores(prepared, images, frames)
        slabs = self.slabs(prepared.image, prepared.air)
        slabs = slabs if on_part is None else slabs.told(on_part)
        refined = self.refined(slabs, prepared, self.crf, images)
        if not frames:
            return Segmented(prepared.geometry.restore(refined))
        whole = refined.whole() if isinstance(refined, Slabs) else refined
        restored = np.stack(list(prepared.geometry.restore_scores(whole)))
        return Segmented(labels_of(restored, self.task.written), np.moveaxis(restored, 0, -1))


def _of_frame(at: int, total: int, on_part: OnPart) -> OnPart:
    """Tells the share of a cine from that of one of its frames."""
    return lambda share: on_part((at + share) / total)
