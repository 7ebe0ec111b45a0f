"""Reading modules: what is read does what the module does, and what cannot be read is told with its line."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional as F

from netwright.errors import SettingsError
from netwright.spaces.layerwise import copy_weights, from_module
from netwright.spaces.layerwise.reading import read_module
from netwright.spaces.layerwise.tracing import trace_symbolically
from spaces.layerwise_networks import CASES, Shape, outputs, prepared, unit


def test_skips_of_basic_unet_are_read_although_torch_fx_drops_them() -> None:
    module, space = prepared("BasicUNet 2D")
    assert not any(step.operation == "cat" for step in trace_symbolically(module).steps)
    graph = space.agent_graph()
    edges = {(graph.names[i], graph.names[j]) for i, j in graph.edges}
    encoders = ["conv_0.conv_1.conv", *(f"down_{level}.convs.conv_1.conv" for level in (1, 2, 3))]
    for level, encoder in enumerate(encoders, start=1):
        assert (encoder, f"upcat_{level}.convs.conv_0.conv") in edges
        assert (f"upcat_{level}.upsample.deconv", f"upcat_{level}.convs.conv_0.conv") in edges


def test_a_network_read_by_export_takes_other_batches_and_sizes() -> None:
    module, space = prepared("BasicUNet 2D")
    rebuilt = space.build(space.original_choice(), CASES["BasicUNet 2D"].task)
    copy_weights(module, rebuilt)
    images = torch.randn(3, 1, 48, 64)
    torch.testing.assert_close(rebuilt.eval()(images), module.eval()(images), rtol=0, atol=1e-5)


def test_weights_are_saved_without_shared_tensors(tmp_path: Any) -> None:
    module, space = prepared("inception 2D")
    rebuilt = space.build(space.original_choice(), CASES["inception 2D"].task)
    save_file(rebuilt.state_dict(), tmp_path / "weights.safetensors")  # raises where two names share a tensor
    loaded = load_file(tmp_path / "weights.safetensors")
    twin = type(module)(2)
    twin.load_state_dict(loaded)
    assert all(torch.equal(value, loaded[name]) for name, value in rebuilt.state_dict().items())
    images = CASES["inception 2D"].example()
    torch.testing.assert_close(twin.eval()(images), rebuilt.eval()(images))


def test_reading_changes_neither_the_module_nor_the_random_numbers() -> None:
    module = CASES["residual 2D"].make()
    before = {name: value.clone() for name, value in module.state_dict().items()}
    state = torch.get_rng_state()
    read_module(module, torch.ones(2, 1, 16, 16))
    assert torch.equal(state, torch.get_rng_state())
    assert module.training
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())


class Modes(nn.Module):
    """Dictionary outputs, a head in training only, a softmax in evaluation only."""

    def __init__(self) -> None:
        super().__init__()
        self.body = unit(2, 1, 4)
        self.classify = nn.Conv2d(4, 2, 1)
        self.head = nn.Conv2d(4, 2, 1)

    def forward(self, images: Tensor, scale: float = 2.0) -> dict[str, Tensor]:
        features = F.dropout(self.body(images), 0.5 if self.training else 0.0, self.training) * scale
        logits = self.classify(features)
        if self.training:
            return {"out": logits, "aux": self.head(features)}
        return {"out": logits.softmax(1)}


def test_each_mode_does_what_the_module_does_in_it() -> None:
    module = Modes()
    space = from_module(module, torch.randn(1, 1, 8, 8))
    rebuilt = space.build(space.original_choice(), Shape(1, 2, (8, 8)))
    copy_weights(module, rebuilt)
    images = torch.randn(2, 1, 8, 8)
    torch.manual_seed(1)
    theirs = module.train()(images)
    torch.manual_seed(1)
    logits, auxiliary = rebuilt.train()(images)
    assert torch.equal(logits, theirs["out"])
    assert torch.equal(auxiliary, theirs["aux"])
    called: list[Tensor] = []
    rebuilt.get_submodule("head").register_forward_hook(lambda *arguments: called.append(arguments[2]))
    torch.testing.assert_close(rebuilt.eval()(images), module.eval()(images)["out"])
    assert not called  # auxiliary heads are not computed in evaluation


class DropPath(nn.Module):
    """Stochastic depth (Huang et al. 2016), which in evaluation is not there at all."""

    def forward(self, features: Tensor) -> Tensor:
        if not self.training:
            return features
        kept = features.new_empty((features.shape[0], 1, 1, 1)).bernoulli_(0.8)
        return features * kept / 0.8


class Stochastic(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem, self.block, self.last = unit(2, 1, 4), unit(2, 4, 4), unit(2, 4, 4)
        self.drop = DropPath()
        self.pool = nn.MaxPool2d(2)
        self.classify = nn.Linear(4, 3)

    def forward(self, images: Tensor) -> Tensor:
        features = self.stem(images)
        features = self.pool(features + self.drop(self.block(features)))
        if self.training:
            features = features + 0.1 * torch.randn_like(features)
        return self.classify((features + self.drop(self.last(features))).mean((2, 3)))


def test_what_stands_behind_a_stochastic_depth_is_the_same_in_both_modes() -> None:
    values = {"kernels": [4, 6], "pool_size": [2, 3]}
    module = Stochastic()
    space = from_module(module, torch.randn(2, 1, 8, 8), values)
    assert space.agent_graph().names == ("stem.0", "block.0", "pool", "last.0")
    images, task = torch.randn(4, 1, 8, 8), Shape(1, 3, (8, 8))
    same = space.build(space.original_choice(), task)
    copy_weights(module, same)
    for training in (False, True):
        theirs, ours = (outputs(network, images, training=training) for network in (module, same))
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-5)
    rebuilt = space.build({"stem.0.kernels": 6, "last.0.kernels": 6, "pool.pool_size": 3}, task).train()
    rebuilt(images).square().sum().backward()
    assert any("adapter" in name for name, _ in rebuilt.named_parameters())
    assert all(parameter.grad is not None for parameter in rebuilt.parameters())  # none is evaluation's alone


class FixedSizes(nn.Module):
    """Sizes that are numbers in the source, behind a question that torch.fx cannot answer."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 8, 3, padding=1)
        self.conv2 = nn.Conv2d(8, 6, 3, padding=1)
        self.token = nn.Parameter(torch.randn(1, 6, 1))
        self.dense = nn.Linear(6 * 17, 10)
        self.classify = nn.Linear(10, 3)

    def forward(self, images: Tensor) -> Tensor:
        if images.shape[1] != 1:
            raise ValueError("one channel")
        features = F.interpolate(F.max_pool2d(self.conv1(images), 2), size=(8, 8))
        features = F.avg_pool2d(self.conv2(features), 2).reshape(images.shape[0], 6, 16)
        features = torch.cat([self.token.expand(images.shape[0], -1, -1), features], 2)
        noise = torch.rand(images.shape[0], 1, 1, device=images.device) if self.training else 1.0
        return self.classify(F.relu(self.dense((features * noise).view(-1, 6 * 17))))


def test_sizes_written_as_numbers_follow() -> None:
    space = from_module(
        FixedSizes(), torch.randn(2, 1, 16, 16), {"kernels": [4], "stride": [1, 2], "units": [5]}
    )
    assert space.network.reader == "torch.export"
    choice = {**space.starting_choice(), "conv2.stride": 2}
    rebuilt = space.build(choice, Shape(1, 3, (16, 16)))
    assert rebuilt.get_submodule("dense").in_features == 4 * (2 * 2 + 1)
    for batch in (1, 2, 5):
        assert rebuilt.train()(torch.randn(batch, 1, 16, 16)).shape == (batch, 3)


class DependsOnData(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 3, padding=1)
        self.classify = nn.Conv2d(4, 2, 1)

    def forward(self, images: Tensor) -> Tensor:
        features = self.conv(images)
        if features.mean() > 0:  # the line
            features = features * 2
        return self.classify(features)


class Untraceable(DependsOnData):
    def forward(self, images: Tensor) -> Tensor:
        largest = float(np.abs(images.detach().numpy()).max())  # the line
        return self.classify(self.conv(images) / largest)


class Nested(nn.Module):
    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.first = nn.Identity()
        self.inner = inner

    def forward(self, images: Tensor) -> Tensor:
        return self.inner(self.first(images))


@pytest.mark.parametrize("kind", [DependsOnData, Untraceable])
def test_what_cannot_be_read_is_told_with_layer_and_line(kind: type[nn.Module]) -> None:
    with pytest.raises(SettingsError) as caught:
        read_module(Nested(kind()), torch.randn(2, 1, 8, 8))
    message = str(caught.value)
    assert "Nested cannot be read" in message
    assert "layer inner" in message
    assert "test_layerwise_reading.py, line " in message
    assert "# the line" in message


def tied() -> nn.Module:
    network = nn.Sequential(nn.Conv2d(1, 4, 3), nn.Conv2d(4, 4, 3), nn.Conv2d(4, 4, 3))
    network[2].weight = network[1].weight  # type: ignore[assignment]
    return network


class TwoInputs(nn.Module):
    def forward(self, images: Tensor, mask: Tensor) -> Tensor:
        return images * mask


class Words(nn.Module):
    def forward(self, images: Tensor) -> str:
        return "words"


class Stacked(nn.Module):
    def forward(self, images: Tensor) -> Tensor:
        return torch.stack([images, images])


class WithFeatures(nn.Module):
    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        return images[:, :2], images


@pytest.mark.parametrize(
    ("module", "example", "words"),
    [
        (
            nn.Sequential(unit(2, 1, 4), unit(2, 5, 4)),
            (2, 1, 8, 8),
            ["does not run", "2 x 1 x 8 x 8", "layer 1.0"],
        ),
        (unit(2, 3, 4), (2, 1, 8, 8), ["does not run", "to have 3 channels", "example_input"]),
        (tied(), (2, 1, 8, 8), ["1.weight and 2.weight", "one tensor"]),
        (TwoInputs(), (2, 1, 8, 8), ["must take one tensor", "mask"]),
        (Words(), (2, 1, 8, 8), ["must return", "str"]),
        (Stacked(), (2, 1, 8, 8), ["logits of shape (2, 2, 1, 8, 8)"]),
        (WithFeatures(), (2, 3, 8, 8), ["2 classes", "(2, 3, 8, 8)", "auxiliary heads"]),
        (torch.jit.trace(nn.Conv2d(1, 2, 1), torch.zeros(1, 1, 4, 4)), (2, 1, 8, 8), ["TorchScript"]),
        (
            nn.utils.parametrizations.weight_norm(nn.Conv2d(1, 2, 1)),
            (2, 1, 8, 8),
            ["weights that are made of"],
        ),
        (
            nn.Sequential(nn.utils.spectral_norm(nn.Conv2d(1, 2, 1))),
            (2, 1, 8, 8),
            ["Layer 0", "made of others"],
        ),
        (nn.ReLU(), (5,), ["must be one tensor"]),
    ],
)
def test_errors_name_what_is_wrong(module: nn.Module, example: tuple[int, ...], words: list[str]) -> None:
    with pytest.raises(SettingsError) as caught:
        read_module(module, torch.randn(example))
    for word in words:
        assert word in str(caught.value)
