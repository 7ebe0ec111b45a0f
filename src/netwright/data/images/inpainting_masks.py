"""The three masks of PDAS (Section 4.2): a central block, single pixels, or one half of a picture."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from netwright.data.images.inpainting_settings import MaskSettings

MISSING = 0.0
"""The value of a missing pixel in every channel: black. PDAS does not give the value. As in Suganuma et al. (2018),
whose setting PDAS uses, networks get the masked picture alone, without a map of what is missing."""

SIDES = 4


def draw_mask(settings: MaskSettings, size: Sequence[int], generator: torch.Generator) -> Tensor:
    """A random mask (H, W), true where a picture is missing. The generator is on the CPU.

    A share of pixels, or of rows and columns, is rounded to a whole number; at least one is missing and at least one is
    left. The mask has exactly this many missing pixels; they are not drawn independently.

    Args:
        settings: of the masks.
        size: (H, W).
        generator: of random numbers, on the CPU.
    """
    height, width = size
    if settings.mask == "pixel":
        mask = torch.zeros(height * width, dtype=torch.bool)
        count = _count(settings.pixel, height * width)
        mask[torch.randperm(height * width, generator=generator)[:count]] = True
        return mask.view(height, width)
    mask = torch.zeros(height, width, dtype=torch.bool)
    if settings.mask == "half":
        side = int(torch.randint(SIDES, (), generator=generator))
        along = mask if side < 2 else mask.T
        count = _count(settings.half, len(along))
        along[slice(count) if side % 2 == 0 else slice(len(along) - count, None)] = True
        return mask
    rows, columns = _count(settings.center, height), _count(settings.center, width)
    top, left = (height - rows) // 2, (width - columns) // 2
    mask[top : top + rows, left : left + columns] = True
    return mask


def fixed_masks(settings: MaskSettings, size: Sequence[int], numbers: Sequence[int]) -> Tensor:
    """The masks (N, 1, H, W) of pictures by their numbers. A number has the same mask in every run and on every
    machine.

    Args:
        settings: of the masks.
        size: (H, W).
        numbers: of the pictures.
    """
    masks = [
        draw_mask(settings, size, torch.Generator().manual_seed(number)) for number in numbers
    ]  # fmt: skip
    return torch.stack(masks)[:, None] if masks else torch.zeros((0, 1, *size), dtype=torch.bool)


def masked(images: Tensor, missing: Tensor) -> Tensor:
    """Images (N, C, H, W) without what is ``missing``, (H, W) or (N, 1, H, W)."""
    return images.masked_fill(missing.to(images.device), MISSING)


def _count(share: float, whole: int) -> int:
    return min(max(1, round(share * whole)), whole - 1)
