"""A classifier of stages for pictures, made from plain values."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from torch import Tensor, nn

from netwright.spaces.auto.blocks import Layers, Width
from netwright.spaces.auto.resolutions import Resolution

MOST_CHANNELS = 512


@dataclass(frozen=True)
class ClassifierPlan:
    """A classifier.

    Args:
        layers: what all layers have in common.
        width: channels of the first stage; they double from stage to stage, up to `MOST_CHANNELS`.
        kernel: side of the convolutions.
        blocks: of each stage.
        downsampling: "convolution" or "max", between stages.
        stem: the resolutions from the picture to the first stage.
        below: those of the other stages.
    """

    layers: Layers
    width: int
    kernel: int
    blocks: int
    downsampling: str
    stem: tuple[Resolution, ...]
    below: tuple[Resolution, ...]

    @property
    def channels(self) -> tuple[int, ...]:
        """Of each stage."""
        return tuple(min(self.width * 2**stage, MOST_CHANNELS) for stage in range(1 + len(self.below)))

    @property
    def stages(self) -> tuple[Resolution, ...]:
        """The resolution of each stage."""
        return (self.stem[-1], *self.below)

    @property
    def stem_stride(self) -> Width:
        """Pixels of the picture for each of the first stage, along each axis."""
        return tuple(prod(steps) for steps in zip(*(level.stride for level in self.stem), strict=True))


class Classifier(nn.Module):
    """A convolution, stages of blocks, the mean over all pixels, and a dense layer. Pictures can have any size.

    Args:
        plan: the network.
        channels: of the picture.
        classes: of the output.
    """

    def __init__(self, plan: ClassifierPlan, channels: int, classes: int) -> None:
        super().__init__()
        layers, widths, kernel = plan.layers, plan.channels, (plan.kernel, plan.kernel)
        down = layers.activated if plan.downsampling == "convolution" else layers.pooled
        stem = tuple(max(3, 2 * step - 1) for step in plan.stem_stride)
        self.stages = nn.Sequential(
            nn.Sequential(
                layers.activated(channels, widths[0], stem, plan.stem_stride),
                layers.stage(widths[0], kernel, plan.blocks),
            )
        )
        for stage, resolution in enumerate(plan.below, start=1):
            self.stages.append(
                nn.Sequential(
                    down(widths[stage - 1], widths[stage], (3, 3), resolution.stride),
                    layers.stage(widths[stage], kernel, plan.blocks),
                )
            )
        self.output = nn.Linear(widths[-1], classes)
        layers.initialise(self)

    def forward(self, images: Tensor) -> Tensor:
        """Images (batch, channels, height, width) to logits (batch, classes)."""
        logits: Tensor = self.output(self.stages(images).mean((2, 3)))
        return logits
