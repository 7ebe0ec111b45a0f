"""Weights of another network to begin a training with: layers that fit are copied, others stay as they are."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from netwright.errors import RunError

if TYPE_CHECKING:
    from torch import Tensor, nn


@dataclass(frozen=True)
class Fit:
    """How much of a network can begin with the weights of a file.

    Args:
        tensors: how many of its tensors (weights and buffers) fit.
        of_tensors: how many it has.
        values: how many numbers they have.
        of_values: how many it has.
    """

    tensors: int
    of_tensors: int
    values: int
    of_values: int

    def words(self) -> str:
        """For example ``60 of 62 tensors, 99 % of the values``."""
        share = self.values / max(1, self.of_values)
        percent = (
            f"{100 * share:.0f}" if share in (0.0, 1.0) or 0.005 <= share < 0.995 else f"{100 * share:.2g}"
        )
        return f"{self.tensors} of {self.of_tensors} tensors, {percent} % of the values"


def stored_shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """The names and shapes of the tensors in a safetensors file, without reading them.

    Raises:
        RunError: the file is missing or damaged.
    """
    with _opened(path) as file:
        return {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """A safetensors file, to read tensors from by their names."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "pt") as file:
            yield file
    except (OSError, SafetensorError) as error:
        raise RunError(f"{path} cannot be read as safetensors: {error}. Restore it from a copy.") from None


def fitting(network: nn.Module, shapes: Mapping[str, tuple[int, ...]]) -> tuple[tuple[str, ...], Fit]:
    """The tensors of a network that can begin with stored ones, and how many they are.

    Names and shapes must be equal. A layer begins with all of its own tensors or with none: the bias of a convolution
    says nothing without its kernels.

    Args:
        network: with any weights, or none (on the device "meta").
        shapes: of the stored tensors, by name.
    """
    own = {name: tuple(value.shape) for name, value in network.state_dict().items()}
    sizes = {name: value.numel() for name, value in network.state_dict().items()}
    layers: dict[str, list[str]] = {}
    for name in own:
        layers.setdefault(name.rpartition(".")[0], []).append(name)
    fit = tuple(
        name
        for names in layers.values()
        if all(shapes.get(name) == own[name] for name in names)
        for name in names
    )
    return fit, Fit(len(fit), len(own), sum(sizes[name] for name in fit), sum(sizes.values()))


def load_fitting(network: nn.Module, path: Path) -> Fit:
    """Copies what fits of a file into a network, see `fitting`. All else of the network stays as it is.

    Args:
        network: to begin with them, on whatever device it is.
        path: of a safetensors file.

    Raises:
        RunError: the file is missing or damaged.
    """
    import torch

    names, fit = fitting(network, stored_shapes(path))
    state: Mapping[str, Tensor] = network.state_dict()
    with _opened(path) as file, torch.no_grad():
        for name in names:
            state[name].copy_(file.get_tensor(name))
    return fit
