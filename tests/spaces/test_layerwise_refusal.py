"""Networks that cannot be read are refused for what they are."""

from __future__ import annotations

import pytest
import torch
from monai.networks.nets import DynUNet, SegResNet, SwinUNETR, UNet
from torch import Tensor, nn

from netwright.errors import SettingsError
from netwright.spaces.layerwise.reading import read_module

IMAGES = torch.ones(2, 1, 64, 64)


def test_a_transformer_of_monai_is_refused_for_its_attention() -> None:
    network = SwinUNETR(in_channels=1, out_channels=2, feature_size=12, spatial_dims=2)
    with pytest.raises(SettingsError) as refused:
        read_module(network, IMAGES)
    told = str(refused.value)
    assert told.startswith("SwinUNETR is a transformer")
    assert "WindowAttention" in told
    assert "no branch or loop" not in told


@pytest.mark.parametrize(
    "network",
    [
        UNet(2, 1, 2, (4, 8), (2,)),
        DynUNet(2, 1, 2, (3, 3, 3), (1, 2, 2), (2, 2), filters=(4, 8, 8)),
        SegResNet(2, init_filters=8, in_channels=1, out_channels=2, blocks_down=(1, 1), blocks_up=(1,)),
    ],
    ids=lambda network: type(network).__name__,
)
def test_the_networks_that_are_offered_in_its_place_are_read(network: nn.Module) -> None:
    assert read_module(network, IMAGES).layers


class Branching(nn.Module):
    """Does another thing for bright images."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Conv2d(1, 2, 3, padding=1)

    def forward(self, images: Tensor) -> Tensor:
        found: Tensor = self.layer(images)
        return found.relu() if float(images.mean()) > 0 else found


class Lacking(nn.Module):
    """Needs a package when it runs."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Conv2d(1, 2, 1)

    def forward(self, images: Tensor) -> Tensor:
        import no_such_package_anywhere  # type: ignore[import-not-found]  # noqa: F401

        return images


def test_a_convolutional_network_that_branches_is_refused_for_that() -> None:
    with pytest.raises(SettingsError, match=r"^Branching cannot be read.*no branch or loop"):
        read_module(Branching(), IMAGES)


def test_a_package_that_is_not_there_is_named() -> None:
    with pytest.raises(SettingsError, match=r"^Lacking does not run.*no_such_package_anywhere.*Install"):
        read_module(Lacking(), IMAGES)
