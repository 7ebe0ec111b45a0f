"""From an image's own grid to that of the network, and back to a label map on the image's grid.

MONAI's `Spacing` has its voxels at other places, and does not blur before it makes a volume coarser. These transforms
place and interpolate voxels as the training did.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import torch
from monai.data.meta_tensor import MetaTensor
from monai.transforms.transform import MapTransform
from numpy.typing import NDArray

from netwright.data.volumes.interpolation import Placement, factors, place, resample, sampled

_orientations: Any = nibabel.orientations
_Image: Any = nibabel.Nifti1Image

AIR_PERCENTILE = 0.5
HALF = 0.5


class ToNetworkGridd(MapTransform):
    """Resamples normalised images (C, X, Y, Z) in RAS axes, and pads them to the size of the network's input.

    Args:
        keys: of the images.
        channels: of the network.
        size: of the prepared volume at least, or with ``resize`` exactly.
        window: the size of the network's input along each axis; None for the axis that slices are normal to.
        spacing: of voxels in mm; None: as they are.
        pad: whether smaller volumes are filled up to ``size``.
        resize: whether volumes are resized to ``size``.
        air: whether the padding is the 0.5th percentile of a channel, not zero.
        zero_background: whether the padding of channels that have zeros is zero all the same.
    """

    def __init__(
        self,
        keys: Sequence[Hashable],
        channels: int,
        size: Sequence[int],
        window: Sequence[int | None],
        spacing: Sequence[float] | None = None,
        pad: bool = True,
        resize: bool = False,
        air: bool = False,
        zero_background: bool = False,
    ) -> None:
        super().__init__(keys)
        self.channels = channels
        self.size, self.window, self.spacing = size, window, spacing
        self.pad, self.resize = pad, resize
        self.air, self.zero_background = air, zero_background

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """The images on the network's grid; ``meta`` has what the way back needs."""
        result = dict(data)
        for key in self.key_iterator(result):
            result[key] = self._prepared(result[key])
        return result

    def _prepared(self, image: MetaTensor) -> MetaTensor:
        if len(image) != self.channels:
            raise ValueError(
                f"{image.meta['filename_or_obj']} has {len(image)} channels: expected {self.channels}, in one 4D "
                "file or in files that end in _0000, _0001, ..."
            )
        values = np.asarray(image, np.float32)
        affine = np.asarray(image.affine, np.float64)
        edges = np.linalg.norm(affine[:3, :3], axis=0)
        placement = place(
            values.shape[1:], factors(self.spacing, edges), self.size, pad=self.pad, resize=self.resize
        )
        air = [self._air_of(channel) for channel in values]
        prepared = sampled(values, placement, air)
        for axis in (axis for axis, length in enumerate(self.window) if length is None):
            kept = placement.inside(axis, values.shape[axis + 1])
            prepared, placement = prepared.take(kept, axis + 1), placement.cut(axis, kept)
        filled, begins = _filled(prepared, self.window, air)
        result = MetaTensor(torch.from_numpy(filled), meta=dict(image.meta))
        result.affine = torch.from_numpy(affine @ _affine_of(placement, begins))
        result.meta["canonical_shape"] = np.array(values.shape[1:])
        result.meta["prepared_size"] = np.array(placement.size)
        result.meta["prepared_scale"] = np.array(placement.scale)
        result.meta["prepared_offset"] = np.array(placement.offset)
        result.meta["prepared_begins"] = np.array(begins)
        return result

    def _air_of(self, channel: NDArray[np.float32]) -> float:
        if not self.air or (self.zero_background and (channel == 0).any()):
            return 0.0
        return float(np.percentile(channel, AIR_PERCENTILE))


class ToLabelsd(MapTransform):
    """Label maps (1, X, Y, Z) on the images' own grids, from probabilities (K, *shape) on the network's.

    Args:
        keys: of the probabilities.
        image_key: of the image that `ToNetworkGridd` has prepared.
        label_values: the value in label maps of each output.
        overlap: whether outputs are of regions that may overlap: where the probability is above a half the value is
            written, later ones over earlier ones. Otherwise the likeliest label is taken.
    """

    def __init__(
        self,
        keys: Sequence[Hashable],
        image_key: Hashable,
        label_values: Sequence[int],
        overlap: bool = False,
    ) -> None:
        super().__init__(keys)
        self.image_key, self.label_values, self.overlap = image_key, label_values, overlap

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """The label maps, with the grid of the image and the name of the ``case``."""
        result = dict(data)
        meta = result[self.image_key].meta
        for key in self.key_iterator(result):
            labels = self._labels(np.asarray(result[key], np.float32), meta)
            affine = torch.as_tensor(meta["original_affine"], dtype=torch.float64)
            named = {"filename_or_obj": f"{result['case']}.nii.gz", "image": str(meta["filename_or_obj"])}
            result[key] = MetaTensor(torch.from_numpy(labels[None]), affine=affine, meta=named)
        return result

    def _labels(self, probabilities: NDArray[np.float32], meta: Mapping[str, Any]) -> NDArray[np.int32]:
        size, scale, offset, begins, shape = (
            np.asarray(meta[name]).tolist()
            for name in (
                *("prepared_size", "prepared_scale", "prepared_offset", "prepared_begins"),
                "canonical_shape",
            )
        )
        inside = tuple(slice(begin, begin + length) for begin, length in zip(begins, size, strict=True))
        positions, steps = Placement(size, scale, offset).targets(shape), [1 / factor for factor in scale]
        best = np.full(shape, HALF if self.overlap else -np.inf, np.float32)
        labels = np.zeros(shape, np.int32)
        for value, channel in zip(self.label_values, probabilities, strict=True):
            score = resample(channel[inside], positions, steps)
            better = score > best
            labels[better] = value
            if not self.overlap:
                best[better] = score[better]
        return _turned_back(labels, np.asarray(meta["original_affine"], np.float64))


class SaveLabelsd(MapTransform):
    """Writes label maps (1, X, Y, Z) as NIfTI files, under the names of their images.

    `SaveImaged` of MONAI 1.6.1 fails for sagittal images that were read from a file with channels.

    Args:
        keys: of the label maps.
        output_dir: the folder, which is made.
        dtype: of the voxels.
    """

    def __init__(self, keys: Sequence[Hashable], output_dir: str | Path, dtype: str) -> None:
        super().__init__(keys)
        self.output_dir, self.dtype = Path(output_dir), dtype

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """The data as it was given.

        Raises:
            ValueError: a label map would replace its image.
        """
        self.output_dir.mkdir(parents=True, exist_ok=True)
        for key in self.key_iterator(data):
            labels = data[key]
            voxels, affine = np.asarray(labels[0]).astype(self.dtype), np.asarray(labels.affine)
            path = self.output_dir / labels.meta["filename_or_obj"]
            if path.resolve() == Path(labels.meta["image"]).resolve():
                raise ValueError(
                    f"{path} is an image, which its label map would replace. Change --output_dir."
                )
            _Image(voxels, affine).to_filename(path)
        return dict(data)


def _filled(
    image: NDArray[np.float32], window: Sequence[int | None], air: Sequence[float]
) -> tuple[NDArray[np.float32], list[int]]:
    """The image in the middle of an input of the network, and where it begins there."""
    lengths = [max(n, own or 0) for n, own in zip(image.shape[1:], window, strict=True)]
    begins = [(wanted - n) // 2 for n, wanted in zip(image.shape[1:], lengths, strict=True)]
    filled = np.empty((len(image), *lengths), np.float32)
    filled[:] = np.asarray(air, np.float32)[:, None, None, None]
    places = tuple(slice(begin, begin + n) for begin, n in zip(begins, image.shape[1:], strict=True))
    filled[:, *places] = image
    return filled, begins


def _affine_of(placement: Placement, begins: Sequence[int]) -> NDArray[np.float64]:
    """From voxels of the filled volume to those of the original one."""
    affine = np.diag([*placement.scale, 1.0])
    affine[:3, 3] = np.array(placement.offset) - np.array(placement.scale) * begins
    return affine


def _turned_back(labels: NDArray[np.int32], affine: NDArray[np.float64]) -> NDArray[np.int32]:
    """From RAS axes to those of a file with that affine, by flips and a permutation alone."""
    orientation = _orientations.io_orientation(affine)
    flips = tuple(axis for axis in range(3) if orientation[axis, 1] < 0)
    return np.ascontiguousarray(np.flip(labels.transpose(orientation[:, 0].astype(int)), flips))
