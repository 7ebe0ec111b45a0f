"""Networks that call ``.view`` on their features, under the default memory format."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from netwright.execution import notes
from netwright.nn.losses import Outputs
from netwright.training.config import TrainingProtocol
from netwright.training.device import call_network, half_precision, marked_channels_last, to_channels_last
from netwright.training.inference import forward
from netwright.training.step import TrainingStep


class Views(nn.Module):
    def __init__(self, channels: int = 3) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, 8, 3, padding=1)
        self.second = nn.Linear(8 * 16, 4)

    def forward(self, images: Tensor) -> Tensor:
        features = F.adaptive_avg_pool2d(torch.relu(self.first(images)), 4)
        found: Tensor = self.second(features.view(features.size(0), -1))
        return found


class Loss:
    def parts(self, outputs: Outputs, labels: Tensor) -> tuple[Tensor, Tensor]:
        assert isinstance(outputs, Tensor)
        loss = F.cross_entropy(outputs, labels)
        return loss, loss


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    texts: list[str] = []
    monkeypatch.setattr(notes, "_SAID", set())
    monkeypatch.setattr(notes, "_TO", [texts.append])
    return texts


def trained(network: nn.Module, *, channels_last: bool, steps: int = 3) -> list[float]:
    protocol = replace(TrainingProtocol(), channels_last=channels_last, mixed_precision=False)
    step = TrainingStep(network, protocol, torch.device("cpu"), Loss(), steps)  # type: ignore[arg-type]
    generator = torch.Generator().manual_seed(1)
    images = torch.randn(steps, 5, 3, 8, 8, generator=generator)
    labels = torch.randint(4, (steps, 5), generator=generator)
    return [step(one, truth, 1)[0] for one, truth in zip(images, labels, strict=True)]


def test_the_idiom_does_fail_in_channels_last() -> None:
    with pytest.raises(RuntimeError, match="view size is not compatible"):
        to_channels_last(Views())(torch.zeros(2, 3, 8, 8).contiguous(memory_format=torch.channels_last))


def test_it_is_trained_contiguous_to_the_same_weights_and_that_is_said_once(said: list[str]) -> None:
    torch.manual_seed(0)
    network, other = Views(), Views()
    other.load_state_dict(network.state_dict())
    assert trained(network, channels_last=True) == trained(other, channels_last=False)
    for weight, expected in zip(network.parameters(), other.parameters(), strict=True):
        assert torch.equal(weight, expected)
    trained(Views(), channels_last=True)
    assert len(said) == 1
    assert ".view" in said[0]


def test_images_of_one_channel_are_trained_contiguous_too(said: list[str]) -> None:
    """With fast convolutions they have the strides of channels last, and so have features of them."""
    protocol = replace(TrainingProtocol(), fast_convolutions=True)
    network = Views(channels=1)
    step = TrainingStep(network, protocol, torch.device("cpu"), Loss(), 2)  # type: ignore[arg-type]
    losses = [step(torch.randn(5, 1, 8, 8), torch.randint(4, (5,)), 1)[0] for _ in range(2)]
    assert all(math.isfinite(loss) for loss in losses)
    assert len(said) == 1


def test_it_predicts_and_can_be_trained_afterwards(said: list[str]) -> None:
    network = Views()
    images = torch.randn(2, 3, 8, 8)
    expected = network(images)
    to_channels_last(network)
    with torch.inference_mode():
        assert torch.equal(forward(network, images, channels_last=True), expected)
    assert all(loss == loss for loss in trained(network, channels_last=True))


def test_another_error_is_not_hidden() -> None:
    with pytest.raises(RuntimeError, match="channels"):
        call_network(Views(), torch.zeros(2, 5, 8, 8), channels_last=True)


def test_half_precision_has_no_copies_of_the_weights_as_they_were(said: list[str]) -> None:
    network, images = to_channels_last(Views()), torch.randn(2, 3, 8, 8)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert call_network(network, images, channels_last=True).shape == (2, 4)


@pytest.mark.parametrize("make", [nn.Conv2d, nn.Conv3d])
@pytest.mark.parametrize("channels", [1, 2])
def test_images_that_are_marked_give_features_in_channels_last_whatever_their_channels(
    make: Callable[..., nn.Module], channels: int
) -> None:
    if half_precision(torch.device("cpu")) is None:
        pytest.skip("this CPU has no fast half precision")
    convolution = to_channels_last(make(channels, 4, 1)).to(
        torch.bfloat16
    )  # as in the steps that mark images
    size = (5, 6, 7)[: 2 if make is nn.Conv2d else 3]
    images = torch.randn(2, channels, *size).to(torch.bfloat16)
    marked = marked_channels_last(images)
    assert torch.equal(marked, images)
    features = convolution(marked)
    assert features.is_contiguous(
        memory_format=torch.channels_last if make is nn.Conv2d else torch.channels_last_3d
    )
    torch.testing.assert_close(features, convolution(images))
