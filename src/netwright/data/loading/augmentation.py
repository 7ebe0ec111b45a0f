"""Random flips, rotation, shift, scaling, intensities, crops and cutout of a batch of images, on the images' device."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from netwright.data.loading.augmentation_settings import AugmentationSettings

__all__ = [
    "AugmentationSettings",
    "augment",
    "change_intensity",
    "crop",
    "cut_out",
    "draw",
    "transform",
    "transform_plane",
]


def augment(
    images: Tensor,
    labels: Tensor,
    settings: AugmentationSettings,
    generator: torch.Generator,
    *,
    spacing: Sequence[float] | None = None,
    mirrored: int = 0,
    outside: Tensor | None = None,
    factors: Sequence[int] | None = None,
) -> tuple[Tensor, Tensor]:
    """Changes the images of a batch at random, and their labels alike.

    SegNAS3D, Section 2.4: an image is rotated, shifted and scaled with a probability of 0.8; it then gets all three
    changes. Then come changes of intensity, crops and cutout, in this order and for every image (the last two: PDAS,
    Section 4.1). What cutout removes from an image keeps its labels, so the network must infer it from its
    surroundings. All changes except flips and those of intensity put zeros into images. Zero is the mean of images
    normalised to zero mean, and black in images from 0 to 1, as pictures to restore are.

    Args:
        images: (B, C, X, Y, Z) floats; the axial axis is Z (right, anterior, superior). Or (B, C, H, W).
        labels: class indices of any integer type, (B, X, Y, Z) or (B, H, W). Or (B,) or (B, L), the labels of whole
            images, which do not change.
        settings: how much.
        generator: on the CPU. It draws six numbers for each image, whatever the settings; one more with flips; four
            with changes of intensity, and one for each value of an image with noise; and one for each axis with crops,
            and again with cutout.
        spacing: of the voxels or pixels, in mm: a rotation is one in space, not of the grid. None: equal along all
            axes.
        mirrored: the spatial axis from left to right: X for volumes, W for pictures.
        outside: (B, C), the values to put into images in place of zeros; None: zeros.
        factors: how many times as long voxels are, along each axis, in the second half of the channels, which are the
            surroundings of the first half and turn and move with it; None: all channels are of one resolution. Crops
            and cutout take the same voxels of both.

    Returns:
        New tensors of the same shapes and types. Images are interpolated linearly; labels take the nearest voxel. What
            comes from outside an image is ``outside``, and 0 in labels, as in the paper's zero padding.
    """
    if outside is not None and outside.any():
        level = outside.to(images).view(*outside.shape, *(1,) * (images.ndim - 2))
        images, labels = augment(
            images - level, labels, settings, generator, spacing=spacing, mirrored=mirrored, factors=factors
        )
        return images + level, labels
    spacing = (1.0,) * (images.ndim - 2) if spacing is None else spacing
    changed, angles, shifts, scales = draw(len(images), settings, generator)
    if settings.flip > 0:
        flipped = torch.rand(len(images), generator=generator) < settings.flip
        images, labels = _flipped(images, labels, flipped.nonzero()[:, 0].to(images.device), mirrored)
    rows = changed.nonzero()[:, 0]
    if len(rows):
        of_rows = (angles[rows], shifts[rows], scales[rows])
        rows = rows.to(images.device)
        new_images, new_labels = _transformed(images[rows], labels[rows], *of_rows, spacing, factors)
        images, labels = images.index_copy(0, rows, new_images), labels.index_copy(0, rows, new_labels)
    images = _intensities_changed(images, settings, generator)
    if settings.crop:
        corners = _positions(len(images), [2 * settings.crop + 1] * (images.ndim - 2), generator)
        images, labels = crop(images, labels, corners, settings.crop)
    if settings.cutout:
        images = cut_out(images, _positions(len(images), images.shape[2:], generator), settings.cutout)
    return images, labels


def draw(
    count: int, settings: AugmentationSettings, generator: torch.Generator
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Random numbers for each of ``count`` images: whether it changes, radians, shifts (count, 3) in sizes, scale.

    Args:
        count: number of images.
        settings: of the augmentation.
        generator: of the random numbers, on the CPU.
    """
    uniform = torch.rand(count, 6, generator=generator, dtype=torch.float64)
    signed = 2 * uniform - 1
    low, high = settings.scale
    angles = signed[:, 1] * math.radians(settings.rotation_degrees)
    return (
        uniform[:, 0] < settings.probability,
        angles,
        signed[:, 2:5] * settings.shift,
        low + (high - low) * uniform[:, 5],
    )


def transform(
    images: Tensor,
    labels: Tensor,
    angles: Tensor,
    shifts: Tensor,
    scales: Tensor,
    *,
    spacing: Sequence[float] = (1.0, 1.0, 1.0),
) -> tuple[Tensor, Tensor]:
    """Scales and rotates each volume about its centre (from X to Y), then shifts it. Shapes as in `augment`.

    The axial axis maps onto itself. So trilinear interpolation is exactly a bilinear one in the axial plane and a
    linear one along Z, which is five times faster on a CPU than to sample in three dimensions.

    Args:
        images: (B, C, X, Y, Z).
        labels: (B, X, Y, Z).
        angles: in radians, (B,).
        shifts: in sizes, (B, 3).
        scales: (B,).
        spacing: edges of a voxel.
    """
    plane = _axial_plane_maps(angles, shifts, scales, images.shape[2:4], spacing).to(images)
    positions = _axial_positions(shifts[:, 2], scales, images.shape[-1])
    voxels = torch.arange(images.shape[-1], dtype=positions.dtype)
    linear = (1 - (positions[:, :, None] - voxels).abs()).clamp_min(0).to(images)
    nearest = (positions.round()[:, :, None] == voxels).to(images)
    new_images = _resample(images, plane, linear, "bilinear")
    new_labels = _resample(labels[:, None].to(images.dtype), plane, nearest, "nearest")[:, 0]
    return new_images, new_labels.to(labels.dtype)


def _transformed(
    images: Tensor,
    labels: Tensor,
    angles: Tensor,
    shifts: Tensor,
    scales: Tensor,
    spacing: Sequence[float],
    factors: Sequence[int] | None,
) -> tuple[Tensor, Tensor]:
    changing = transform if images.ndim == 5 else transform_plane
    if factors is None:
        return changing(images, labels, angles, shifts, scales, spacing=spacing)
    near, far = images.chunk(2, 1)
    near, new_labels = changing(near, labels, angles, shifts, scales, spacing=spacing)
    longer = [factor * edge for factor, edge in zip(factors, spacing, strict=True)]
    moved = shifts / torch.tensor(factors)  # so far in mm as the first half
    far, _ = changing(far, labels, angles, moved, scales, spacing=longer)
    return torch.cat([near, far], 1), new_labels


def transform_plane(
    images: Tensor,
    labels: Tensor,
    angles: Tensor,
    shifts: Tensor,
    scales: Tensor,
    *,
    spacing: Sequence[float] = (1.0, 1.0),
) -> tuple[Tensor, Tensor]:
    """Scales and rotates each picture about its centre (from H to W), then shifts it. Shapes as in `augment`.

    Only the first two shifts of each picture, along H and W, are used.

    Args:
        images: (B, C, H, W).
        labels: (B, H, W).
        angles: in radians, (B,).
        shifts: in sizes, (B, 3).
        scales: (B,).
        spacing: edges of a pixel.
    """
    batch, _, height, width = images.shape
    maps = _axial_plane_maps(angles, shifts, scales, (height, width), spacing).to(images)
    grid = F.affine_grid(maps, [batch, 1, height, width], align_corners=False)
    new_images = F.grid_sample(images, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
    if _of_whole(labels, images):
        return new_images, labels
    of_labels = labels[:, None].to(images.dtype)
    new_labels = F.grid_sample(of_labels, grid, mode="nearest", padding_mode="zeros", align_corners=False)
    return new_images, new_labels[:, 0].to(labels.dtype)


def change_intensity(
    images: Tensor, brightness: Tensor, contrast: Tensor, gamma: Tensor, noise: Tensor | None = None
) -> Tensor:
    """Changes gamma, then contrast and brightness of each channel of each image, then adds noise.

    Args:
        images: (B, C, *size).
        brightness: (B,), added; in standard deviations of the channel.
        contrast: (B,), factors of the distance to the channel's mean.
        gamma: (B,), exponents of the values, scaled so that the channel's range is from 0 to 1.
        noise: (B, C, *size), added; in standard deviations of the channel; None: none.
    """
    axes = tuple(range(2, images.ndim))
    brightness, contrast, gamma = (
        values.to(images).view(-1, *(1,) * (images.ndim - 1)) for values in (brightness, contrast, gamma)
    )
    deviation, mean = torch.std_mean(images, axes, correction=0, keepdim=True)
    low, high = images.amin(axes, keepdim=True), images.amax(axes, keepdim=True)
    span = (high - low).clamp_min(torch.finfo(images.dtype).tiny)
    changed = ((images - low) / span).pow(gamma) * span + low
    changed = (changed - mean) * contrast + (mean + brightness * deviation)
    return changed if noise is None else changed.addcmul(noise.to(images), deviation)


def crop(images: Tensor, labels: Tensor, corners: Tensor, margin: int) -> tuple[Tensor, Tensor]:
    """Pads each image with ``margin`` zeros on every side and crops it to its own size. Shapes as in `augment`.

    ``corners`` (B, axes): where the crop begins in the padded image, from 0 to 2 margin. A corner at ``margin`` changes
    nothing.

    Args:
        images: (B, C, *size).
        labels: as in `augment`.
        corners: (B, axes), where the crop begins in the padded image, from 0 to 2 margin.
        margin: in pixels.
    """
    corners = corners.to(images.device)
    if not _of_whole(labels, images):
        labels = _cropped(labels[:, None], corners, margin)[:, 0]
    return _cropped(images, corners, margin), labels


def cut_out(images: Tensor, centres: Tensor, side: int) -> Tensor:
    """Sets a square (a cube in volumes) of ``side`` pixels around a pixel of each image (B, C, *size) to zeros.

    ``centres`` (B, axes): the first pixel behind the middle of the square. The part of a square outside the image is
    lost (DeVries and Taylor 2017).

    Args:
        images: (B, C, *size).
        centres: (B, axes), the first pixel behind the middle of the square.
        side: in pixels.
    """
    axes = images.ndim - 2
    hidden = torch.ones(len(images), 1, *images.shape[2:], dtype=torch.bool, device=images.device)
    for axis, size in enumerate(images.shape[2:]):
        offsets = torch.arange(size) - (centres[:, axis, None] - side // 2)
        within = ((offsets >= 0) & (offsets < side)).to(images.device)
        hidden &= within.view(len(images), *(size if other == axis else 1 for other in range(-1, axes)))
    return images.masked_fill(hidden, 0)


def _intensities_changed(
    images: Tensor, settings: AugmentationSettings, generator: torch.Generator
) -> Tensor:
    if not (settings.brightness or settings.contrast or settings.gamma or settings.noise):
        return images
    drawn = torch.rand(len(images), 4, generator=generator, dtype=torch.float64)
    signed, noise = 2 * drawn[:, :3] - 1, None
    if settings.noise:
        of_image = (settings.noise * drawn[:, 3]).float().view(-1, *(1,) * (images.ndim - 1))
        noise = of_image * torch.randn(images.shape, generator=generator)
    return change_intensity(
        images,
        settings.brightness * signed[:, 0],
        (1 + settings.contrast) ** signed[:, 1],
        (1 + settings.gamma) ** signed[:, 2],
        noise,
    )


def _of_whole(labels: Tensor, images: Tensor) -> bool:
    """Whether the labels belong to whole images, not to their pixels."""
    return labels.ndim < images.ndim - 1


def _positions(count: int, sizes: Sequence[int], generator: torch.Generator) -> Tensor:
    """Random positions (count, axes) along each axis. They are drawn axis by axis."""
    return torch.stack([torch.randint(size, (count,), generator=generator) for size in sizes], 1)


def _cropped(images: Tensor, corners: Tensor, margin: int) -> Tensor:
    crops = F.pad(images, (margin, margin) * (images.ndim - 2))
    for axis, size in enumerate(images.shape[2:]):
        crops = crops.unfold(
            axis + 2, size, 1
        )  # a view of all crops: corners (2 margin + 1 an axis), then pixels
    rows = torch.arange(len(images), device=images.device)
    return crops[rows, :, *corners.unbind(1)]  # type: ignore[index]


def _flipped(images: Tensor, labels: Tensor, rows: Tensor, axis: int) -> tuple[Tensor, Tensor]:
    """The batch with some rows mirrored along a spatial axis."""
    images = images.index_copy(0, rows, images[rows].flip(2 + axis))
    if not _of_whole(labels, images):
        labels = labels.index_copy(0, rows, labels[rows].flip(1 + axis))
    return images, labels


def _axial_plane_maps(
    angles: Tensor, shifts: Tensor, scales: Tensor, size: Sequence[int], spacing: Sequence[float]
) -> Tensor:
    """Maps from output to input positions (B, 2, 3) for `affine_grid`: coordinates (Y, X) from -1 to 1."""
    cosine, sine = torch.cos(angles) / scales, torch.sin(angles) / scales
    aspect = (size[0] * spacing[0]) / (size[1] * spacing[1])  # extent of X over that of Y
    shift_x, shift_y = 2 * shifts[:, 0], 2 * shifts[:, 1]
    y_row = torch.stack((cosine, -sine * aspect, -cosine * shift_y + sine * aspect * shift_x), -1)
    x_row = torch.stack((sine / aspect, cosine, -sine / aspect * shift_y - cosine * shift_x), -1)
    return torch.stack((y_row, x_row), 1)


def _axial_positions(shifts: Tensor, scales: Tensor, size: int) -> Tensor:
    """The position on the input's Z axis, in voxels, of each output voxel (B, Z)."""
    centre = (size - 1) / 2
    offsets = torch.arange(size, dtype=shifts.dtype) - centre
    return (offsets - shifts[:, None] * size) / scales[:, None] + centre


def _resample(volumes: Tensor, plane: Tensor, axial: Tensor, mode: str) -> Tensor:
    """(B, C, X, Y, Z) sampled in the axial plane by ``plane``, along Z by the weights ``axial`` (B, Z, Z)."""
    batch, channels, x, y, z = volumes.shape
    grid = F.affine_grid(plane, [batch, 1, x, y], align_corners=False)
    slices = volumes.permute(0, 1, 4, 2, 3).reshape(batch, channels * z, x, y)
    slices = F.grid_sample(slices, grid, mode=mode, padding_mode="zeros", align_corners=False)
    columns = slices.reshape(batch, channels, z, x * y).mT @ axial[:, None].mT
    return columns.view(batch, channels, x, y, z)
