"""The hand-made networks: published sizes, any input size, learning."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch
from torch import nn

from netwright.errors import InfeasibleArchitecture
from netwright.nn.layers import PadToMultiple
from netwright.spaces.base import is_dense
from netwright.spaces.references import REFERENCES, references_for
from netwright.spaces.resnet import ResidualBlock, ResNet20
from netwright.spaces.unet3d import UNet3D
from netwright.spaces.vnet import VNet
from netwright.tasks.classification.task import ClassificationTask
from netwright.tasks.segmentation.network_task import SegmentationTask


@dataclass(frozen=True)
class Shape:
    channels: int = 1
    classes: int = 3
    size: tuple[int, ...] = (16, 16, 16)


@dataclass(frozen=True)
class WholeImage:
    """A task with one label an image."""

    channels: int = 1
    classes: int = 3
    size: tuple[int, ...] = (16, 16)
    label_size: tuple[int, ...] = ()


TASKS = {
    "unet3d": Shape(),
    "vnet": Shape(),
    "monai-unet": Shape(),
    "unet2d": Shape(size=(16, 16)),
    "resnet20": WholeImage(),
    "vgg16": WholeImage(),
}


def count(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def test_unet3d_has_the_published_number_of_parameters() -> None:
    """19,069,955 in Çiçek et al. 2016 for 3 channels and 3 classes, where normalisation has no scale of its own."""
    network = UNet3D(3, 3)
    scales = sum(module.num_features for module in network.modules() if isinstance(module, nn.BatchNorm3d))
    assert count(network) - scales == 19_069_955
    assert count(UNet3D(1, 20)) == 19_071_668


def test_vnet_has_the_layout_of_the_paper() -> None:
    """5^3 convolutions and 2^3 ones between the stages, counted from Fig. 2 of Milletari et al. 2016."""
    stages = 16 + 2 * 32**2 + 3 * 64**2 + 3 * 128**2 + 3 * 256**2
    stages += 3 * 256**2 + 3 * 128**2 + 2 * 64**2 + 32**2
    down = 16 * 32 + 32 * 64 + 64 * 128 + 128 * 256
    up = 256 * 128 + 256 * 64 + 128 * 32 + 64 * 16
    convolutions = [m for m in VNet(1, 2).modules() if isinstance(m, nn.Conv3d | nn.ConvTranspose3d)]
    assert sum(m.weight.numel() for m in convolutions) == 125 * stages + 8 * (down + up) + 32 * 2
    assert 65.1e6 < count(VNet(1, 20)) < 65.3e6


def test_monai_unet_has_1_2_million_parameters() -> None:
    assert count(REFERENCES["monai-unet"].build(Shape())) == 1_187_766


def test_resnet20_has_the_published_size() -> None:
    """0.27 million in He et al. 2016, Table 6: 20 layers with weights, shortcuts without."""
    network = ResNet20(3, 10)
    stages = 6 * 16 * 16 + 16 * 32 + 5 * 32 * 32 + 32 * 64 + 5 * 64 * 64
    normalised = 16 + 6 * (16 + 32 + 64)
    assert count(network) == 9 * (3 * 16 + stages) + 2 * normalised + 64 * 10 + 10 == 269_722
    assert sum(isinstance(module, nn.Conv2d | nn.Linear) for module in network.modules()) == 20


def test_resnet20_passes_its_input_along_the_shortcuts() -> None:
    """With the last scale of each block at zero, what remains is the ReLU, subsampled, with empty channels."""
    same, growing = ResidualBlock(4, 4), ResidualBlock(4, 6)
    images = torch.randn(2, 4, 5, 7)
    for block in (same, growing):
        nn.init.zeros_(block.layers[-1].weight)
    torch.testing.assert_close(same(images), images.relu())
    result = growing(images)
    assert result.shape == (2, 6, 3, 4)
    torch.testing.assert_close(result[:, :4], images[:, :, ::2, ::2].relu())
    assert not result[:, 4:].any()


@pytest.mark.parametrize("name", ["unet3d", "vnet", "monai-unet"])
@pytest.mark.parametrize("size", [(17, 9, 24), (5, 30, 16)])
def test_any_size_comes_out_as_it_went_in(name: str, size: tuple[int, int, int]) -> None:
    reference = REFERENCES[name]
    assert reference.name == name
    network = reference.build(Shape(2, 3)).eval()
    with torch.no_grad():
        assert network(torch.randn(1, 2, *size)).shape == (1, 3, *size)


@pytest.mark.parametrize("name", ["unet2d", "monai-unet"])
@pytest.mark.parametrize("size", [(17, 9), (50, 33)])
def test_any_2d_size_comes_out_as_it_went_in(name: str, size: tuple[int, int]) -> None:
    network = REFERENCES[name].build(Shape(2, 3, (32, 32))).eval()
    with torch.no_grad():
        assert network(torch.randn(1, 2, *size)).shape == (1, 3, *size)


@pytest.mark.parametrize("name", sorted(set(TASKS) - {"vnet"}))
def test_learns_from_one_small_batch(name: str) -> None:
    torch.manual_seed(0)
    task = TASKS[name]
    network = REFERENCES[name].build(task)
    for module in network.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0  # chance would hide two steps of learning
    normalised = any("Norm" in type(module).__name__ for module in network.modules())
    optimizer = torch.optim.NAdam(network.parameters(), lr=1e-3 if normalised else 1e-4)
    images = torch.randn(2, 1, *task.size)
    labels = torch.tensor([0, 1]) if isinstance(task, WholeImage) else (images[:, 0] > 0).long()
    losses = []
    for _ in range(2):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(network(images), labels)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[1] < losses[0]


def test_padding_repeats_the_border_and_is_cropped() -> None:
    class Recorder(nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            self.seen = images
            return 2 * images

    recorder = Recorder()
    images = torch.randn(1, 1, 8, 3, 5)
    result = PadToMultiple(recorder, 4)(images)
    assert recorder.seen.shape == (1, 1, 8, 8, 8)
    torch.testing.assert_close(recorder.seen[:, :, :, 3:, :5], images[:, :, :, 2:3].expand(-1, -1, -1, 5, -1))
    torch.testing.assert_close(result, 2 * images)


def test_several_labels_an_image_are_no_labels_of_its_pixels() -> None:
    assert is_dense(Shape(size=(16, 16)))
    for label_size in ((), (5,), (16,)):
        assert not is_dense(WholeImage(label_size=label_size))
    for label_size in ((16, 16), (3, 16, 16)):
        assert is_dense(WholeImage(label_size=label_size))
    assert references_for(WholeImage(label_size=(5,))) == references_for(WholeImage())


def test_references_say_what_they_suit() -> None:
    assert references_for(Shape()) == ("unet3d", "vnet", "monai-unet")
    assert references_for(Shape(size=(16, 16))) == ("monai-unet", "unet2d")
    assert references_for(WholeImage()) == ("resnet20", "vgg16")
    assert references_for(WholeImage(size=(8, 8, 8))) == ()
    assert references_for(SegmentationTask(1, ("a",), (16, 16))) == references_for(Shape(size=(16, 16)))
    assert references_for(ClassificationTask(1, ("a", "b"), (16, 16))) == references_for(WholeImage())


@pytest.mark.parametrize("name", sorted(REFERENCES))
@pytest.mark.parametrize("task", [Shape(size=(16, 16)), Shape(), WholeImage()])
def test_refuses_tasks_that_do_not_suit(name: str, task: Shape | WholeImage) -> None:
    reference = REFERENCES[name]
    if reference.suits(task):
        with torch.device("meta"):
            assert count(reference.build(task)) > 0
        return
    with pytest.raises(InfeasibleArchitecture, match=f"'{name}' is for .*Those that suit it: "):
        reference.build(task)
