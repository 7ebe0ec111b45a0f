"""Hand-made networks that searched ones are compared with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import nn

from netwright.errors import InfeasibleArchitecture
from netwright.nn.layers import PadToMultiple
from netwright.spaces.base import TaskShape
from netwright.spaces.unet3d import UNet3D
from netwright.spaces.vnet import VNet


@dataclass(frozen=True)
class Reference:
    """A hand-made network: a short name, a title and a description for tables, and how it is made for a task.

    ``build`` gives images (batch, channels, *spatial) to logits (batch, classes, *spatial), for any spatial
    size.
    """

    name: str
    title: str
    description: str
    build: Callable[[TaskShape], nn.Module]


def build_unet3d(task: TaskShape) -> nn.Module:
    """The 3D U-Net of Çiçek et al. 2016."""
    _require_3d(task)
    return PadToMultiple(UNet3D(task.channels, task.classes), 8)


def build_vnet(task: TaskShape) -> nn.Module:
    """The V-Net of Milletari et al. 2016."""
    _require_3d(task)
    return PadToMultiple(VNet(task.channels, task.classes), 16)


def build_monai_unet(task: TaskShape) -> nn.Module:
    """MONAI's residual `UNet`, 16, 32, 64 and 128 channels, two units a level: 1.2 million parameters."""
    from monai.networks.nets.unet import UNet

    _require_3d(task)
    network = UNet(
        spatial_dims=3,
        in_channels=task.channels,
        out_channels=task.classes,
        channels=(16, 32, 64, 128),
        strides=(2, 2, 2),
        num_res_units=2,
    )
    return PadToMultiple(network, 8)


def _require_3d(task: TaskShape) -> None:
    if len(task.size) != 3:
        raise InfeasibleArchitecture(
            f"The reference networks are for 3D images, but the task's size is {task.size}."
        )


REFERENCES: dict[str, Reference] = {
    reference.name: reference
    for reference in (
        Reference("unet3d", "3D U-Net", "Çiçek et al. 2016, 32 to 512 channels", build_unet3d),
        Reference("vnet", "V-Net", "Milletari et al. 2016, 16 to 256 channels", build_vnet),
        Reference("monai-unet", "MONAI UNet", "residual, 16-32-64-128 channels", build_monai_unet),
    )
}
