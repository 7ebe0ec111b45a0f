"""The state of generators, optimizers and loss scales, as tensors and plain values for a checkpoint."""

from __future__ import annotations

import itertools
import random
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from netwright.training.checkpoint import CheckpointRefused, require_fields

ON_CPU = ("step", "mu_product")
"""What Adam and NAdam keep as single numbers in main memory, on whatever device the weights are."""
_TORCH, _GPU, _NUMPY, _PYTHON = "torch", "gpu", "numpy", "python"


def generator_tensors(device: torch.device) -> dict[str, Tensor]:
    """The states of the global generators that networks use: torch's on the CPU and on the device, numpy's and
    Python's.
    """
    _, numpy_words, position, has_normal, normal = np.random.get_state()  # noqa: NPY002  networks may use it
    version, words, pending = random.getstate()
    tensors = {
        _TORCH: torch.get_rng_state(),
        _NUMPY: torch.from_numpy(np.asarray(numpy_words).astype(np.int64)),
        f"{_NUMPY}.normal": torch.tensor([position, has_normal, normal], dtype=torch.float64),
        _PYTHON: torch.tensor([version, *words], dtype=torch.int64),
        f"{_PYTHON}.normal": torch.tensor([] if pending is None else [pending], dtype=torch.float64),
    }
    if device.type == "cuda":
        tensors[_GPU] = torch.cuda.get_rng_state(device)
    return tensors


def restore_generators(tensors: Mapping[str, Tensor], device: torch.device) -> None:
    """Sets the global generators to what `generator_tensors` gave. A GPU's generator is not set if another device was
    used.

    Raises:
        CheckpointRefused: a state is missing, or is none.
    """
    for name, now in generator_tensors(torch.device("cpu")).items():
        require_tensor(tensors, name, now, "generators", any_length=name == f"{_PYTHON}.normal")
    position, has_normal, normal = tensors[f"{_NUMPY}.normal"].tolist()
    numpy_words = tensors[_NUMPY].numpy().astype(np.uint32)
    version, *words = tensors[_PYTHON].tolist()
    pending = tensors[f"{_PYTHON}.normal"].tolist()
    try:
        torch.set_rng_state(tensors[_TORCH].clone())
        np.random.set_state(("MT19937", numpy_words, int(position), int(has_normal), normal))  # noqa: NPY002
        random.setstate((version, tuple(words), pending[0] if pending else None))
        if device.type == "cuda" and _GPU in tensors:
            torch.cuda.set_rng_state(tensors[_GPU].clone(), device)
    except (ValueError, TypeError, RuntimeError) as error:
        raise CheckpointRefused(f"its 'generators' are no states of generators ({error})") from None


def network_tensors(network: nn.Module) -> dict[str, Tensor]:
    """Weights and buffers by name. A file cannot hold a tensor twice, so tensors that share memory with another are
    copied.
    """
    tensors, storages = {}, set()
    for name, value in network.state_dict().items():
        storage = value.untyped_storage().data_ptr()
        tensors[name] = value.detach().clone() if storage in storages else value.detach()
        storages.add(storage)
    return tensors


def optimizer_tensors(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """The state of an optimizer for each weight, by the weight's number and the optimizer's own name."""
    return {
        f"{number}.{name}": value
        for number, weight in enumerate(_weights(optimizer))
        for name, value in optimizer.state.get(weight, {}).items()
        if isinstance(value, Tensor)
    }


def restore_optimizer(optimizer: torch.optim.Optimizer, tensors: Mapping[str, Tensor]) -> None:
    """Restores the state of an optimizer with the same weights from what `optimizer_tensors` gave.

    Raises:
        CheckpointRefused: a part of the state is missing, or belongs to other weights.
    """
    weights = _weights(optimizer)
    optimizer.state.clear()
    every = {key.partition(".")[::2] for key in tensors}
    for number, name in itertools.product({number for number, _ in every}, {name for _, name in every}):
        if (number, name) not in every:
            raise CheckpointRefused(f"it lacks the tensor 'optimizer.{number}.{name}'")
    for key, value in tensors.items():
        number, _, name = key.partition(".")
        weight = weights[int(number)] if number.isdecimal() and int(number) < len(weights) else None
        if weight is None or value.shape != (torch.Size() if name in ON_CPU else weight.shape):
            raise CheckpointRefused(f"its tensor 'optimizer.{key}' belongs to another network")
        device = torch.device("cpu") if name in ON_CPU else weight.device
        # A copy keeps its layout in memory, on which the last bit of a sum may depend.
        optimizer.state[weight][name] = value.to(device, copy=True)


def restore_scaler(scaler: torch.amp.GradScaler, values: Mapping[str, Any]) -> None:
    """Restores the state of a scaler. A checkpoint may come from a device that needs no scaler, or go to one.

    Raises:
        CheckpointRefused: a part of the state is missing.
    """
    if values and scaler.is_enabled():
        require_fields(values, scaler.state_dict(), "scaler")
        scaler.load_state_dict(dict(values))


def within(tensors: Mapping[str, Tensor], group: str) -> dict[str, Tensor]:
    """The tensors of a group, whose names are ``group.name``, by the names in the group."""
    return {name.removeprefix(f"{group}."): t for name, t in tensors.items() if name.startswith(f"{group}.")}


def grouped(**groups: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The inverse of `within` for several groups.

    >>> sorted(grouped(a={"x": torch.zeros(1)}, b={"x.y": torch.zeros(1)}))
    ['a.x', 'b.x.y']
    """
    return {f"{group}.{name}": t for group, tensors in groups.items() for name, t in tensors.items()}


def shapes(weights: Mapping[str, Tensor]) -> dict[str, tuple[torch.Size, torch.dtype]]:
    """Shape and type of weights by name. Networks that differ in them cannot take each other's weights."""
    return {name: (value.shape, value.dtype) for name, value in weights.items()}


def require_tensor(
    tensors: Mapping[str, Tensor], name: str, expected: Tensor, group: str = "", *, any_length: bool = False
) -> None:
    """Refuses a tensor of a checkpoint that is missing, or of another type or shape.

    Args:
        tensors: those of the checkpoint, or of a group of them.
        name: of the tensor in them.
        expected: of the same type and shape.
        group: the name of the group.
        any_length: whether the first size may be another.

    Raises:
        CheckpointRefused: the message names the tensor.
    """
    whole = f"{group}.{name}" if group else name
    if name not in tensors:
        raise CheckpointRefused(f"it lacks the tensor {whole!r}")
    stored, first = tensors[name], int(any_length)
    same = stored.ndim == expected.ndim and stored.shape[first:] == expected.shape[first:]
    if not same or stored.dtype != expected.dtype:
        raise CheckpointRefused(
            f"its tensor {whole!r} has the shape {tuple(stored.shape)} and type {stored.dtype}, expected "
            f"{tuple(expected.shape)} and {expected.dtype}"
        )


def _weights(optimizer: torch.optim.Optimizer) -> list[Tensor]:
    return [weight for group in optimizer.param_groups for weight in group["params"]]
