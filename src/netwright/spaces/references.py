"""Hand-made networks to compare searched ones with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import nn

from netwright.errors import InfeasibleArchitecture
from netwright.nn.layers import PadToMultiple
from netwright.spaces.base import TaskShape, is_dense
from netwright.spaces.layerwise.networks import VGG16, UNet
from netwright.spaces.resnet import ResNet20
from netwright.spaces.unet3d import UNet3D
from netwright.spaces.vnet import VNet


@dataclass(frozen=True)
class Reference:
    """A hand-made network: a short name, a title and a description for tables, and its maker.

    ``dense``: whether it labels every voxel or the whole image. ``dimensions``: numbers of spatial dimensions
    that it supports. ``make`` returns a network from images (batch, channels, *spatial) to logits. If it is dense they
    are (batch, classes, *spatial), for any spatial size; else (batch, classes), for the task's size.
    """

    name: str
    title: str
    description: str
    make: Callable[[TaskShape], nn.Module]
    dense: bool
    dimensions: tuple[int, ...]

    def suits(self, task: TaskShape) -> bool:
        """Whether the network supports this kind of task and this number of dimensions."""
        return self.dense == is_dense(task) and len(task.size) in self.dimensions

    def build(self, task: TaskShape) -> nn.Module:
        """The network for the task.

        Raises:
            InfeasibleArchitecture: it does not support such a task.
        """
        if not self.suits(task):
            expected = f"{_kind(self.dense)} in {' or '.join(f'{count}D' for count in self.dimensions)}"
            raise InfeasibleArchitecture(
                f"The reference network {self.name!r} is for {expected}, but the task is {_kind(is_dense(task))} "
                f"of size {task.size}. Those that suit it: {', '.join(references_for(task)) or 'none'}."
            )
        return self.make(task)


def references_for(task: TaskShape) -> tuple[str, ...]:
    """Names of the references for tasks of this kind, in the order of `REFERENCES`."""
    return tuple(name for name, reference in REFERENCES.items() if reference.suits(task))


def make_unet3d(task: TaskShape) -> nn.Module:
    """The 3D U-Net of Çiçek et al. 2016."""
    return PadToMultiple(UNet3D(task.channels, task.classes), 8)


def make_vnet(task: TaskShape) -> nn.Module:
    """The V-Net of Milletari et al. 2016."""
    return PadToMultiple(VNet(task.channels, task.classes), 16)


def make_unet2d(task: TaskShape) -> nn.Module:
    """The U-Net of Ronneberger et al. 2015."""
    return PadToMultiple(UNet(task.channels, task.classes, (32, 32)), 16)


def make_monai_unet(task: TaskShape) -> nn.Module:
    """MONAI's residual `UNet` in 2D or 3D with 16, 32, 64 and 128 channels and two units per level.

    For three classes it has 1.2 million parameters in 3D, 0.4 million in 2D.
    """
    from monai.networks.nets.unet import UNet

    network = UNet(
        spatial_dims=len(task.size),
        in_channels=task.channels,
        out_channels=task.classes,
        channels=(16, 32, 64, 128),
        strides=(2, 2, 2),
        num_res_units=2,
    )
    return PadToMultiple(network, 8)


def make_resnet20(task: TaskShape) -> nn.Module:
    """The residual network of He et al. 2016 for small images."""
    return ResNet20(task.channels, task.classes)


def make_vgg16(task: TaskShape) -> nn.Module:
    """VGG-16 of Simonyan and Zisserman 2015."""
    height, width = task.size
    return VGG16(task.channels, task.classes, (height, width))


def _kind(dense: bool) -> str:
    return "segmentation" if dense else "classification"


REFERENCES: dict[str, Reference] = {
    reference.name: reference
    for reference in (
        Reference("unet3d", "3D U-Net", "Çiçek et al. 2016, 32 to 512 channels", make_unet3d, True, (3,)),
        Reference("vnet", "V-Net", "Milletari et al. 2016, 16 to 256 channels", make_vnet, True, (3,)),
        Reference(
            "monai-unet", "MONAI UNet", "residual, 16-32-64-128 channels", make_monai_unet, True, (2, 3)
        ),
        Reference("unet2d", "U-Net", "Ronneberger et al. 2015, 64 to 1024 channels", make_unet2d, True, (2,)),
        Reference("resnet20", "ResNet-20", "He et al. 2016, 16 to 64 channels", make_resnet20, False, (2,)),
        Reference("vgg16", "VGG-16", "Simonyan and Zisserman 2015", make_vgg16, False, (2,)),
    )
}
