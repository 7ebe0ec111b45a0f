"""Weights on disk, as safetensors."""

from __future__ import annotations

import os
from pathlib import Path

from torch import nn

from netwright.errors import RunError, StorageError


def save_weights(network: nn.Module, path: Path) -> None:
    """Writes the state of a network, on the CPU and contiguous; the file is there whole or not at all.

    Raises:
        StorageError: the file cannot be written.
    """
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    partial = path.with_name(path.name + ".partial")
    state = {name: value.detach().cpu().contiguous().clone() for name, value in network.state_dict().items()}
    try:
        save_file(state, partial)
        with partial.open("rb+") as file:
            os.fsync(file.fileno())
        partial.replace(path)
    except (OSError, SafetensorError) as error:
        raise StorageError(
            f"{path} cannot be written: {error}. Make room or mend the folder, then resume."
        ) from error


def load_weights(network: nn.Module, path: Path) -> None:
    """Reads into a network, on whatever device it is, what `save_weights` wrote.

    Raises:
        RunError: the file is missing or damaged, or belongs to another architecture.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        network.load_state_dict(load_file(path))
    except (OSError, SafetensorError) as error:
        raise RunError(
            f"{path} cannot be read: {error}. Train again, or restore the file from a copy."
        ) from None
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:300]
        raise RunError(
            f"{path} does not hold the weights of this network: {reason} If the network was changed after its "
            "training, restore it, or train again."
        ) from None
