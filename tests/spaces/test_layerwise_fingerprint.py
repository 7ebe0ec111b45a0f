"""Whether a network is the one that was read before: what of it counts, and what does not."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from netwright.errors import SettingsError
from netwright.spaces import SPACES
from netwright.spaces.layerwise.fingerprint import fingerprint
from netwright.spaces.layerwise.reading import read_module

SEGMENTER = "tiny_networks:segmenter"
SHAPE = {"channels": 1, "classes": 3, "size": (16, 16)}


class Net(nn.Module):
    def __init__(self, **settings: object) -> None:
        super().__init__()
        changed: dict[str, object] = {
            "kernels": 4,
            "width": 3,
            "rate": 0.1,
            "name": "first",
            "slope": 0.1,
            "length": 4,
        }
        changed |= settings
        kernels = changed["kernels"]
        self.add_module(str(changed["name"]), nn.Conv2d(1, kernels, changed["width"], padding="same"))  # type: ignore[arg-type]
        self.dropout = nn.Dropout(changed["rate"])  # type: ignore[arg-type]
        self.register_buffer("shift", torch.randn(changed["length"], 1, 1))  # type: ignore[arg-type]
        self.scale = nn.Parameter(torch.randn(1))
        self.last = nn.Conv2d(kernels, 3, 1)  # type: ignore[arg-type]
        self.changed = changed

    def forward(self, images: Tensor) -> Tensor:
        features = self.get_submodule(str(self.changed["name"]))(images)
        features = F.leaky_relu(features, self.changed["slope"]) * self.scale + self.shift  # type: ignore[arg-type]
        return self.last(self.dropout(features))


class Reordered(Net):
    def forward(self, images: Tensor) -> Tensor:
        features = self.dropout(self.get_submodule("first")(images))
        return self.last(F.leaky_relu(features, 0.1) * self.scale + self.shift)


def of(make: Callable[[], nn.Module], seed: int = 0) -> str:
    torch.manual_seed(seed)
    return fingerprint(read_module(make(), torch.randn(2, 1, 8, 8)))


def test_weights_and_images_do_not_count() -> None:
    assert of(Net) == of(Net, seed=1)


@pytest.mark.parametrize(
    "setting",
    [
        {"kernels": 8, "length": 8},
        {"width": 5},
        {"rate": 0.2},
        {"name": "renamed"},
        {"slope": 0.2},
        {"length": 1},
    ],
    ids=lambda setting: next(iter(setting)),
)
def test_settings_names_and_shapes_count(setting: dict[str, object]) -> None:
    assert of(lambda: Net(**setting)) != of(Net)


def test_the_order_counts() -> None:
    assert of(Reordered) != of(Net)


def test_a_space_of_another_network_than_a_run_began_with_is_refused() -> None:
    found = SPACES["layerwise"](SEGMENTER, **SHAPE).fingerprint  # type: ignore[attr-defined]
    assert SPACES["layerwise"](SEGMENTER, **SHAPE, fingerprint=found).name == "layerwise"
    with pytest.raises(
        SettingsError, match=r"segmenter \(.*tiny_networks.py\) has changed .* Restore it, or start a new"
    ):
        SPACES["layerwise"](SEGMENTER, **SHAPE, fingerprint="0" * len(found))
